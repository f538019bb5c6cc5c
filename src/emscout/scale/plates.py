"""Plates behind a text: which of two touching grey areas is drawn, and which is only the rest of a plate."""

from __future__ import annotations

import numpy as np

from emscout.scale.bars.find import Bar
from emscout.scale.letters import bar_ink
from emscout.scale.text.ocr import TextLine

__all__ = ["is_halo", "is_margin", "is_plate", "surrounds"]

_EDGE_PX = 2
_SAME_GREY = 0.3  # of the difference of two
_FLAT = 0.3  # of the pixels among letters
_WORSE = 0.1  # in quality
_TOUCHING_PX = 2
_SHORTER = 0.5
_HALO_PX = 3
_FAINT = 0.12  # of the step that a line lies at


def _is_behind(grey: np.ndarray, line: TextLine, own: float, other: float) -> bool:
    """Whether letters stand on the first of two grey values, rather than being drawn in it."""
    box = grey[max(0, round(line.top)) : round(line.bottom) + 1, max(0, round(line.left)) : round(line.right) + 1]
    alike = [np.mean(np.abs(box - grey_of) < _SAME_GREY * abs(own - other)) for grey_of in (own, other)]
    if max(alike) > _FLAT:  # a plate, of which letters cover less than half
        return bool(alike[0] > alike[1])
    inner = box[_EDGE_PX:-_EDGE_PX, :_EDGE_PX], box[_EDGE_PX:-_EDGE_PX, -_EDGE_PX:]
    along = float(np.median(np.concatenate([edge.ravel() for edge in (box[:_EDGE_PX], box[-_EDGE_PX:], *inner)])))
    return abs(own - along) < abs(own - other) / 2


def is_plate(grey: np.ndarray, bar: Bar, line: TextLine) -> bool:
    """Whether a bar is the plate on which a text stands."""
    rows = min(bar.bottom, line.bottom) - max(bar.top, line.top)
    cols = min(bar.x1, line.right) - max(bar.x0, line.left)
    own = bar_ink(grey, bar)
    on_it = rows > 0.5 * line.height_px and cols > 0.8 * line.width_px
    return on_it and _is_behind(grey, line, own, own - bar.contrast if bar.bright else own + bar.contrast)


def is_margin(grey: np.ndarray, bar: Bar, bars: list[Bar], line: TextLine) -> bool:
    """Whether a bar is the margin of a plate beside another bar, or the inside of that bar's caps or outline.

    Of two that touch, one brighter and one darker, it is the one in the grey of the letters' background.
    """
    return any(
        surrounds(bar, other)
        and other.length_px > _SHORTER * bar.length_px
        and other.quality > bar.quality - _WORSE
        and _is_behind(grey, line, bar_ink(grey, bar), bar_ink(grey, other))
        for other in bars
    )


def is_halo(grey: np.ndarray, bar: Bar) -> bool:
    """Whether a bar is a halo of sharpening or enlarging along the edge of a plate: faint beside the step there."""
    if bar.bottom - bar.top > _HALO_PX:
        return False
    cols = slice(max(0, round(bar.x0) + 2), max(0, round(bar.x1) - 1))
    top, bottom = round(bar.top + 0.5), round(bar.bottom + 0.5)
    sign = np.float32(1 if bar.bright else -1)
    sides = [sign * grey[rows, cols] for rows in (slice(max(0, top - 3), top), slice(bottom, bottom + 3))]
    steps = [float(sign * bar_ink(grey, bar) - np.median(side.min(axis=0))) for side in sides if side.size]
    return len(steps) == 2 and min(steps) < _FAINT * max(steps)


def surrounds(bar: Bar, better: Bar) -> bool:
    """Whether a bar is only the gap between a better one and the edge of its plate, or another line."""
    common = min(bar.x1, better.x1) - max(bar.x0, better.x0)
    touching = min(abs(bar.top - better.bottom), abs(better.top - bar.bottom)) <= _TOUCHING_PX
    return bar.bright != better.bright and touching and common > 0.8 * min(bar.length_px, better.length_px)
