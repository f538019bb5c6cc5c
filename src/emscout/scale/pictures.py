"""Pictures of readings: the ends of the bar, the box of its text, and the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from emscout.report.overlay import load_font
from emscout.scale.grey import to_uint8
from emscout.scale.reading import NoScale, ScaleReading
from emscout.units import spell_length

__all__ = ["contact_sheet", "draw_reading"]

_BAR = (255, 120, 0)
_TEXT = (0, 200, 255)
_NONE = (255, 80, 80)
_SIDE_PX = 1400
_CELL_PX = (400, 330)
_COLUMNS = 5


def draw_reading(image: np.ndarray, reading: ScaleReading | NoScale, name: str) -> np.ndarray:
    """Mark the ends of the bar and the text in an image, above a strip with what was read.

    Returns
    -------
    ndarray of uint8, shape (H', W', 3)
        At most 1400 pixels wide and high, not counting the strip.
    """
    grey = to_uint8(image)
    grey = np.zeros(image.shape[:2], np.uint8) if grey is None else grey
    scale = min(1.0, _SIDE_PX / max(grey.shape))
    size = max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale))
    shown = Image.fromarray(grey).resize(size, Image.Resampling.BOX).convert("RGB")
    strip, font = 26, load_font(14)
    picture = Image.new("RGB", (max(size[0], 320), size[1] + strip), (24, 24, 24))
    picture.paste(shown, (0, 0))
    draw = ImageDraw.Draw(picture)
    if reading.line is not None:
        line = reading.line
        box = [_shown(edge, scale) for edge in (line.left - 1, line.top - 1, line.right + 1, line.bottom + 1)]
        draw.rectangle(box, outline=_TEXT)
    if reading.bar is not None:
        bar = reading.bar
        high = max(6.0, (bar.bottom - bar.top) * scale)
        middle, ends = _shown(bar.row_px, scale), (_shown(bar.x0, scale), _shown(bar.x1, scale))
        for x in ends:
            draw.line([x, middle - high, x, middle + high], fill=_BAR)
        draw.line([ends[0], middle + high, ends[1], middle + high], fill=_BAR)
    if isinstance(reading, ScaleReading):
        said, colour = f"{reading.spelled} = {reading.bar.length_px:.1f} px: {_spell(reading)} per pixel", _BAR
    else:
        said, colour = reading.reason, _NONE
    draw.text((4, size[1] + 5), f"{name}   {said}", fill=colour, font=font)
    return np.asarray(picture)


def contact_sheet(pictures: Sequence[Path]) -> np.ndarray:
    """All pictures of a run on one sheet, five in a row."""
    rows = -(-len(pictures) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _CELL_PX[0], max(1, rows) * _CELL_PX[1]), (60, 60, 60))
    for i, path in enumerate(pictures):
        with Image.open(path) as picture:
            cell = picture.convert("RGB")
        cell.thumbnail((_CELL_PX[0] - 8, _CELL_PX[1] - 8))
        sheet.paste(cell, (i % _COLUMNS * _CELL_PX[0] + 4, i // _COLUMNS * _CELL_PX[1] + 4))
    return np.asarray(sheet)


def _shown(px: float, scale: float) -> float:
    return (px + 0.5) * scale - 0.5


def _spell(reading: ScaleReading) -> str:
    return spell_length(reading.nm_per_px, digits=4)
