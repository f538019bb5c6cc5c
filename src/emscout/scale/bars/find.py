"""Scale bars: straight, horizontal, of one grey value, with ends as sharp as the picture allows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from emscout.scale.bars.caps import find_caps
from emscout.scale.bars.ends import MAX_SOFTNESS_PX, find_end, stands_alone
from emscout.scale.bars.tips import find_tips

__all__ = ["Bar", "find_bars"]

_STEPS = (0.45, 0.22, 0.1, 0.05)  # of the range of grey, by which a bar may stand out
_MIN_STEP = 7.0  # grey levels of 255
_PURE = 0.2  # of the range of grey: a bar is pure white or black, and its ends leave that
_STRETCH_PX = 9
_MOST = 150  # runs that are measured: the longest
_END_PART = 0.12  # of its length
_LEAST_SEEN = 0.4  # of that
_TIP_ERROR_PX = 0.6  # the tip of an arrow is finer than a pixel
_MAX_CAPPED = 0.12  # of its length: no thicker a bar has caps


@dataclass(frozen=True)
class Bar:
    """A bar and how well it is drawn.

    Parameters
    ----------
    x0, x1 : float
        Its ends, in pixels (the centre of the first column is 0, its left edge -0.5); between the middles of the caps
        where it has caps, and at the tips of an arrow.
    top, bottom : float
        Its edges, rows.
    style : {'line', 'box', 'caps', 'arrow', 'ticks', 'split', 'checkered'}
        ``split``: interrupted by its text; ``checkered``: alternately black and white.
    end_error_px : float
        Standard deviation of the place of an end.
    contrast : float
        Grey levels (of 255) between it and its surroundings.
    quality : float
        0..1: how even it is and how sharp its ends are.
    bright : bool
        Brighter than what is around it.
    cut : bool
        It runs into the border of the image.
    cap_px, cap_width_px : float
        How far its caps stand out, up or down, and how wide they are.
    """

    x0: float
    x1: float
    top: float
    bottom: float
    style: str
    end_error_px: float
    contrast: float
    quality: float
    bright: bool
    cut: bool = False
    cap_px: float = 0.0
    cap_width_px: float = 0.0

    @property
    def length_px(self) -> float:
        return self.x1 - self.x0

    @property
    def row_px(self) -> float:
        return (self.top + self.bottom) / 2

    def moved(self, rows: float, cols: float) -> Bar:
        """The bar in the coordinates of an image in which this one's first pixel lies at (rows, cols)."""
        return replace(self, x0=self.x0 + cols, x1=self.x1 + cols, top=self.top + rows, bottom=self.bottom + rows)

    def enlarged(self, times: float) -> Bar:
        """The bar in the coordinates of an image that is enlarged by a factor."""
        x0, x1, top, bottom = ((edge + 0.5) * times - 0.5 for edge in (self.x0, self.x1, self.top, self.bottom))
        sizes = {name: getattr(self, name) * times for name in ("end_error_px", "cap_px", "cap_width_px")}
        return replace(self, x0=x0, x1=x1, top=top, bottom=bottom, **sizes)


def find_bars(grey: np.ndarray, min_length_px: int, max_thickness_px: tuple[int, ...]) -> list[Bar]:
    """All level bars of a picture, bright and dark, best first.

    Parameters
    ----------
    grey : ndarray of float32, shape (H, W)
        In 0..255.
    min_length_px : int
        Shorter ones are dropped.
    max_thickness_px : tuple of int
        Each bound is one pass: a thin line is compared with what is right beside it, a thick box with a wider
        neighbourhood.

    Returns
    -------
    list of Bar
        Those with the same ends in each pixel row; each bar is listed once.
    """
    low, high = np.percentile(grey, (0.2, 99.8))
    steps = sorted({max(_MIN_STEP, part * (high - low)) for part in _STEPS}, reverse=True)
    found: list[Bar] = []
    for sign in (1.0, -1.0):
        signed = sign * grey
        # Noise hides a faint line, but not its mean along a stretch of it.
        smooth = ndimage.uniform_filter1d(signed, _STRETCH_PX, axis=1)
        for thickness in max_thickness_px:
            behind, smooth_behind = _behind(signed, thickness), _behind(smooth, thickness)
            passes = [
                (signed - behind, signed - behind, steps),
                (smooth - smooth_behind, signed - smooth_behind, steps[-1:]),
            ]
            for seen, raised, levels in passes:
                for step in levels:
                    found += _measured(signed, seen > step, raised, min_length_px, thickness)
        # Pure white and pure black stand out from any specimen, however uneven.
        pure = signed - (max(sign * low, sign * high) - _PURE * (high - low))
        found += _measured(signed, pure > _PURE / 2 * (high - low), pure, min_length_px, max(max_thickness_px))
    return _distinct(found)


