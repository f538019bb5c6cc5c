"""Grey values of what is printed: of the picture, or how coloured it is."""

from __future__ import annotations

import numpy as np

__all__ = ["colour_of_print", "to_bytes"]

_COLOURED = 60  # by which the channels of print in colour differ, of 255


def to_bytes(image: np.ndarray) -> np.ndarray | None:
    """Grey values 0..255; None where there is nothing to see."""
    sample = _grey(image[:: max(1, image.shape[0] // 1000), :: max(1, image.shape[1] // 1000)])
    sample = sample[np.isfinite(sample)]
    if min(image.shape[:2]) < 32 or sample.size == 0 or sample.min() == sample.max():
        return None
    # White and black of what is printed are the ends of the range; a few hot pixels are not.
    low, high = (float(end) for end in np.percentile(sample, (0.05, 99.95)))
    scaled = np.empty(image.shape[:2], np.uint8)
    # In strips: a copy of a whole mosaic as floats takes several times its memory.
    for start in range(0, len(image), 256):
        grey = np.nan_to_num(_grey(image[start : start + 256]), nan=low)
        scaled[start : start + 256] = np.clip((grey - low) * (255 / max(high - low, 1e-12)), 0, 255)
    return scaled


def colour_of_print(image: np.ndarray) -> np.ndarray | None:
    """How coloured each pixel is; None where nothing is as print would be."""
    channels = image[..., :3].astype(np.int32)
    coloured = channels.max(axis=2) - channels.min(axis=2)
    return to_bytes(coloured) if np.percentile(coloured, 99.9) >= _COLOURED else None


def _grey(image: np.ndarray) -> np.ndarray:
    return (image[..., :3] @ np.array([0.299, 0.587, 0.114]) if image.ndim == 3 else image).astype(np.float32)
