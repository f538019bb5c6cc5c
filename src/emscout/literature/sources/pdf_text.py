"""Lines of text on a page of a PDF, and the captions among them."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import pypdfium2
import pypdfium2.raw as pdfium

from emscout.literature.panels.boxes import Box
from emscout.literature.sources.captions import is_caption

__all__ = ["UNITS_PER_PT", "Line", "captions_of", "displayed", "lines_of"]

# Places on a page are whole tenths of a point, from its upper left corner as it is displayed.
UNITS_PER_PT = 10

_LONGEST_CAPTION = 4000


class Line(NamedTuple):
    """Text and the box around it, in units of `UNITS_PER_PT`."""

    text: str
    box: Box


def lines_of(page: pypdfium2.PdfPage) -> list[Line]:
    """The lines of a page, in the order they are stored."""
    text_page = page.get_textpage()
    lines = []
    start = 0
    for text in text_page.get_text_range().split("\r\n"):
        words = " ".join(text.replace("\ufffe", "-").split())
        if words:
            edges = []
            for index in range(text_page.count_rects(start, len(text))):
                left, bottom, right, top = text_page.get_rect(index)
                edges += [displayed(page, left, top), displayed(page, right, bottom)]
            if edges:
                cols, rows = zip(*edges, strict=True)
                lines.append(Line(words, Box(*map(round, (min(rows), min(cols), max(rows), max(cols))))))
        start += len(text) + 2
    return lines


def captions_of(lines: list[Line]) -> list[Line]:
    """Captions, each with all of its lines: it ends where a gap, another size of type or another column begins."""
    captions = []
    for number, first in enumerate(lines):
        if not is_caption(first.text):
            continue
        text, box, before = first.text, first.box, first
        for line in lines[number + 1 :]:
            gap = line.box.top - before.box.bottom
            same_type = abs(line.box.height - before.box.height) < 0.5 * max(line.box.height, before.box.height)
            below = -0.5 * line.box.height < gap < 0.9 * max(line.box.height, before.box.height)
            same_column = min(line.box.right, box.right) - max(line.box.left, box.left) > 0
            if not (same_type and below and same_column) or is_caption(line.text) or len(text) > _LONGEST_CAPTION:
                break
            text = text[:-1] + line.text if text.endswith("-") else f"{text} {line.text}"
            box, before = box.joined(line.box), line
        captions.append(Line(text, box))
    return captions


def displayed(page: pypdfium2.PdfPage, x: float, y: float) -> tuple[float, float]:
    """Column and row on the page as it is displayed, in units, of a point in PDF coordinates."""
    fine = 100  # PDFium answers in whole pixels
    width, height = (round(side * UNITS_PER_PT * fine) for side in page.get_size())
    col, row = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page, 0, 0, width, height, 0, x, y, col, row)
    return col.value / fine, row.value / fine
