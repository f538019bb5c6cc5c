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
    found: list[Bar] = []
    for sign in (1.0, -1.0):
        signed = sign * grey
        reach = 2 * _MAX_WIDTH_PX + 1
        behind = ndimage.maximum_filter1d(ndimage.minimum_filter1d(signed, reach, axis=1), reach, axis=1)
        raised = signed - behind
        for part in _STEPS:
            step = max(_MIN_STEP, part * float(np.percentile(raised, 99.8)))
            for bar in _tick_rows(raised, step, min_length_px, sign > 0):
                if not any(abs(bar.x0 - b.x0) < 2 and abs(bar.x1 - b.x1) < 2 for b in found):
                    found.append(bar)
    return found


def _tick_rows(raised: np.ndarray, step: float, min_length_px: int, bright: bool) -> list[Bar]:
    labels, _ = ndimage.label(raised > step, np.ones((3, 3)))
    upright = []
    for i, box in enumerate(ndimage.find_objects(labels), 1):
        high, wide = box[0].stop - box[0].start, box[1].stop - box[1].start
        if wide <= _MAX_WIDTH_PX and high >= 2 and wide <= high:
            upright.append((i, box))
    if len(upright) < _MIN_TICKS:
        return []
    numbers = [i for i, _ in upright]
    centres = np.array(ndimage.center_of_mass(np.clip(raised, 0, None), labels, numbers))[:, 1]
    tops = np.array([box[0].start for _, box in upright])
    bottoms = np.array([box[0].stop for _, box in upright])
    found = []
    for edge in (bottoms, tops):  # ticks stand on a line, or hang from one
        for row in np.unique(edge):
            members = np.flatnonzero(np.abs(edge - row) <= 1)
            members = members[np.argsort(centres[members])]
            for first, last in _even_stretches(centres[members]):
                chosen = members[first : last + 1]
                x0, x1 = float(centres[chosen[0]]), float(centres[chosen[-1]])
                if x1 - x0 >= min_length_px:
                    contrast = float(np.median(ndimage.maximum(raised, labels, [numbers[i] for i in chosen])))
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
