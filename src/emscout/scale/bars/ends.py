"""Ends of a bar: at half the height of the step from its grey to what is right beside it."""

from __future__ import annotations

import numpy as np

__all__ = ["MAX_SOFTNESS_PX", "find_end", "stands_alone"]

MAX_SOFTNESS_PX = 5.0  # of an end
_PLATEAU_PX = 6
_RESTING = 0.12  # of the contrast, by which a level that rests may differ


def find_end(level: np.ndarray, start: int, step: int, contrast: float, drop: float) -> tuple[float, float, bool]:
    """Find the end of a bar to a fraction of a pixel, how wide the step is, and whether the border comes first.

    Parameters
    ----------
    level : ndarray of float
        Along the bar's row; 0 on what is around it.
    start : int
        Column inside the bar.
    step : {-1, 1}
        To the left, or to the right.
    contrast : float
        Level of the bar.
    drop : float
        What is lower than the bar by this much lies outside.
    """
    last = len(level) - 1 if step > 0 else 0
    at = start
    while at != last and level[at] >= contrast - drop:
        at += step
    if level[at] >= contrast - drop:
        return at + 0.5 * step, 1.0, True
    beyond = level[at : at + _PLATEAU_PX] if step > 0 else level[max(0, at - _PLATEAU_PX + 1) : at + 1][::-1]
    outside = min(_first_plateau(beyond, contrast), contrast - drop)
    within = level[max(0, at - 10) : max(1, at - 2)] if step > 0 else level[at + 3 : at + 11]
    inside = float(np.median(within)) if len(within) else contrast
    half = (inside + outside) / 2
    # From inside outwards, the first crossing of the middle between both levels.
    at = min(max(at - 3 * step, 0), len(level) - 1)
    while at != last and level[at] >= half:
        at += step
    before = level[at - step] if 0 <= at - step < len(level) else inside
    fall = before - level[at]
    place = at - step + step * ((before - half) / fall if fall > 0 else 0.5)
    low, high = outside + 0.2 * (inside - outside), outside + 0.8 * (inside - outside)
    softness, outward, inward = 1.0, at, at - step
    while 0 <= outward < len(level) and level[outward] > low and softness <= MAX_SOFTNESS_PX:
        softness, outward = softness + 1, outward + step
    while 0 <= inward < len(level) and level[inward] < high and softness <= MAX_SOFTNESS_PX:
        softness, inward = softness + 1, inward - step
    return float(place), softness, False


def _first_plateau(fall: np.ndarray, contrast: float) -> float:
    """Level at which a falling edge comes to rest: a plate may be visible for a single pixel before the specimen."""
    at = 0
    while at + 1 < len(fall) and fall[at + 1] < fall[at] - _RESTING * contrast:
        at += 1
    rest = fall[at : at + 3]
    return float(np.mean(rest[np.abs(rest - fall[at]) <= _RESTING * contrast]))


def stands_alone(level: np.ndarray, x0: float, x1: float, inside: float, contrast: float) -> bool:
    """Whether the grey value changes beyond both ends of a bar; a gap between a bar and something else continues."""
    before = level[max(0, int(x0) - 6) : max(0, int(np.ceil(x0)))]
    behind = level[int(x1) + 1 : int(x1) + 7]
    return all(len(beyond) == 0 or inside - beyond.min() > 0.5 * contrast for beyond in (before, behind))
