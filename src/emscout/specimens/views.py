"""The input of a network: a picture as a small square in three colours."""

from __future__ import annotations

import numpy as np
from PIL import Image

from emscout.annotations.banner import banner_height
from emscout.errors import NothingToFindError

__all__ = ["SIDE_PX", "crop_banner", "view_picture"]

SIDE_PX = 224
"""Input size of networks trained on ImageNet."""

_STRETCH_PERCENTILES = (0.5, 99.5)
_SAMPLED_COLUMNS = 512


def view_picture(pixels: np.ndarray, side_px: int = SIDE_PX, *, mask_banner: bool = True) -> np.ndarray:
    """Shrink or enlarge a picture to a square: uint8 (side_px, side_px, 3).

    The whole picture is used, whatever its aspect ratio. Grey values of 8 bits are taken as they are; others are
    stretched between their 0.5th and 99.5th percentile, since it is not known where black and white lie.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (H, W, 3)
        Grey values of any real dtype, or red, green, blue as uint8.
    side_px : int
    mask_banner : bool
        Crop the microscope's info banner, so that nothing is learnt from its text.

    Raises
    ------
    NothingToFindError
        When the picture has a single grey value, or no finite pixel.
    """
    if mask_banner:
        pixels = crop_banner(pixels)
    if pixels.dtype == np.uint8:
        if pixels.min() == pixels.max():
            raise NothingToFindError("The picture has a single grey value, so there is nothing to classify.")
        size = (side_px, side_px)
        return np.asarray(Image.fromarray(pixels).convert("RGB").resize(size, Image.Resampling.BILINEAR))
    grey = pixels.astype(np.float32)
    finite = np.isfinite(grey)
    values = grey[finite]
    if values.size == 0 or values.min() == values.max():
        raise NothingToFindError("The picture has a single grey value, so there is nothing to classify.")
    low, high = np.percentile(values, _STRETCH_PERCENTILES)
    if low == high:
        low, high = values.min(), values.max()
    grey[~finite] = low
    stretched = np.clip((grey - low) * (255 / (high - low)), 0, 255)
    small = Image.fromarray(stretched).resize((side_px, side_px), Image.Resampling.BILINEAR)
    return np.repeat(np.rint(np.asarray(small)).astype(np.uint8)[..., None], 3, axis=2)


def crop_banner(pixels: np.ndarray) -> np.ndarray:
    """The picture (H, W) or (H, W, 3) above the microscope's info banner, where it has one."""
    sample = pixels[:, :: max(1, pixels.shape[1] // _SAMPLED_COLUMNS)]
    grey = sample.astype(np.float32) if sample.ndim == 2 else sample.mean(axis=2, dtype=np.float32)
    grey = np.nan_to_num(grey, posinf=0.0, neginf=0.0)
    # In 16 bits the specimen may be far darker than the banner's letters: so its own range is tried, too.
    specimen = np.percentile(grey[: max(1, 3 * len(grey) // 4)], _STRETCH_PERCENTILES)
    height = 0
    for low, high in ((grey.min(), grey.max()), specimen):
        if low < high:
            height = max(height, banner_height(np.clip((grey - low) / (high - low), 0, 1)))
    return pixels[: len(pixels) - height]
