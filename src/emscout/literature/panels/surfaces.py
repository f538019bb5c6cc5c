"""Texture of a piece of a figure: filled and uneven as a micrograph, drawn, or flat as paper."""

from __future__ import annotations

import numpy as np

__all__ = ["SAME", "blocks_of", "is_drawn", "is_filled", "is_flat", "is_uneven", "luminance"]

# Grey levels within which a pixel has the same colour: JPEG leaves colours uneven.
SAME = 12
_BLOCKS = 24
_COLOURED = 60
_LEAST_UNEVENNESS = (1, 3)  # grey levels, of what is grey and of what is coloured


def luminance(image: np.ndarray) -> np.ndarray:
    """Grey values (float32) of a colour image."""
    grey = np.float32(0.299) * image[..., 0]
    # Channel by channel, because a float copy of all three would fill the memory for a poster.
    for channel, weight in ((1, 0.587), (2, 0.114)):
        grey += np.float32(weight) * image[..., channel]
    return grey


def is_filled(image: np.ndarray, colour: np.ndarray, share: float = 0.9) -> bool:
    """Whether at least that share of an image (H, W, 3) is not of ``colour``, and uneven as micrographs are."""
    return bool((np.abs(image - colour).max(axis=-1) > SAME).mean() >= share and is_uneven(image))


def is_uneven(image: np.ndarray) -> bool:
    """Whether grey values vary along the rows; in the bars of a plot, and the lines around them, they do not."""
    if not image.size:
        return False
    grey = luminance(image)
    # JPEG leaves more unevenness in colours than in greys.
    is_coloured = np.median(np.ptp(image, axis=-1)) > _COLOURED
    least = _LEAST_UNEVENNESS[1 if is_coloured else 0]
    return bool(np.median(np.abs(grey - np.median(grey, axis=1, keepdims=True))) >= least)


def is_drawn(image: np.ndarray) -> bool:
    """Whether four grey values make up most of it, as in shapes filled with a colour."""
    counts = np.bincount(luminance(image).astype(int).ravel(), minlength=4)
    return bool(np.sort(counts)[-4:].sum() > 0.75 * counts.sum())


def is_flat(image: np.ndarray) -> bool:
    """Whether more than half of it has one grey value, as paper and banners have."""
    grey = luminance(image)
    return bool((np.bincount((grey / 4).astype(int).ravel(), minlength=1).max()) > 0.5 * grey.size)


def blocks_of(strip: np.ndarray) -> list[np.ndarray]:
    """Split a strip of lines into parts along its width."""
    return np.array_split(strip, min(_BLOCKS, max(1, strip.shape[1] // 12)), axis=1)
