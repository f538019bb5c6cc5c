"""Grey values in which print is searched: those of the picture, or how coloured it is."""

from __future__ import annotations

import numpy as np

__all__ = ["colourfulness", "to_uint8"]

_COLOURED = 60  # of 255, by which the channels of coloured print differ


def to_uint8(image: np.ndarray) -> np.ndarray | None:
    """Grey values 0..255; None where the image is too small or constant."""
    sample = _grey(image[:: max(1, image.shape[0] // 1000), :: max(1, image.shape[1] // 1000)])
    sample = sample[np.isfinite(sample)]
    if min(image.shape[:2]) < 32 or sample.size == 0 or sample.min() == sample.max():
        return None
    # Print is white or black, the ends of the range; a few hot pixels are not counted.
    low, high = (float(end) for end in np.percentile(sample, (0.05, 99.95)))
    scaled = np.empty(image.shape[:2], np.uint8)
    # In strips: a copy of a whole mosaic as floats takes several times its memory.
    for start in range(0, len(image), 256):
        grey = np.nan_to_num(_grey(image[start : start + 256]), nan=low)
        scaled[start : start + 256] = np.clip((grey - low) * (255 / max(high - low, 1e-12)), 0, 255)
    return scaled


def colourfulness(image: np.ndarray) -> np.ndarray | None:
    """How coloured each pixel is, 0..255; None where nothing is as coloured as print would be."""
    channels = image[..., :3].astype(np.int32)
    coloured = channels.max(axis=2) - channels.min(axis=2)
    return to_uint8(coloured) if np.percentile(coloured, 99.9) >= _COLOURED else None


def _grey(image: np.ndarray) -> np.ndarray:
    return (image[..., :3] @ np.array([0.299, 0.587, 0.114]) if image.ndim == 3 else image).astype(np.float32)
