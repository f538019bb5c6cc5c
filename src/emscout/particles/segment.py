"""From a micrograph to labelled particles, by either method, with lengths given in any unit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from emscout.errors import NothingToFindError, UsageError
from emscout.micrograph import Micrograph, Segmentation
from emscout.particles.bayesian import segment_bayesian, select_particles
from emscout.particles.watershed import segment_watershed
from emscout.units import parse_length_px

__all__ = ["DEFAULT_MODEL", "WATERSHED", "Polarity", "leave_out_print", "segment_particles"]

Polarity = Literal["auto", "bright", "dark"]

DEFAULT_MODEL = "particles-v2"
WATERSHED = "watershed"
"""The name of the method that needs no trained network."""

_MOST_UNDER_PRINT = 0.3  # share of a particle under banner, bar or label, beyond which it is these that were found

# Beyond 8192 × 8192 px a network's maps alone fill the memory of a laptop.
_MOST_PX_FOR_NETWORK = 8192**2


def segment_particles(
    micrograph: Micrograph,
    *,
    model: str | Path = DEFAULT_MODEL,
    min_diameter: str | None = None,
    max_diameter: str | None = None,
    diameter: str | None = None,
    samples: int = 30,
    seed: int = 0,
    polarity: Polarity = "auto",
    split: bool = True,
) -> Segmentation:
    """Find the particles of a micrograph.

    Parameters
    ----------
    micrograph : Micrograph
    model : str or Path
        A trained network by its name in `emscout.models.MODELS` or by the path of its ONNX file, or
        ``"watershed"``, which needs none.
    min_diameter, max_diameter : str or None
        Equivalent circular diameter below or above which a particle is dropped, with its unit: ``"5nm"``, ``"12px"``.
    diameter : str or None
        Typical diameter; the network estimates it where it is not given. Networks only.
    samples, seed : int
        Monte-Carlo samples and the seed of their dropout masks. Networks only.
    polarity : {'auto', 'bright', 'dark'}
        Whether particles are brighter or darker than what is around them; ``auto`` decides from the image.
        Watershed only.
    split : bool
        Whether particles that touch are cut apart. Watershed only.

    Returns
    -------
    Segmentation
        Every particle found. With a network also the uncertainty of each pixel and the probability of each particle,
        to be sifted by `emscout.filter_particles`.

    Raises
    ------
    UsageError
        When a diameter is physical and the micrograph has no pixel size, or the image is too large for a network.
    NothingToFindError
        When the image is constant or holds no finite pixel.
    ModelError
        When the network cannot be loaded.
    """
    smallest_px, largest_px, typical_px = (
        None if d is None else parse_length_px(d, micrograph.nm_per_px, _name(micrograph))
        for d in (min_diameter, max_diameter, diameter)
    )
    try:
        if str(model) == WATERSHED:
            found = Segmentation(segment_watershed(micrograph.image, polarity=polarity, split=split)[0])
        elif micrograph.image.size > _MOST_PX_FOR_NETWORK:
            raise UsageError(f"{_name(micrograph)} is too large for a network: add --model watershed, or cut it up.")
        else:
            found = segment_bayesian(micrograph.image, model=model, samples=samples, diameter_px=typical_px, seed=seed)
    except NothingToFindError as error:
        raise NothingToFindError(f"{_name(micrograph)}: {error}") from error
    if smallest_px is None and largest_px is None:
        return found
    # Dropped at the end, so that a bound changes nothing but what it drops.
    diameters_px = 2 * np.sqrt(_areas_px2(found.labels) / np.pi)
    return select_particles(found, (diameters_px >= (smallest_px or 0)) & (diameters_px <= (largest_px or np.inf)))


def leave_out_print(found: Segmentation, printed: np.ndarray) -> Segmentation:
    """Leave out what was found in banner, scale bar and label.

    Parameters
    ----------
    found : Segmentation
    printed : ndarray of bool, shape (H, W)
        See `emscout.scale.annotation_mask`.
    """
    if not printed.any():
        return found
    areas = _areas_px2(found.labels)
    under = np.bincount(found.labels[printed], minlength=len(areas) + 1)[1:]
    return select_particles(found, under <= _MOST_UNDER_PRINT * areas)


def _areas_px2(labels: np.ndarray) -> np.ndarray:
    areas = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int64)
    # In parts: bincount turns its input into 64-bit integers, twice the memory of a large label image.
    for start in range(0, len(labels), 256):
        areas += np.bincount(labels[start : start + 256].ravel(), minlength=len(areas))
    return areas[1:]


def _name(micrograph: Micrograph) -> str:
    return "The image" if micrograph.path is None else str(micrograph.path)
