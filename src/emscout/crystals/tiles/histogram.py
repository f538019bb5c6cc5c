"""Grey levels, and histograms of all windows at once.

A histogram has 256 levels. For 8-bit images, and others whose range is not wider, they are the grey values themselves;
otherwise they divide the range between two bounds evenly, and values outside count for the first or last level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.windows import window_counts

__all__ = ["N_LEVELS", "Levels", "choose_levels", "iterate_levels"]

N_LEVELS = 256
TAILS = 0.1  # percent of the pixels that lie outside the bounds at either end: hot and dead pixels must not count
SAMPLE = 100_000  # pixels of an image from which its bounds are taken


@dataclass(frozen=True)
class Levels:
    """Grey levels: level k stands for the grey value ``lowest + k * step``."""

    lowest: float
    step: float

    def of(self, image: np.ndarray) -> np.ndarray:
        """Level of each pixel, uint8; arbitrary where a pixel is not finite."""
        if image.dtype in (np.uint8, np.bool_) and (self.lowest, self.step) == (0, 1):
            return image.astype(np.uint8, copy=False)
        precision = np.float32 if image.dtype in (np.uint8, np.uint16, np.float32) else np.float64
        scaled = np.subtract(image, self.lowest - self.step / 2, dtype=precision)
        scaled *= precision(1 / self.step)
        np.clip(scaled, 0, N_LEVELS - 1, out=scaled)
        if image.dtype.kind == "f":
            np.nan_to_num(scaled, copy=False)
        return scaled.astype(np.uint8)


def choose_levels(images: Sequence[np.ndarray]) -> Levels:
    """Choose levels for all images of a set.

    Parameters
    ----------
    images : sequence of ndarray, shape (H, W)
        On one grey scale.

    Returns
    -------
    Levels
        For 8-bit images the grey values themselves; for others from the lowest 0.1 percentile to the highest 99.9
        percentile of any image.
    """
    if all(image.dtype in (np.uint8, np.bool_) for image in images):
        return Levels(0, 1)
    bounds = np.array([_bounds(image) for image in images])
    low, high = float(bounds[:, 0].min()), float(bounds[:, 1].max())
    if all(image.dtype.kind in "iub" for image in images) and high - low < N_LEVELS:
        return Levels(low, 1)
    return Levels(low, (high - low) / (N_LEVELS - 1) or 1.0)


def iterate_levels(
    parts: Sequence[tuple[np.ndarray, Lattice, np.ndarray | None]],
) -> Iterator[tuple[int, np.ndarray]]:
    """Iterate over the levels that occur, from the lowest to the highest.

    Parameters
    ----------
    parts : sequence of (ndarray of uint8, Lattice, ndarray of bool or None)
        Levels of shape (H, W), the windows, and which pixels count (``None`` for all). Counts of all parts are added,
        so their lattices must have the same shape.

    Yields
    ------
    level : int
    n_pixels : ndarray of unsigned integers, shape (n_rows, n_cols)
        How many pixels of each window have this level.
    """
    kind = np.min_scalar_type(sum(int(lattice.areas.max()) for _, lattice, _ in parts))
    if all(lattice.disjoint for _, lattice, _ in parts):
        histograms = np.sum([_histograms(*part) for part in parts], axis=0).astype(kind)
        for level in np.flatnonzero(histograms.any(axis=(1, 2))):
            yield int(level), histograms[level]
        return
    present = np.zeros(N_LEVELS, bool)
    for levels, _, counted in parts:
        present[levels if counted is None else levels[counted]] = True
    for level in np.flatnonzero(present):
        n_pixels = np.zeros(parts[0][1].shape, kind)
        for levels, lattice, counted in parts:
            alike = levels == level
            n_pixels += window_counts(alike if counted is None else alike & counted, lattice)
        yield int(level), n_pixels


def _histograms(levels: np.ndarray, lattice: Lattice, counted: np.ndarray | None) -> np.ndarray:
    """Histograms of windows that do not overlap, shape (256, n_rows, n_cols)."""
    n_rows, n_cols = lattice.shape
    col = np.full(levels.shape[1], n_cols, np.intp)  # pixels between windows go into an extra column
    for number, (start, stop) in enumerate(lattice.cols):
        col[start:stop] = number
    counts = np.empty((N_LEVELS, n_rows, n_cols), np.intp)
    # One row of windows at a time, because counters of all of them would not fit into the processor's cache.
    for number, (start, stop) in enumerate(lattice.rows):
        place = levels[start:stop] * np.intp(n_cols + 1)
        place += col
        if counted is not None:
            place = place[counted[start:stop]]
        found = np.bincount(place.ravel(), minlength=N_LEVELS * (n_cols + 1))
        counts[:, number] = found.reshape(N_LEVELS, n_cols + 1)[:, :-1]
    return counts


def _bounds(image: np.ndarray) -> tuple[float, float]:
    step = max(1, int(np.ceil(np.sqrt(image.size / SAMPLE))))
    sample = image[::step, ::step]
    if sample.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(sample, (TAILS, 100 - TAILS), method="nearest")
    return float(low), float(high)
