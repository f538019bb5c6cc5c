"""Micrographs with known answers, for the demo, tests and benchmarks."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.draw import polygon2mask

from emscout.micrograph import Calibration, Micrograph

__all__ = ["OUTLINES", "make_micrograph", "make_mosaic"]

# Odd, so that no pixel is exactly half covered.
_SUPERSAMPLING = 5
_GAP_PX = 3.0
_BLUR_PX = 0.7


def make_micrograph(
    shape: tuple[int, int] = (512, 512),
    *,
    n_particles: int = 60,
    diameter_px: tuple[float, float] = (28.0, 5.0),
    shapes: tuple[str, ...] = ("sphere",),
    polarity: str = "dark",
    contrast: float = 0.35,
    noise: float = 0.04,
    vignetting: float = 0.15,
    touching: bool = False,
    scale_bar: bool = False,
    nm_per_px: float | None = 0.5,
    seed: int = 0,
) -> tuple[Micrograph, np.ndarray, pd.DataFrame]:
    """Draw particles on an uneven, noisy background.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    n_particles : int
        How many to place; fewer are placed where no more fit.
    diameter_px : (float, float)
        Mean and standard deviation of the equivalent circular diameter (normal, at least 2 px).
    shapes : tuple of str
        Keys of `OUTLINES`; each particle is one of them, drawn with equal chance.
    polarity : {'dark', 'bright'}
        Whether particles are darker (TEM) or brighter (dark field, SEM) than the background.
    contrast : float
        Difference to the background as a fraction of full scale.
    noise : float
        Standard deviation at full scale, as a fraction of it; falls with the square root of the grey value.
    vignetting : float
        Fraction of the background lost from the middle to the corners.
    touching : bool
        Whether half of the particles are pushed against another, overlapping by a few percent of their diameter.
    scale_bar : bool
        Whether a labelled bar is drawn at the lower right; needs `nm_per_px`. No particle lies under it.
    nm_per_px : float or None
        Pixel size; ``None`` leaves the micrograph uncalibrated.
    seed : int
        The same arguments give the same bytes.

    Returns
    -------
    (Micrograph, ndarray of int32, DataFrame)
        The image (uint8); the true labels, 1..n without gaps, disjoint also where particles overlap (the first one
        keeps its pixels); the truth, one row per particle in order of label: ``label``, ``row_px``, ``col_px``,
        ``area_px2``, ``equivalent_circular_diameter_px``, ``min_feret_px``, ``max_feret_px``, ``aspect_ratio``,
        ``orientation_deg`` (NaN except for rods) and ``shape`` of the whole outline as drawn, also beyond the border
        or under another particle; ``touches_border``.

    Raises
    ------
    ValueError
        For a shape or polarity that does not exist, or a scale bar without a pixel size.
    """
    if polarity not in ("dark", "bright"):
        raise ValueError(f"polarity is 'dark' or 'bright', not '{polarity}'")
    if unknown := set(shapes) - set(OUTLINES):
        raise ValueError(f"no outline is called {sorted(unknown)[0]!r}: there are {', '.join(OUTLINES)}")
    if scale_bar and nm_per_px is None:
        raise ValueError("a scale bar needs nm_per_px")
    rng = np.random.default_rng(seed)
    blocked = _scale_bar_box(shape) if scale_bar else None
    particles = _place(shape, n_particles, diameter_px, shapes, touching, blocked, 0.0, rng)
    matter, labels, truth = _draw(shape, particles)
    image = _expose(matter, polarity, contrast, noise, vignetting, rng)
    if scale_bar and nm_per_px is not None:
        _draw_scale_bar(image, nm_per_px)
    calibration = None if nm_per_px is None else Calibration(nm_per_px, "user")
    return Micrograph(image, calibration, {"synthetic": {"seed": seed}}), labels, truth


def make_mosaic(
    shape: tuple[int, int] = (16384, 16384),
    *,
    n_particles: int = 100_000,
    diameter_px: tuple[float, float] = (24.0, 4.0),
    polarity: str = "dark",
    nm_per_px: float | None = 0.5,
    seed: int = 0,
) -> tuple[Micrograph, pd.DataFrame]:
    """Make a huge micrograph of spheres cheaply, from four square blocks laid at random.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels; each a multiple of 1024.
    n_particles, diameter_px, polarity, nm_per_px, seed
        As in `make_micrograph`; every block holds the same number of particles, so the total is rounded.

    Returns
    -------
    (Micrograph, DataFrame)
        The image (uint8) and the truth as in `make_micrograph`; no particle meets the border of a block.
    """
    block = 1024
    n_rows, n_cols = shape[0] // block, shape[1] // block
    if (n_rows * block, n_cols * block) != tuple(shape) or n_rows * n_cols == 0:
        raise ValueError(f"a mosaic's sides are multiples of {block} px, not {shape[0]}×{shape[1]}")
    rng = np.random.default_rng(seed)
    per_block = round(n_particles / (n_rows * n_cols))
    margin = diameter_px[0] + 2 * diameter_px[1]
    images, truths = [], []
    for _ in range(4):
        particles = _place((block, block), per_block, diameter_px, ("sphere",), False, None, margin, rng)
        matter, _, truth = _draw((block, block), particles)
        images.append(_expose(matter, polarity, 0.35, 0.04, 0.0, rng))
        truths.append(truth)
    image = np.empty(shape, dtype=np.uint8)
    tables = []
    for row in range(0, shape[0], block):
        for col in range(0, shape[1], block):
            kind = rng.integers(4)
            image[row : row + block, col : col + block] = images[kind]
            here = truths[kind]
            tables.append(here.assign(row_px=here["row_px"] + row, col_px=here["col_px"] + col))
    truth = pd.concat(tables, ignore_index=True)
    truth["label"] = np.arange(1, len(truth) + 1)
    calibration = None if nm_per_px is None else Calibration(nm_per_px, "user")
    return Micrograph(image, calibration, {"synthetic": {"seed": seed}}), truth


def _rounded_polygon(n_sides: int, rounding: float) -> np.ndarray:
    """Vertices (row, col) of a regular polygon with arcs for corners, inscribed circle of radius 1."""
    half = math.pi / n_sides
    corners = np.arange(n_sides) * 2 * half + half
    arcs = corners[:, None] + np.linspace(-half, half, 8)
    centres = (1 - rounding) / math.cos(half)
    col = centres * np.cos(corners)[:, None] + rounding * np.cos(arcs)
    row = centres * np.sin(corners)[:, None] + rounding * np.sin(arcs)
    return np.stack([row.ravel(), col.ravel()], axis=1)


def _sphere(rng: np.random.Generator) -> np.ndarray:
    return _rounded_polygon(12, 1.0)


def _rod(rng: np.random.Generator) -> np.ndarray:
    """Straight, with round ends, 1.8 to 4 times longer than wide."""
    disc = _rounded_polygon(12, 1.0)
    return disc + np.sign(disc.round(12)) * (0, rng.uniform(0.8, 3))


def _cube(rng: np.random.Generator) -> np.ndarray:
    """Seen face-on, up to 1.15 times longer than wide."""
    return _rounded_polygon(4, 0.25) * (1, rng.uniform(1, 1.15))


def _triangle(rng: np.random.Generator) -> np.ndarray:
    return _rounded_polygon(3, 0.15)


def _hexagon(rng: np.random.Generator) -> np.ndarray:
    return _rounded_polygon(6, 0.1)


def _irregular(rng: np.random.Generator) -> np.ndarray:
    """A bumpy outline: a circle with a few harmonics."""
    angle = np.linspace(0, 2 * math.pi, 96, endpoint=False)
    radius = np.ones_like(angle)
    for order in (2, 3, 4, 5):
        radius += rng.uniform(0.08, 0.3) / order**0.5 * np.cos(order * angle + rng.uniform(0, 2 * math.pi))
    return np.maximum(radius, 0.3)[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)


OUTLINES = {
    "sphere": _sphere,
    "rod": _rod,
    "cube": _cube,
    "triangle": _triangle,
    "hexagon": _hexagon,
    "irregular": _irregular,
}


def _area_and_centroid(outline: np.ndarray) -> tuple[float, np.ndarray]:
    nxt = np.roll(outline, -1, axis=0)
    cross = outline[:, 0] * nxt[:, 1] - outline[:, 1] * nxt[:, 0]
    return abs(cross.sum()) / 2, ((outline + nxt) * cross[:, None]).sum(axis=0) / (3 * cross.sum())


def _outline(name: str, diameter: float, turn: float, rng: np.random.Generator) -> np.ndarray:
    """Vertices around the centroid at (0, 0), of the given area, turned anticlockwise on the screen."""
    outline = OUTLINES[name](rng)
    area, centroid = _area_and_centroid(outline)
    outline = (outline - centroid) * diameter / 2 * math.sqrt(math.pi / area)
    cos, sin = math.cos(turn), math.sin(turn)
    return outline @ np.array([[cos, sin], [-sin, cos]])


def _reach(outline: np.ndarray, direction: float) -> float:
    """Distance from the centroid to the vertex nearest to a direction (rows downwards)."""
    turn = np.angle(np.exp(1j * (np.arctan2(outline[:, 0], outline[:, 1]) - direction)))
    return float(np.hypot(*outline[np.abs(turn).argmin()]))


def _place(
    shape: tuple[int, int],
    n_particles: int,
    diameter_px: tuple[float, float],
    shapes: tuple[str, ...],
    touching: bool,
    blocked: tuple[int, int] | None,
    margin: float,
    rng: np.random.Generator,
) -> list[tuple[str, float, np.ndarray, np.ndarray]]:
    """Name, turn, centre and outline of particles thrown in one after the other where they fit."""
    low, high = np.array([margin, margin]) - 0.5, np.array(shape) - 0.5 - margin
    placed: list[tuple[str, float, np.ndarray, np.ndarray]] = []
    centres, reaches = np.empty((n_particles, 2)), np.empty(n_particles)
    for _ in range(n_particles):
        name = str(rng.choice(shapes))
        turn = rng.uniform(0, 2 * math.pi)
        outline = _outline(name, max(2.0, rng.normal(*diameter_px)), turn, rng)
        reach = float(np.hypot(*outline.T).max())
        for _ in range(200):
            n = len(placed)
            centre, anchor = rng.uniform(low, high), None
            if touching and n and rng.random() < 0.5:
                anchor = int(rng.integers(n))
                direction = rng.uniform(-math.pi, math.pi)
                apart = _reach(placed[anchor][3], direction) + _reach(outline, direction + math.pi)
                centre = centres[anchor] + 0.96 * apart * np.array([math.sin(direction), math.cos(direction)])
            free = np.hypot(*(centres[:n] - centre).T) - reaches[:n] - reach >= _GAP_PX
            if anchor is not None:
                free[anchor] = True
            under_bar = blocked is not None and bool(((centre + reach) >= np.array(shape) - blocked).all())
            if free.all() and not under_bar and (low <= centre).all() and (centre <= high).all():
                centres[n], reaches[n] = centre, reach
                placed.append((name, turn, centre, outline))
                break
    return placed


def _draw(
    shape: tuple[int, int], particles: list[tuple[str, float, np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """How much matter each pixel holds (float32, 1 in the middle of a particle), the labels and the truth."""
    matter = np.zeros(shape, dtype=np.float32)
    labels = np.zeros(shape, dtype=np.int32)
    rows: list[dict[str, object]] = []
    for name, turn, centre, outline in particles:
        top, left = np.maximum(np.floor(centre + outline.min(axis=0)), 0).astype(int)
        bottom, right = np.minimum(np.ceil(centre + outline.max(axis=0)) + 1, shape).astype(int)
        box = (slice(top, bottom), slice(left, right))
        covered = _coverage(outline + centre - (top, left), (bottom - top, right - left))
        owned = (covered >= 0.5) & (labels[box] == 0)
        if not owned.any():
            continue
        labels[box][owned] = len(rows) + 1
        r, c = np.ogrid[top:bottom, left:right]
        from_centre = ((r - centre[0]) ** 2 + (c - centre[1]) ** 2) / (outline**2).sum(axis=1).max()
        matter[box] = np.maximum(matter[box], covered * (1 - 0.3 * np.minimum(from_centre, 1)))
        rows.append(_truth(len(rows) + 1, name, turn, centre, outline))
        rows[-1]["touches_border"] = bool(
            owned[0].any() * (top == 0)
            or owned[-1].any() * (bottom == shape[0])
            or owned[:, 0].any() * (left == 0)
            or owned[:, -1].any() * (right == shape[1])
        )
    return matter, labels, pd.DataFrame(rows, columns=list(_TRUTH))


_TRUTH = (
    "label",
    "row_px",
    "col_px",
    "area_px2",
    "equivalent_circular_diameter_px",
    "min_feret_px",
    "max_feret_px",
    "aspect_ratio",
    "orientation_deg",
    "shape",
    "touches_border",
)


def _truth(label: int, name: str, turn: float, centre: np.ndarray, outline: np.ndarray) -> dict[str, object]:
    area, _ = _area_and_centroid(outline)
    angles = np.radians(np.arange(0, 180, 0.5))
    widths = np.ptp(outline @ np.stack([np.sin(angles), np.cos(angles)]), axis=0)
    across = np.roll(widths, -180)
    best = np.argmin(widths * across)
    sides = sorted((widths[best], across[best]))
    orientation = 90 - (90 - math.degrees(turn)) % 180
    return {
        "label": label,
        "row_px": centre[0],
        "col_px": centre[1],
        "area_px2": area,
        "equivalent_circular_diameter_px": 2 * math.sqrt(area / math.pi),
        "min_feret_px": widths.min(),
        "max_feret_px": widths.max(),
        "aspect_ratio": sides[1] / sides[0],
        "orientation_deg": orientation if name == "rod" else math.nan,
        "shape": name,
    }


def _coverage(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fraction of each pixel that lies within the outline."""
    fine = polygon2mask((shape[0] * _SUPERSAMPLING, shape[1] * _SUPERSAMPLING), (outline + 0.5) * _SUPERSAMPLING - 0.5)
    return fine.reshape(shape[0], _SUPERSAMPLING, shape[1], _SUPERSAMPLING).mean(axis=(1, 3))


