"""A clock or a counter that runs in the frames of a movie: digits that change in steps while the specimen moves."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
from scipy import ndimage

from emscout.errors import ReadError
from emscout.micrograph import Series

__all__ = ["find_clock"]

_SAMPLE, _FEWEST = 12, 8
# The two states of a pixel differ by at least this share of the range of grey values, and this many times the variation
# of the ink, which is at most so many standard deviations of the noise.
_APART, _TIMES, _STEADY = 0.25, 2.0, 0.8
# Grey levels over which a pixel usually ranges; with fewer every step looks sharp.
_MANY_LEVELS = 4.0
# The inner ten of twelve normal values have a range of so many standard deviations.
_RANGE = 2.2
# Digits change at least so often in the sample, unlike a particle that vanishes, appears or passes by once; the slower
# digits less often.
_FLIPS, _CHANGES = 3, 2
# At least so many of nine neighbouring pixels belong to a line.
_LINE = 3
# Frames in which a pixel differs from the specimen at its place, which at least so many other frames show.
_UNLIKE, _FEW = 2, 3
# Least number of pixels of a field of digits; greatest thickness of lines over their height.
_FEWEST_PX, _THIN = 12, 0.2
# Share of the frame's area above which a field is not one of digits; share of pixels with steps above which steps mean
# nothing; number of fields above which none is a clock.
_LARGEST, _MOST_HARD, _MOST = 0.1, 0.1, 12
_MARGIN_PX = 3
# Distance of the next digit, and of print on the same line, in heights of the digits.
_NEXT, _BESIDE = 1.0, 2.5


def find_clock(series: Series, drift: pd.DataFrame, still: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Find clocks and counters: fields of digits that change.

    Parameters
    ----------
    series : Series
    drift : DataFrame
        From `emscout.movies.registration.drift.estimate_drift`.
    still : ndarray of bool, shape (H, W)
        What may be drawn, because it stays the same in all frames (from `emscout.annotations.burnt_in.find_burnt_in`):
        where it is in one line with digits that change, it belongs to them.

    Returns
    -------
    list of (int, int, int, int)
        First and last row and column, exclusive, of rectangles that hold the digits.

    Notes
    -----
    A pixel of a digit has two states, one of which, the ink, has the same grey value in all frames; it changes between
    them again and again, unlike the specimen that moves beneath it; and the ink forms lines that are thin compared with
    their height.
    """
    good = drift.loc[drift["status"] == "ok", ["frame", "row_px", "col_px"]]
    some = good.iloc[np.unique(np.linspace(0, len(good) - 1, _SAMPLE).round().astype(int))] if len(good) else good
    images, places = [], []
    for frame, row, col in some.itertuples(index=False):
        with suppress(ReadError):
            images.append(series[int(frame)].image)
            places.append((row, col))
    if len(images) < _FEWEST:
        return []
    stack, shifts = np.stack(images), np.array(places, dtype=float)
    hard, level, gap = _hard_steps(stack)
    if not 0 < hard.mean() <= _MOST_HARD:
        return []
    # Only the pixels with sharp steps: all pixels of large frames, several times over, would not fit into memory.
    values, beneath = stack[:, hard], _beneath(stack, shifts, np.argwhere(hard))
    state = values > level[hard]
    # Where the specimen is not known, the comparison is with NaN, and false.
    unlike = (np.abs(values - beneath) > gap[hard] / 2) & (state != (beneath > level[hard]))
    number = np.zeros(hard.shape, np.int32)
    number[hard] = np.arange(len(values[0]))
    digits = hard.copy()
    digits[hard] = np.count_nonzero(unlike, axis=0) >= _UNLIKE
    changing = digits.copy()
    # Noise makes single pixels, ink makes lines.
    digits &= ndimage.uniform_filter(digits.astype(np.float32), 3) > (_LINE - 0.5) / 9
    fields, _ = ndimage.label(ndimage.binary_dilation(digits, iterations=2 * _MARGIN_PX))
    found = []
    for field, box in enumerate(ndimage.find_objects(fields), 1):
        own = digits[box] & (fields[box] == field)
        if own.size > _LARGEST * hard.size:
            continue
        which = number[box][own]
        if _like_digits(own, state[:, which], unlike[:, which]):
            found.append(_with_line(_bounds(own, box), still, changing))
    return found if len(found) <= _MOST else []


