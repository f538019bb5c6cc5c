"""Annotations that are drawn on a micrograph: info banner, scale bars, label plates and letters.

They are perfectly flat, in the brightest or darkest grey of the picture, with sharp edges.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["banner_height", "drawn_over"]

FLAT = 0.06  # of the grey range, by which annotations may differ from black or white (JPEG leaves them uneven)


def banner_height(image: np.ndarray) -> int:
    """Height of the info banner at the lower edge, in rows; 0 without one.

    A banner has one colour behind its text and ends at a straight line across the whole width, in the lower quarter:
    where that colour does, or at a line that is ruled there.

    Parameters
    ----------
    image : ndarray of float, shape (H, W)
        Grey values in 0..1; a sample of the columns is enough.
    """
    height = image.shape[0]
    strip = image[height - height // 4 :]
    if len(strip) < 8:
        return 0
    text = max(3, height // 64)  # rows of a line of text, or of a frame at the edge
    found = _ruled_off(strip)
    for colour in (0.0, 1.0, float(np.median(strip[-text:]))):
        alike = (np.abs(strip - colour) <= FLAT / 2).mean(axis=1)
        other = np.flatnonzero(ndimage.uniform_filter1d(alike, text)[:-text] <= 0.35)
        if len(other) == 0:  # the colour continues above: a background, not a banner
            continue
        top = int(other[-1]) + 1
        for row in range(max(1, top - text), min(len(strip) - 8, top + text + 1)):
            if alike[max(0, row - 3) : row].mean() < 0.35 and alike[row : row + 2].mean() > 0.7:
                found = max(found, len(strip) - row)
    return found


def _ruled_off(strip: np.ndarray) -> int:
    """Rows of a strip below a line across it, which separates a black banner from a black specimen."""
    colour = np.median(strip, axis=1)
    ruled = (np.abs(strip - colour[:, np.newaxis]) <= FLAT).mean(axis=1) > 0.97
    for row in np.flatnonzero(ruled[1 : len(strip) - 8]) + 1:
        below = strip[row + 1 :]
        behind = float(np.median(below))
        stands_out = min(abs(colour[row] - colour[row - 1]), abs(colour[row] - behind)) > 0.5
        flat = np.abs(below - behind) <= FLAT
        # Fields of text: a uniform background, and more in the line's colour than a border has.
        if stands_out and flat.mean() > 0.6 and (np.abs(below - colour[row]) <= FLAT).mean() > 0.02:
            return len(strip) - int(row)
    return 0


def drawn_over(image: np.ndarray) -> np.ndarray:
    """Scale bars, label plates and letters.

    Parameters
    ----------
    image : ndarray of float, shape (H, W)
        Grey values in 0..1, without a banner.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True where something is drawn: rectangles anywhere, letters beside a scale bar or in a corner.
    """
    brightest, darkest = ndimage.maximum_filter(image, 3), ndimage.minimum_filter(image, 3)
    drawn = np.zeros(image.shape, bool)
    for flat in (darkest >= 1 - FLAT, brightest <= FLAT):
        labels, _ = ndimage.label(ndimage.binary_dilation(flat, np.ones((3, 3), bool)))
        bars: list[tuple[slice, ...]] = []
        others: list[tuple[tuple[slice, ...], np.ndarray]] = []
        for i, box in enumerate(ndimage.find_objects(labels), 1):
            height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
            if height * width > 0.3 * image.size or max(height, width) < 5:
                continue
            shape = labels[box] == i
            filled = ndimage.binary_fill_holes(shape)
            if filled.mean() > 0.9 and max(height, width) >= 12:
                drawn[box] |= filled
                if width >= 3 * height:
                    bars.append(box)
            else:
                others.append((box, filled))
                if _in_a_corner(box, image.shape) and _is_sharp(image, box, shape):
                    drawn[box] |= filled
        for box, filled in others:
            if any(_is_beside(box, bar, image.shape[0]) for bar in bars):
                drawn[box] |= filled
    return drawn


def _in_a_corner(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether a box is where panels of a figure have their letter."""
    rows, cols = box
    letter_high = 0.02 * shape[0] < rows.stop - rows.start < 0.15 * shape[0]
    at_side = cols.stop <= 0.25 * shape[1] or cols.start >= 0.75 * shape[1]
    return letter_high and at_side and (rows.stop <= 0.18 * shape[0] or rows.start >= 0.82 * shape[0])


def _is_beside(box: tuple[slice, ...], bar: tuple[slice, ...], image_height: int) -> bool:
    """Whether a box is where a scale bar has its text."""
    length, reach = bar[1].stop - bar[1].start, 0.14 * image_height
    return bool(
        box[0].start >= bar[0].start - reach
        and box[0].stop <= bar[0].stop + reach
        and box[1].start >= bar[1].start - 0.6 * length
        and box[1].stop <= bar[1].stop + 0.6 * length
    )


def _is_sharp(image: np.ndarray, box: tuple[slice, ...], shape: np.ndarray) -> bool:
    """Whether the grey reaches that of the surroundings within two pixels; edges of particles are not that sharp."""
    margin = 5
    near = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
    grey = image[near]
    inside = np.zeros(grey.shape, bool)
    row, col = (side.start - wider.start for side, wider in zip(box, near, strict=True))
    inside[row : row + shape.shape[0], col : col + shape.shape[1]] = shape
    distance = ndimage.distance_transform_edt(~inside)
    step = np.abs(grey - np.median(grey[inside]))
    close, far = step[(distance > 1) & (distance <= 2.3)], step[(distance > 3.5) & (distance <= margin)]
    if close.size == 0 or far.size == 0:
        return False
    return bool(np.median(far) > 0.2 and np.median(close) > 0.75 * np.median(far))