def _measured(
    signed: np.ndarray, seen: np.ndarray, raised: np.ndarray, min_length_px: int, max_thickness_px: int
) -> list[Bar]:
    """The bars among the horizontal runs."""
    bright = bool(signed.mean() > 0)  # grey values are positive: a negative was turned over to find dark bars
    bars = [_measure(signed, raised, rows, cols, bright) for rows, cols in _level_runs(seen, min_length_px)]
    return [
        bar
        for bar in bars
        if bar is not None and bar.length_px >= min_length_px and bar.bottom - bar.top <= 2 * max_thickness_px
    ]


def _behind(signed: np.ndarray, thickness: int) -> np.ndarray:
    """The background: the picture without what is no taller than a bar."""
    import cv2

    return cv2.morphologyEx(signed, cv2.MORPH_OPEN, np.ones((2 * thickness + 1, 1), np.uint8))


def _distinct(bars: list[Bar]) -> list[Bar]:
    """Each bar once, with the median ends of its measurements in the most frequent style; best first."""
    left = sorted(bars, key=lambda bar: -bar.quality * bar.contrast)
    kept: list[Bar] = []
    while left:
        best = left[0]
        same = [bar for bar in left if _is_same(bar, best)]
        left = [bar for bar in left if not _is_same(bar, best)]
        styles = [bar.style for bar in same]
        style = max(dict.fromkeys(styles), key=styles.count)
        alike = [bar for bar in same if bar.style == style]
        x0, x1 = (float(np.median([getattr(bar, end) for bar in alike])) for end in ("x0", "x1"))
        kept.append(replace(alike[0], x0=x0, x1=x1))
    return sorted(kept, key=lambda bar: -bar.quality)


