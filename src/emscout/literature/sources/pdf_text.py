"""Lines of text on a page of a PDF, and the captions among them."""

from __future__ import annotations

from typing import NamedTuple

import pypdfium2

from emscout.literature.panels.boxes import Box
from emscout.literature.sources.captions import is_caption

__all__ = ["Line", "captions_of", "lines_of"]

_LONGEST_CAPTION = 4000


class Line(NamedTuple):
    """Text and the box around it, in the units of `emscout.literature.sources.pdf`."""

    text: str
    box: Box


def lines_of(page: pypdfium2.PdfPage) -> list[Line]:
    """The lines of a page, in the order they are stored."""
    from emscout.literature.sources.pdf import displayed

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
