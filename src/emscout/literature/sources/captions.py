"""What a caption says about each panel: its text, the technique, the length of its scale bar."""

from __future__ import annotations

import re
from collections.abc import Iterator

from emscout.units import nm_per_unit

__all__ = ["figure_number", "is_caption", "scale_bar_nm", "technique_of", "text_of_panel"]

_NUMBER = r"(?i:Supplementary\s+|Supporting\s+)?(?i:(Fig(?:ure|\.)?|Scheme|Plate|Chart))\s*\.?\s*(S?\d+[A-Za-z]?)\b"
_CAPTION = re.compile(_NUMBER + r"\s*(?:[.:|)–—-]|[A-Z(]|$)")
# (a), (A–C), (a, b), (a and b); also a) and (a1) count for a.
_ONE = r"[A-Za-z]\d?"
_MARK = re.compile(rf"\(\s*({_ONE}(?:\s*(?:,|–|-|—|&|and|to)\s*{_ONE})*)\s*\)|(?<![\w(])([A-Za-z])\)")
_BARE = re.compile(r"(?<![\w.(])([A-Za-z](?:\s*(?:,|–|-|&|and|to)\s*[A-Za-z])*)(?![\w'’.-])")
_LENGTH = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*(nm|µm|μm|um|mm|pm|Å|microns?|nanomet(?:er|re)s?|micromet(?:er|re)s?)(?![\w/])"
)
_SCALE_BAR = re.compile(
    r"\b(?:scale[\s-]*bars?|bars?\b(?=\s*(?:[=:,]|is|are|represents?|indicates?|corresponds?)))", re.IGNORECASE
)
_CLAUSE_END = re.compile(r"\.(?=\s|$)|;")
_BRACKET_END = re.compile(r"[)\]]")

# The first that occurs is the technique of the panel; specific words come before general ones.
_TECHNIQUES = {
    "diffraction": r"SAED|SAEDs|SAD pattern|diffraction pattern|\bFFT|Fourier transform",
    "elemental map": r"element(?:al)? map|EDS map|EDX map|EELS map|mapping",
    "STEM": r"HAADF|\bS-?TEM\b|scanning transmission",
    "TEM": r"(?:HR|HR-|cryo-?|BF-?|DF-?)?TEM\b|transmission electron",
    "SEM": r"(?:FE-?|HR-?)?SEM\b|scanning electron|secondary electron|backscatter",
    "AFM": r"\bAFM|atomic force|\bSTM\b|scanning tunnel",
    "fluorescence": r"fluorescen|confocal",
    "optical": r"optical (?:micro|image)|photograph|light microscop",
}


def is_caption(text: str) -> bool:
    """Whether a block of text begins as the caption of a figure does (``Figure 3. …``, ``Fig. 2 | …``)."""
    return _CAPTION.match(text.strip()) is not None


def figure_number(text: str) -> str:
    """The number a caption or label begins with, such as ``3`` or ``S2``; empty without one."""
    match = re.match(_NUMBER, text.strip())
    return match.group(2) if match else ""


def text_of_panel(caption: str, letter: str) -> str:
    """The part of a caption that is about one panel.

    Parameters
    ----------
    caption : str
    letter : str
        In lower case; empty for a figure of one panel.

    Returns
    -------
    str
        The whole caption where it does not name its panels; empty where it does, but not this one.
    """
    marks = [(match, letters) for match, letters in _marks(caption)]
    if not letter or not marks:
        return "" if marks and not letter else caption
    tail = caption[marks[-1][0].end() :].strip(" .;,")
    parts = []
    for index, (match, letters) in enumerate(marks):
        if letter not in letters:
            continue
        if tail:
            stop = marks[index + 1][0].start() if index + 1 < len(marks) else len(caption)
            parts.append(caption[match.end() : stop])
        else:  # nothing comes behind the last letter: letters stand behind what they mean
            parts.append(caption[marks[index - 1][0].end() if index else 0 : match.start()])
    return " ".join(part.strip(" .;,:") for part in parts).strip()