def _expose(
    matter: np.ndarray, polarity: str, contrast: float, noise: float, vignetting: float, rng: np.random.Generator
) -> np.ndarray:
    """The picture (uint8) a camera makes of it."""
    height, width = matter.shape
    r, c = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    tilt = rng.uniform(-0.25, 0.25, 2)
    light = (1 - vignetting * ((r**2 + c**2) / 2 + tilt[0] * r + tilt[1] * c)).astype(np.float32)
    background, sign = (0.75, -1) if polarity == "dark" else (0.2, 1)
    image = light * (background + sign * contrast * ndimage.gaussian_filter(matter, _BLUR_PX))
    image += noise * np.sqrt(np.maximum(image, 0)) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.rint(255 * image.clip(0, 1)).astype(np.uint8)


def _scale_bar_box(shape: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the lower right corner that the scale bar takes."""
    return max(24, shape[0] // 10), shape[1] // 3


def _draw_scale_bar(image: np.ndarray, nm_per_px: float) -> None:
    """Draw a bar of a round length, at most a quarter of the width, and its label above it; into the image."""
    height, width = image.shape
    longest = width / 4 * nm_per_px
    power = 10.0 ** math.floor(math.log10(longest))
    length = max(step * power for step in (1, 2, 5) if step * power <= longest)
    label = f"{length:g} nm" if length < 1000 else f"{length / 1000:g} µm"
    ink = 0 if np.median(image) > 127 else 255
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    bottom, right, thickness = height - 8, width - 8, max(3, height // 128)
    length_px = round(length / nm_per_px)
    draw.rectangle((right - length_px, bottom - thickness, right - 1, bottom - 1), fill=ink)
    font = ImageFont.load_default(size=max(10, height // 28))
    draw.text((right - length_px / 2, bottom - thickness - 2), label, fill=ink, font=font, anchor="mb")
    image[:] = np.asarray(canvas)
