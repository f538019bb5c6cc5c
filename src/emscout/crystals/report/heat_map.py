"""Heat maps: tiles in the colours of their clusters on the micrograph, targets outlined, scale and legend below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from emscout.report.overlay import add_scale_bar, load_font

__all__ = ["TARGET_COLOUR", "TilePicture", "cluster_colour", "colour_tiles", "draw_contact_sheet", "draw_heat_map"]

# After Okabe & Ito (https://jfly.uni-koeln.de/color/), also for colour-blind readers. Their vermilion is reserved for
# targets, which must be found at a glance.
_CLUSTER_COLOURS = (
    (0, 114, 178),
    (240, 228, 66),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (150, 110, 60),
    (120, 120, 120),
    (170, 200, 120),
)
TARGET_COLOUR = (255, 80, 20)
_BLACK_COLOUR = (20, 20, 20)
_TINT, _FAINT_TINT = 0.42, 0.14
_FILM_GREY = 170
_HATCH_PX = 10
_COMFORTABLE_SIDE_PX = 1000
_SHEET_SIDE_PX = 2400


@dataclass(frozen=True, eq=False)
class TilePicture:
    """What is drawn of one image.

    Parameters
    ----------
    grey : ndarray of uint8, shape (h, w)
        The micrograph, made smaller by a whole factor.
    shrink : int
        That factor.
    rows, cols : ndarray of int, shapes (n_rows, 2) and (n_cols, 2)
        First and last + 1 pixel of each row and column of tiles in the whole image, without overlap.
    cluster : ndarray of int, shape (n_rows, n_cols)
        From 1; 0 where a tile is black.
    target : ndarray of bool, shape (n_rows, n_cols)
    commonest : int
        The cluster of most tiles of the set.
    """

    grey: np.ndarray
    shrink: int
    rows: np.ndarray
    cols: np.ndarray
    cluster: np.ndarray
    target: np.ndarray
    commonest: int

    def paint(self, values: np.ndarray, outside: float = 0) -> np.ndarray:
        """Spread a value of each tile over the picture; pixels of no tile get ``outside``."""
        row, in_row = _tile_of(self.rows, self.grey.shape[0], self.shrink)
        col, in_col = _tile_of(self.cols, self.grey.shape[1], self.shrink)
        return np.where(np.outer(in_row, in_col), values[np.ix_(row, col)], np.asarray(outside, values.dtype))


def _tile_of(spans: np.ndarray, length: int, shrink: int) -> tuple[np.ndarray, np.ndarray]:
    """Index of the tile in which each pixel of the picture lies, and whether it lies in one."""
    middle = (np.arange(length) + 0.5) * shrink
    index = np.clip(np.searchsorted(spans[:, 0], middle, side="right") - 1, 0, len(spans) - 1)
    return index, (spans[index, 0] <= middle) & (middle < spans[index, 1])


def cluster_colour(cluster: int) -> tuple[int, int, int]:
    """Colour of a cluster, counted from 1; colours repeat after the eighth."""
    return _CLUSTER_COLOURS[(cluster - 1) % len(_CLUSTER_COLOURS)]


def colour_tiles(picture: TilePicture, *, enlarge: int = 1) -> np.ndarray:
    """The micrograph (h, w, 3), enlarged: clusters in colour, black tiles hatched, targets outlined.

    The commonest cluster, which is mostly empty film, has a fainter colour, so that the specimen stays visible.
    """

    def enlarged(values: np.ndarray) -> np.ndarray:
        return values.repeat(enlarge, axis=0).repeat(enlarge, axis=1)

    cluster = picture.paint(picture.cluster, outside=-1)
    colours, tints = np.zeros((int(max(cluster.max(), 0)) + 2, 3)), np.zeros(int(max(cluster.max(), 0)) + 2)
    for number in range(1, len(tints) - 1):
        colours[number], tints[number] = cluster_colour(number), cluster_opacity(number, picture.commonest)
    share = tints[cluster][:, :, None]
    rgb = ((1 - share) * picture.grey[:, :, None] + share * colours[cluster]).round().astype(np.uint8)
    rows, cols = np.nonzero(cluster == 0)
    hatched = (rows + cols) % _HATCH_PX == 0
    rgb[rows[hatched], cols[hatched]] = rgb[rows[hatched], cols[hatched]] // 2 + 70
    rgb, target = enlarged(rgb), enlarged(picture.paint(picture.target))
    thick = max(1, round(max(rgb.shape) / 400))
    # A white line beside the coloured one makes it visible on the colour of any cluster.
    for colour, reach in (((255, 255, 255), 2 * thick), (TARGET_COLOUR, thick)):
        inside = ndimage.minimum_filter(target, 2 * reach + 1, mode="constant", cval=0)
        rgb[target & ~inside] = colour
    return rgb


def cluster_opacity(cluster: int, commonest: int) -> float:
    """Share of the colour of a cluster in the mixture with grey."""
    return _FAINT_TINT if cluster == commonest else _TINT


def draw_heat_map(
    picture: TilePicture,
    names: Mapping[int, str],
    ranks: Sequence[tuple[int, float, float]],
    *,
    nm_per_px: float | None = None,
) -> np.ndarray:
    """Draw clusters and targets of one image, above a strip with scale bar and legend.

    Parameters
    ----------
    picture : TilePicture
    names : mapping of int to str
        Names of the clusters in the legend; 0 for black tiles.
    ranks : sequence of (int, float, float)
        Rank and centre (row_px, col_px) of each target; the rank is written there.
    nm_per_px : float or None
        Pixel size of the whole image; without it the scale bar is in pixels.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    longest = max(picture.grey.shape)
    rgb = colour_tiles(
        picture, enlarge=1 if longest >= _COMFORTABLE_SIDE_PX / 2 else math.ceil(_COMFORTABLE_SIDE_PX / longest)
    )
    scale = rgb.shape[0] / picture.grey.shape[0] / picture.shrink
    canvas = Image.fromarray(rgb)
    font_px = max(13, round(max(rgb.shape[:2]) / 56))
    font, draw = load_font(font_px), ImageDraw.Draw(canvas)
    for rank, row_px, col_px in ranks:
        place = ((col_px + 0.5) * scale, (row_px + 0.5) * scale)
        draw.text(place, str(rank), fill="white", font=font, anchor="mm", stroke_width=2, stroke_fill="black")
    framed = add_scale_bar(canvas, scale, nm_per_px, font_px=font_px)
    entries = [
        (_BLACK_COLOUR if number == 0 else _as_shown(number, picture.commonest), name, False)
        for number, name in names.items()
    ]
    return np.asarray(_add_legend(framed, [*entries, (TARGET_COLOUR, "target", True)], font_px))


