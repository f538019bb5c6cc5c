"""All images of a set in one picture, each at its place on the grid."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from emscout.report.overlay import load_font

__all__ = ["draw_mosaic", "read_layout"]

# Row first, as in Tile_001-002-000000_0-000, r01_c02, Row3Col4. The first pattern that all names match counts.
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"r(?:ow)?[ _-]?(\d{1,3})[ _,-]*c(?:ol(?:umn)?)?[ _-]?(\d{1,3})(?!\d)",
        r"(?<!\d)(\d{1,3})[-x](\d{1,3})(?!\d)",
    )
)
# With more empty places than this per image the numbers mean something else.
_MOST_EMPTY = 3
_MAX_SIDE_PX = 2400
_GAP_PX = 4


def read_layout(names: Sequence[str]) -> dict[str, tuple[int, int]] | None:
    """Row and column of each image of a set, from their names.

    Parameters
    ----------
    names : sequence of str
        Such as ``Tile_001-002-000000_0-000`` (row 1, column 2).

    Returns
    -------
    dict of str to (int, int), or None
        Counted from 0 at the upper left; ``None`` when a name holds no position, or two hold the same.
    """
    for pattern in _PATTERNS:
        matches = [pattern.search(name) for name in names]
        places = [(int(match[1]), int(match[2])) for match in matches if match]
        if len(places) == len(names) and len(set(places)) == len(names) > 1:
            corner = np.min(places, axis=0)
            n_rows, n_cols = np.max(places, axis=0) - corner + 1
            if n_rows * n_cols <= (_MOST_EMPTY + 1) * len(names):
                shifted = [(int(row - corner[0]), int(col - corner[1])) for row, col in places]
                return dict(zip(names, shifted, strict=True))
    return None


def draw_mosaic(pictures: Mapping[str, np.ndarray], layout: Mapping[str, tuple[int, int]] | None) -> np.ndarray:
    """Draw all pictures of a set in rows and columns where these are known, otherwise as a list with their names.

    Parameters
    ----------
    pictures : mapping of str to ndarray of uint8, shape (h, w) or (h, w, 3)
    layout : mapping of str to (int, int), or None
        From `read_layout`.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        With a longest side of at most 2400 px; white where there is no picture. Pictures of different sizes lie in the
        upper left corners of equal cells, on a common scale where the layout is known.
    """
    n_across = math.ceil(math.sqrt(len(pictures)))
    places = layout or {name: divmod(index, n_across) for index, name in enumerate(pictures)}
    n_rows, n_cols = np.max(list(places.values()), axis=0) + 1
    tallest, widest = (max(picture.shape[axis] for picture in pictures.values()) for axis in (0, 1))
    scale = min(1.0, (_MAX_SIDE_PX / n_rows - _GAP_PX) / tallest, (_MAX_SIDE_PX / n_cols - _GAP_PX) / widest)
    height, width = max(1, int(tallest * scale)), max(1, int(widest * scale))
    font_px = max(10, min(height, width) // 24)
    gap = _GAP_PX if layout else _GAP_PX + round(1.5 * font_px)
    canvas = Image.new("RGB", (n_cols * (width + _GAP_PX), n_rows * (height + gap)), "white")
    draw, font = ImageDraw.Draw(canvas), load_font(font_px)
    for name, picture in pictures.items():
        row, col = places[name]
        top, left = row * (height + gap), col * (width + _GAP_PX)
        # A list has no common scale, so each picture fills its cell.
        own = scale if layout else min(height / picture.shape[0], width / picture.shape[1])
        size = (max(1, int(picture.shape[1] * own)), max(1, int(picture.shape[0] * own)))
        canvas.paste(Image.fromarray(picture).convert("RGB").resize(size, Image.Resampling.LANCZOS), (left, top))
        if not layout:
            draw.text((left, top + height + 2), _fit(name, font_px, width), fill="black", font=font)
    return np.asarray(canvas)


def _fit(name: str, font_px: int, width_px: int) -> str:
    """The end of a name, where names differ, as far as there is room."""
    most = max(4, int(width_px / (0.62 * font_px)))
    return name if len(name) <= most else "…" + name[1 - most :]
