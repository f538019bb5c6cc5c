"""Lengths and times with their units: ``5nm``, ``0.5 µm``, ``12 Å``, ``40px``; ``0.5s``, ``200 ms``."""

from __future__ import annotations

import math
import re

from emscout.errors import UsageError

__all__ = ["NM_PER_UNIT", "nm_per_unit", "parse_duration", "parse_length", "parse_length_px", "spell_length"]

# Both code points of µ (MICRO SIGN, GREEK SMALL LETTER MU) are normalised to "u" before the look-up.
NM_PER_UNIT = {
    "pm": 1e-3,
    "a": 0.1,
    "angstrom": 0.1,
    "nm": 1.0,
    "um": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
    "inch": 25.4e6,
}

_SYNONYMS = {
    "å": "a",
    "ang": "a",
    "angstroms": "a",
    "ångström": "a",
    "ångstrom": "a",
    "picometer": "pm",
    "picometre": "pm",
    "nanometer": "nm",
    "nanometre": "nm",
    "nanometers": "nm",
    "nanometres": "nm",
    "micron": "um",
    "microns": "um",
    "micrometer": "um",
    "micrometre": "um",
    "micrometers": "um",
    "micrometres": "um",
    "millimeter": "mm",
    "millimetre": "mm",
    "centimeter": "cm",
    "centimetre": "cm",
    "meter": "m",
    "metre": "m",
    "in": "inch",
    "inches": "inch",
}


_S_PER_UNIT = {
    **dict.fromkeys(("us", "usec"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}


def nm_per_unit(unit: str | None) -> float | None:
    r"""Nanometres in one unit of length, or ``None`` for what is not a length.

    Knows the spellings instruments use: ``µm`` with either code point, ``um``, ``\u00B5m``,
    ``n_m`` (Berkeley EMD), ``Å``, ``[nm]``, ``micron``. ``1/nm``, ``px`` and the empty
    string are not lengths.
    """
    if not unit:
        return None
    name = unit.strip().strip("[]()").strip().replace("_", "").replace("\\u00b5", "u").replace("\\u00B5", "u")
    name = name.replace("µ", "u").replace("μ", "u").lower()
    return NM_PER_UNIT.get(_SYNONYMS.get(name, name))


def parse_length(text: str, *, px_allowed: bool = True) -> tuple[float, str]:
    """Split ``"5nm"`` into a value and one of the units ``'nm'`` and ``'px'``.

    Parameters
    ----------
    text : str
        A number and a unit, with or without a space between them; a bare number is refused,
        because nobody can tell what it means.
    px_allowed : bool
        Whether ``px`` is a sensible answer here.

    Returns
    -------
    (float, str)
        The length, in nanometres or in pixels.

    Raises
    ------
    UsageError
        When it is not a positive length.
    """
    example = "5nm, 0.2µm or 12px" if px_allowed else "0.5nm or 12Å"
    match = re.fullmatch(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s.,+-].*?)\s*", text)
    if match is None:
        raise UsageError(f"'{text}' is not a length: give a number with its unit, such as {example}.")
    value, unit = float(match.group(1)), match.group(2)
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"'{text}' is not a positive length: give one such as {example}.")
    if unit.lower() in ("px", "pixel", "pixels"):
        if not px_allowed:
            raise UsageError(f"'{text}' is in pixels, but a physical length is needed here, such as {example}.")
        return value, "px"
    factor = nm_per_unit(unit)
    if factor is None:
        raise UsageError(f"'{unit}' in '{text}' is not a known unit of length: use pm, Å, nm, µm, mm or px.")
    return value * factor, "nm"


def parse_length_px(text: str, nm_per_px: float | None, owner: str) -> float:
    """Read a length such as ``5nm`` or ``40px`` in pixels of an image; ``owner`` names it in the error.

    Raises
    ------
    UsageError
        When it is not a length, or needs a pixel size that the image does not have.
    """
    value, unit = parse_length(text)
    if unit == "px":
        return value
    if nm_per_px is None:
        raise UsageError(
            f"{owner} has no pixel size, so '{text}' cannot be turned into pixels: "
            "give the pixel size (`pixel_size`), or the length in px."
        )
    return value / nm_per_px


def spell_length(length_nm: float, digits: int = 3) -> str:
    """A length with its unit: pm, nm, µm or mm, whichever keeps the number small."""
    if length_nm < 0.1:
        value, unit = length_nm * 1e3, "pm"
    elif length_nm < 1e3:
        value, unit = length_nm, "nm"
    elif length_nm < 1e6:
        value, unit = length_nm / 1e3, "µm"
    else:
        value, unit = length_nm / 1e6, "mm"
    # Through float, because the rounded number may not be in powers of ten: 1e+03.
    return f"{float(f'{value:.{digits}g}'):g} {unit}"


def parse_duration(text: str) -> float:
    """Read ``"0.5s"``, ``"200 ms"`` or ``"2min"`` as seconds.

    Raises
    ------
    UsageError
        When it is not a positive time with its unit.
    """
    match = re.fullmatch(r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([a-zA-Zµμ]+)\s*", text)
    factor = _S_PER_UNIT.get(match[2].replace("µ", "u").replace("μ", "u").lower()) if match else None
    value = float(match[1]) * factor if match and factor else 0.0
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"'{text}' is not a time: give a number above 0 with its unit, such as 0.5s, 200ms or 2min.")
    return value
