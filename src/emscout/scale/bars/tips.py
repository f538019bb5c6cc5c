"""Bars that are drawn as an arrow with two heads: the length is from tip to tip."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["find_tips"]

_REACH = 0.2  # of its length, within which the end of a bar holds its head
_MAX_REACH_PX = 60
_MIN_RAMP_PX = 4  # from tip to barbs: a cap is as wide at once
_STRAIGHT = 0.94  # correlation with a straight line, at least
_BEYOND_PX = 1.2  # by which a tip may be finer than the pixels it can be seen in


def find_tips(
    signed: np.ndarray, core: np.ndarray, x0: float, x1: float, inside: float, contrast: float
) -> tuple[float, float] | None:
    """Find the tips of both heads, which may lie beyond the given ends; None without heads.

    Parameters
    ----------
    signed : ndarray of float32, shape (H, W)
        The picture, inverted where the bar is dark.
    core : ndarray of int
        Rows of the bar.
    x0, x1 : float
        Its ends, where the heads begin or where they end.
    inside, contrast : float
        Its grey value, and how much that differs from the surroundings.
    """
    reach = int(np.clip(_REACH * (x1 - x0), 6, _MAX_REACH_PX))
    rows = slice(max(0, core[0] - reach), core[-1] + reach + 1)
    heads = []
    for end, step in ((x0, 1), (x1, -1)):
        first, last = max(0, round(end) - reach), min(signed.shape[1], round(end) + reach + 1)
        drawn = signed[rows, first:last] > inside - 0.5 * contrast
        if step < 0:
            drawn = drawn[:, ::-1]
        head = _head(drawn, (core[0] + core[-1]) // 2 - rows.start)
        if head is None:
            return None
        tip, height = head
        heads.append((first + tip if step > 0 else last - 1 - tip, height))
    (left, left_height), (right, right_height) = heads
    return (left, right) if min(left_height, right_height) >= 0.6 * max(left_height, right_height) else None


def _head(drawn: np.ndarray, row: int) -> tuple[float, int] | None:
    """Column of the tip and height of the head of an arrow that points to the left, with its shaft in a row."""
    labels, _ = ndimage.label(drawn, np.ones((3, 3), int))
    shaft = labels[row, -1]
    if shaft == 0:
        return None
    arrow = labels == shaft
    columns = np.flatnonzero(arrow.any(axis=0))
    start = int(columns[0])
    if start == 0:  # it continues
        return None
    # A letter may touch a barb on one side, not on both.
    high = np.array([_height(arrow[:, col], row) for col in range(start, arrow.shape[1])])
    thick = int(np.median(high[-3:]))
    ramp = int(np.argmax(high >= 0.95 * high.max())) + 1
    if high.max() < max(thick + 3, 1.6 * thick) or ramp < max(_MIN_RAMP_PX, 0.25 * high.max()):
        return None
    along = np.arange(ramp)
    if high[0] > 0.6 * high.max() or np.corrcoef(along, high[:ramp])[0, 1] < _STRAIGHT:
        return None
    slope, level = np.polyfit(along, high[:ramp], 1)
    blunt = high[0] >= thick  # two barbs, not a full head
    tip = start - 0.5 if blunt else np.clip(start - level / slope, start - 0.5 - _BEYOND_PX, start - 0.5)
    return float(tip), int(high.max())


def _height(column: np.ndarray, row: int) -> int:
    """Height of a column that is symmetric about a row: twice the shorter of both reaches."""
    drawn = np.flatnonzero(column)
    return int(2 * min(row - drawn[0], drawn[-1] - row) + 1)