def technique_of(caption: str, letter: str) -> str:
    """Technique of a panel by its part of the caption, else by the heading of all: ``TEM``, ``SEM`` and so on."""
    own = text_of_panel(caption, letter)
    marks = list(_marks(caption))
    heading = caption[: marks[0][0].start()] if marks else ""
    for text in (own, heading):
        found = [(match.start(), name) for name, words in _TECHNIQUES.items() if (match := re.search(words, text))]
        if found:
            return min(found)[1]
    return ""


def scale_bar_nm(caption: str, letter: str) -> float | None:
    """Length of the scale bar of a panel according to the caption.

    Understands ``Scale bar: 50 nm``, ``Scale bars: 50 nm (a, b) and 20 nm (c)``, ``Scale bars are 5 μm in a and 2 μm
    in b``, ``(scale bar, 100 nm)`` in the part of one panel.

    Returns
    -------
    float or None
        In nm; ``None`` where the caption does not say, or not for this panel.
    """
    lengths: set[float] = set()
    for start, stop, starts_sentence in _scale_bar_clauses(caption):
        before = [letters for mark, letters in _marks(caption) if mark.end() <= start]
        if not starts_sentence and before and letter not in before[-1]:
            continue
        said = _lengths_by_letter(caption[start:stop])
        lengths |= {said[key] for key in (letter, "") if key in said}
    return lengths.pop() if len(lengths) == 1 else None


def _scale_bar_clauses(caption: str) -> Iterator[tuple[int, int, bool]]:
    """Where a caption mentions scale bars, and whether a sentence begins there: then it is about all panels."""
    for match in _SCALE_BAR.finditer(caption):
        before = caption[: match.start()].rstrip().removesuffix("All").removesuffix("The").removesuffix("the").rstrip()
        end = (_BRACKET_END if before.endswith(("(", "[")) else _CLAUSE_END).search(caption, match.end())
        yield match.end(), end.start() if end else len(caption), before == "" or before.endswith(".")


def _lengths_by_letter(clause: str) -> dict[str, float]:
    """Length in nm by letter of the panel; ``""`` stands for all of them."""
    values = [(match, _nm(match)) for match in _LENGTH.finditer(clause)]
    # A panel named in brackets or bare: "50 nm (a)", "50 nm in a and b", "(a) 50 nm".
    marks = sorted(
        [(m.start(), m.end(), set(_spread(m.group(1) or m.group(2)))) for m in _MARK.finditer(clause)]
        or [
            (m.start(), m.end(), set(_spread(m.group(1))))
            for m in _BARE.finditer(clause)
            if not any(v.start() < m.end() and m.start() < v.end() for v, _ in values)
        ]
    )
    if not values:
        return {}
    if not marks:
        return {"": values[0][1]} if len({nm for _, nm in values}) == 1 else {}
    before = marks[0][0] < values[0][0].start()
    said: dict[str, float] = {}
    for start, stop, letters in marks:
        nearest = (
            [nm for m, nm in values if m.start() >= stop][:1]
            if before
            else [nm for m, nm in values if m.end() <= start][-1:]
        )
        for letter in letters:
            if nearest:
                said.setdefault(letter, nearest[0])
    return said


def _nm(match: re.Match[str]) -> float:
    return float(match.group(1).replace(",", ".")) * (nm_per_unit(match.group(2)) or float("nan"))


def _marks(caption: str) -> Iterator[tuple[re.Match[str], set[str]]]:
    """Where a caption names panels, and which; letters within the clause on scale bars are not counted."""
    clauses = list(_scale_bar_clauses(caption))
    for match in _MARK.finditer(caption):
        if not any(start <= match.start() < stop for start, stop, _ in clauses):
            yield match, set(_spread(match.group(1) or match.group(2)))


def _spread(names: str) -> list[str]:
    """``a, c–e`` is a, c, d, e."""
    parts = re.split(r"\s*(?:,|&|\band\b)\s*", names.lower())
    letters: list[str] = []
    for part in filter(None, parts):
        ends = re.split(r"\s*(?:–|—|-|\bto\b)\s*", part)
        first, last = ord(ends[0].strip()[0]), ord(ends[-1].strip()[0])
        letters += [chr(code) for code in range(first, last + 1)] if first <= last else [ends[0].strip()[0]]
    return letters
