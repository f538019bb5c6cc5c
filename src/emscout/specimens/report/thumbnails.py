"""Small pictures of micrographs, as they are or with the evidence for their category."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["draw_evidence", "draw_thumbnail", "write_jpeg"]

_GREATEST_ENLARGEMENT = 4
_STRENGTH = 0.55
_LEAST_RANGE = 96
"""A picture of 8 bits that spans fewer grey values is stretched, so that a dark one does not look black."""

_LEAST_LOG_ODDS = 0.5
"""Evidence weaker than this is drawn faintly, however it compares with the rest of the picture."""


def draw_thumbnail(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """A picture whose longer side is ``side_px``: uint8 (h, w, 3).

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (H, W, 3)
        Grey values of any real dtype are stretched; those of 8 bits and colours only where they span few values, and
        all colours alike.
    side_px : int
        Small pictures are enlarged fourfold at most.
    """
    zoom = min(side_px / max(pixels.shape[:2]), _GREATEST_ENLARGEMENT)
    size = max(1, round(pixels.shape[1] * zoom)), max(1, round(pixels.shape[0] * zoom))
    if pixels.dtype != np.uint8:
        small = Image.fromarray(np.nan_to_num(pixels.astype(np.float32))).resize(size, Image.Resampling.BOX)
        grey = np.asarray(small)
        low, high = np.percentile(grey, (0.5, 99.5))
        pixels = np.clip((grey - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
    else:
        low, high = np.percentile(pixels, (0.5, 99.5))
        if low < high < low + _LEAST_RANGE:
            pixels = np.clip((pixels - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels).convert("RGB")
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS))


def draw_evidence(picture: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Lay evidence over a picture: orange where it speaks for the category, blue where it speaks against it.

    Parameters
    ----------
    picture : ndarray of uint8, shape (h, w, 3)
    evidence : ndarray, shape (rows, cols)
        Of equal parts of the picture, in log-odds.
    """
    from matplotlib import colormaps

    size = picture.shape[1], picture.shape[0]
    smooth = np.asarray(Image.fromarray(evidence.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    scaled = np.clip(smooth / max(np.abs(evidence).max(), _LEAST_LOG_ODDS), -1, 1)
    colours = colormaps["PuOr_r"](0.5 + scaled / 2)[..., :3] * 255
    share = _STRENGTH * np.abs(scaled)[..., None]
    grey = picture.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return np.rint(grey * (1 - share) + colours * share).astype(np.uint8)


def write_jpeg(path: Path, picture: np.ndarray) -> None:
    """Save a picture of uint8 (h, w, 3)."""
    Image.fromarray(picture).save(path, format="JPEG", quality=85)
