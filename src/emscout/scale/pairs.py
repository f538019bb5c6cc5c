"""Which bar belongs to a label, and how well the two fit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emscout.scale.bars.find import Bar, find_bars
from emscout.scale.bars.parts import join_bars, join_fields
from emscout.scale.bars.ticks import find_ticks
from emscout.scale.plates import is_halo, is_margin, is_plate, surrounds
from emscout.scale.text.labels import Label, find_labels
from emscout.scale.text.ocr import TextLine

__all__ = ["PrintedLabel", "bars_beside", "find_printed_labels", "fit_score"]

# All in heights of the label.
_MAX_GAP_ABOVE = 2.5
_MAX_GAP_BESIDE = 3.0
_MAX_THICKNESS = 1.6
_THIN = 0.45
_MAX_CAP = 1.2
_MAX_BESIDE_TEXT = 0.7
_WINDOW_ROWS = 4.0
_WINDOW_COLS = 30.0
_MIN_LENGTH = 0.5
_MIN_LENGTH_PX = 12
_THICKEST_PART = 0.6  # of a bar that is interrupted by its text
_SHORT = 0.5  # of the text's width
_LONG_ALONG_BORDER = 0.4  # of the image's width
_DRAWN_WELL = (0.7, 0.9)  # in the grey of the letters, in another
_LONGER = 1.04
_AS_LIKELY = 0.5  # of the best fit
_ALIKE = 1.15  # ratio of the halves of a bar
_LONGEST_STROKE = 2.5  # of a letter, in widths of one


@dataclass(frozen=True)
class PrintedLabel:
    """A length, where it is printed, and how certain its letters are."""

    label: Label
    line: TextLine

    @property
    def score(self) -> float:
        return self.line.score * 0.9**self.label.ocr_substitutions * (1.0 if self.label.alone else 0.8)


def find_printed_labels(lines: list[TextLine]) -> list[PrintedLabel]:
    """The lengths in lines of text, each with the box of its part of the line."""
    found = []
    for line in lines:
        for label in find_labels(line.text):
            left = line.left + label.start * line.width_px
            right = line.left + label.stop * line.width_px
            if not _has_heading(lines, left, right, line):
                found.append(PrintedLabel(label, TextLine(line.text, line.score, line.top, line.bottom, left, right)))
    return found


def bars_beside(grey: np.ndarray, printed: PrintedLabel) -> list[tuple[float, Bar]]:
    """Bars that can belong to a label, best first, each with how well it fits (0..1).

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W)
    printed : PrintedLabel
    """
    height, width = grey.shape
    line = printed.line
    size = max(4.0, line.height_px)
    top = max(0, int(line.top - _WINDOW_ROWS * size))
    bottom = min(height, int(line.bottom + _WINDOW_ROWS * size) + 1)
    left = max(0, int(line.left - _WINDOW_COLS * size))
    right = min(width, int(line.right + _WINDOW_COLS * size) + 1)
    window = grey[top:bottom, left:right].astype(np.float32)
    min_length = max(_MIN_LENGTH_PX, round(_MIN_LENGTH * size))
    thickness = tuple(max(3, round(part * size)) for part in (_THIN, _MAX_THICKNESS))
    bars = [bar.moved(top, left) for bar in find_bars(window, min_length, thickness)]
    bars = _add_joined(join_fields(bars), bars)
    thin = [bar for bar in bars if bar.bottom - bar.top <= _THICKEST_PART * line.height_px]
    bars = _add_joined(join_bars(grey, thin, line.left, line.right, line.top, line.bottom), bars)
    bars += [bar.moved(top, left) for bar in find_ticks(window, 3 * min_length)]
    # A bar that the window cuts, not the image's border, is too far away.
    bars = [bar for bar in bars if not bar.cut or bar.x0 <= 0 or bar.x1 >= width - 1]
    bars = [bar for bar in bars if not _is_along_border(bar, height, width)]
    edges = [bar for bar in bars if _is_frame(bar, bars) or _is_edge_of_plate(bar, bars, line)]
    bars = [bar for bar in bars if bar not in edges and not _is_half(grey, bar, line) and not is_plate(grey, bar, line)]
    bars = [bar for bar in bars if not is_halo(grey, bar)]
    text_is_bright = _is_text_bright(grey, line)
    bars = [
        bar
        for bar in bars
        if _is_drawn(bar, line, bar.bright == text_is_bright) and not is_margin(grey, bar, bars, line)
    ]
    bars = [bar for bar in bars if not any(_is_part_of(bar, other) for other in bars)]
    letter_px = line.width_px / max(1.0, len(line.text) * (printed.label.stop - printed.label.start))
    fitting = sorted(((fit_score(bar, line, letter_px, width), bar) for bar in bars), key=lambda one: -one[0])
    kept: list[tuple[float, Bar]] = []
    for score, bar in fitting:
        if score > 0 and not any(surrounds(bar, other) for _, other in kept):
            kept.append((score, bar))
    interrupted = [
        score for score, bar in kept if bar.length_px > _SHORT * line.width_px and _is_interrupted(bar, bars)
    ]
    return [] if interrupted and interrupted[0] > _AS_LIKELY * kept[0][0] else kept


def _is_text_bright(grey: np.ndarray, line: TextLine) -> bool:
    """Whether letters are brighter than their background."""
    box = grey[max(0, int(line.top)) : int(line.bottom) + 1, max(0, int(line.left)) : int(line.right) + 1]
    return bool(np.median(box) < np.percentile(box, (2, 98)).mean())


def _add_joined(joined: list[Bar], bars: list[Bar]) -> list[Bar]:
    """Joined bars, and the others that are not part of them."""
    return joined + [
        bar
        for bar in bars
        if not any(one.x0 <= bar.x0 and bar.x1 <= one.x1 and one.top <= bar.row_px <= one.bottom for one in joined)
    ]


def _is_drawn(bar: Bar, line: TextLine, same_grey: bool) -> bool:
    """Whether it is a drawn bar and not an edge beside a text; one in the grey of the letters is more likely drawn."""
    caps_beside_text = bar.cap_px > _gap_rows(bar, line) + _MAX_BESIDE_TEXT * line.height_px
    if caps_beside_text and not same_grey:
        return False  # the edges of a plate
    return bar.length_px >= _SHORT * line.width_px or bar.quality >= _DRAWN_WELL[0 if same_grey else 1]


def _is_interrupted(bar: Bar, bars: list[Bar]) -> bool:
    """Whether it is half of a bar that is interrupted by another text than the one beside it."""
    return bar.style in ("line", "caps") and any(
        other.bright == bar.bright
        and max(abs(other.top - bar.top), abs(other.bottom - bar.bottom)) <= 1
        and 1 / _ALIKE < other.length_px / bar.length_px < _ALIKE
        and 0 < max(other.x0 - bar.x1, bar.x0 - other.x1) < bar.length_px
        for other in bars
    )


def _is_part_of(bar: Bar, other: Bar) -> bool:
    """Whether it is only a part of another bar, ended by mistake where the specimen behind it changes."""
    return (
        other.bright == bar.bright
        and other.top <= bar.row_px <= other.bottom
        and other.x0 <= bar.x0 + 1
        and bar.x1 - 1 <= other.x1
        and other.length_px > _LONGER * bar.length_px
        and other.contrast > bar.contrast
    )


def _gap_rows(bar: Bar, line: TextLine) -> float:
    return max(0.0, bar.top - line.bottom, line.top - bar.bottom)


def fit_score(bar: Bar, line: TextLine, letter_px: float, image_width: int) -> float:
    """How well a bar and a text fit together, 0..1; 0 where they cannot belong to one scale."""
    size = max(4.0, line.height_px)
    gap_rows = _gap_rows(bar, line) / size
    gap_cols = max(0.0, bar.x0 - line.right, line.left - bar.x1) / size
    beside = gap_rows == 0 and gap_cols <= _MAX_GAP_BESIDE
    over = gap_cols <= 0.5 and gap_rows <= _MAX_GAP_ABOVE
    if not (beside or over) or bar.length_px > 0.95 * image_width:
        return 0.0
    if _is_stroke(bar, line, letter_px):
        return 0.0
    if bar.cap_px > _MAX_CAP * size:
        return 0.0  # the frame of a field of the banner
    if bar.cut and bar.length_px > 0.6 * image_width:
        return 0.0  # the frame of a banner
    off_centre = (
        0.0 if beside else abs((bar.x0 + bar.x1) - (line.left + line.right)) / 2 / max(bar.length_px, line.width_px)
    )
    near = math.exp(-0.35 * gap_rows - 0.25 * gap_cols - 0.5 * off_centre)
    plain = min(1.0, bar.contrast / 60) ** 0.5
    ruled = {"split": 1.1, "caps": 1.1, "ticks": 1.1, "checkered": 1.1}.get(bar.style, 1.0)
    return min(1.0, bar.quality * near * plain * ruled)


def _is_stroke(bar: Bar, line: TextLine, letter_px: float) -> bool:
    """Whether it is a stroke of a letter."""
    size = max(4.0, line.height_px)
    common = min(bar.x1, line.right) - max(bar.x0, line.left)
    in_text = line.top + 0.15 * size < bar.row_px < line.bottom - 0.15 * size and common > 0.7 * bar.length_px
    if bar.style == "split" or not in_text or bar.bottom - bar.top >= 0.9 * size:
        return False
    # The box around a text may contain the bar as well, at its upper or lower edge.
    at_edge = not line.top + 0.35 * size < bar.row_px < line.bottom - 0.35 * size
    if at_edge and bar.length_px >= _LONGEST_STROKE * letter_px:
        return False
    return bar.length_px < 0.6 * line.width_px


def _is_frame(bar: Bar, bars: list[Bar]) -> bool:
    """Whether strokes at its ends join it to another line of that length: a field of the banner, with text in it."""
    return bar.cap_px > 8 and any(
        other.x0 <= bar.x0 + 3
        and other.x1 >= bar.x1 - 3
        and other.length_px > bar.length_px + 2
        and abs(abs(other.row_px - bar.row_px) - bar.cap_px) <= 4
        for other in bars
    )


def _is_along_border(bar: Bar, height: int, width: int) -> bool:
    """Whether it is a remnant of the gap between two panels."""
    return bar.length_px > _LONG_ALONG_BORDER * width and (bar.top < 0.5 or bar.bottom > height - 1.5)


def _is_edge_of_plate(bar: Bar, bars: list[Bar], line: TextLine) -> bool:
    """Whether it and another line of that length lie above and below both a text and the bar of that text."""
    margin = 0.2 * line.height_px
    for other in bars:
        top, bottom = min(bar.row_px, other.row_px), max(bar.row_px, other.row_px)
        alike = abs(other.x0 - bar.x0) <= 3 and abs(other.x1 - bar.x1) <= 3
        if alike and top < line.top + margin and bottom > line.bottom - margin:
            for inner in bars:
                within = top < inner.top and inner.bottom < bottom and bar.x0 < inner.x0 and inner.x1 < bar.x1
                clear = inner.top > line.bottom - margin or inner.bottom < line.top + margin
                if within and clear and inner.contrast > 0.8 * bar.contrast:
                    return True
    return False


def _is_half(grey: np.ndarray, bar: Bar, line: TextLine) -> bool:
    """Whether a line beside a text continues on the other side of it, where it was not found whole."""
    size = max(4.0, line.height_px)
    if bar.style in ("split", "ticks") or bar.bottom - bar.top > 0.5 * size or not line.top < bar.row_px < line.bottom:
        return False
    if bar.x1 < (line.left + line.right) / 2:
        first, last = line.right - 0.2 * size, line.right + 3.5 * size
    elif bar.x0 > (line.left + line.right) / 2:
        first, last = line.left - 3.5 * size, line.left + 0.2 * size
    else:
        return False
    cols = slice(max(0, int(first)), max(0, int(last) + 1))
    top, bottom = round(bar.top + 0.5), round(bar.bottom + 0.5)
    aside = [row for row in (top - 3, top - 4, bottom + 2, bottom + 3) if 0 <= row < len(grey)]
    along = grey[top:bottom, cols].mean(axis=0) - grey[aside, cols].astype(np.float32).mean(axis=0)
    window = round(size)
    if along.size < window:
        return False
    means = np.convolve((along if bar.bright else -along), np.ones(window) / window, "valid")
    return bool(means.max() > 0.4 * bar.contrast)


def _has_heading(lines: list[TextLine], left: float, right: float, line: TextLine) -> bool:
    """Whether a heading right above says that a length is not a scale: working distance, width of the field."""
    for other in lines:
        over = other is not line and min(other.right, right) > max(other.left, left)
        if over and 0 <= line.top - other.bottom + 0.6 * line.height_px <= 2 * line.height_px:
            words = other.text.lower().replace(".", "").split()
            if words and words[0] in ("wd", "hfw", "vfw", "fov", "width", "view"):
                return True
    return False
