"""Particles by an autoencoder trained on the movie itself: its reconstruction of a frame, smoothed and thresholded.

After the tutorial of Vyas, Horwath and Stach: a network whose bottleneck is too narrow for noise gives back a frame
that is simple enough for a threshold. It needs no particles outlined by hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage import filters, segmentation

from emscout.errors import NothingToFindError
from emscout.micrograph import Segmentation
from emscout.models import AutoencoderModel, load_autoencoder_model
from emscout.particles.segmenters.component_tree import noise_gradient, outline_gradient, split_at_necks
from emscout.particles.segmenters.multiscale import segment_component_tree
from emscout.particles.segmenters.outlines import smooth_finely

__all__ = [
    "area_bands",
    "find_level",
    "find_polarity",
    "normalise",
    "reconstruct",
    "segment_autoencoder",
]

Polarity = Literal["auto", "bright", "dark"]

TILE_PX = 768
"""Larger images are processed tile by tile."""

# As for the watershed: what is less than 0.3 times as wide as the bulk of the particles is not a particle.
_MIN_RELATIVE_AREA = 0.3**2
_MIN_AREA_PX2 = 4
# Contours of noise are 1.6 times as steep as its gradient has standard deviations, on average; particles are steeper.
_MIN_EDGE = 3.0
# Percentiles of the grey levels to which values are clipped, so that hot pixels do not stretch the range.
_RANGE_PERCENT = (0.1, 99.9)
_MOST_SPREADS = 6.0


class _Found(NamedTuple):
    """A smoothed frame with bright particles, and what the threshold gives."""

    smooth: np.ndarray  # (H, W) float32, in grey values as recorded or their negative
    level: float
    noise: float  # standard deviation, in the same grey values
    labels: np.ndarray


def segment_autoencoder(
    image: np.ndarray, model: str | Path, *, polarity: Polarity = "auto", split: bool = True
) -> Segmentation:
    """Find the particles of a frame with an autoencoder.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Of any size; pixels that are not finite are never part of a particle.
    model : str or Path
        An ONNX file written by ``emscout train autoencoder``.
    polarity : {'auto', 'bright', 'dark'}
        Whether particles are brighter or darker than what is around them; ``auto`` takes that of `find_polarity`.
    split : bool
        Whether particles that touch are cut apart where they narrow.

    Returns
    -------
    Segmentation
        Only labels, without uncertainty; see `area_bands` for that of the outlines.

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite value.
    ModelError
        When the file is not an autoencoder.
    """
    return Segmentation(_find(image, model, polarity, split).labels)


def area_bands(
    image: np.ndarray, model: str | Path, labels: np.ndarray, *, polarity: Polarity = "auto"
) -> pd.DataFrame:
    """Areas of particles by the narrowest and the widest outline that the noise allows.

    Parameters
    ----------
    image, model, polarity
        As given to `segment_autoencoder`.
    labels : ndarray of int, shape (H, W)
        What it found.

    Returns
    -------
    DataFrame
        ``label``, ``area_low_px2``, ``area_high_px2``: areas with the threshold moved by one standard deviation of the
        frame's noise in a pixel, towards the particles' grey and away from it. Neighbours share the space between them.
    """
    found = _find(image, model, polarity, split=False)
    count = int(labels.max(initial=0))
    certain = (labels > 0) & (found.smooth > found.level + found.noise)
    possible = (labels > 0) | (found.smooth > found.level - found.noise)
    wide = segmentation.watershed(-found.smooth, labels, mask=possible)
    # The wider outline of a faint particle may spread into the background: by its own radius at most.
    near = ndimage.distance_transform_edt(labels == 0) <= np.append(0.0, _radius(labels, count))[wide]
    return pd.DataFrame(
        {
            "label": np.arange(1, count + 1),
            "area_low_px2": np.bincount(labels[certain], minlength=count + 1)[1:].astype(float),
            "area_high_px2": np.bincount(wide[near], minlength=count + 1)[1:].astype(float),
        }
    )


def reconstruct(image: np.ndarray, model: AutoencoderModel) -> np.ndarray:
    """Reconstruct an image of any size by the network.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
    model : AutoencoderModel

    Returns
    -------
    ndarray of float32, shape (H, W)
        In the grey values of the image.

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite value.
    """
    grey, centre, spread = normalise(image)
    stride, reach = model.description["stride_px"], model.description["reach_px"]
    height, width = grey.shape
    # The image is reflected at its edges, and each tile is padded by the reach of the network.
    after = [(reach, reach + -side % stride) for side in grey.shape]
    padded = np.pad(grey, after, mode="symmetric")
    result = np.empty_like(padded)
    for row in range(0, height, TILE_PX):
        for col in range(0, width, TILE_PX):
            tile = model.run(
                np.ascontiguousarray(padded[row : row + TILE_PX + 2 * reach, col : col + TILE_PX + 2 * reach])
            )
            inner = tile[reach:-reach, reach:-reach]
            result[row : row + inner.shape[0], col : col + inner.shape[1]] = inner
    return result[:height, :width] * np.float32(spread) + np.float32(centre)


def normalise(image: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Scale a frame to mean 0 and standard deviation 1, the input of the network.

    Returns
    -------
    grey : ndarray of float32, shape (H, W)
        What is not finite becomes 0.
    centre, spread : float
        ``image ≈ grey * spread + centre``.

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite value.
    """
    values = image.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise NothingToFindError("The image holds no finite value, so there is nothing to find in it.")
    low, high = np.percentile(values[finite], _RANGE_PERCENT)
    usual = np.clip(values[finite], low, high)
    centre, spread = float(usual.mean()), float(usual.std())
    if spread == 0:
        raise NothingToFindError("The image has no contrast, so there is nothing to find in it.")
    grey = np.where(finite, (values - centre) / spread, 0.0)
    return np.clip(grey, -_MOST_SPREADS, _MOST_SPREADS).astype(np.float32), centre, spread


