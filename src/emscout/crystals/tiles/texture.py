"""Texture of windows: squared gradients and Haralick's co-occurrence of grey levels.

Neighbours are one pixel apart, to the right, below, and along both diagonals; both must lie inside the window. The four
directions are pooled into one symmetric co-occurrence matrix, so that rotating the specimen changes little.

References
----------
Haralick, Shanmugam & Dinstein (1973), Textural features for image classification, doi:10.1109/TSMC.1973.4309314.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.histogram import iterate_levels
from emscout.crystals.tiles.windows import window_sums

__all__ = ["N_GREYS", "CoOccurrence", "co_occurrence", "squared_gradient"]

N_GREYS = 16  # grey levels of a co-occurrence matrix


class CoOccurrence(NamedTuple):
    """Statistics of the co-occurrence matrices of all windows, each of shape (n_rows, n_cols)."""

    contrast: np.ndarray
    homogeneity: np.ndarray
    energy: np.ndarray
    correlation: np.ndarray


def squared_gradient(grey: np.ndarray, lattice: Lattice, finite: np.ndarray | None) -> np.ndarray:
    """Mean squared grey step from a pixel to the next, down plus across, inside each window.

    Parameters
    ----------
    grey : ndarray of float, shape (H, W)
        Grey values.
    lattice : Lattice
        The windows.
    finite : ndarray of bool, shape (H, W), or None
        Where grey values are known; ``None`` for everywhere.

    Returns
    -------
    ndarray of float, shape (n_rows, n_cols)
        0 where no two neighbours are known.
    """
    energy = np.zeros(lattice.shape)
    for axis in (0, 1):
        steps = np.diff(grey, axis=axis)
        steps *= steps
        inside = lattice.shortened(1 - axis, axis)
        n_steps = inside.areas
        if finite is not None:
            known = finite[:-1] & finite[1:] if axis == 0 else finite[:, :-1] & finite[:, 1:]
            n_steps = window_sums(known, inside)
            steps *= known
        energy += window_sums(steps, inside) / np.maximum(n_steps, 1)
    return energy


def co_occurrence(greys: np.ndarray, lattice: Lattice, finite: np.ndarray | None) -> CoOccurrence:
    """Contrast, homogeneity, energy and correlation of the co-occurrence matrix of each window.

    Parameters
    ----------
    greys : ndarray of uint8, shape (H, W)
        Grey levels, 0 to 15.
    lattice : Lattice
        The windows.
    finite : ndarray of bool, shape (H, W), or None
        Where grey levels are known; ``None`` for everywhere.

    Returns
    -------
    CoOccurrence
        As defined by ``skimage.feature.graycoprops``; 0, 1, 1 and 1 where all grey levels are the same.
    """
    parts = []
    for first, second, n_rows, n_cols in _neighbours(greys):
        code = np.maximum(first, second) * np.uint8(N_GREYS) + np.minimum(first, second)
        parts.append([code, lattice.shortened(n_rows, n_cols), None])
    if finite is not None:
        for part, (first, second, _, _) in zip(parts, _neighbours(finite), strict=True):
            part[2] = first & second
    n_pairs, total, products, squares, homogeneity, energy = np.zeros((6, *lattice.shape))
    for code, counts in iterate_levels([tuple(part) for part in parts]):
        high, low = divmod(code, N_GREYS)
        n = counts.astype(np.float64)
        n_pairs += n
        total += n * (high + low)
        products += n * (high * low)
        squares += n * (high**2 + low**2)
        homogeneity += n / (1 + (high - low) ** 2)
        # A pair of different greys has two entries in the symmetric matrix, each with half its count.
        n *= n
        energy += n if high == low else n / 2
    n_pairs = np.maximum(n_pairs, 1)
    mean = total / (2 * n_pairs)
    variance = squares / (2 * n_pairs) - mean**2
    covariance = products / n_pairs - mean**2
    varied = variance > 1e-9  # of integers: smaller is rounding
    return CoOccurrence(
        contrast=(squares - 2 * products) / n_pairs,
        homogeneity=homogeneity / n_pairs,
        energy=np.sqrt(energy) / n_pairs,
        correlation=np.where(varied, covariance / np.where(varied, variance, 1), 1.0),
    )


def _neighbours(image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, int, int]]:
    """Both pixels of all pairs in four directions, and how many rows and columns fewer pairs than pixels there are."""
    return [
        (image[:, :-1], image[:, 1:], 0, 1),
        (image[:-1], image[1:], 1, 0),
        (image[:-1, :-1], image[1:, 1:], 1, 1),
        (image[:-1, 1:], image[1:, :-1], 1, 1),
    ]
