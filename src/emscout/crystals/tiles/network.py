"""Statistics of tiles from the shipped particle network."""

from __future__ import annotations

import numpy as np

from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.windows import window_sums
from emscout.errors import NothingToFindError
from emscout.models import load_model
from emscout.particles.segment import DEFAULT_MODEL
from emscout.particles.segmenters.bayesian import normalise_grey, resize, segment_bayesian

__all__ = ["ENCODER", "ENCODER_STATISTICS", "PARTICLE_SHARE", "encode_tiles", "particle_share"]

PARTICLE_SHARE = "particle_share"
"""Name of the column with the result of `particle_share`."""

ENCODER = "network"
"""Name by which all features of the encoder are asked for among the statistics."""

ENCODER_STATISTICS = tuple(f"{ENCODER}_{number:03d}" for number in range(1, 129))
"""Names of the columns with the result of `encode_tiles`."""

ENCODED_SIDE_PX = 512
"""Longer side of the image that the encoder gets."""


def particle_share(image: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Fraction of each window that the network finds to be particle.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values.
    lattice : Lattice
        The windows.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_cols)
        0 to 1.
    """
    try:
        labels = segment_bayesian(image, samples=1).labels
    except NothingToFindError:
        return np.zeros(lattice.shape)
    return window_sums(labels > 0, lattice) / lattice.areas


def encode_tiles(image: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Mean features of the network's encoder in each window.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values; the network gets the image with its longer side resized to `ENCODED_SIDE_PX`.
    lattice : Lattice
        The windows; a window smaller than a cell of the encoder's grid gets the features of its cell.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_cols, 128)
    """
    loaded = load_model(DEFAULT_MODEL)
    stride = loaded.description["stride_px"]
    try:
        grey = normalise_grey(image)
    except NothingToFindError:
        grey = np.full(image.shape, np.nan, np.float32)
    grey = np.where(np.isfinite(grey), grey, np.float32(loaded.description["outside_grey"]))
    sides = (max(stride, round(side * ENCODED_SIDE_PX / max(image.shape) / stride) * stride) for side in image.shape)
    features = loaded.encode(resize(grey, tuple(sides))).astype(np.float64)
    rows, cols = (
        _overlaps(spans, length, cells)
        for spans, length, cells in zip((lattice.rows, lattice.cols), image.shape, features.shape[1:], strict=True)
    )
    return np.einsum("rh,fhw,cw->rcf", rows, features, cols, optimize=True)


def _overlaps(spans: np.ndarray, length: int, cells: int) -> np.ndarray:
    """Fraction of each span (n, 2) of a side that lies in each cell, (n, cells); each row sums to 1."""
    edges = np.arange(cells + 1) * (length / cells)
    shared = np.minimum(spans[:, 1:], edges[None, 1:]) - np.maximum(spans[:, :1], edges[None, :-1])
    shared = np.maximum(shared, 0)
    return shared / shared.sum(1, keepdims=True)
