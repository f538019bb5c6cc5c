"""Lines of text beside a bar, found by their grey value and read one by one: text too small or blurred to detect."""

from __future__ import annotations

import re

import numpy as np

from emscout.scale.bars.find import Bar
from emscout.scale.text.ocr import TextLine, read_letters

__all__ = ["MIN_INK", "bar_ink", "lines_beside", "read_enlarged"]

MIN_INK = 20.0  # grey levels of 255 by which a letter differs from its background
_INK_SHARES = (0.5, 0.25)  # of a bar's contrast, by which the grey of its letters may differ
_MIN_LETTER_PX = 5
_MAX_LETTER_SHARE = 0.12  # of the image's height
_MAX_GAP = 1.2  # between letters, in heights of the line
_WIDTHS = (1.3, 14.0)  # of a line, in heights
_MOST_LINES = 3
_ROOM = 0.2  # around a line, in its heights
_NUMBER = re.compile(r"[0-9OoQIlSsZz|]")  # digits, and letters that digits are mistaken for
_LETTER_PX = 48  # height at which letters are read


def lines_beside(grey: np.ndarray, bar: Bar) -> list[TextLine]:
    """Boxes of what may be lines of text in the grey of a bar, nearest first; nothing is read yet.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W)
    bar : Bar
    """
    import cv2

    height, width = grey.shape
    reach = float(np.clip(0.6 * bar.length_px, 0.06 * height, _MAX_LETTER_SHARE * height)) + 4
    aside = max(0.8 * bar.length_px, 0.15 * width)
    top, left = max(0, int(bar.top - reach)), max(0, int(bar.x0 - aside))
    part = grey[top : int(bar.bottom + reach) + 1, left : int(bar.x1 + aside) + 1].astype(np.float32)
    ink = bar_ink(grey, bar)
    own = slice(max(0, int(bar.top) - 1 - top), int(bar.bottom) + 3 - top)
    own_cols = slice(max(0, int(bar.x0 - bar.cap_width_px) - 2 - left), int(bar.x1 + bar.cap_width_px) + 4 - left)
    found: list[TextLine] = []
    for share in _INK_SHARES:
        inked = (np.abs(part - ink) < share * bar.contrast).astype(np.uint8)
        inked[own, own_cols] = 0
        _, _, boxes, _ = cv2.connectedComponentsWithStats(inked, connectivity=8)
        letters = [
            (int(x), int(y), int(x + w), int(y + h))
            for x, y, w, h, area in boxes[1:]
            if h <= _MAX_LETTER_SHARE * height and w <= 3 * max(h, _MIN_LETTER_PX) and area >= 2
        ]
        for x0, y0, x1, y1 in _rows_of_letters(letters):
            line = TextLine("", 0.0, y0 + top - 0.5, y1 + top - 0.5, x0 + left - 0.5, x1 + left - 0.5)
            if not any(_is_same(line, other) for other in found):
                found.append(line)
    return sorted(found, key=lambda line: _distance(line, bar))[:_MOST_LINES]


def read_enlarged(grey: np.ndarray, line: TextLine, bar: Bar) -> list[TextLine]:
    """Read a line enlarged: stretched, sharpened, and by its distance from the bar's grey.

    Nothing is returned where the first reading shows no number.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W)
    line : TextLine
        Only its box is used, not its text.
    bar : Bar
    """
    import cv2

    room = _ROOM * line.height_px
    rows = slice(max(0, round(line.top + 0.5 - room)), max(0, round(line.bottom + 0.5 + room)))
    cols = slice(max(0, round(line.left + 0.5 - 2 * room)), max(0, round(line.right + 0.5 + 2 * room)))
    part = grey[rows, cols]
    if min(part.shape) < _MIN_LETTER_PX:
        return []
    times = float(np.clip(2 * _LETTER_PX / part.shape[0], 1.0, 6.0))
    shown = cv2.resize(part, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    low, high = np.percentile(shown, (1, 99))
    views = (
        (shown - low) * (255 / max(1.0, high - low)),
        3 * shown - 2 * cv2.GaussianBlur(shown, (0, 0), times),
        np.abs(shown - bar_ink(grey, bar)) * (255 / max(MIN_INK, bar.contrast)),
    )
    read: list[TextLine] = []
    for view in views:
        text, score = read_letters(np.clip(view, 0, 255).astype(np.uint8))
        if not read and not _NUMBER.search(text):
            break
        read.append(TextLine(text, score, line.top, line.bottom, line.left, line.right))
    return read


def bar_ink(grey: np.ndarray, bar: Bar) -> float:
    """The grey value in which a bar is drawn."""
    rows = slice(max(0, round(bar.top + 0.5)), max(1, round(bar.bottom + 0.5)))
    return float(np.median(grey[rows, round(bar.x0) + 2 : round(bar.x1) - 1]))


def _rows_of_letters(letters: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Boxes (x0, y0, x1, y1) around letters that stand on one line, close to one another."""
    tall = sorted(box for box in letters if box[3] - box[1] >= _MIN_LETTER_PX)
    rows: list[list[tuple[int, int, int, int]]] = []
    for box in tall:
        for row in rows:
            last = row[-1]
            high = max(box[3] - box[1], last[3] - last[1])
            level = min(box[3], last[3]) - max(box[1], last[1]) >= 0.5 * min(box[3] - box[1], last[3] - last[1])
            alike = min(box[3] - box[1], last[3] - last[1]) >= 0.4 * high
            if level and alike and box[0] - last[2] <= _MAX_GAP * high:
                row.append(box)
                break
        else:
            rows.append([box])
    around = []
    for row in rows:
        x0, y0, x1, y1 = zip(*row, strict=True)
        around.append((min(x0), min(y0), max(x1), max(y1)))
    return [box for box in around if _WIDTHS[0] <= (box[2] - box[0]) / (box[3] - box[1]) <= _WIDTHS[1]]


def _is_same(a: TextLine, b: TextLine) -> bool:
    wide, high = min(a.right, b.right) - max(a.left, b.left), min(a.bottom, b.bottom) - max(a.top, b.top)
    return wide > 0.8 * max(a.width_px, b.width_px) and high > 0.8 * max(a.height_px, b.height_px)


def _distance(line: TextLine, bar: Bar) -> float:
    rows = max(0.0, line.top - bar.bottom, bar.top - line.bottom)
    cols = max(0.0, line.left - bar.x1, bar.x0 - line.right)
    off_centre = abs(line.left + line.right - bar.x0 - bar.x1) / 2 if cols == 0 else 0.0
    return float(np.hypot(rows, cols) + 0.1 * off_centre)