def _level_runs(raised: np.ndarray, min_length_px: int) -> list[tuple[slice, slice]]:
    """Boxes around horizontal runs of at least that length, longest first."""
    import cv2

    run = np.ones((1, min_length_px), np.uint8)
    begins = cv2.erode(raised.astype(np.uint8), run, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    kept = cv2.dilate(begins, run, anchor=(min_length_px - 1, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if not kept.any():
        return []
    _, _, boxes, _ = cv2.connectedComponentsWithStats(kept, connectivity=4)
    level = []
    for left, top, width, height, _ in boxes[1:][np.argsort(-boxes[1:, cv2.CC_STAT_WIDTH], kind="stable")]:
        box = slice(int(top), int(top + height)), slice(int(left), int(left + width))
        # A bar's rows all begin and end together; those of the specimen's edges do not.
        if np.mean(kept[box].sum(axis=1) >= 0.85 * width) >= 0.5:
            level.append(box)
        if len(level) == _MOST:
            break
    return level


def _measure(signed: np.ndarray, raised: np.ndarray, rows: slice, cols: slice, bright: bool) -> Bar | None:
    """Measure the ends and the quality of the bar in a box; None where it is not a straight bar."""
    width = signed.shape[1]
    seen = raised[rows, cols]
    # The rows that are full, not those half covered at its edges.
    along = np.median(seen, axis=1)
    if along.max() < _MIN_STEP / 2:
        return None
    core = np.flatnonzero(along >= 0.7 * along.max()) + rows.start
    if len(core) != core[-1] - core[0] + 1:
        return None
    if _differs(signed, core[0], -1, cols) < 0.5 or _differs(signed, core[-1], 1, cols) < 0.5:
        return None
    level = raised[core[0] : core[-1] + 1].mean(axis=0)
    seen_by = float(np.median(level[cols]))
    # A pure white bar is separated from nearly white surroundings, but may be drawn on something darker still.
    contrast = max(seen_by, _contrast_aside(signed, core, cols))
    level = level + (contrast - seen_by)
    left = find_end(level, cols.start, -1, contrast, seen_by / 2)
    right = find_end(level, cols.stop - 1, 1, contrast, seen_by / 2)
    x0, x1, softness = left[0], right[0], max(left[1], right[1])
    if softness > MAX_SOFTNESS_PX or x1 - x0 < max(4.0, 1.2 * len(core)):
        return None
    trim = 2.5 if x1 - x0 > 20 else 1.5  # soft ends and the tips of arrows are not its body
    first = max(0, int(np.ceil(x0 + trim)))
    body = slice(first, min(width, max(first + 1, int(x1 - trim) + 1)))
    drawn = signed[core[0] : core[-1] + 1, body]
    profile = drawn.mean(axis=0)
    unevenness = float(np.subtract(*np.percentile(profile, (85, 15)))) / contrast
    worst = float(np.abs(ndimage.uniform_filter1d(profile, 3) - np.median(profile)).max()) / contrast
    if unevenness > 0.6 or worst > 0.6:
        return None
    above, below = (_share_outside(signed, row, step, body, contrast) for row, step in ((core[0], -1), (core[-1], 1)))
    if min(above, below) < 0.75:
        return None
    if not stands_alone(signed[core[0] : core[-1] + 1].mean(axis=0), x0, x1, float(drawn.mean()), seen_by):
        return None
    if not all(_is_seen(signed, core, end, contrast) for end in _end_parts(body)):
        return None
    quality = float(
        np.clip(1 - unevenness / 2 - worst / 2, 0, 1) * np.clip(1.15 - 0.1 * softness, 0, 1) * min(above, below)
    )
    top, bottom = core[0] - 0.5, core[-1] + 0.5
    style = "line" if bottom - top <= max(4.0, 0.05 * (x1 - x0)) else "box"
    inside = float(np.median(drawn))
    caps = None
    tips = find_tips(signed, core, x0, x1, inside, contrast)
    if tips is not None:
        x0, x1 = tips
        style = "arrow"
    elif style == "line":
        caps = find_caps(signed, core, x0, x1, inside, contrast)
    elif bottom - top <= _MAX_CAPPED * (x1 - x0):  # its caps are too thick to be pale
        caps = find_caps(signed, core, x0, x1, inside, contrast, least=0.6)
    cap_px, cap_width_px = 0.0, 0.0
    if caps is not None:
        x0, x1, cap_px, cap_width_px = caps
        style = "caps"
    noise = float(np.std(np.diff(profile))) / contrast if len(profile) > 2 else 0.0
    error = float(np.hypot(0.25, softness * (0.1 + noise)))
    error = max(error, _TIP_ERROR_PX) if style == "arrow" else error
    cut = left[2] or right[2]
    return Bar(x0, x1, top, bottom, style, error, seen_by, quality, bright, cut, cap_px, cap_width_px)


def _contrast_aside(signed: np.ndarray, core: np.ndarray, cols: slice) -> float:
    """Difference between a run and the darkest pixel within three rows, on the side where that is less."""
    inside = signed[core[0] : core[-1] + 1, cols].mean(axis=0)
    sides = [signed[max(0, core[0] - 3) : core[0], cols], signed[core[-1] + 1 : core[-1] + 4, cols]]
    return min((float(np.median(inside - side.min(axis=0))) for side in sides if len(side)), default=0.0)


def _differs(signed: np.ndarray, row: int, step: int, cols: slice) -> float:
    """Share of a run along which the picture is darker within two rows above, or below; a quick test."""
    beyond = [at for at in (row + step, row + 2 * step) if 0 <= at < len(signed)]
    return float(np.mean(signed[row, cols] - signed[beyond, cols].min(axis=0) > 2.0)) if len(beyond) == 2 else 1.0


def _share_outside(signed: np.ndarray, row: int, step: int, body: slice, contrast: float) -> float:
    """Share of a bar's length along which the picture differs from it right above, or below."""
    inside = float(np.median(signed[row, body]))
    best = 0.0
    for distance in (1, 2, 3):
        at = row + step * distance
        if not 0 <= at < len(signed):
            return max(best, 1.0) if distance <= 2 else best
        best = max(best, float(np.mean(inside - signed[at, body] > 0.35 * contrast)))
    return best


def _end_parts(body: slice) -> tuple[slice, slice]:
    long = min(body.stop - body.start, max(6, round(_END_PART * (body.stop - body.start))))
    return slice(body.start, body.start + long), slice(body.stop - long, body.stop)


def _is_seen(signed: np.ndarray, core: np.ndarray, part: slice, contrast: float) -> bool:
    """Whether a part of a bar differs from what is above or below it, unlike a bright particle at its end."""
    edges = ((core[0], -1), (core[-1], 1))
    return any(_share_outside(signed, row, step, part, contrast) >= _LEAST_SEEN for row, step in edges)


def _is_same(a: Bar, b: Bar) -> bool:
    common = min(a.x1, b.x1) - max(a.x0, b.x0)
    together = max(a.x1, b.x1) - min(a.x0, b.x0)
    return a.bright == b.bright and common > 0.85 * together and min(a.bottom, b.bottom) > max(a.top, b.top)
