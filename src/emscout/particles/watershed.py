"""Model-free segmentation: threshold, distance transform, watershed."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage
from skimage import filters, morphology, segmentation

from emscout.errors import NothingToFindError

__all__ = ["segment_watershed"]


def segment_watershed(
    image: np.ndarray,
    *,
    polarity: Literal["auto", "bright", "dark"] = "auto",
    min_diameter_px: float | None = None,
    max_diameter_px: float | None = None,
    split: bool = True,
) -> tuple[np.ndarray, Literal["bright", "dark"]]:
    """Find particles without a trained model.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values; NaN counts as background.
    polarity : {'auto', 'bright', 'dark'}
        Whether particles are brighter or darker than what surrounds them; 'auto' decides from the image.
    min_diameter_px, max_diameter_px : float or None
        Particles whose equivalent circular diameter lies outside are left out.
    split : bool
        Whether touching particles are separated.

    Returns
    -------
    labels : ndarray of int32, shape (H, W)
        0 is background; particles are numbered 1..n without gaps.
    polarity : {'bright', 'dark'}
        The one used.

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite value.
    """
    finite = np.isfinite(image)
    grey = np.where(finite, image, np.nan).astype(np.float32)
    if not finite.any() or np.nanmin(grey) == np.nanmax(grey):
        raise NothingToFindError("The image carries no contrast, so there is nothing to find in it.")
    grey[~finite] = np.nanmedian(grey)
    smooth = ndimage.gaussian_filter(grey, 1)
    mask = smooth > filters.threshold_otsu(smooth)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    used: Literal["bright", "dark"]
    used = ("dark" if border.mean() > 0.5 else "bright") if polarity == "auto" else polarity
    if used == "dark":
        mask = ~mask
    mask = ndimage.binary_fill_holes(mask & finite)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask).astype(np.float32), 1)
    if split:
        markers, _ = ndimage.label(morphology.h_maxima(distance, 1))
        labels = segmentation.watershed(-distance, markers, mask=mask)
    else:
        labels, _ = ndimage.label(mask)
    area = np.bincount(labels.ravel())
    keep = area >= np.pi / 4 * (min_diameter_px or 5) ** 2
    if max_diameter_px is not None:
        keep &= area <= np.pi / 4 * max_diameter_px**2
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return number[labels], used
