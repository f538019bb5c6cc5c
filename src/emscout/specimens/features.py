"""Each picture as a row of features of a network: what classifying, grouping and searching start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emscout.compute import Progress
from emscout.errors import EmscoutError
from emscout.io.colour import read_colours
from emscout.specimens.views import view_picture

__all__ = ["BACKBONE", "Features", "compute_features", "normalise_rows", "picture_hash"]

BACKBONE = "technique-v1"
"""The shipped model, used where no other is given."""

_HASH_SIDE = 8


@dataclass(frozen=True)
class Features:
    """Features of pictures.

    Parameters
    ----------
    features : ndarray of float32, shape (n, F)
        Of the pictures that could be read.
    hashes : ndarray of uint64, shape (n,)
        Of `picture_hash`.
    rows : ndarray of int, shape (n,)
        Number of the file of each row.
    failures : dict of int to str
        Why a file has no row.
    """

    features: np.ndarray
    hashes: np.ndarray
    rows: np.ndarray
    failures: dict[int, str]


def compute_features(
    paths: Sequence[Path],
    encode: Callable[[np.ndarray], np.ndarray],
    *,
    side_px: int,
    mask_banner: bool,
    progress: Progress | None = None,
) -> Features:
    """Compute the features of pictures in files; a file that cannot be read is noted and never raises.

    Parameters
    ----------
    paths : sequence of Path
    encode : callable
        Gives the features (n, F) of views (n, side_px, side_px, 3) of uint8.
    side_px : int
    mask_banner : bool
        Cut off the microscope's info banner.
    progress : callable or None
        Called as ``progress(done, total, name)``.
    """
    report = progress or (lambda done, total, what: None)
    features, hashes, rows, failures = [], [], [], {}
    for row, path in enumerate(paths):
        report(row, len(paths), path.name)
        try:
            view = view_picture(read_colours(path), side_px, mask_banner=mask_banner)
        except EmscoutError as error:
            failures[row] = str(error) if str(path) in str(error) else f"'{path}': {error}"
            continue
        features.append(encode(view[None])[0])
        hashes.append(picture_hash(view))
        rows.append(row)
    report(len(paths), len(paths), "")
    width = len(features[0]) if features else 0
    return Features(
        np.array(features, np.float32).reshape(len(features), width),
        np.array(hashes, np.uint64),
        np.array(rows, int),
        failures,
    )


def picture_hash(view: np.ndarray) -> np.uint64:
    """Difference hash of a view (side, side, 3): 64 bits, most of which a resized or recompressed copy shares.

    Each bit says whether a cell of an 8 × 9 grid is brighter than its right neighbour.
    """
    grey = view.mean(axis=2)
    rows = np.array_split(np.arange(grey.shape[0]), _HASH_SIDE)
    cols = np.array_split(np.arange(grey.shape[1]), _HASH_SIDE + 1)
    cells = np.array([[grey[np.ix_(r, c)].mean() for c in cols] for r in rows])
    bits = (cells[:, 1:] > cells[:, :-1]).ravel()
    return np.packbits(bits).view(">u8").astype(np.uint64)[0]


def normalise_rows(features: np.ndarray) -> np.ndarray:
    """Rows (n, F) of length 1, as float32: their dot products are cosines."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return (features / np.maximum(lengths, 1e-12)).astype(np.float32)