def find_polarity(smooth: np.ndarray) -> Literal["bright", "dark"]:
    """Whether particles are brighter or darker than what is around them: what fits the watershed better.

    Parameters
    ----------
    smooth : ndarray, shape (H, W)
        A frame without its noise.
    """
    return segment_component_tree(smooth, split=False)[1]


def find_level(smooth: np.ndarray) -> float:
    """The grey value at the edge of bright particles: half way between the background and their inside.

    Parameters
    ----------
    smooth : ndarray, shape (H, W)
        A frame without its noise, particles bright.

    Notes
    -----
    Otsu's threshold (doi:10.1109/TSMC.1979.4310076) is biased towards the larger class, the background, and towards the
    blurred rims of small particles: both make particles too large. So it is used only to find particles and background,
    and the level is half way between their medians away from the outlines.
    """
    rough = smooth > filters.threshold_otsu(smooth)
    inside = ndimage.binary_erosion(rough, border_value=1)
    outside = ~ndimage.binary_dilation(rough)
    particles = smooth[inside if inside.any() else rough]
    background = smooth[outside if outside.any() else ~rough]
    return float((np.median(background) + np.median(particles)) / 2)


def _find(image: np.ndarray, model: str | Path, polarity: Polarity, split: bool) -> _Found:
    reproduced = reconstruct(image, load_autoencoder_model(model))
    smooth = smooth_finely(reproduced)
    if polarity == "auto":
        polarity = find_polarity(smooth)
    known = np.isfinite(image)
    left_out = np.abs(image[known] - reproduced[known])
    noise = 1.4826 * float(np.median(left_out))
    if polarity == "dark":
        smooth = -smooth
    level = find_level(smooth)
    return _Found(smooth, level, noise, _label(smooth, (smooth > level) & known, split))


def _label(smooth: np.ndarray, mask: np.ndarray, split: bool) -> np.ndarray:
    """Number the particles of a mask 1..n, without regions that have no edge or are far smaller than the bulk."""
    regions, count = ndimage.label(mask)
    gradient = outline_gradient(smooth)
    outline = mask & ~ndimage.binary_erosion(mask, border_value=1)
    edge = ndimage.mean(gradient, np.where(outline, regions, 0), np.arange(1, count + 1))
    steep = np.append(False, edge >= _MIN_EDGE * noise_gradient(gradient))
    regions[~steep[regions]] = 0
    if split:
        regions = _split(regions)
    areas = np.bincount(regions.ravel())[1:]
    if areas.sum() == 0:
        return np.zeros(mask.shape, np.int32)
    ordered = np.sort(areas)
    bulk = ordered[np.searchsorted(np.cumsum(ordered), areas.sum() / 2)]
    keep = np.append(False, areas >= max(_MIN_AREA_PX2, _MIN_RELATIVE_AREA * bulk))
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)[regions]


def _split(regions: np.ndarray) -> np.ndarray:
    """Cut regions where they narrow."""
    result, count = np.zeros_like(regions), 0
    for number, box in enumerate(ndimage.find_objects(regions), 1):
        if box is None:
            continue
        mask = regions[box] == number
        pieces = split_at_necks(mask)
        result[box][mask] = pieces[mask] + count
        count += int(pieces.max())
    return result


def _radius(labels: np.ndarray, count: int) -> np.ndarray:
    """Radius of the disc of each particle's area."""
    return np.sqrt(np.bincount(labels.ravel(), minlength=count + 1)[1:] / np.pi)
