"""From the fields of a network that sees pixels at full resolution to particles: seeds and a watershed.

The four fields are the chance of a particle at each pixel (`matter`), the distance from its outline over the greatest
in this particle (`ridge`), the chance of an outline (`edge`) and of a core (`core`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.segmentation import watershed

__all__ = ["FieldSettings", "contrast_channels", "label_fields", "score_instances"]

_BLOCK_PX = 8
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
    mean = _blur_coarsely(grey, MEAN_PX)
    away = grey - mean
    deviation = np.sqrt(np.maximum(_blur_coarsely(away * away, DEVIATION_PX), 0))
    local = np.clip(away / (deviation + np.float32(_FLOOR)), -5, 5)
    return np.stack([local, (grey - np.float32(_GREY_MEAN)) / np.float32(_GREY_DEVIATION)])


def _blur_coarsely(values: np.ndarray, sigma_px: float) -> np.ndarray:
    """A Gaussian mean (H, W) float32, computed on blocks of 8 × 8 px."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % _BLOCK_PX), (0, -width % _BLOCK_PX)), mode="edge")
    rows, cols = (side // _BLOCK_PX for side in padded.shape)
    blocks = padded.reshape(rows, _BLOCK_PX, cols, _BLOCK_PX).mean((1, 3))
    smooth = ndimage.gaussian_filter(blocks, sigma_px / _BLOCK_PX, mode="nearest", truncate=3)
    size = (cols * _BLOCK_PX, rows * _BLOCK_PX)
    return np.asarray(Image.fromarray(smooth).resize(size, Image.Resampling.BILINEAR))[:height, :width]


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
