"""What the shipped particle network sees in the tiles of an image: an optional set of statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.windows import window_sums
from emscout.errors import NothingToFindError
from emscout.models import load_model
from emscout.particles.segment import DEFAULT_MODEL
from emscout.particles.segmenters.bayesian import normalise_grey, resize, segment_bayesian

__all__ = ["ENCODER", "ENCODER_STATISTICS", "PARTICLE_SHARE", "encode_tiles", "particle_share"]

PARTICLE_SHARE = "particle_share"
"""Column of what `particle_share` finds."""

ENCODER = "network"
"""How the encoder's features are asked for among the statistics, all together."""

ENCODER_STATISTICS = tuple(f"{ENCODER}_{number:03d}" for number in range(1, 129))
"""Columns of what `encode_tiles` finds."""

ENCODED_SIDE_PX = 512
"""Longer side of the image shown to the encoder."""


def particle_share(image: np.ndarray, lattice: Lattice, *, model: str | Path = DEFAULT_MODEL) -> np.ndarray:
    """Part of each window that the network takes for particle, 0..1: float64 (n_rows, n_cols).

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values.
    lattice : Lattice
        The windows.
    model : str or Path
        As `emscout.particles.segmenters.bayesian.segment_bayesian` takes it.
    """
    try:
        labels = segment_bayesian(image, model=model, samples=1).labels
    except NothingToFindError:
        return np.zeros(lattice.shape)
    return window_sums(labels > 0, lattice) / lattice.areas


def encode_tiles(image: np.ndarray, lattice: Lattice, *, model: str | Path = DEFAULT_MODEL) -> np.ndarray:
    """Mean features of the network's encoder in each window: float64 (n_rows, n_cols, 128).

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values; shown to the network with its longer side `ENCODED_SIDE_PX`.
    lattice : Lattice
        The windows; those smaller than a cell of the encoder's grid get the cell they lie in.
    model : str or Path
        As `emscout.models.load_model` takes it.
    """
    loaded = load_model(model)
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
    """How much of each span (n, 2) of a side lies in each cell, (n, cells); each row sums to 1."""
    edges = np.arange(cells + 1) * (length / cells)
    shared = np.minimum(spans[:, 1:], edges[None, 1:]) - np.maximum(spans[:, :1], edges[None, :-1])
    shared = np.maximum(shared, 0)
    return shared / shared.sum(1, keepdims=True)
