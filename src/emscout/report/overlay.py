"""The micrograph with outlines and numbers of the particles and a scale bar."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import find_objects
from scipy.spatial import KDTree
from skimage.segmentation import find_boundaries

from emscout.units import spell_length

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "add_scale_bar",
    "draw_overlay",
    "draw_uncertainty",
    "load_font",
    "shrink_image",
    "stretch_contrast",
    "write_png",
]

# After Okabe & Ito (https://jfly.uni-koeln.de/color/), which colour-blind readers can tell apart; more saturated than
# theirs, to stand out from grey.
_COLOURS = np.array(
    [(255, 165, 0), (70, 175, 255), (0, 205, 140), (250, 235, 60), (255, 90, 30), (245, 90, 185)], dtype=np.uint8
)
_CUT_COLOUR = np.array((160, 148, 200), dtype=np.uint8)
_DROPPED_COLOUR = np.array((255, 60, 60), dtype=np.uint8)
_DASH_PX = 5

# Smaller images are enlarged, so that an outline of one pixel does not hide a particle of five.
_COMFORTABLE_SIDE_PX = 1200
_GREATEST_ENLARGEMENT = 6

# Numbers are smaller in a crowd, down to what can be read, and leave so much free around those beside particles.
_SMALLEST_NUMBER_PX = 12
_MARGIN_PX = 2


def draw_overlay(
    image: np.ndarray,
    labels: np.ndarray,
    particles: pd.DataFrame,
    *,
    dropped: np.ndarray | None = None,
    nm_per_px: float | None = None,
    max_side_px: int = 2048,
) -> np.ndarray:
    """Draw the outline of each particle on the micrograph, above a strip with a scale bar.

    Neighbours get different colours; particles cut by the border are a dull violet; what was found but dropped as
    too uncertain is dashed red. A particle's number is written in it where there is room, else close to it where that
    hides no other particle.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Grey values of any real dtype; not-a-number is drawn black.
    labels : ndarray of int, shape (H, W)
        0 is background.
    particles : DataFrame
        Columns ``label``, ``row_px``, ``col_px``, ``equivalent_circular_diameter_px``, ``touches_border``.
    dropped : ndarray of int, shape (H, W), or None
        Labels of what was found but is not counted.
    nm_per_px : float or None
        Pixel size; without one the bar is in pixels and says so.
    max_side_px : int
        A larger image is made smaller by a whole factor.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
        The strip with the scale bar is below the image and hides none of it.
    """
    longest = max(image.shape)
    shrink = math.ceil(longest / max_side_px)
    enlarge = max(1, min(math.ceil(_COMFORTABLE_SIDE_PX / longest), max_side_px // longest, _GREATEST_ENLARGEMENT))
    scale = enlarge / shrink

    grey = np.repeat(np.repeat(stretch_contrast(shrink_image(image, shrink)), enlarge, axis=0), enlarge, axis=1)
    shown = np.repeat(np.repeat(_every_nth(labels, shrink, particles), enlarge, axis=0), enlarge, axis=1)

    rgb = np.repeat(grey[:, :, None], 3, axis=2)
    colours = _colours_of_particles(particles, int(shown.max(initial=0)))
    diameters_px = particles["equivalent_circular_diameter_px"].to_numpy(dtype=float) * scale
    # Bold enough to be seen in a smaller copy of the picture, fine enough to show what it surrounds.
    line_px = int(np.clip(np.median(diameters_px) / 12, 1, 3)) if diameters_px.size else 1
    places, taken = dict(enumerate(find_objects(shown), 1)), shown > 0
    for _ in range(line_px):
        outline = find_boundaries(shown, connectivity=1, mode="inner", background=0)
        rgb[outline] = colours[shown[outline]]
        shown = np.where(outline, 0, shown)
    if dropped is not None:
        gone = np.repeat(np.repeat(_every_nth(dropped, shrink, particles.head(0)), enlarge, axis=0), enlarge, axis=1)
        taken |= gone > 0
        rows, cols = np.nonzero(find_boundaries(gone, connectivity=1, mode="inner", background=0))
        inked = (rows // _DASH_PX + cols // _DASH_PX) % 2 == 0
        rgb[rows[inked], cols[inked]] = _DROPPED_COLOUR

    picture = Image.fromarray(rgb)
    font_px = max(11, round(max(rgb.shape[:2]) / 64))
    room_px = math.sqrt(taken.size / max(len(particles), 1))
    number_px = int(np.clip(room_px / 3.5, _SMALLEST_NUMBER_PX, max(_SMALLEST_NUMBER_PX, 1.4 * font_px)))
    others = _write_numbers_inside(picture, particles, scale, diameters_px, number_px)
    boxes = {label: place for label in others if (place := places.get(label)) is not None}
    _write_numbers_beside(picture, boxes, taken, colours, number_px)
    return np.asarray(add_scale_bar(picture, scale, nm_per_px, font_px=round(1.2 * font_px)))


def draw_uncertainty(uncertainty: np.ndarray, *, max_side_px: int = 1024) -> np.ndarray:
    """Draw a map of the uncertainty, from black (none) over red to white (ln 2, the maximum for two classes).

    Parameters
    ----------
    uncertainty : ndarray of float, shape (H, W)
        Mutual information in nats.
    max_side_px : int
        A larger map is made smaller by a whole factor.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
    """
    from matplotlib import colormaps

    small = shrink_image(uncertainty, math.ceil(max(uncertainty.shape) / max_side_px))
    # The square root shows the small values that matter: doubt begins at a few hundredths of a nat.
    return (255 * colormaps["inferno"](np.sqrt(np.clip(small / math.log(2), 0, 1)))[..., :3]).round().astype(np.uint8)


def write_png(path: Path | str, rgb: np.ndarray) -> None:
    """Write a picture as PNG: the same picture gives the same bytes.

    Parameters
    ----------
    path : path-like
        The file to write; its name may end in anything.
    rgb : ndarray of uint8, shape (h, w, 3)
    """
    with Path(path).open("wb") as file:
        Image.fromarray(rgb).save(file, format="PNG")


def shrink_image(image: np.ndarray, side: int) -> np.ndarray:
    """Mean of each block of side × side pixels, a few rows at a time: the image is never held twice."""
    if side == 1:
        return np.asarray(image, dtype=np.float32)
    rows, cols = image.shape[0] // side, image.shape[1] // side
    # An image thinner than a block has no whole block across it.
    tall, wide = min(side, image.shape[0]), min(side, image.shape[1])
    rows, cols = max(rows, 1), max(cols, 1)
    mean = np.empty((rows, cols), dtype=np.float32)
    for row in range(rows):
        strip = np.asarray(image[row * tall : (row + 1) * tall, : cols * wide], dtype=np.float32)
        mean[row] = strip.reshape(tall, cols, wide).mean(axis=(0, 2))
    return mean


def _every_nth(labels: np.ndarray, step: int, particles: pd.DataFrame) -> np.ndarray:
    """Label at the centre of each block; a particle that falls between the centres keeps one pixel."""
    if step == 1:
        return labels
    rows, cols = max(labels.shape[0] // step, 1), max(labels.shape[1] // step, 1)
    tall, wide = min(step, labels.shape[0]), min(step, labels.shape[1])
    small = labels[tall // 2 :: tall, wide // 2 :: wide][:rows, :cols].copy()
    lost = particles[~particles["label"].isin(np.unique(small))]
    row = np.clip(lost["row_px"].to_numpy(dtype=float) // tall, 0, rows - 1).astype(int)
    col = np.clip(lost["col_px"].to_numpy(dtype=float) // wide, 0, cols - 1).astype(int)
    small[row, col] = lost["label"].to_numpy(dtype=small.dtype)
    return small


def stretch_contrast(image: np.ndarray) -> np.ndarray:
    """Grey values between the 0.5th and the 99.5th percentile spread over 0..255."""
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, dtype=np.uint8)
    low, high = np.percentile(image[finite], (0.5, 99.5))
    if high <= low:
        low, high = float(image[finite].min()), float(image[finite].max())
    if high <= low:
        return np.where(finite, 128, 0).astype(np.uint8)
    stretched = (np.where(finite, image, low) - low) * (255 / (high - low))
    return np.clip(np.where(finite, stretched, 0), 0, 255).astype(np.uint8)


def _colours_of_particles(particles: pd.DataFrame, greatest_label: int) -> np.ndarray:
    """Colour of each label: dull violet where cut by the border, else one that the nearest particles do not have."""
    label = particles["label"].to_numpy(dtype=int)
    colours = np.tile(_CUT_COLOUR, (max(greatest_label, label.max(initial=0)) + 1, 1))
    inner = particles[~particles["touches_border"].to_numpy(dtype=bool)]
    if len(inner) == 0:
        return colours
    centres = inner[["row_px", "col_px"]].to_numpy(dtype=float)
    neighbours = KDTree(centres).query(centres, k=min(len(_COLOURS), len(inner)))[1].reshape(len(inner), -1)
    chosen = np.full(len(inner), -1)
    for i, near in enumerate(neighbours):
        taken = set(chosen[near])
        turns = ((i + k) % len(_COLOURS) for k in range(len(_COLOURS)))
        chosen[i] = next((colour for colour in turns if colour not in taken), i % len(_COLOURS))
    colours[inner["label"].to_numpy(dtype=int)] = _COLOURS[chosen]
    return colours


def _write_numbers_inside(
    picture: Image.Image, particles: pd.DataFrame, scale: float, diameters_px: np.ndarray, font_px: int
) -> list[int]:
    """Write each label into its particle where it fits; those left over, of the largest particles first."""
    font = load_font(font_px)
    draw = ImageDraw.Draw(picture)
    rows = (particles["row_px"].to_numpy(dtype=float) + 0.5) * scale
    cols = (particles["col_px"].to_numpy(dtype=float) + 0.5) * scale
    left_over = []
    for i in np.argsort(-diameters_px, kind="stable"):
        text = str(particles["label"].iloc[i])
        if max(draw.textlength(text, font), font_px) < 0.6 * diameters_px[i]:
            place = (cols[i], rows[i])
            draw.text(place, text, fill="white", font=font, anchor="mm", stroke_width=2, stroke_fill="black")
        else:
            left_over.append(int(text))
    return left_over


def _write_numbers_beside(
    picture: Image.Image,
    boxes: Mapping[int, tuple[slice, ...]],
    taken: np.ndarray,
    colours: np.ndarray,
    font_px: int,
) -> None:
    """Write labels next to their particles, in the colour of their outlines, where nothing else is.

    Parameters
    ----------
    picture : Image
    boxes : mapping of int to pair of slice
        Rows and columns of each particle in the picture, in the order in which they get their places.
    taken : ndarray of bool, shape (h, w)
        Where nothing may be written; the numbers are added to it.
    colours : ndarray of uint8, shape (n, 3)
        By label.
    font_px : int
    """
    font = load_font(font_px)
    draw = ImageDraw.Draw(picture)
    for label, (rows, cols) in boxes.items():
        left, top, right, bottom = (math.ceil(edge) for edge in font.getbbox(str(label), anchor="lt"))
        height, width = bottom - top, right - left
        for row, col in _places_around(rows, cols, height, width):
            box = slice(row - _MARGIN_PX, row + height + _MARGIN_PX), slice(col - _MARGIN_PX, col + width + _MARGIN_PX)
            if box[0].start < 0 or box[1].start < 0 or box[0].stop > taken.shape[0] or box[1].stop > taken.shape[1]:
                continue
            if not taken[box].any():
                fill = tuple(colours[label].tolist())
                draw.text(
                    (col, row), str(label), fill=fill, font=font, anchor="lt", stroke_width=2, stroke_fill="black"
                )
                taken[box] = True
                break


def _places_around(rows: slice, cols: slice, height: int, width: int) -> Iterator[tuple[int, int]]:
    """Upper left corners of a text of that size, to the right, left, above and below of a box, then at its corners."""
    gap = _MARGIN_PX + 1
    above, below = rows.start - gap - height, rows.stop + gap
    before, after = cols.start - gap - width, cols.stop + gap
    row, col = (rows.start + rows.stop - height) // 2, (cols.start + cols.stop - width) // 2
    yield from ((row, after), (row, before), (above, col), (below, col))
    # What is round leaves the corners of its box empty.
    down, right = (rows.stop - rows.start) // 7, (cols.stop - cols.start) // 7
    yield from ((above + down, after - right), (below - down, after - right))
    yield from ((above + down, before + right), (below - down, before + right))


def load_font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans as it comes with matplotlib: the same on every machine, and it has µ."""
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size_px)


def _round_length(longest: float) -> float:
    """The greatest of 1, 2, 5 times a power of ten that is not above ``longest``."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def add_scale_bar(picture: Image.Image, scale: float, nm_per_px: float | None, *, font_px: int) -> Image.Image:
    """Add a white strip below with a bar of round length, about a quarter of the image wide."""
    unit_per_px = (nm_per_px or 1.0) / scale
    length = _round_length(picture.width / 4 * unit_per_px)
    text = f"{length:g} px (uncalibrated)" if nm_per_px is None else spell_length(length)
    strip_px = round(1.9 * font_px)
    framed = Image.new("RGB", (picture.width, picture.height + strip_px), "white")
    framed.paste(picture, (0, 0))
    draw = ImageDraw.Draw(framed)
    middle = picture.height + strip_px // 2
    left = font_px // 2
    bar_px = max(1, round(length / unit_per_px))
    thick = max(2, font_px // 4)
    draw.rectangle((left, middle - thick // 2, left + bar_px - 1, middle - thick // 2 + thick - 1), fill="black")
    font = load_font(font_px)
    draw.text((left + bar_px + font_px // 2, middle), text, fill="black", font=font, anchor="lm")
    return framed