def _hard_steps(stack: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which pixels alternate between two states, one of them constant; the value between the two, and their gap."""
    shape = stack.shape[1:]
    gap, ink, level, usual = (np.empty(shape, np.float32) for _ in range(4))
    changes = np.empty(shape, np.uint8)
    for start in range(0, shape[0], 256):
        rows = slice(start, start + 256)
        ordered = np.sort(stack[:, rows], axis=0).astype(np.float32)
        usual[rows] = ordered[-2] - ordered[1]
        steps = np.diff(ordered, axis=0)
        at = steps.argmax(axis=0)[None]
        gap[rows] = np.take_along_axis(steps, at, 0)[0]
        below, above = (np.take_along_axis(ordered, at + k, 0)[0] for k in (0, 1))
        level[rows] = (below + above) / 2
        # The ink is there in two frames at least.
        lower = np.where(at[0] >= 1, below - ordered[0], np.inf)
        upper = np.where(at[0] <= len(stack) - 3, ordered[-1] - above, np.inf)
        ink[rows] = np.minimum(lower, upper)
        state = stack[:, rows] > level[rows]
        changes[rows] = np.count_nonzero(state[1:] != state[:-1], axis=0)
    levels = np.diff(np.unique(stack[0, ::7]).astype(np.float32))
    if len(levels) == 0 or float(np.median(usual)) < _MANY_LEVELS * float(levels.min()):
        return np.zeros(shape, bool), level, gap
    noise = float(np.median(usual)) / _RANGE
    low, high = np.percentile(stack[:, ::7], (2, 98))
    hard = (ink <= _STEADY * noise) & (gap >= max(_APART * (high - low), noise) + _TIMES * ink)
    return hard & (changes >= _CHANGES), level, gap


def _beneath(stack: np.ndarray, shifts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Grey value of the specimen at places (n, 2) of every frame, from other frames as it moves; NaN if unknown."""
    shown = np.empty((len(stack), len(places)), np.float32)
    for i, here in enumerate(shifts):
        views = np.stack(
            [
                ndimage.map_coordinates(image, (places + there - here).T, np.float32, order=1, cval=np.nan)
                for image, there in zip(stack, shifts, strict=True)
            ]
        )
        # Ink is there in fewer than half of the other frames.
        ordered = np.sort(views, axis=0)  # NaN comes last
        known = np.isfinite(views).sum(axis=0)
        middle = np.take_along_axis(ordered, np.maximum(known - 1, 0)[None] // 2, 0)[0]
        shown[i] = np.where(known >= _FEW, middle, np.nan)
    return shown


def _like_digits(digits: np.ndarray, state: np.ndarray, unlike: np.ndarray) -> bool:
    """Whether the pixels of `digits` (h, w) change from frame to frame (n_frames, n) as digits do, and are as thin."""
    flips = np.count_nonzero(unlike[1:] != unlike[:-1], axis=0)
    if len(flips) < _FEWEST_PX or np.percentile(flips, 75) < _FLIPS:
        return False
    height = int(np.ptp(np.flatnonzero(digits.any(axis=1)))) + 1

    def width(ink: np.ndarray) -> float:
        drawn = np.zeros(np.add(digits.shape, 2), bool)
        drawn[1:-1, 1:-1][digits] = ink
        return float(ndimage.distance_transform_edt(drawn).max())

    # Either light or dark may be the ink, and only the ink is thin.
    widths = [np.median([width(ink) for ink in inks]) for inks in (state, ~state)]
    return bool(min(widths) <= max(_THIN * height, 1.5))


def _bounds(digits: np.ndarray, box: tuple[slice, ...]) -> tuple[int, int, int, int]:
    rows, cols = (np.flatnonzero(digits.any(axis=axis)) for axis in (1, 0))
    top, left = box[0].start, box[1].start
    return top + int(rows[0]), top + int(rows[-1]) + 1, left + int(cols[0]), left + int(cols[-1]) + 1


def _with_line(bounds: tuple[int, int, int, int], still: np.ndarray, changing: np.ndarray) -> tuple[int, int, int, int]:
    """The rectangle with a margin, with the next digit if it is less clear, and with print on the same line."""
    top, bottom, left, right = bounds
    line = slice(max(0, top - _MARGIN_PX), bottom + _MARGIN_PX)

    def widen(drawn: np.ndarray, reach: float) -> tuple[int, int]:
        at = np.flatnonzero(drawn[line].any(axis=0))
        near = at[(at >= left - reach) & (at < right + reach)].tolist()
        return min([left, *near]), max([right, *(col + 1 for col in near)])

    left, right = widen(changing, _NEXT * (bottom - top))
    before = None
    while (left, right) != before:
        before = (left, right)
        left, right = widen(still, _BESIDE * (bottom - top))
    height, width = still.shape
    return (
        max(0, top - _MARGIN_PX),
        min(height, bottom + _MARGIN_PX),
        max(0, left - _MARGIN_PX),
        min(width, right + _MARGIN_PX),
    )
