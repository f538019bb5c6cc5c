"""How a tile looks beside the others of its set: brightness, contrast, edges and their bend, at several scales.

Statistics of a tile alone do not say whether its bright half is a particle or a gap between particles. The bend of the
edges does (particles are convex more often than gaps), and so does what is around the tile. Looks are means of maps
over the tile and over two wider windows around it, from running sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.windows import window_sums

__all__ = ["LOOKS", "MAPS", "WIDTHS", "Contrast", "describe_tiles", "measure_contrast"]

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
LOOKS = tuple(f"{name}@{width}" for width in WIDTHS for name in MAPS)

TILE_PX = 36
"""Images are averaged down until their tiles are about so large: scales are parts of a tile."""

_TAILS = (0.01, 0.99)
_BEYOND = 1.0  # of the range between the tails, which is that of the noise where crystals are rare
_SAMPLE = 200_000
_FAR = 5.0  # robust standard deviations: where crystals are rare they lie beyond, where they are common nothing does
_LEAST_SLOPE = 1e-3
_STEPS_PER_TILE = 8  # of a sliding window; looks change little from one to the next, so those between are filled in


@dataclass(frozen=True)
class Contrast:
    """What is dark and what is bright in a set.

    Parameters
    ----------
    low, high : float
        Grey values that become 0 and 1.
    split : float
        Between dark and bright, after that (Otsu 1979, doi:10.1109/TSMC.1979.4310076).
    levels : tuple of float
        Quantiles `SHARES`, after that.
    far : tuple of float
        What is darker than the first or brighter than the second, after that, is unlike nearly everything.
    """

    low: float
    high: float
    split: float
    levels: tuple[float, ...]
    far: tuple[float, float]


def measure_contrast(images: Sequence[np.ndarray]) -> Contrast:
    """The contrast of all images (H, W) together; pixels that are not finite do not count."""
    samples = [np.empty(0)]
    for image in images:
        step = max(1, int(np.sqrt(image.size * len(images) / _SAMPLE)))
        values = image[::step, ::step].ravel().astype(float)
        samples.append(values[np.isfinite(values)])
    pool = np.concatenate(samples)
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


def describe_tiles(image: np.ndarray, lattice: Lattice, contrast: Contrast) -> np.ndarray:
    """Looks of all tiles of an image.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Grey values on the scale ``contrast`` was measured on; what is not finite does not count.
    lattice : Lattice
    contrast : Contrast
        Of the set.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_cols, n_looks)
        In the order of `LOOKS`; 0 where nothing in the window is finite.
    """
    side = min(np.diff(lattice.rows).min(), np.diff(lattice.cols).min())
    thin = [max(1, int(side / _STEPS_PER_TILE / max(1, _step(spans)))) for spans in (lattice.rows, lattice.cols)]
    chosen = [_every(len(spans), n) for spans, n in zip((lattice.rows, lattice.cols), thin, strict=True)]
    if tuple(map(len, chosen)) != lattice.shape:
        looks = describe_tiles(image, Lattice(lattice.rows[chosen[0]], lattice.cols[chosen[1]]), contrast)
        return _fill_in(_fill_in(looks, chosen[0], 0), chosen[1], 1)
    factor = max(1, round(side / TILE_PX))
    grey, known = _average_down(_scale(image, contrast.low, contrast.high), factor)
    windows = [
        Lattice(
            *(_widen(spans, width, factor, length) for spans, length in zip(lattice_spans, grey.shape, strict=True))
        )
        for lattice_spans in [(lattice.rows, lattice.cols)]
        for width in WIDTHS
    ]
    weights = [np.maximum(window_sums(known, window), 1) for window in windows]
    looks = np.zeros((*lattice.shape, len(LOOKS)), np.float32)
    for number, values in enumerate(_draw_maps(np.where(known, grey, np.float32(contrast.levels[1])), contrast)):
        values = values * known
        for w, (window, weight) in enumerate(zip(windows, weights, strict=True)):
            looks[..., w * len(MAPS) + number] = window_sums(values, window) / weight
    for w in range(len(WIDTHS)):
        mean, square = (looks[..., w * len(MAPS) + MAPS.index(name)] for name in ("grey", "deviation"))
        looks[..., w * len(MAPS) + MAPS.index("deviation")] = np.sqrt(np.maximum(square - mean**2, 0))
    return looks


def _draw_maps(grey: np.ndarray, contrast: Contrast) -> Iterator[np.ndarray]:
    """The maps in the order of `MAPS`; that of ``deviation`` is the square."""
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
        # Curvature of the lines of equal grey times the slope: of noise and of straight edges it averages out.
        bend *= scale / (slope2 + _LEAST_SLOPE**2)
        yield bend
        yield np.abs(bend)


def _scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values.astype(np.float32) - np.float32(low)) / np.float32(high - low), -_BEYOND, 1 + _BEYOND)


def _split(grey: np.ndarray) -> float:
    counts, edges = np.histogram(grey, 128)
    centres = (edges[1:] + edges[:-1]) / 2
    share = np.cumsum(counts) / counts.sum()
    part = np.cumsum(counts * centres) / counts.sum()
    within = share * (1 - share)
    between = np.divide((part[-1] * share - part) ** 2, within, out=np.zeros_like(share), where=within > 0)
    return float(centres[np.argmax(between)])


def _average_down(grey: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of square cells of so many pixels, and which cells hold anything finite; cells at the far edges repeat."""
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
    """Every so many indices, and the last."""
    return np.unique(np.append(np.arange(0, length, step), length - 1))


def _fill_in(looks: np.ndarray, known: np.ndarray, axis: int) -> np.ndarray:
    """Looks at all indices along an axis, between those at the known ones."""
    wanted = np.arange(known[-1] + 1)
    right = np.clip(np.searchsorted(known, wanted, side="right"), 1, max(len(known) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(known) - 1)
    part = (wanted - known[left]) / np.maximum(known[right] - known[left], 1)
    part = part.astype(np.float32).reshape((-1,) + (1,) * (looks.ndim - 1 - axis))
    filled = looks.take(left, axis)
    filled += part * (looks.take(right, axis) - filled)
    return filled


def _widen(spans: np.ndarray, width: int, factor: int, length: int) -> np.ndarray:
    """Spans so many times as wide about the same centres, in cells of an image of so many cells."""
    reach = np.diff(spans, axis=1)[:, 0] * (width - 1) / 2
    start = np.clip(np.floor((spans[:, 0] - reach) / factor).astype(int), 0, length - 1)
    stop = np.clip(np.ceil((spans[:, 1] + reach) / factor).astype(int), start + 1, length)
    return np.stack([start, stop], axis=1)
