"""Synthetic overview images of a grid with known crystals, for the demo, tests and benchmarks."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.draw import polygon2mask

from emscout.micrograph import Calibration, Micrograph

__all__ = ["Overview", "make_overview"]

_FILM, _FULL_SCALE = 0.6, 20_000
_BAR_BLUR_PX, _CRYSTAL_BLUR_PX = 3.0, 0.8


class Overview(NamedTuple):
    """A set of images and what is on them: each a dict by image name; masks are bool, shape (H, W)."""

    images: dict[str, Micrograph]
    crystals: dict[str, np.ndarray]
    bars: dict[str, np.ndarray]


def make_overview(
    n_images: tuple[int, int] = (2, 2),
    shape: tuple[int, int] = (400, 400),
    *,
    n_crystals: int = 12,
    diameter_px: tuple[float, float] = (44.0, 10.0),
    bars: bool = True,
    contrast: float = 0.35,
    noise: float = 0.02,
    vignetting: float = 0.25,
    brightness_steps: float = 0.2,
    nm_per_px: float | None = 5.0,
    seed: int = 0,
) -> Overview:
    """Make overview images of a part of a grid, as a microscope records them.

    Parameters
    ----------
    n_images : (int, int)
        Rows and columns of images, which touch without overlap.
    shape : (int, int)
        Height and width of an image in pixels.
    n_crystals : int
        In the whole set. Crystals are angular, darker than the film and rough inside, and do not overlap one another or
        a bar.
    diameter_px : (float, float)
        Mean and standard deviation of their diameter (normal, at least 8 px).
    bars : bool
        Whether a black grid bar runs along the upper and the left edge of the set.
    contrast : float
        Contrast of a crystal to the film, as a fraction of the brightness of film.
    noise : float
        Standard deviation, as a fraction of the brightness of film.
    vignetting : float
        Fraction of the brightness lost from the middle to the corners of each image.
    brightness_steps : float
        Each image is brighter or darker than the others by up to this fraction.
    nm_per_px : float or None
        Pixel size; ``None`` leaves the images uncalibrated.
    seed : int
        Random seed; the same arguments give the same bytes.

    Returns
    -------
    Overview
        Images (uint16) named ``Tile_001-001`` … by row and column, and the true masks of crystals and bars.
    """
    rng = np.random.default_rng(seed)
    whole = n_images[0] * shape[0], n_images[1] * shape[1]
    bar = np.zeros(whole, bool)
    if bars:
        bar[: shape[0] // 4], bar[:, : shape[1] // 5] = True, True
    crystals, depth = _grow_crystals(whole, bar, n_crystals, diameter_px, rng)
    light = 1 - contrast * depth
    # A little of the beam passes through a bar, so its shadow is not exactly zero.
    light = np.where(bar, 0.02, light)
    light = ndimage.gaussian_filter(light, _BAR_BLUR_PX) if bars else light
    light = np.where(ndimage.binary_dilation(bar, iterations=12), light, 1 - contrast * depth)
    row, col = (np.linspace(-1, 1, side) for side in shape)
    vignette = 1 - vignetting * (row[:, None] ** 2 + col**2) / 2
    calibration = None if nm_per_px is None else Calibration(nm_per_px, "user")
    overview = Overview({}, {}, {})
    for index in np.ndindex(n_images):
        part = tuple(slice(i * side, (i + 1) * side) for i, side in zip(index, shape, strict=True))
        exposure = 1 + brightness_steps * rng.uniform(-1, 1)
        image = _FILM * exposure * vignette * light[part]
        image += _FILM * noise * np.sqrt(image / _FILM) * rng.standard_normal(shape)
        name = f"Tile_{index[0] + 1:03d}-{index[1] + 1:03d}"
        grey = np.rint(_FULL_SCALE * image.clip(0, 1.5)).astype(np.uint16)
        overview.images[name] = Micrograph(grey, calibration, {"synthetic": {"seed": seed}})
        overview.crystals[name], overview.bars[name] = crystals[part].copy(), bar[part].copy()
    return overview


def _grow_crystals(
    whole: tuple[int, int], bar: np.ndarray, count: int, diameter_px: tuple[float, float], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Mask of all crystals, and the share of the contrast at each pixel (0 to about 1)."""
    crystals, depth = np.zeros(whole, bool), np.zeros(whole)
    taken = ndimage.binary_dilation(bar, iterations=16)
    for _ in range(count):
        diameter = max(8.0, rng.normal(*diameter_px))
        for _ in range(100):
            centre = rng.uniform(0, whole)
            outline = centre + _polygon(diameter, rng)
            low = np.maximum(np.floor(outline.min(axis=0)).astype(int), 0)
            high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 1, whole)
            box = (slice(low[0], high[0]), slice(low[1], high[1]))
            mask = polygon2mask(tuple(high - low), outline - low)
            if mask.any() and not (mask & taken[box]).any():
                break
        else:
            continue
        crystals[box] |= mask
        taken[box] |= ndimage.binary_dilation(mask, iterations=6)
        rough = ndimage.gaussian_filter(rng.standard_normal(mask.shape), diameter / 12)
        rough = 0.8 + 0.25 * rough / max(float(rough.std()), 1e-9)
        depth[box] = np.where(mask, np.clip(rough, 0.3, 1.3), depth[box])
    return crystals, ndimage.gaussian_filter(depth, _CRYSTAL_BLUR_PX)


def _polygon(diameter: float, rng: np.random.Generator) -> np.ndarray:
    """Corners (row, col) of an angular outline of about that diameter around (0, 0)."""
    n_corners = int(rng.integers(4, 7))
    angles = np.sort(rng.uniform(0, 0.5, n_corners) + np.arange(n_corners)) * 2 * math.pi / n_corners
    stretch = rng.uniform(0.7, 1.3)
    corners = diameter / 2 * np.stack([np.sin(angles) * stretch, np.cos(angles) / stretch], axis=1)
    turn = rng.uniform(0, 2 * math.pi)
    return corners @ np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
