"""What is printed on a micrograph, as a mask: where specimen cannot be seen."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emscout.annotations.banner import banner_height, drawn_over
from emscout.scale.grey import to_uint8
from emscout.scale.reading import NoScale, ScaleReading

__all__ = ["annotation_mask", "annotation_masks"]

_MARGIN_PX = 2  # blur around print from JPEG and interpolation
_SAMPLED = 1024  # columns are enough to find a banner


def annotation_mask(image: np.ndarray, reading: ScaleReading | NoScale | None) -> np.ndarray:
    """Where the banner, the scale bar and its label are.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    reading : ScaleReading, NoScale or None
        Result of `emscout.read_scale`; without one only a banner is searched for.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True where something is printed, including the plate behind a label.
    """
    return annotation_masks(image, reading)[1]


def annotation_masks(image: np.ndarray, reading: ScaleReading | NoScale | None) -> tuple[np.ndarray, np.ndarray]:
    """Where the banner hides the specimen, and where anything is printed.

    Parameters
    ----------
    image, reading
        As for `annotation_mask`.

    Returns
    -------
    banner, annotations : ndarray of bool, shape (H, W)
        The second holds the first.
    """
    banner = np.zeros(image.shape, bool)
    grey = to_uint8(image)
    if grey is None:
        return banner, banner.copy()
    step = max(1, image.shape[1] // _SAMPLED)
    height = banner_height(grey[:, ::step].astype(np.float32) / 255)
    banner[image.shape[0] - height :] = True
    mask = banner.copy()
    if reading is None:
        return banner, mask
    bar, line = reading.bar, reading.line
    if bar is not None:
        mask[_slices((bar.top, bar.bottom, bar.x0, bar.x1), image.shape, _MARGIN_PX)] = True
    if line is not None:
        mask[_slices((line.top, line.bottom, line.left, line.right), image.shape, _MARGIN_PX)] = True
    _add_plate(mask, grey, reading)
    return banner, mask


def _add_plate(mask: np.ndarray, grey: np.ndarray, reading: ScaleReading | NoScale) -> None:
    """Add print that touches the bar or its label: plates, outlines."""
    if reading.bar is None or reading.line is None:
        return
    bar, line = reading.bar, reading.line
    box = min(bar.top, line.top), max(bar.bottom, line.bottom), min(bar.x0, line.left), max(bar.x1, line.right)
    # Wide enough that the plate is a small part of the region.
    near = _slices(box, mask.shape, round(6 * line.height_px))
    drawn = ndimage.binary_dilation(drawn_over(grey[near].astype(np.float32) / 255), iterations=_MARGIN_PX)
    labels, _ = ndimage.label(drawn)
    touching = np.unique(labels[mask[near]])
    mask[near] |= np.isin(labels, touching[touching > 0])


def _slices(box: tuple[float, float, float, float], shape: tuple[int, ...], margin: int) -> tuple[slice, slice]:
    top, bottom, left, right = box
    return (
        slice(max(0, int(np.floor(top)) - margin), min(shape[0], int(np.ceil(bottom)) + margin + 1)),
        slice(max(0, int(np.floor(left)) - margin), min(shape[1], int(np.ceil(right)) + margin + 1)),
    )
