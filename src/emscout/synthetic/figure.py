"""Composite journal figures of synthetic micrographs, plots, drawings and photographs, whose layout is known."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from emscout.synthetic.particles import make_micrograph

__all__ = ["DRAWN", "LAYOUTS", "SyntheticFigure", "make_figure"]

Gutter = Literal["white", "black", "grey"]

_GREYS = {"white": 255, "black": 0, "grey": 128}
_MIXED = ("micrograph", "plot", "micrograph", "drawing", "micrograph", "photograph")
LAYOUTS: dict[str, dict[str, Any]] = {
    "white, 12 px": {"gutter_px": 12, "kinds": _MIXED},
    "white, 24 px, letters above": {"gutter_px": 24, "margin_px": 22, "letters": "above", "kinds": _MIXED},
    "white, 3 px": {"gutter_px": 3, "kinds": _MIXED},
    "black, 6 px": {"gutter": "black", "gutter_px": 6, "kinds": _MIXED},
    "grey, 5 px, frame": {"gutter": "grey", "gutter_px": 5, "margin_px": 4, "kinds": _MIXED},
    "white, 1 px": {"gutter_px": 1},
    "black, 1 px": {"gutter": "black", "gutter_px": 1},
    "touching": {"gutter_px": 0},
}
"""What journals put between panels: arguments of `make_figure`."""

_COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#111111", "#8e44ad")


@dataclass(frozen=True)
class SyntheticFigure:
    """A composite figure and what is in it.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    panels : DataFrame
        One row per panel, in reading order: ``letter``, ``kind``, the box ``top_px``, ``left_px``, ``height_px``,
        ``width_px`` (of a plot or drawing that of its ink, with a letter inside), and, for micrographs,
        ``count`` and ``nm_per_px``.
    """

    image: np.ndarray
    panels: pd.DataFrame

    @property
    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Top, left, bottom and right of each panel, the ends not included."""
        sides = self.panels[["top_px", "left_px", "height_px", "width_px"]].itertuples(index=False)
        return [(top, left, top + height, left + width) for top, left, height, width in sides]


def make_figure(
    rows: Sequence[int] = (2, 2),
    *,
    kinds: Sequence[str] = ("micrograph",),
    gutter: Gutter = "white",
    gutter_px: int = 12,
    margin_px: int = 0,
    width_px: int = 640,
    row_px: tuple[int, int] = (170, 260),
    letters: Literal["inside", "above", "none"] = "inside",
    letter_form: str = "({})",
    scale_bar: bool = True,
    jpeg_quality: int | None = None,
    seed: int = 0,
) -> SyntheticFigure:
    """Draw a figure of panels in rows.

    Parameters
    ----------
    rows : sequence of int
        Number of panels in each row.
    kinds : sequence of str
        Keys of `DRAWN`; the panels use them in turn.
    gutter, gutter_px : str, int
        Colour and width of what lies between panels; 0 px: panels touch.
    margin_px : int
        Width of a margin of the same colour around all panels.
    width_px : int
        Of the figure without its margin.
    row_px : (int, int)
        Least and greatest height of a row.
    letters : {'inside', 'above', 'none'}
        Where each panel's letter is; ``above`` needs a gutter or margin of 20 px, and is drawn left.
    letter_form : str
        Form of the letters: ``"({})"``, ``"{})"`` or ``"{}"``.
    scale_bar : bool
        Whether micrographs have a labelled bar.
    jpeg_quality : int or None
        Store as JPEG and read again, as journals do; ``None`` leaves the pixels as drawn.
    seed : int
        Random seed; the same arguments give the same bytes.

    Returns
    -------
    SyntheticFigure
    """
    rng = np.random.default_rng(seed)
    heights = rng.integers(row_px[0], row_px[1] + 1, len(rows))
    shape = (int(heights.sum()) + gutter_px * (len(rows) - 1) + 2 * margin_px, width_px + 2 * margin_px, 3)
    image = np.full(shape, _GREYS[gutter], np.uint8)
    truth: list[dict[str, object]] = []
    top = margin_px
    for n_panels, height in zip(rows, heights, strict=True):
        for left, width in _split_width(width_px, n_panels, gutter_px, rng):
            number, kind = len(truth), kinds[len(truth) % len(kinds)]
            panel, facts = DRAWN[kind]((int(height), width), scale_bar, rng)
            box = (slice(top, top + int(height)), slice(margin_px + left, margin_px + left + width))
            image[box] = panel
            letter = "" if letters == "none" else chr(ord("a") + number)
            if letter:
                corner = (top + 3, margin_px + left + 4) if letters == "inside" else (top - 19, margin_px + left)
                _write_letter(image, corner, letter_form.format(letter), plate=kind in ("plot", "drawing"))
            inked = _ink_box(image[box]) if kind in ("plot", "drawing") else (0, 0, int(height), width)
            truth.append(
                {
                    "letter": letter,
                    "kind": kind,
                    "top_px": top + inked[0],
                    "left_px": margin_px + left + inked[1],
                    "height_px": inked[2],
                    "width_px": inked[3],
                    **facts,
                }
            )
        top += int(height) + gutter_px
    if jpeg_quality is not None:
        stored = io.BytesIO()
        Image.fromarray(image).save(stored, "JPEG", quality=jpeg_quality)
        image = np.asarray(Image.open(stored))
    return SyntheticFigure(image, pd.DataFrame(truth))


