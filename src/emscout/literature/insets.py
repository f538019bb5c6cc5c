"""Framed pictures inside a panel: another magnification, a diffraction pattern, a plot."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from emscout.literature.boxes import Box
from emscout.literature.surfaces import is_flat, luminance

__all__ = ["Inset", "find_insets"]

_SIDE_PX = 900
_LEAST_SHARE, _MOST_SHARE = 0.18, 0.7  # of the panel's height and width
_THICKEST_SHARE = 0.02
_DRAWN = 0.75  # share of a side of the frame that is there
_RAGGED_PX = 2  # lines of a frame's edge that JPEG leaves uneven
_WHITE, _BLACK, _COLOURED = 205, 50, 90  # what a frame is at least, at most, and by how much its channels differ
_STRIP_PX = 6
_NOISE_FLOOR = 2.0
_LEAST_STEP = 2.0  # between inside and outside, in units of what is usual on either side


class Inset(NamedTuple):
    """A picture in a picture, and the place it takes with its frame."""

    picture: Box
    framed: Box


def find_insets(image: np.ndarray) -> list[Inset]:
    """Find framed pictures in a panel that do not show what is around them.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)

    Returns
    -------
    list of Inset
        From the top. A frame is drawn on all sides, but for those where the panel ends. One around a part of the
        picture, which marks what is shown elsewhere, is no inset.
    """
    height, width = image.shape[:2]
    step = max(1, max(height, width) // _SIDE_PX)
    small = image[::step, ::step]
    grey = luminance(small)
    found: list[Inset] = []
    for mask in _frame_colours(small):
        labels, _ = ndimage.label(_long_lines(mask), np.ones((3, 3)))
        for number, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
            outer = Box(rows.start, cols.start, rows.stop, cols.stop)
            inner = _inside(labels[rows, cols] == number, outer, small.shape[:2])
            if inner is None or is_flat(small[inner.slices]) or any(outer.overlap(other.framed) for other in found):
                continue
            if _differs(grey, inner, outer):
                found.append(Inset(inner, outer))
    whole = Box(0, 0, height, width)
    return [Inset(*(box.scaled(step).within(whole) for box in inset)) for inset in sorted(found)]


def _frame_colours(image: np.ndarray) -> list[np.ndarray]:
    """Where pixels are white, black, or of a strong colour."""
    least, most = image.min(axis=2).astype(int), image.max(axis=2).astype(int)
    strong = most - least > _COLOURED
    strongest = image.argmax(axis=2)
    return [least >= _WHITE, most <= _BLACK, *(strong & (strongest == channel) for channel in range(3))]


def _long_lines(mask: np.ndarray) -> np.ndarray:
    """The straight lines in it, along rows and columns, without what is thick."""
    thick = max(4, round(_THICKEST_SHARE * max(mask.shape)) + 1)
    thin = mask & ~ndimage.binary_opening(mask, np.ones((thick, thick), bool))
    lines = np.zeros(mask.shape, bool)
    for axis, side in enumerate(mask.shape):
        along = np.ones((3, 1) if axis == 0 else (1, 3), bool)
        length = max(8, round(0.8 * _LEAST_SHARE * side))
        long = np.ones((length, 1) if axis == 0 else (1, length), bool)
        lines |= ndimage.binary_opening(ndimage.binary_closing(thin, along), long)
    return lines


def _inside(shape: np.ndarray, outer: Box, panel: tuple[int, int]) -> Box | None:
    """What a frame surrounds, or None where a connected shape is no frame."""
    shares = outer.height / panel[0], outer.width / panel[1]
    if min(shares) < _LEAST_SHARE or max(shares) > _MOST_SHARE:
        return None
    thickest = max(3, round(_THICKEST_SHARE * max(panel)))
    edges = []
    ends = (outer.top == 0, outer.right == panel[1], outer.bottom == panel[0], outer.left == 0)
    for lines, at_end in zip((shape, shape.T[::-1], shape[::-1], shape.T), ends, strict=True):
        drawn = np.flatnonzero(lines[: thickest + _RAGGED_PX].mean(axis=1) >= _DRAWN)
        if len(drawn) == 0 and not at_end:
            return None
        edges.append(int(drawn[-1]) + 1 if len(drawn) else 0)
    if sum(edge > 0 for edge in edges) < 2:
        return None
    top, right, bottom, left = edges
    inner = Box(outer.top + top, outer.left + left, outer.bottom - bottom, outer.right - right)
    inside = shape[top : shape.shape[0] - bottom, left : shape.shape[1] - right]
    return inner if inside.size and inside.mean() < 0.3 else None


def _differs(grey: np.ndarray, inner: Box, outer: Box) -> bool:
    """Whether what is inside a frame is another picture than what is outside."""
    steps = []
    for axis in (0, 1):
        turned = np.swapaxes(grey, 0, axis)
        first, last = inner[1 - axis], inner[3 - axis]
        for inside, outside, sign in ((inner[axis], outer[axis], 1), (inner[axis + 2], outer[axis + 2], -1)):
            if outside in (0, len(turned)):
                continue
            margin = 2 * sign  # what JPEG smears
            within = _two_strips(turned, inside + margin, sign, first, last)
            beyond = _two_strips(turned, outside - margin, -sign, first, last)
            if min(map(len, (*within, *beyond))) < _STRIP_PX:
                continue
            usual = np.maximum(_apart(*within), _apart(*beyond))
            steps.append(np.median(_apart(within[0], beyond[0]) / np.maximum(usual, _NOISE_FLOOR)))
    return bool(steps) and bool(np.mean(steps) >= _LEAST_STEP)


def _two_strips(lines: np.ndarray, start: int, sign: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """What lies behind a line, and behind that."""
    strips = []
    for number in (0, 1):
        top, bottom = sorted((start + number * sign * _STRIP_PX, start + (number + 1) * sign * _STRIP_PX))
        strips.append(lines[max(0, top) : max(0, bottom), first:last])
    return strips[0], strips[1]


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    blocks = max(1, one.shape[1] // 12)
    means = [[block.mean() for block in np.array_split(strip, blocks, axis=1)] for strip in (one, other)]
    return np.abs(np.array(means[0]) - means[1])
