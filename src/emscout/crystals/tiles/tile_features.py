"""Features of tiles: brightness, contrast, edges and their curvature at several scales, in the tile and around it.

Statistics of a tile alone do not say whether its bright half is a particle or a gap between particles. The curvature of
the edges does (particles are convex more often than gaps), and so do the surroundings of the tile. Features are means
of maps over the tile and over two wider windows around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.windows import window_sums

__all__ = ["FEATURES", "MAPS", "WIDTHS", "Contrast", "measure_contrast", "measure_features", "sample_grey"]

SCALES_PX = (1, 2, 4, 8)
SHARES = (0.1, 0.5, 0.9)
WIDTHS = (1, 3, 7)
"""Sides of the windows, in tiles."""

MAPS = (
    "grey",
    "deviation",
    "bright",
    *(f"below_{share:.0%}" for share in SHARES),
    "far_below",
    "far_above",
    *(f"{name}_{scale}" for scale in SCALES_PX for name in ("band", "band_size", "slope", "bend", "bend_size")),
)
"""Maps whose means are the features; ``bend`` is the curvature of lines of equal grey."""

FEATURES = tuple(f"{name}@{width}" for width in WIDTHS for name in MAPS)
"""Names of the features: each map, averaged over each window."""

TILE_SIDE_PX = 36
"""Images are averaged down until their tiles have about this side, so that scales are relative to a tile."""

_TAILS = (0.01, 0.99)
_BEYOND = 1.0  # of the range between the tails, which is the range of the noise where crystals are rare
_SAMPLE = 200_000
_FAR = 5.0  # robust standard deviations: rare crystals lie beyond; where crystals are common, nothing does
_LEAST_SLOPE = 1e-3
_STEPS_PER_TILE = 8  # of a sliding window; features change little from one step to the next and are interpolated


@dataclass(frozen=True)
class Contrast:
    """Grey levels that are dark and bright in a set of images.

    Parameters
    ----------
    low, high : float
        Grey values that are scaled to 0 and 1.
    split : float
        Threshold between dark and bright on that scale (Otsu 1979, doi:10.1109/TSMC.1979.4310076).
    levels : tuple of float
        Quantiles `SHARES` on that scale.
    far : tuple of float
        On that scale, hardly any pixel is darker than the first or brighter than the second.
    """

    low: float
    high: float
    split: float
    levels: tuple[float, ...]
    far: tuple[float, float]


def sample_grey(image: np.ndarray, n_images: int) -> np.ndarray:
    """Grey values from which `measure_contrast` takes the contrast of a set.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    n_images : int
        Number of images in the set: the more there are, the fewer values each contributes.

    Returns
    -------
    ndarray of float, shape (n,)
        A regular sample of the pixels that are finite.
    """
    for step in (math.isqrt(image.size // _SAMPLE), None):
        step = int(math.sqrt(image.size * n_images / _SAMPLE)) if step is None else step
        image = image[:: max(1, step), :: max(1, step)]
    values = image.ravel().astype(float)
    return values[np.isfinite(values)]


def measure_contrast(samples: Sequence[np.ndarray]) -> Contrast:
    """The contrast of a set of images, from the `sample_grey` of each."""
    pool = np.concatenate([np.empty(0), *samples])
    if not len(pool):
        return Contrast(0.0, 1.0, 0.5, SHARES, (0.0, 1.0))
    low, high = np.quantile(pool, _TAILS)
    high = high if high > low else low + 1.0
    middle = np.median(pool)
    reach = _FAR * 1.4826 * np.median(np.abs(pool - middle))
    grey, far = _scale(pool, low, high), (np.array([middle - reach, middle + reach]) - low) / (high - low)
    return Contrast(
        float(low),
        float(high),
        _split(grey),
        tuple(np.quantile(grey, SHARES).tolist()),
        (max(float(far[0]), -_BEYOND), min(float(far[1]), 1 + _BEYOND)),
    )


def measure_features(image: np.ndarray, lattice: Lattice, contrast: Contrast) -> np.ndarray:
    """Features of all tiles of an image.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Grey values on the scale of ``contrast``; pixels that are not finite do not count.
    lattice : Lattice
        The tiles.
    contrast : Contrast
        Of the whole set.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_cols, n_features)
        In the order of `FEATURES`; 0 where no pixel of a window is finite.
    """
    side = min(np.diff(lattice.rows).min(), np.diff(lattice.cols).min())
    strides = [max(1, int(side / _STEPS_PER_TILE / max(1, _step(spans)))) for spans in (lattice.rows, lattice.cols)]
    chosen = [_every(len(spans), n) for spans, n in zip((lattice.rows, lattice.cols), strides, strict=True)]
    if tuple(map(len, chosen)) != lattice.shape:
        features = measure_features(image, Lattice(lattice.rows[chosen[0]], lattice.cols[chosen[1]]), contrast)
        return _interpolate(_interpolate(features, chosen[0], 0), chosen[1], 1)
    factor = max(1, round(side / TILE_SIDE_PX))
    grey, known = _average_down(_scale(image, contrast.low, contrast.high), factor)
    sides = list(zip((lattice.rows, lattice.cols), grey.shape, strict=True))
    windows = [Lattice(*(_widen(spans, width, factor, length) for spans, length in sides)) for width in WIDTHS]
    weights = [np.maximum(window_sums(known, window), 1) for window in windows]
    features = np.zeros((*lattice.shape, len(FEATURES)), np.float32)
    for number, values in enumerate(_draw_maps(np.where(known, grey, np.float32(contrast.levels[1])), contrast)):
        values = values * known
        for w, (window, weight) in enumerate(zip(windows, weights, strict=True)):
            features[..., w * len(MAPS) + number] = window_sums(values, window) / weight
    for w in range(len(WIDTHS)):
        mean, square = (features[..., w * len(MAPS) + MAPS.index(name)] for name in ("grey", "deviation"))
        features[..., w * len(MAPS) + MAPS.index("deviation")] = np.sqrt(np.maximum(square - mean**2, 0))
    return features


def _draw_maps(grey: np.ndarray, contrast: Contrast) -> Iterator[np.ndarray]:
    """The maps in the order of `MAPS`; the map of ``deviation`` is the squared grey value."""
    yield grey
    yield grey**2
    smooth = [ndimage.gaussian_filter(grey, SCALES_PX[0], truncate=3)]
    for finer, coarser in zip(SCALES_PX, (*SCALES_PX[1:], 2 * SCALES_PX[-1]), strict=True):
        smooth.append(ndimage.gaussian_filter(smooth[-1], np.sqrt(coarser**2 - finer**2), truncate=3))
    yield smooth[1] > contrast.split
    for level in contrast.levels:
        yield grey <= level
    yield smooth[0] < contrast.far[0]
    yield smooth[0] > contrast.far[1]
    for scale, fine, coarse in zip(SCALES_PX, smooth[:-1], smooth[1:], strict=True):
        band = fine - coarse
        yield band
        yield np.abs(band)
        down, right = np.gradient(fine)
        slope2 = down**2 + right**2
        yield np.sqrt(slope2)
        (down2, mixed), right2 = np.gradient(down), np.gradient(right, axis=1)
        bend = right2 * down**2 - 2 * right * down * mixed + down2 * right**2
        # Curvature of the lines of equal grey times the slope: for noise and straight edges it averages out.
        bend *= scale / (slope2 + _LEAST_SLOPE**2)
        yield bend
        yield np.abs(bend)


def _scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values.astype(np.float32) - np.float32(low)) / np.float32(high - low), -_BEYOND, 1 + _BEYOND)


def _split(grey: np.ndarray) -> float:
    """Otsu's threshold between dark and bright; below everything where all grey values are the same."""
    counts, edges = np.histogram(grey, 128)
    if grey.min() == grey.max():
        return float(edges[0])
    return float(threshold_otsu(hist=(counts, (edges[1:] + edges[:-1]) / 2)))


