"""Views of an image in which text is read: downscaled, its lower part, and around bars."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from emscout.scale.bars.find import Bar, find_bars
from emscout.scale.letters import MIN_INK, bar_ink, lines_beside, read_enlarged
from emscout.scale.pairs import find_printed_labels
from emscout.scale.plates import surrounds
from emscout.scale.text.labels import find_labels
from emscout.scale.text.ocr import TextLine, read_lines

__all__ = ["find_likely_bars", "read_around_bars", "read_downscaled", "read_lower_part", "read_single_lines"]

_PIXELS_DOWNSCALED = 250_000
_PIXELS_OF_LOWER_PART = 300_000
_PIXELS_OF_A_PART = 150_000
_MOST_BARS = 3
_PIXELS_SMALL = 300_000
_BESIDE = 0.8  # of a line's height: as wide as a digit with what is around it
_SURE = 0.8  # score of a line that is read once only


def read_downscaled(grey: np.ndarray) -> list[TextLine]:
    """Read the whole image downscaled: some letters are only detected at one size."""
    return read_lines(grey, _PIXELS_DOWNSCALED)


def read_lower_part(grey: np.ndarray) -> list[TextLine]:
    """Read the lower quarter of an image that is too large to be read at full size."""
    height, width = grey.shape
    if height * width < 1_200_000:
        return []
    top = height - max(64, height // 4)
    return [_moved(line, top, 0) for line in read_lines(grey[top:], _PIXELS_OF_LOWER_PART)]


def read_around_bars(grey: np.ndarray, bars: list[Bar]) -> list[TextLine]:
    """Read around what looks like a bar, enlarged and with more contrast: for text that is faint, small or blurred."""
    import cv2

    height, width = grey.shape
    lines: list[TextLine] = []
    for bar in bars[:2]:
        reach = float(np.clip(0.6 * bar.length_px, 0.06 * height, 0.12 * height))
        top, bottom = max(0, int(bar.top - reach)), min(height, int(bar.bottom + reach) + 1)
        aside = max(0.6 * bar.length_px, 0.2 * width)
        left, right = max(0, int(bar.x0 - aside)), min(width, int(bar.x1 + aside) + 1)
        part = np.ascontiguousarray(grey[top:bottom, left:right])
        scale = float(np.clip((_PIXELS_OF_A_PART / part.size) ** 0.5, 0.5, 4.0))
        way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
        enlarged = cv2.resize(part, None, fx=scale, fy=scale, interpolation=way)
        evened = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(2, 4)).apply(enlarged)
        # Letters have the grey of their bar: where nothing could be read, the distance from that grey is.
        away = np.abs(enlarged - bar_ink(grey, bar)) * (255 / max(bar.contrast, MIN_INK))
        inked = np.clip(away, 0, 255).astype(np.uint8)
        for view in (evened, enlarged, inked):
            if view is inked and find_printed_labels(lines):
                break
            for line in read_lines(view, _PIXELS_OF_A_PART):
                box = [(edge + 0.5) / scale - 0.5 for edge in (line.top, line.bottom, line.left, line.right)]
                lines.append(_moved(TextLine(line.text, line.score, *box), top, left))
    return lines


def read_single_lines(grey: np.ndarray, bars: list[Bar], seen: list[TextLine]) -> list[TextLine]:
    """Cut out lines beside what looks like a bar and read each: for letters too small or blurred to be detected.

    Only lines whose readings all give one length are returned, and none that is the end of a line that was read before:
    "z = 505 µm" is not a scale.
    """
    found: list[TextLine] = []
    for bar in bars[:_MOST_BARS]:
        for line in lines_beside(grey, bar):
            readings = _with_lengths(read_enlarged(grey, line, bar))
            if not readings:
                continue
            # A digit may have been left out: of "250 nm" the first.
            aside = _BESIDE * line.height_px
            wider = replace(line, left=line.left - aside, right=line.right + aside)
            again = readings + _with_lengths(read_enlarged(grey, wider, bar))
            lengths = {find_labels(read.text)[0].length_nm for read in again}
            best = max(readings, key=lambda read: read.score)
            sure = len(lengths) == 1 and (len(again) > 1 or readings[0].score > _SURE)
            if sure and not any(_is_end_of(best, other) for other in seen):
                found.append(best)
    return found


def _is_end_of(line: TextLine, other: TextLine) -> bool:
    """Whether it is the end of another line that was read well and holds no length."""
    rows = min(line.bottom, other.bottom) - max(line.top, other.top)
    cols = min(line.right, other.right) - max(line.left, other.left)
    within = rows > 0.5 * line.height_px and cols > 0.5 * line.width_px
    number, whole = (re.sub(r"\D", "", one.text) for one in (line, other))
    longer = whole.endswith(number) and (whole != number or not re.match(r"\W*\d", other.text))
    return within and longer and other.score > _SURE and not find_labels(other.text)


def _with_lengths(lines: list[TextLine]) -> list[TextLine]:
    return [line for line in lines if find_labels(line.text)]


def find_likely_bars(grey: np.ndarray) -> list[Bar]:
    """Bars anywhere in an image, without a label: those drawn best first."""
    import cv2

    height, width = grey.shape
    step = max(1, round((height * width / 1_500_000) ** 0.5))
    small = cv2.resize(grey, (width // step, height // step), interpolation=cv2.INTER_AREA).astype(np.float32)
    thin, thick = max(3, height // step // 40), max(8, height // step // 16)
    # In small images bars are relatively thick.
    bars = find_bars(small, max(16, width // step // 30), (thin, thick) if grey.size < _PIXELS_SMALL else (thin,))
    kept: list[Bar] = []
    for bar in sorted(bars, key=lambda bar: -bar.quality * bar.contrast):
        plausible = bar.length_px < 0.7 * width / step and bar.quality > 0.5
        if plausible and not any(surrounds(bar, other) for other in kept):
            kept.append(bar)
    kept.sort(key=lambda bar: -bar.quality * min(1.0, bar.contrast / 40))
    return [bar.enlarged(step) for bar in kept]


def _moved(line: TextLine, rows: float, cols: float) -> TextLine:
    return TextLine(line.text, line.score, line.top + rows, line.bottom + rows, line.left + cols, line.right + cols)
