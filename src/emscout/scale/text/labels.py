"""Lengths in text that was read: ``0.5 µm``, ``100nm``, ``1.00um``, and their usual misreadings."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from emscout.units import NM_PER_UNIT

__all__ = ["Label", "find_labels"]

# How each unit is written, and misread. A misreading is taken for the unit, but counts as a substitution.
_UNITS = {
    "nm": (("nm",), ("nrn", "nn", "mn", "nrm", "rm", "rn", "nin", "ntn", "nim", "rim", "nrr", "nmn", "am")),
    "um": (
        ("um", "μm", "micron", "microns"),
        # A bar of picometres would be finer than any lens resolves: it is a µ whose tail was lost (see _PICOMETRES).
        (
            "pm",
            "ym",
            "jm",
            "jum",
            "pum",
            "μum",
            "uum",
            "lm",
            "ps",
            "pn",
            "цm",
            "μn",
            "un",
            "μrn",
            "urn",
            "μ",
            "ùm",
            "úm",
        ),
    ),
    "mm": (("mm",), ()),
    "A": (("å", "a", "angstrom", "angstroms", "ångström"), ()),
}
_SPELLINGS = {
    word: (unit, substitution)
    for unit, both in _UNITS.items()
    for substitution, words in enumerate(both)
    for word in words
}
_DIGITS = str.maketrans({"o": "0", "q": "0", "d": "0", "l": "1", "i": "1", "|": "1", "s": "5", "z": "2", "b": "8"})
_PICOMETRES = 50.0  # from 50 pm on "pm" may be meant, for images of atoms

_LENGTH = re.compile(
    r"(?<![\w.,=])(?P<number>[0-9oqdlisz|b]{1,5}(?:\s?[.,·]\s?[0-9oqdlisz]{1,3})?)\s?(?P<gap>[-_~ ]?)\s?"
    rf"(?P<unit>{'|'.join(sorted(map(re.escape, _SPELLINGS), key=len, reverse=True))})"
    r"(?![\w^/*+]|\s*[-^]\s*[0-9]|\s?(?!1\W*$)[0-9])"
)
# Other lengths that are printed: working distance, width of the field, size of a pixel or an aperture.
_NOT_A_SCALE = re.compile(r"[=:]\s*$|\b(wd|w\.d\.?|wo|hfw|fov|vfw|field|width|view|pixel|size|d|aperture|depth|z)\s*$")
# A spread, a bound, a spacing or the end of a range: a measurement, not the length of a bar.
_MEASURED = re.compile(r"([±士~∼≈≃≤≥ø]|\+/-|\d\s*\+|\d\s*t|\d[-–]|\d\s*to)\s*$")
_SPREAD = re.compile(r"^\s*(±|士|\+/-|\+\s?\d)")
_SCALE = re.compile(r"^\W*(scale(\s*bar)?|bar|scalebar)?\W*$")


@dataclass(frozen=True)
class Label:
    """A length that is printed.

    Parameters
    ----------
    value : float
    unit : {'nm', 'um', 'mm', 'A'}
    alone : bool
        Nothing else stands on its line.
    ocr_substitutions : int
        Number of letters that had to be replaced by others.
    start, stop : float
        Where it stands in its line, as fractions of the line's length.
    """

    value: float
    unit: str
    alone: bool = True
    ocr_substitutions: int = 0
    start: float = 0.0
    stop: float = 1.0

    @property
    def length_nm(self) -> float:
        return self.value * NM_PER_UNIT[self.unit.lower()]

    @property
    def is_usual(self) -> bool:
        """Whether it is usual for a bar: one significant digit, or two or three that end in 5; hardly ever in mm."""
        if self.unit == "mm" and self.value > 5:
            return False
        digits = f"{self.value:.6f}".replace(".", "").strip("0")
        return len(digits) == 1 or (len(digits) <= 3 and digits.endswith("5")) or digits == "12"


def find_labels(text: str) -> list[Label]:
    """All lengths in a line of text that may be the length of a scale bar.

    Areas and inverse lengths (nm², nm⁻¹, 1/nm), numbers behind ``WD``, ``HFW``, ``=`` and the like are none.
    """
    line = unicodedata.normalize("NFKC", text).replace("µ", "μ").lower().replace("ï", "i")
    found = []
    for match in _LENGTH.finditer(line):
        before, behind = line[: match.start()], line[match.end() :]
        is_scale = _SCALE.match(before) is not None
        if not is_scale and _NOT_A_SCALE.search(before):
            continue
        if _MEASURED.search(before) or _SPREAD.match(behind):
            continue
        # A lone stroke behind it is the cap of the bar.
        label = _label(match, line, is_scale and not re.search(r"\w", re.sub(r"^\W*[1il]\W*$", "", behind)))
        if label is not None:
            found.append(label)
    return found


def _label(match: re.Match[str], line: str, alone: bool) -> Label | None:
    written = re.sub(r"\s", "", match["number"]).replace(",", ".").replace("·", ".")
    written = re.sub(r"^\|+(?=[1-9])", "", written)  # an end of the bar, not a digit
    if not written or re.match(r"[il][1-9]", written):  # a one, or an end of the bar
        return None
    number = written.translate(_DIGITS)
    ocr_substitutions = sum(a != b for a, b in zip(written, number, strict=True))
    if ocr_substitutions and not alone:
        return None
    unit, misread = _SPELLINGS[match["unit"]]
    value = float(number)
    # "05 µm" may be "0.5 µm" with its point lost: it is refused.
    if value <= 0 or re.match(r"0\d", number) or (unit in ("A", "mm") and not alone):
        return None
    if match["unit"] == "pm" and value >= _PICOMETRES:
        return None
    if match["unit"] == "am" and not alone:  # a time of day
        return None
    length = max(1, len(line))
    return Label(value, unit, alone, ocr_substitutions + misread, match.start() / length, match.end() / length)
