"""From the fields of a network that sees pixels at full resolution to particles: seeds and a watershed.

The four fields are the chance of a particle at each pixel (`matter`), the distance from its outline over the greatest
in this particle (`ridge`), the chance of an outline (`edge`) and of a core (`core`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

__all__ = [
    "FieldSettings",
    "Greys",
    "LocalContrast",
    "contrast_channels",
    "label_fields",
    "local_contrast",
    "score_instances",
    "window_channels",
]

_BLOCK_PX = 8
_STRIP_PX = 512
MEAN_PX, DEVIATION_PX = 24.0, 48.0
"""Standard deviations of the Gaussians over which the local mean and the local deviation are taken, in px."""

_FLOOR = 0.02
"""Least local deviation, in parts of the image's range of greys: less is noise of an empty field."""

_GREY_MEAN, _GREY_DEVIATION = 0.449, 0.226


@dataclass(frozen=True)
class FieldSettings:
    """How fields become particles.

    ``matter`` is the least chance of a pixel to belong to a particle, ``seed`` the least of ``ridge`` - ``edge_weight``
    × ``edge`` where one begins; smaller than ``min_area_px2`` px² is noise.
    """

    matter: float = 0.5
    seed: float = 0.45
    edge_weight: float = 0.3
    min_area_px2: int = 4


class Greys(Protocol):
    """Greys of an image, float32 in 0..1, of which rows can be cut out: an array, or what reads them when asked."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


class LocalContrast(NamedTuple):
    """Mean and deviation (rows, cols) float32 of the surroundings of each block of 8 × 8 px of an image."""

    mean: np.ndarray
    deviation: np.ndarray


def local_contrast(grey: Greys) -> LocalContrast:
    """Gaussian mean, and deviation from it, of blocks of an image (H, W) float32; computed in strips."""
    width = grey.shape[1]
    means = np.concatenate([_block_means(strip) for _, strip in _strips(grey)])
    smooth = _blur(means, MEAN_PX)
    squares = np.concatenate(
        [_block_means((strip - _enlarge_blocks(smooth, rows, slice(0, width))) ** 2) for rows, strip in _strips(grey)]
    )
    return LocalContrast(smooth, np.sqrt(np.maximum(_blur(squares, DEVIATION_PX), 0)))


def contrast_channels(grey: np.ndarray) -> np.ndarray:
    """What the network is given of an image.

    Parameters
    ----------
    grey : ndarray of float32, shape (H, W)
        In 0..1.

    Returns
    -------
    ndarray of float32, shape (2, H, W)
        Local contrast (grey minus a Gaussian mean, over the local standard deviation) and global contrast.
    """
    rows, cols = (slice(0, side) for side in grey.shape)
    return window_channels(grey, local_contrast(grey), rows, cols)


def window_channels(part: np.ndarray, around: LocalContrast, rows: slice, cols: slice) -> np.ndarray:
    """`contrast_channels` of a part (h, w) float32 of an image, its rows and columns those of the whole."""
    away = part - _enlarge_blocks(around.mean, rows, cols)
    local = np.clip(away / (_enlarge_blocks(around.deviation, rows, cols) + np.float32(_FLOOR)), -5, 5)
    return np.stack([local, (part - np.float32(_GREY_MEAN)) / np.float32(_GREY_DEVIATION)])


def _strips(grey: Greys) -> Iterator[tuple[slice, np.ndarray]]:
    for start in range(0, len(grey), _STRIP_PX):
        rows = slice(start, min(start + _STRIP_PX, len(grey)))
        yield rows, grey[rows]


def _block_means(part: np.ndarray) -> np.ndarray:
    height, width = part.shape
    padded = np.pad(part, ((0, -height % _BLOCK_PX), (0, -width % _BLOCK_PX)), mode="edge")
    rows, cols = (side // _BLOCK_PX for side in padded.shape)
    return padded.reshape(rows, _BLOCK_PX, cols, _BLOCK_PX).mean((1, 3))


def _blur(blocks: np.ndarray, sigma_px: float) -> np.ndarray:
    return ndimage.gaussian_filter(blocks, sigma_px / _BLOCK_PX, mode="nearest", truncate=3)


def _enlarge_blocks(blocks: np.ndarray, rows: slice, cols: slice) -> np.ndarray:
    """Values of blocks at the pixels of some rows and columns, linearly between the blocks' centres: float32 (h, w)."""
    weights = []
    for pixels, length in ((rows, blocks.shape[0]), (cols, blocks.shape[1])):
        place = (np.arange(pixels.start, pixels.stop) + 0.5) / _BLOCK_PX - 0.5
        place = np.clip(place, 0, length - 1)
        before = np.minimum(place.astype(int), max(length - 2, 0))
        weights.append((before, np.minimum(before + 1, length - 1), (place - before).astype(np.float32)))
    (above, below, down), (left, right, across) = weights
    first, last = above[0], below[-1] + 1
    some = blocks[first:last]
    some = some[:, left] * (1 - across) + some[:, right] * across
    return some[above - first] * (1 - down)[:, None] + some[below - first] * down[:, None]


def label_fields(matter: np.ndarray, ridge: np.ndarray, edge: np.ndarray, settings: FieldSettings) -> np.ndarray:
    """Label image (H, W) int32 of the particles in fields (H, W) float32 of chances."""
    crest = ridge - settings.edge_weight * edge
    inside = matter >= settings.matter
    seeds, count = ndimage.label(inside & (crest >= settings.seed), np.ones((3, 3), int))
    if not count:
        return np.zeros(matter.shape, np.int32)
    labels = watershed(-crest, seeds, mask=inside)
    small = np.bincount(labels.ravel(), minlength=count + 1) < settings.min_area_px2
    small[0] = True
    return np.where(small, 0, np.cumsum(~small))[labels].astype(np.int32)


def score_instances(labels: np.ndarray, matter: np.ndarray, ridge: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """How sure each particle (n,) is: mean chance of matter, times the best of the ridge, times that of its outline."""
    count = int(labels.max(initial=0))
    if not count:
        return np.zeros(0)
    flat = labels.ravel()
    area = np.bincount(flat, minlength=count + 1)[1:]
    mean = np.bincount(flat, matter.ravel(), count + 1)[1:] / area
    best = ndimage.maximum(ridge, labels, np.arange(1, count + 1))
    rim = np.zeros(labels.shape, bool)
    rim[1:] |= labels[1:] != labels[:-1]
    rim[:-1] |= labels[1:] != labels[:-1]
    rim[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    rim[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    on_rim = np.where(rim, labels, 0).ravel()
    outlined = np.bincount(on_rim, edge.ravel(), count + 1)[1:] / np.maximum(
        np.bincount(on_rim, minlength=count + 1)[1:], 1
    )
    return mean * np.clip(best, 0, 1) * (0.5 + 0.5 * outlined)
