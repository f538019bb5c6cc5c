"""From a micrograph to labelled particles, with lengths given in any unit."""

from __future__ import annotations

from typing import Literal

from emscout.errors import NothingToFindError, UsageError
from emscout.micrograph import Micrograph, Segmentation
from emscout.particles.watershed import segment_watershed
from emscout.units import parse_length

__all__ = ["Polarity", "segment_particles"]

Polarity = Literal["auto", "bright", "dark"]


def segment_particles(
    micrograph: Micrograph,
    *,
    polarity: Polarity = "auto",
    min_diameter: str | None = None,
    max_diameter: str | None = None,
    split: bool = True,
) -> Segmentation:
    """Find the particles of a micrograph without a trained model.

    Parameters
    ----------
    micrograph : Micrograph
    polarity : {'auto', 'bright', 'dark'}
        Whether particles are brighter or darker than what is around them; ``auto`` decides from the image.
    min_diameter, max_diameter : str or None
        Equivalent circular diameter below or above which a particle is dropped, with its unit: ``"5nm"``, ``"12px"``.
    split : bool
        Whether particles that touch are cut apart.

    Returns
    -------
    Segmentation

    Raises
    ------
    UsageError
        When a diameter is physical and the micrograph has no pixel size.
    NothingToFindError
        When the image is constant or holds no finite pixel.
    """
    try:
        labels, _ = segment_watershed(
            micrograph.image,
            polarity=polarity,
            min_diameter_px=_in_pixels(min_diameter, micrograph),
            max_diameter_px=_in_pixels(max_diameter, micrograph),
            split=split,
        )
    except NothingToFindError as error:
        raise NothingToFindError(f"{_name(micrograph)}: {error}") from error
    return Segmentation(labels)


def _in_pixels(length: str | None, micrograph: Micrograph) -> float | None:
    if length is None:
        return None
    value, unit = parse_length(length)
    if unit == "px":
        return value
    if micrograph.nm_per_px is None:
        raise UsageError(
            f"{_name(micrograph)} has no pixel size, so '{length}' cannot be turned into pixels: "
            "give the pixel size, or the diameter in px."
        )
    return value / micrograph.nm_per_px


def _name(micrograph: Micrograph) -> str:
    return "The image" if micrograph.path is None else str(micrograph.path)
