"""Scales of upright ticks without a line, as Hitachi's microscopes print them: from the first tick to the last."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emscout.scale.bars import Bar

__all__ = ["find_ticks"]

_COUNTS = (11, 21)  # ten intervals, or twenty; fewer in a row are part of something else
_MIN_TICKS = min(_COUNTS)
_UNEVEN = 0.08  # of the spacing, by which a tick may be off
_MIN_STEP = 12.0  # grey levels of 255
_STEPS = (0.5, 0.3)  # of what stands out most
_MAX_WIDTH_PX = 9


def find_ticks(grey: np.ndarray, min_length_px: int) -> list[Bar]:
    """Rows of evenly spaced upright ticks.

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
    numbers = np.flatnonzero((wide <= _MAX_WIDTH_PX) & (high >= 2) & (wide <= high))
    numbers = numbers[numbers > 0]
    if len(numbers) < _MIN_TICKS:
        return []
    centres = np.array(ndimage.center_of_mass(np.clip(raised, 0, None), labels, numbers))[:, 1]
    tops = boxes[numbers, cv2.CC_STAT_TOP]
    bottoms = tops + high[numbers]
    found = []
    for edge in (bottoms, tops):  # ticks stand on a line, or hang from one
        for row in np.unique(edge):
            members = np.flatnonzero(np.abs(edge - row) <= 1)
            if len(members) < _MIN_TICKS:
                continue
            members = members[np.argsort(centres[members])]
            for first, last in _even_stretches(centres[members]):
                chosen = members[first : last + 1]
                x0, x1 = float(centres[chosen[0]]), float(centres[chosen[-1]])
                if x1 - x0 >= min_length_px:
                    contrast = float(np.median(ndimage.maximum(raised, labels, numbers[chosen])))
                    top, bottom = float(tops[chosen].min()) - 0.5, float(bottoms[chosen].max()) - 0.5
                    found.append(Bar(x0, x1, top, bottom, "ticks", 0.3, contrast, 0.9, bright))
    return found


def _even_stretches(places: np.ndarray) -> list[tuple[int, int]]:
    """First and last of each longest stretch of evenly spaced places, sorted ones."""
    stretches: list[tuple[int, int]] = []
    first = 0
    while first < len(places) - _MIN_TICKS + 1:
        last = first + 1
        spacing = places[last] - places[first]
        while last + 1 < len(places) and abs(places[last + 1] - places[last] - spacing) <= max(1.0, _UNEVEN * spacing):
            last += 1
            spacing = (places[last] - places[first]) / (last - first)
        if last - first + 1 in _COUNTS and spacing >= 4:
            stretches.append((first, last))
            first = last
        else:
            first += 1
    return stretches
