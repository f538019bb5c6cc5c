"""Caps: upright strokes at both ends of a bar. Its length is between their middles."""

from __future__ import annotations

import numpy as np

__all__ = ["find_caps"]

_WIDEST_KNOB_PX = 3.2  # from the end of a bar to the middle of a low cap
_HANGING = 0.75  # of its contrast, by which a bar's grey may differ where a stroke stands on it
_REACH = 0.06  # of its length, within which the end of a bar holds its cap


def find_caps(
    signed: np.ndarray,
    core: np.ndarray,
    x0: float,
    x1: float,
    inside: float,
    contrast: float,
    least: float = 0.25,
    low: bool = False,
) -> tuple[float, float, float, float] | None:
    """Find the caps of a bar: the middles of both, how far they stand out, and how wide they are; None without caps.

    Parameters
    ----------
    signed : ndarray of float32, shape (H, W)
        The picture, inverted where the bar is dark.
    core : ndarray of int
        Rows of the bar.
    x0, x1 : float
        Its ends.
    inside, contrast : float
        Its grey value, and how much that differs from the surroundings.
    least : float
        Share of the contrast that a stroke must have.
    low : bool
        Whether a knob that is one pixel higher than the bar counts as a cap.
    """
    height, width = signed.shape
    reach = max(4.0, _REACH * (x1 - x0))
    body = slice(int(x0 + reach) + 1, max(int(x0 + reach) + 2, int(x1 - reach)))
    high, either = range(2, 3 + max(2, len(core) // 2)), (-1, 1)  # rows beyond the bar; upwards and downwards
    places = [(either, high), ((-1,), high), ((1,), high), (either, range(1, 3))]
    bar_level = signed[core[0] : core[-1] + 1].mean(axis=0) > inside - _HANGING * contrast
    for sides, rows in places + ([(either, range(1, 2))] if low else []):
        upright = [(core[0] if side < 0 else core[-1]) + side * row for side in sides for row in rows]
        if min(upright) < 0 or max(upright) >= height:
            continue
        # Right beside the bar is its own soft edge.
        edge = max(0.0, float(np.median(signed[upright, body].min(axis=0))) - (inside - contrast)) if 1 in rows else 0.0
        strokes = []
        for end, step in ((x0, 1.0), (x1, -1.0)):
            first, last = sorted((end - 2.5 * step, end + reach * step))
            columns = np.arange(max(0, int(np.ceil(first))), min(width, int(last) + 1))
            level = signed[np.ix_(upright, columns)].min(axis=0) - (inside - contrast) - edge
            # A stroke stands on the bar; what begins beyond it is the edge of a plate.
            level[~_on_bar(bar_level[columns], step)] = 0.0
            weights = np.clip(level - 0.4 * level.max(initial=0.0), 0, None)
            filled = np.flatnonzero(weights)
            if (
                len(columns) >= 4
                and level.max() >= least * contrast
                and np.ptp(filled) + 1 <= max(4, 0.7 * len(columns))
            ):
                middle, wide = (weights * columns).sum() / weights.sum(), np.sum(level >= 0.5 * level.max())
                # What widens that slowly is the head of an arrow; what stands further inside is something else.
                if abs(middle - end) <= (_WIDEST_KNOB_PX if 1 in rows else max(_WIDEST_KNOB_PX, wide + 1)):
                    strokes.append((float(middle), float(level.max()), float(wide)))
        if len(strokes) == 2 and min(strokes[0][1], strokes[1][1]) > 0.3 * max(strokes[0][1], strokes[1][1]):
            (left, _, left_width), (right, _, right_width) = strokes
            reaches = [
                _stroke_px(signed, core, round(at), side, inside - 0.3 * contrast)
                for at in (left, right)
                for side in sides
            ]
            # Without a row of its own a stroke is the outline of an end, except for the knobs that were asked for.
            if low or max(reaches) > 0:
                return left, right, float(max(reaches)), (left_width + right_width) / 2
    return None


def _on_bar(drawn: np.ndarray, step: float) -> np.ndarray:
    """Which columns at an end of a bar it reaches without a gap; ``step`` leads into the bar."""
    reached = drawn if step < 0 else drawn[::-1]
    gap = int(np.argmin(reached)) if not reached.all() else len(reached)
    on_bar = np.arange(len(reached)) < gap
    return on_bar if step < 0 else on_bar[::-1]


def _stroke_px(signed: np.ndarray, core: np.ndarray, col: int, side: int, level: float) -> int:
    """Rows that a stroke in a column reaches beyond the bar, upwards (-1) or downwards."""
    beyond = signed[: core[0], col][::-1] if side < 0 else signed[core[-1] + 1 :, col]
    below = np.flatnonzero(beyond < level)
    return int(below[0]) if len(below) else len(beyond)