def _average_down(grey: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of cells of ``factor`` x ``factor`` pixels, and which cells hold a finite pixel; far edges are repeated."""
    known = np.isfinite(grey)
    if factor == 1:
        return grey, known
    pad = [(0, -length % factor) for length in grey.shape]
    grey, known = np.pad(np.where(known, grey, 0), pad, mode="edge"), np.pad(known, pad, mode="edge")
    cells = (grey.shape[0] // factor, factor, grey.shape[1] // factor, factor)
    n_known = known.reshape(cells).sum((1, 3))
    return (grey.reshape(cells).sum((1, 3)) / np.maximum(n_known, 1)).astype(np.float32), n_known > 0


def _step(spans: np.ndarray) -> int:
    return int(np.median(np.diff(spans[:, 0]))) if len(spans) > 1 else 1


def _every(length: int, step: int) -> np.ndarray:
    """Every ``step``-th index, and the last."""
    return np.unique(np.append(np.arange(0, length, step), length - 1))


def _interpolate(features: np.ndarray, known: np.ndarray, axis: int) -> np.ndarray:
    """Features at all indices along an axis, interpolated between the known indices."""
    wanted = np.arange(known[-1] + 1)
    right = np.clip(np.searchsorted(known, wanted, side="right"), 1, max(len(known) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(known) - 1)
    part = (wanted - known[left]) / np.maximum(known[right] - known[left], 1)
    part = part.astype(np.float32).reshape((-1,) + (1,) * (features.ndim - 1 - axis))
    filled = features.take(left, axis)
    filled += part * (features.take(right, axis) - filled)
    return filled


def _widen(spans: np.ndarray, width: int, factor: int, length: int) -> np.ndarray:
    """Spans ``width`` times as wide about the same centres, in cells of an image of ``length`` cells."""
    reach = np.diff(spans, axis=1)[:, 0] * (width - 1) / 2
    start = np.clip(np.floor((spans[:, 0] - reach) / factor).astype(int), 0, length - 1)
    stop = np.clip(np.ceil((spans[:, 1] + reach) / factor).astype(int), start + 1, length)
    return np.stack([start, stop], axis=1)
