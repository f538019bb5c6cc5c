"""Micrographs with a printed scale of known ends and value, in the styles of microscopes and journals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emscout.synthetic.particles import make_micrograph

__all__ = ["BAR_STYLES", "PrintedScale", "print_scale"]

Style = Literal["line", "box", "caps", "ticks", "split", "outline"]
Ground = Literal["overlay", "plate", "banner"]
Side = Literal["above", "below", "left", "right"]

BAR_STYLES: tuple[Style, ...] = ("line", "box", "caps", "ticks", "split", "outline")
_FINE = 4  # everything is drawn this many times larger, then downscaled
_TICKS = 11
_BANNER_TEXT = ("SU8010 5.0kV 9.2mm x220k SE(UL) 7/10/2018", "HV 15.00 kV  WD 4.1 mm  mag 50 000 x")


@dataclass(frozen=True)
class PrintedScale:
    """A printed scale.

    Parameters
    ----------
    x0_px, x1_px, row_px : float
        Ends (between the middles of caps and ticks) and middle row of the bar.
    box : tuple of float
        top, bottom, left, right of everything that was drawn: bar, label, plate.
    banner_px : int
        Height of the banner at the lower edge.
    """

    x0_px: float
    x1_px: float
    row_px: float
    box: tuple[float, float, float, float]
    banner_px: int

    @property
    def length_px(self) -> float:
        return self.x1_px - self.x0_px


def print_scale(
    label: str,
    style: Style = "line",
    *,
    length_px: float = 120.0,
    side: Side = "above",
    ground: Ground = "overlay",
    ink: int = 255,
    font_px: int = 22,
    shape: tuple[int, int] = (384, 512),
    image: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, PrintedScale]:
    """A micrograph with a scale printed near its lower edge.

    Parameters
    ----------
    label : str
        Written beside the bar; nothing where it is empty.
    style : {'line', 'box', 'caps', 'ticks', 'split', 'outline'}
        ``split``: interrupted by its label; ``ticks``: eleven strokes without a line.
    length_px : float
        Of the bar; 0 draws none.
    side : {'above', 'below', 'left', 'right'}
        Where the label is; with ``split`` it is in the middle.
    ground : {'overlay', 'plate', 'banner'}
        What the scale is printed on; a banner holds other numbers, too.
    ink : int
        Grey of bar and text, 0..255.
    font_px : int
        Height of the letters; everything else is drawn in proportion.
    shape : tuple of int
    image : ndarray of uint8, shape (H, W), or None
        Micrograph to print on, instead of a synthetic one.
    seed : int
        Random seed of the micrograph and the place of the bar.

    Returns
    -------
    image : ndarray of uint8, shape (H, W)
    printed : PrintedScale
    """
    generator = np.random.default_rng(seed)
    if image is None:
        micrograph, _, _ = make_micrograph(shape, n_particles=20, diameter_px=(30, 6), seed=seed)
        low, high = np.percentile(micrograph.image, (0.5, 99.5))
        image = np.clip((micrograph.image - low) / (high - low) * 190 + 30, 0, 255).astype(np.uint8)
    height, width = image.shape
    font = _font(font_px * _FINE)
    text_width = font.getlength(label) / _FINE
    banner = round(3.2 * font_px) if ground == "banner" else 0
    thickness = {"box": 0.5, "outline": 0.45}.get(style, 0.14) * font_px
    # A place where bar and label have room.
    beside = side in ("left", "right") and style != "split"
    room = text_width + 0.8 * font_px
    left = 10 + (room if side == "left" and beside else 0) + generator.uniform(0, 1)
    free = width - 10 - length_px - (room if side == "right" and beside else 0)
    x0 = left + generator.uniform(0.2, 0.8) * max(0.0, free - left)
    row = height - banner / 2 - (0 if banner else 1.8 * font_px)
    row += {"above": 0.55 * font_px, "below": -0.55 * font_px}.get(side, 0.0) if style != "split" else 0.0
    x1 = x0 + length_px

    place = _text_place(style, side, x0, x1, row, thickness, text_width, font_px)
    frame = _frame(label, place, text_width, font_px, style, x0, x1, row, thickness)
    mask, backdrop = (Image.new("L", (width * _FINE, height * _FINE), 0) for _ in range(2))
    draw = ImageDraw.Draw(mask)
    if length_px:
        _draw_bar(draw, style, x0, x1, row, thickness, text_width + 0.8 * font_px)
    if label:
        draw.text(((place[0] + 0.5) * _FINE, (place[1] + 0.5) * _FINE), label, fill=255, font=font, anchor="lm")
    if banner:
        small = _font(round(0.55 * font_px * _FINE))
        for text, at in zip(_BANNER_TEXT, (0.25, 0.85), strict=True):
            if x0 > 0.5 * width or frame[0] > height - banner * (1 - at) + 0.3 * font_px:
                draw.text((6 * _FINE, (height - banner * (1 - at)) * _FINE), text, fill=255, font=small, anchor="lm")
        ImageDraw.Draw(backdrop).rectangle([0, (height - banner) * _FINE, width * _FINE, height * _FINE], fill=255)
    elif ground == "plate":
        edges = (frame[2] - 6, frame[0] - 5, frame[3] + 6, frame[1] + 5)
        ImageDraw.Draw(backdrop).rectangle([round(edge) * _FINE for edge in edges], fill=255)
        frame = (edges[1], edges[3], edges[0], edges[2])
    printed = _blend(image, backdrop, 255.0 if ink < 128 else 0.0)
    printed = _blend(printed, mask, float(ink))
    return np.round(printed).astype(np.uint8), PrintedScale(x0, x1, row, frame, banner)


def _draw_bar(
    draw: ImageDraw.ImageDraw, style: Style, x0: float, x1: float, row: float, thickness: float, gap: float
) -> None:
    half, stroke, cap = thickness / 2, max(1.0, thickness * 0.7), 2.2 * thickness

    def fill(left: float, right: float, top: float, bottom: float) -> None:
        edges = [(left + 0.5) * _FINE, (top + 0.5) * _FINE, (right + 0.5) * _FINE - 1, (bottom + 0.5) * _FINE - 1]
        draw.rectangle([round(edge) for edge in edges], fill=255)

    if style == "ticks":
        for i in range(_TICKS):
            at, long = x0 + (x1 - x0) * i / (_TICKS - 1), 1.6 if i % 5 == 0 else 1.0
            fill(at - 1, at + 1, row - 1.8 * thickness * long, row)
    elif style == "outline":
        for top in (row - half, row + half):
            fill(x0 - 1, x1 + 1, top - 1, top + 1)
        for at in (x0, x1):
            fill(at - 1, at + 1, row - half, row + half)
    else:
        middle = (x0 + x1) / 2
        parts = [(x0, middle - gap / 2), (middle + gap / 2, x1)] if style == "split" else [(x0, x1)]
        for left, right in parts:
            fill(left, right, row - half, row + half)
        if style in ("caps", "split"):
            for at in (x0, x1):
                fill(at - stroke / 2, at + stroke / 2, row - cap, row + cap)


def _text_place(
    style: Style, side: Side, x0: float, x1: float, row: float, thickness: float, text_width: float, font_px: int
) -> tuple[float, float]:
    """Left end and middle row of the text."""
    centred = (x0 + x1 - text_width) / 2
    if style == "split":
        return centred, row
    away = 0.8 * font_px + (2.9 if style in ("caps", "ticks") else 0.5) * thickness
    return {
        "above": (centred, row - away),
        "below": (centred, row + away),
        "left": (x0 - text_width - 0.5 * font_px, row),
        "right": (x1 + 0.5 * font_px, row),
    }[side]


def _frame(
    label: str,
    place: tuple[float, float],
    text_width: float,
    font_px: int,
    style: Style,
    x0: float,
    x1: float,
    row: float,
    thickness: float,
) -> tuple[float, float, float, float]:
    reach = thickness * (3.0 if style == "ticks" else 2.2 if style in ("caps", "split") else 0.6)
    if not label:
        return row - reach, row + reach, x0, x1
    return (
        min(row - reach, place[1] - 0.5 * font_px),
        max(row + reach, place[1] + 0.6 * font_px),
        min(x0, place[0]),
        max(x1, place[0] + text_width),
    )


def _blend(image: np.ndarray, mask: Image.Image, grey: float) -> np.ndarray:
    cover = np.asarray(mask.resize((image.shape[1], image.shape[0]), Image.Resampling.BOX), float) / 255
    return image * (1 - cover) + grey * cover


def _font(size_px: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # carries the font

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size_px)
