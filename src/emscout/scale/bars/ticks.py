"""Scales of vertical ticks without a line, as on Hitachi microscopes: from the first tick to the last."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emscout.scale.bars.find import Bar

__all__ = ["find_ticks"]

_COUNTS = (11, 21)  # ten intervals, or twenty; rows of fewer are something else
_MIN_TICKS = min(_COUNTS)
_UNEVEN = 0.08  # of the spacing, by which a tick may be off
_MIN_STEP = 12.0  # grey levels of 255
_STEPS = (0.5, 0.3)  # of what stands out most
_MAX_WIDTH_PX = 9
_MIN_SPACING_PX = 4
_LEAST_HEIGHT = 1 / 25  # of the least length of a row
_MOST_IN_A_ROW = 50  # including letters; more are noise of the specimen
_MOST_BETWEEN = 0.5  # as many a tick
_MAX_HIDDEN = 1
_FAINTEST = 0.4  # of the usual contrast of its ticks: one of them, and what is between them


def find_ticks(grey: np.ndarray, min_length_px: int) -> list[Bar]:
    """Find rows of evenly spaced vertical ticks.

    Parameters
    ----------
    grey : ndarray of float32, shape (H, W)
        In 0..255.
    min_length_px : int
        From the first tick to the last, at least.
    """
    import cv2

    found: list[Bar] = []
    for sign in (1.0, -1.0):
        signed = sign * grey
        raised = cv2.morphologyEx(signed, cv2.MORPH_TOPHAT, np.ones((1, 2 * _MAX_WIDTH_PX + 1), np.uint8))
        for part in _STEPS:
            step = max(_MIN_STEP, part * float(np.percentile(raised, 99.8)))
            for bar in _tick_rows(raised, step, min_length_px, sign > 0):
                if not any(abs(bar.x0 - b.x0) < 2 and abs(bar.x1 - b.x1) < 2 for b in found):
                    found.append(bar)
    return found


def _tick_rows(raised: np.ndarray, step: float, min_length_px: int, bright: bool) -> list[Bar]:
    import cv2

    _, components, boxes, _ = cv2.connectedComponentsWithStats((raised > step).astype(np.uint8), connectivity=8)
    labels = np.asarray(components, np.int32)
    wide, high = boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT]
    # In a large picture smaller ones are noise.
    least_px = max(2, round(_LEAST_HEIGHT * min_length_px))
    numbers = np.flatnonzero((wide <= _MAX_WIDTH_PX) & (high >= least_px) & (wide <= high + 1))
    numbers = numbers[numbers > 0]
    if len(numbers) < _MIN_TICKS - _MAX_HIDDEN:
        return []
    centres = np.array(ndimage.center_of_mass(np.clip(raised, 0, None), labels, numbers))[:, 1]
    tops = boxes[numbers, cv2.CC_STAT_TOP]
    bottoms = tops + high[numbers]
    found = []
    for edge in (bottoms, tops):  # ticks stand on a line, or hang from one
        for row in np.unique(edge):
            members = np.flatnonzero(np.abs(edge - row) <= 1)
            if not _MIN_TICKS - _MAX_HIDDEN <= len(members) <= _MOST_IN_A_ROW:
                continue
            members = members[np.argsort(centres[members])]
            for chosen in _even_rows(centres[members]):
                ticks = members[chosen]
                x0, x1 = float(centres[ticks[0]]), float(centres[ticks[-1]])
                heights = ndimage.maximum(raised, labels, numbers[ticks])
                contrast = float(np.median(heights))
                top, bottom = int(tops[ticks].min()), int(bottoms[ticks].max())
                between = float(np.median(raised[top:bottom, round(x0) : round(x1)].max(axis=0)))
                if x1 - x0 >= min_length_px and np.min(heights) > _FAINTEST * contrast > between:
                    found.append(Bar(x0, x1, top - 0.5, bottom - 0.5, "ticks", 0.3, contrast, 0.9, bright))
    return found


def _even_rows(places: np.ndarray) -> list[np.ndarray]:
    """Numbers of the (sorted) places of each evenly spaced row with as many ticks as a scale has.

    One place may be missing between the ends: a tick on a bright particle. What lies between is something else.
    """
    rows: list[np.ndarray] = []
    firsts, lasts = np.triu_indices(len(places), _MIN_TICKS - 1 - _MAX_HIDDEN)
    for count in _COUNTS:
        spacing = (places[lasts] - places[firsts]) / (count - 1)
        wide = spacing >= _MIN_SPACING_PX
        first, spacings = firsts[wide], spacing[wide, np.newaxis]
        # One more on either side: there the row must have ended.
        wanted = places[first, np.newaxis] + spacings * np.arange(-1, count + 1)
        nearest = _nearest(places, wanted)
        there = np.abs(places[nearest] - wanted) <= np.maximum(1.0, _UNEVEN * spacings)
        ended = ~there[:, 0] & ~there[:, -1]
        for i in np.flatnonzero(ended & (there[:, 1:-1].sum(axis=1) >= count - _MAX_HIDDEN)):
            row = np.unique(nearest[i, 1:-1][there[i, 1:-1]])
            others = row[-1] - row[0] + 1 - len(row)
            if others <= count * _MOST_BETWEEN:
                rows.append(row)
    return rows


def _nearest(places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Number of the place nearest to each one wanted."""
    after = np.clip(np.searchsorted(places, wanted), 1, len(places) - 1)
    return after - (wanted - places[after - 1] < places[after] - wanted)
