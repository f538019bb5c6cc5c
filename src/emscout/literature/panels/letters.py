"""The letters of panels, such as (a), b) and C."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from emscout.literature.panels.boxes import Box
from emscout.literature.panels.surfaces import luminance
from emscout.scale.text.ocr import TextLine, read_lines

__all__ = ["letters_among", "read_letters", "read_text"]

# Alone, or in front of a title when there is a bracket or point behind it.
_LETTER = re.compile(r"[(\[]?\s*([A-Za-z])\s*(?:[)\]]|[.:,]?$|[)\].:]\s*\S.*)")
_READ_PX = 700_000


def read_text(image: np.ndarray) -> list[TextLine]:
    """All lines of text of a figure."""
    grey = _grey(image)
    return read_lines(grey, min(max(grey.size, _READ_PX), 3 * _READ_PX))


def letters_among(lines: Sequence[TextLine]) -> list[Box]:
    """Boxes of single letters that may be the letter of a panel."""
    return [
        Box(int(line.top), int(line.left), int(line.bottom) + 1, int(line.right) + 1)
        for line in lines
        if _LETTER.fullmatch(line.text.strip()) and len(line.text.strip()) <= 4
    ]


def read_letters(image: np.ndarray, panels: Sequence[Box], lines: Sequence[TextLine]) -> list[str]:
    """The letter of each panel.

    Where a panel has no letter among the text of the figure, its upper corners are read again, enlarged. When the
    letters follow the alphabet in reading order, missing ones are filled in; contradictory ones are left empty.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    panels : sequence of Box
        In reading order.
    lines : sequence of TextLine
        From `read_text`.

    Returns
    -------
    list of str
        In lower case; empty where there is none.
    """
    grey = _grey(image)
    letters = [_letter_of(lines, panel, panels) for panel in panels]
    if panels:
        letters = [letter or _read_corner(grey, panel, panels) for letter, panel in zip(letters, panels, strict=True)]
    return _follow_alphabet(letters)


def _grey(image: np.ndarray) -> np.ndarray:
    return np.rint(luminance(image)).astype(np.uint8)


def _letter_of(lines: Sequence[TextLine], panel: Box, panels: Sequence[Box]) -> str:
    """The letter among lines of text in a corner of a panel, or just above or left of it."""
    found = []
    for line in lines:
        match = _LETTER.match(line.text.strip())
        if match is None or not _in_corner(line, panel):
            continue
        row, col = (line.top + line.bottom) / 2, line.left + line.height_px / 2
        # In a gutter between two panels it belongs to the one below or right of it.
        inside = [other for other in panels if other.top <= row < other.bottom and other.left <= col < other.right]
        if inside and panel not in inside:
            continue
        from_top_left = abs(row - panel.top) / panel.height + abs(col - panel.left) / panel.width
        found.append((from_top_left, match.group(1).lower()))
    return min(found)[1] if found else ""


def _in_corner(line: TextLine, panel: Box) -> bool:
    row, col = (line.top + line.bottom) / 2, (line.left + line.right) / 2
    outside = max(2.5 * line.height_px, 12)
    if not 0.02 * panel.height < line.height_px < 0.3 * panel.height:
        return False
    high = panel.top - outside <= row <= panel.top + 0.25 * panel.height
    low = panel.bottom - 0.25 * panel.height <= row <= panel.bottom + outside
    left = panel.left - outside <= line.left + line.height_px / 2 <= panel.left + 0.25 * panel.width
    right = panel.right - 0.25 * panel.width <= col <= panel.right
    return (high and (left or right)) or (low and (left or right) and panel.top <= row)


def _read_corner(grey: np.ndarray, panel: Box, panels: Sequence[Box]) -> str:
    margin = max(16, min(panel.height, panel.width) // 8)
    height, width = max(48, int(0.3 * panel.height)), max(64, int(0.3 * panel.width))
    top, left = max(0, panel.top - margin), max(0, panel.left - margin // 2)
    for first in (left, max(0, panel.right - width)):
        part = grey[top : top + height + margin, first : first + width + margin]
        lines = [
            TextLine(line.text, line.score, line.top + top, line.bottom + top, line.left + first, line.right + first)
            for line in read_lines(np.ascontiguousarray(part), 4 * part.size)
        ]
        if letter := _letter_of(lines, panel, panels):
            return letter
    return ""


def _follow_alphabet(letters: list[str]) -> list[str]:
    """Fill gaps in a sequence a, b, c …; a letter that occurs twice is not trusted."""
    expected = [chr(ord("a") + index) for index in range(len(letters))]
    read = [(letter, place) for letter, place in zip(letters, expected, strict=False) if letter]
    agreeing = sum(letter == place for letter, place in read)
    if len(letters) > 1 and len(read) == 1 and not agreeing:  # a speck or a label on an axis
        return [""] * len(letters)
    if len(letters) <= 26 and agreeing >= 2 and agreeing >= 0.5 * len(letters):
        return [
            place if not letter or letters.count(letter) > 1 else letter
            for letter, place in zip(letters, expected, strict=True)
        ]
    return [letter if letters.count(letter) == 1 else "" for letter in letters]