def _split_width(width: int, n_panels: int, gutter_px: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Left edge and width of each panel of a row."""
    free = width - gutter_px * (n_panels - 1)
    shares = rng.uniform(0.8, 1.25, n_panels)
    edges = np.rint(np.concatenate([[0], np.cumsum(shares)]) / shares.sum() * free).astype(int)
    return [(int(edges[i]) + i * gutter_px, int(edges[i + 1] - edges[i])) for i in range(n_panels)]


def _micrograph(
    shape: tuple[int, int], scale_bar: bool, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, object]]:
    nm_per_px = float(rng.choice([0.25, 0.5, 1.0, 2.5]))
    mean_px = rng.uniform(14, 30)
    micrograph, _, particles = make_micrograph(
        shape,
        n_particles=int(rng.integers(12, 40)),
        diameter_px=(mean_px, mean_px / 8),
        polarity=str(rng.choice(["dark", "bright"])),
        contrast=rng.uniform(0.25, 0.5),
        noise=rng.uniform(0.02, 0.07),
        vignetting=rng.uniform(0, 0.25),
        scale_bar=scale_bar,
        nm_per_px=nm_per_px,
        seed=int(rng.integers(2**31)),
    )
    exposed = np.rint(micrograph.image * rng.uniform(0.6, 1.0)).astype(np.uint8)
    return exposed[..., None], {"count": len(particles), "nm_per_px": nm_per_px}


def _plot(shape: tuple[int, int], scale_bar: bool, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, object]]:
    """Curves, bars or a spectrum with axes, ticks and titles."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(shape[1] / 100, shape[0] / 100), dpi=100, layout="tight")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    if rng.random() < 0.5:
        axes.spines[["top", "right"]].set_visible(False)
    x = np.linspace(200, 800, 300)
    style = rng.choice(["curves", "bars", "spectrum"])
    if style == "bars":
        axes.bar(np.arange(12) * 5, np.exp(-((np.arange(12) - rng.uniform(4, 8)) ** 2) / 8) * 30, width=4)
    for number in range(0 if style == "bars" else int(rng.integers(1, 4))):
        width = 60.0 if style == "curves" else 4.0
        lines = sum(np.exp(-(((x - centre) / width) ** 2)) for centre in rng.uniform(220, 780, 5))
        axes.plot(x, number + lines + 0.02 * rng.standard_normal(x.size), color=_COLOURS[number], lw=1.2)
    axes.set_xlabel(str(rng.choice(["Diameter (nm)", "Wavelength (nm)", "2θ (degree)"])))
    axes.set_ylabel(str(rng.choice(["Counts", "Absorbance (a.u.)", "Intensity"])))
    axes.tick_params(labelsize=7)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3], {}


def _drawing(shape: tuple[int, int], scale_bar: bool, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, object]]:
    """A scheme: labelled shapes joined by arrows."""
    canvas = Image.new("RGB", (shape[1], shape[0]), "white")
    draw = ImageDraw.Draw(canvas)
    middle, radius = shape[0] // 2, shape[0] // 3
    steps = np.linspace(radius + 8, shape[1] - radius - 8, max(2, shape[1] // (3 * radius)))
    for number, col in enumerate(steps):
        box = (col - radius, middle - radius, col + radius, middle + radius)
        fill = _COLOURS[int(rng.integers(len(_COLOURS)))]
        (draw.ellipse if number % 2 else draw.rectangle)(box, fill=fill, outline="black", width=2)
        draw.text((col, middle + radius + 4), f"step {number + 1}", fill="black", font=_font(12), anchor="mt")
    for start, end in pairwise(steps):
        draw.line((start + radius, middle, end - radius, middle), fill="black", width=2)
        draw.polygon(
            [(end - radius, middle), (end - radius - 8, middle - 5), (end - radius - 8, middle + 5)], fill="black"
        )
    return np.asarray(canvas), {}


def _photograph(
    shape: tuple[int, int], scale_bar: bool, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, object]]:
    """Blurred colours with objects of one colour in front, like a photograph of vials on a bench."""
    noise = rng.standard_normal((*shape, 3))
    scene = ndimage.gaussian_filter(noise, (shape[0] / 6, shape[1] / 6, 0.3))
    scene = 120 + 60 * scene / scene.std() + rng.uniform(-40, 40, 3)
    for _ in range(4):
        row, col = rng.uniform(0.2, 0.8, 2) * shape
        height, width = rng.uniform(0.1, 0.3, 2) * shape
        inside = (slice(int(row - height / 2), int(row + height)), slice(int(col - width / 2), int(col + width / 2)))
        scene[inside] = 0.4 * scene[inside] + 0.6 * rng.uniform(20, 235, 3)
    return np.rint((scene + 2 * noise).clip(0, 255)).astype(np.uint8), {}


DRAWN = {"micrograph": _micrograph, "plot": _plot, "drawing": _drawing, "photograph": _photograph}


def _ink_box(panel: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, height and width of what is not white."""
    inked = panel.min(axis=2) < 250
    rows, cols = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return int(rows[0]), int(cols[0]), int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1


def _write_letter(image: np.ndarray, corner: tuple[int, int], text: str, plate: bool) -> None:
    """Write into the image, in black or white, whichever is visible."""
    row, col = corner
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    box = draw.textbbox((col, row), text, font=_font(17))
    if plate:
        draw.rectangle(box, fill="white")
    here = np.asarray(canvas)[int(box[1]) : int(box[3]) + 1, int(box[0]) : int(box[2]) + 1]
    draw.text((col, row), text, fill="black" if np.median(here) > 127 else "white", font=_font(17))
    image[:] = np.asarray(canvas)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)
