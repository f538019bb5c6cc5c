"""Bars that are drawn in parts: on both sides of their text, or alternately black and white."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emscout.scale.bars.caps import find_caps
from emscout.scale.bars.find import Bar
from emscout.scale.bars.tips import find_tips

__all__ = ["join_bars", "join_fields"]

_MIN_FIELDS = 3
_UNEVEN = 0.2  # of their length, by which the fields of a bar may differ


def join_bars(grey: np.ndarray, bars: list[Bar], left: float, right: float, top: float, bottom: float) -> list[Bar]:
    """Join pairs of bars on both sides of a text: one bar with its text in the middle."""
    height, joined = bottom - top, []
    for a in bars:
        for b in bars:
            in_rows = top - 0.3 * height <= a.row_px <= bottom + 0.3 * height
            level = in_rows and abs(a.row_px - b.row_px) <= 1.5 and abs((a.bottom - a.top) - (b.bottom - b.top)) <= 2
            between = a.x1 <= (left + right) / 2 <= b.x0 and a.bright == b.bright
            near = left - a.x1 <= 3.5 * height and b.x0 - right <= 3.5 * height
            alike = 0.4 <= a.length_px / max(1.0, b.length_px) <= 2.5
            letters = left < a.x0 and b.x1 < right and min(a.length_px, b.length_px) < height
            if level and between and near and alike and not letters:
                x0, x1, cap_width_px = _outer_ends(grey, a, b)
                joined.append(
                    replace(
                        a,
                        x0=x0,
                        x1=x1,
                        top=min(a.top, b.top),
                        bottom=max(a.bottom, b.bottom),
                        style="split",
                        quality=min(a.quality, b.quality),
                        end_error_px=max(a.end_error_px, b.end_error_px),
                        cut=a.cut or b.cut,
                        cap_width_px=cap_width_px,
                    )
                )
    return joined


def _outer_ends(grey: np.ndarray, a: Bar, b: Bar) -> tuple[float, float, float]:
    """Ends of a bar of two parts and the width of its caps: each part has a cap, or a head, at its outer end only."""
    signed = (1 if a.bright else -1) * grey.astype(np.float32)
    core = np.arange(round(a.top + 0.5), round(a.bottom + 0.5))
    inside = float(np.median(signed[core[0] : core[-1] + 1, round(a.x0) + 2 : round(a.x1) - 1]))
    tips = find_tips(signed, core, a.x0, b.x1, inside, a.contrast)
    if tips is not None:
        return *tips, 0.0
    caps = find_caps(signed, core, a.x0, b.x1, inside, a.contrast, least=0.15, low=True)
    return (a.x0, b.x1, 0.0) if caps is None else (caps[0], caps[1], caps[3])


def join_fields(bars: list[Bar]) -> list[Bar]:
    """Join alternately black and white fields of one length into one bar."""
    joined: list[Bar] = []
    for first in sorted(bars, key=lambda bar: bar.x0):
        fields = [first]
        while True:
            last = fields[-1]
            after = [bar for bar in bars if _follows(last, bar)]
            if not after:
                break
            fields.append(min(after, key=lambda bar: abs(bar.x0 - last.x1)))
        if len(fields) >= _MIN_FIELDS and not any(one.x0 <= first.x0 and fields[-1].x1 <= one.x1 for one in joined):
            joined.append(
                replace(
                    first,
                    x1=fields[-1].x1,
                    style="checkered",
                    contrast=min(bar.contrast for bar in fields),
                    quality=min(bar.quality for bar in fields),
                    end_error_px=max(first.end_error_px, fields[-1].end_error_px),
                    cut=first.cut or fields[-1].cut,
                )
            )
    return joined


def _follows(bar: Bar, other: Bar) -> bool:
    """Whether another field of the opposite grey begins where one ends."""
    touching = abs(other.x0 - bar.x1) <= max(2.0, 0.06 * bar.length_px) and other.bright != bar.bright
    level = abs(other.top - bar.top) <= 2 and abs(other.bottom - bar.bottom) <= 2
    return touching and level and abs(other.length_px / bar.length_px - 1) <= _UNEVEN