def _as_shown(cluster: int, commonest: int) -> tuple[int, int, int]:
    """Colour of a cluster on light grey film, as it appears in the picture."""
    share = cluster_opacity(cluster, commonest)
    shown = [round((1 - share) * _FILM_GREY + share * channel) for channel in cluster_colour(cluster)]
    return shown[0], shown[1], shown[2]


def _add_legend(
    picture: Image.Image, entries: Sequence[tuple[tuple[int, int, int], str, bool]], font_px: int
) -> Image.Image:
    """Add a legend below: a coloured square and a name for each entry, or a frame where the last value is True."""
    font, side = load_font(font_px), font_px
    places: list[tuple[int, int]] = []
    left, line = font_px // 2, 0
    for _, name, _ in entries:
        width = round(1.4 * side + font.getlength(name) + 1.6 * font_px)
        if places and left + width > picture.width:
            left, line = font_px // 2, line + 1
        places.append((left, line))
        left += width
    line_px = round(1.6 * font_px)
    framed = Image.new("RGB", (picture.width, picture.height + (line + 1) * line_px + font_px // 2), "white")
    framed.paste(picture, (0, 0))
    draw = ImageDraw.Draw(framed)
    for (colour, name, is_frame), (x, line) in zip(entries, places, strict=True):
        top = picture.height + line * line_px + (line_px - side) // 2
        box = (x, top, x + side, top + side)
        draw.rectangle(box, fill=None if is_frame else colour, outline=colour, width=max(2, side // 6))
        draw.text((x + 1.4 * side, top + side / 2), name, fill="black", font=font, anchor="lm")
    return framed


def draw_contact_sheet(panels: Sequence[tuple[str, np.ndarray]]) -> np.ndarray:
    """Put pictures with titles side by side, two in a row.

    Parameters
    ----------
    panels : sequence of (str, ndarray of uint8 (h, w, 3))
        Of the same size.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        With a longest side of about 2400 px.
    """
    n_rows = math.ceil(len(panels) / 2)
    height, width = panels[0][1].shape[:2]
    scale = min(1.0, _SHEET_SIDE_PX / 2 / width, _SHEET_SIDE_PX / n_rows / height)
    height, width = round(height * scale), round(width * scale)
    font_px = max(14, width // 40)
    title_px, gap = 2 * font_px, font_px
    canvas = Image.new("RGB", (2 * width + gap, n_rows * (height + title_px + gap)), "white")
    draw, font = ImageDraw.Draw(canvas), load_font(font_px)
    for index, (title, picture) in enumerate(panels):
        row, col = divmod(index, 2)
        top, left = row * (height + title_px + gap), col * (width + gap)
        draw.text((left, top + title_px / 2), title, fill="black", font=font, anchor="lm")
        resized = Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)
        canvas.paste(resized, (left, top + title_px))
    return np.asarray(canvas)
