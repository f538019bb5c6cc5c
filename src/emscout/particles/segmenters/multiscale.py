"""Model-free segmentation: the right scale, bright or dark, and the image window by window."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
from scipy import ndimage
from skimage import measure

from emscout.annotations.banner import banner_height, drawn_over
from emscout.errors import NothingToFindError
from emscout.particles.segmenters.component_tree import (
    Particle,
    View,
    choose_particles,
    noise_gradient,
    outline_gradient,
)

__all__ = ["segment_component_tree"]

SIGNS = {"auto": (1, -1), "bright": (1,), "dark": (-1,)}
N_LEVELS = 40
COARSEST_SIDE = 256  # px of the longer side, below which outlines are rough
ROUGH = 0.3  # worth of such a scale: it is for noise that hides particles at finer ones
# A finer scale is tried until it explains clearly less than the best so far; the coarsest that is nearly as good as
# the best is used. At half the image's resolution it is enough to find particles of a comfortable size.
WORSE = 0.75
GOOD_ENOUGH = 0.6
COMFORTABLE_SIDE = 14  # px at working scale, square root of a particle's area
MIN_AREA = 20  # px at working scale
WINDOW = 768  # px at working scale; larger images are done in windows
STRIP_PX = 2**22  # pixels averaged down at once
SAMPLE = 256  # px at working scale; side of the four windows that stand for a larger image
# Noise has contours as well: where particles are few, each must stand out by itself (see Particle.significance).
FEW = 20  # or less than a twentieth of the area
ALONE_SIGNIFICANCE = 5.0
# What is kept beside the bulk of the particles:
MIN_RELATIVE_EDGE = 0.4
MIN_RELATIVE_DIAMETER = 0.3


class Scene(NamedTuple):
    """The specimen's part of an image, and what is needed to search any window of it."""

    image: np.ndarray  # (H, W), in its own dtype
    low: float
    middle: float  # stands for what is not finite
    high: float
    step_of_grey: float  # of integers, in parts of the range
    drawn: np.ndarray  # bool: every drawn_step-th pixel of what is drawn over the image
    drawn_step: int


class Window(NamedTuple):
    """A part of a scene at working scale."""

    row: int  # where it begins, in working pixels
    col: int
    smooth: np.ndarray  # float32, (h, w), grey range 0..1
    excluded: np.ndarray  # bool: drawn over or not finite


class Scale(NamedTuple):
    """The resolution and the grey levels at which a scene is searched."""

    factor: int  # image pixels per working pixel
    levels: np.ndarray
    noise: float
    min_area: int  # working pixels
    max_area: float


class ScaleResult(NamedTuple):
    """The particles of a scene at one scale."""

    scale: Scale
    sign: int  # +1 for bright particles, -1 for dark ones
    value: float  # how well they explain the image, comparable between scales
    found: list[Particle]
    bulk_side: float  # px at working scale, square root of the area of the bulk of them
    whole: bool  # or a sample


def segment_component_tree(
    image: np.ndarray,
    *,
    polarity: Literal["auto", "bright", "dark"] = "auto",
    min_diameter_px: float | None = None,
    max_diameter_px: float | None = None,
    split: bool = True,
) -> tuple[np.ndarray, Literal["bright", "dark"]]:
    """Find particles without a trained model.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values; what is not finite is never part of a particle.
    polarity : {'auto', 'bright', 'dark'}
        Whether particles are brighter or darker than what surrounds them; 'auto' takes what explains the image better.
    min_diameter_px, max_diameter_px : float or None
        Equivalent circular diameters a particle may have. Without ``min_diameter_px``, what is less than 0.3 times as
        wide as the bulk of the particles is left out.
    split : bool
        Whether touching particles are separated.

    Returns
    -------
    labels : ndarray of int32, shape (H, W)
        0 is background; particles are numbered 1..n without gaps.
    polarity : {'bright', 'dark'}
        The one used.

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite value.
    """
    scene = _scene(image.astype(np.uint8) if image.dtype == bool else image)
    result = _best_scale(scene, SIGNS[polarity], min_diameter_px, max_diameter_px)
    found = result.found
    if not result.whole:
        halo = max((2 * max(p.mask.shape) for p in found), default=0)
        found = list(_in_windows(scene, result.scale, result.sign, min(max(halo, 32), WINDOW // 2)))
        found = _drop_noise(found, scene.image.size / result.scale.factor**2)
    labels = _draw_labels(image, _drop_outlying_sizes(found, min_diameter_px is None), result.scale.factor)
    if not split:
        labels = measure.label(labels > 0, connectivity=2).astype(np.int32)
    return labels, "bright" if result.sign > 0 else "dark"


def _scene(image: np.ndarray) -> Scene:
    finite = image if image.dtype.kind != "f" or np.isfinite(image).all() else image[np.isfinite(image)]
    if finite.size == 0 or finite.min() == finite.max():
        raise NothingToFindError("The image has no contrast, so there is nothing to find in it.")
    # Percentiles, as a few hot pixels must not stretch the grey range.
    sparse = finite.ravel()[:: max(1, finite.size // 2_000_000)]
    low, middle, high = (float(value) for value in np.percentile(sparse, (0.01, 50, 99.99)))
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    grey_range = (low, middle, high)
    step = max(1, max(image.shape) // 2048)
    specimen = image[: image.shape[0] - banner_height(_grey(image[:, ::step], *grey_range))]
    step_of_grey = 0.0 if image.dtype.kind == "f" else 1 / (high - low)
    return Scene(specimen, *grey_range, step_of_grey, drawn_over(_grey(specimen[::step, ::step], *grey_range)), step)


def _grey(part: np.ndarray, low: float, middle: float, high: float) -> np.ndarray:
    """Grey values as float32 in 0..1; what is not finite becomes the middle."""
    grey = part.astype(np.float32 if part.dtype.itemsize < 4 else np.float64)
    grey[~np.isfinite(grey)] = middle
    return ((np.clip(grey, low, high) - low) / (high - low)).astype(np.float32)


def _factors(shape: tuple[int, ...], min_diameter_px: float | None) -> list[int]:
    """Working scales to try, coarse to fine: powers of two."""
    coarsest = 2 * (max(shape) // COARSEST_SIDE)
    if min_diameter_px is not None:
        coarsest = min(coarsest, int(min_diameter_px / math.sqrt(4 / math.pi * MIN_AREA)))
    return [2**power for power in range(max(coarsest, 1).bit_length() - 1, -1, -1)]


def _best_scale(
    scene: Scene, signs: tuple[int, ...], min_diameter_px: float | None, max_diameter_px: float | None
) -> ScaleResult:
    """ScaleResult at a scene at rising resolution and keep the scale that explains it."""
    results: list[ScaleResult] = []
    worth: list[float] = []
    for factor in _factors(scene.image.shape, min_diameter_px):
        result = _find_at_scale(scene, factor, signs, min_diameter_px, max_diameter_px)
        results.append(result)
        rough = max(scene.image.shape) < COARSEST_SIDE * factor
        worth.append(result.value * (ROUGH if rough else 1.0))
        enough = not rough and factor <= 2 and result.bulk_side >= COMFORTABLE_SIDE
        if enough or worth[-1] < WORSE * max(worth):
            break
    return next(result for result, value in zip(results, worth, strict=True) if value >= GOOD_ENOUGH * max(worth))


def _find_at_scale(
    scene: Scene, factor: int, signs: tuple[int, ...], min_diameter_px: float | None, max_diameter_px: float | None
) -> ScaleResult:
    """Find particles at one scale, in the whole image or a sample of it, in the polarity that explains it better."""
    windows = _sample(scene, factor)
    scale = _scale(windows, factor, scene.step_of_grey, min_diameter_px, max_diameter_px)
    findings = {sign: _choose(windows, scale, sign) for sign in signs}
    sign = max(findings, key=lambda sign: findings[sign][0])
    seen = sum(window.smooth.size for window in windows)
    found = _drop_noise(findings[sign][1], seen)
    side = math.sqrt(_bulk(found, [p.area for p in found])) if found else 0.0
    # Per pixel of the image; the gradient stays per working pixel (Lindeberg's normalised derivative), so that a sharp
    # edge counts the same at every scale.
    value = sum(p.area**0.7 * p.score for p in found) * factor**1.4 / (seen * factor**2)
    return ScaleResult(scale, sign, value, found, side, len(windows) == 1)


def _window(scene: Scene, factor: int, rows: slice, cols: slice) -> Window:
    """Cut out a part, given in working pixels, and average it down to working scale."""
    part = scene.image[rows.start * factor : rows.stop * factor, cols.start * factor : cols.stop * factor]
    # In strips: a coarse scale of a large mosaic needs all of it, which would be several float copies at once.
    step = factor * max(1, STRIP_PX // (factor * part.shape[1]))
    strips = [_average_down(scene, part[start : start + step], factor) for start in range(0, len(part), step)]
    grey, unknown = (np.concatenate(parts) for parts in zip(*strips, strict=True))
    smooth = ndimage.gaussian_filter(grey, 1)
    # The pixel of the (sparse) drawing under the centre of each working pixel.
    row, col = (
        np.minimum(((side.start + np.arange(n)) * factor + factor // 2) // scene.drawn_step, limit - 1)
        for side, n, limit in zip((rows, cols), smooth.shape, scene.drawn.shape, strict=True)
    )
    excluded = scene.drawn[np.ix_(row, col)] | (unknown > 0.5)
    return Window(rows.start, cols.start, smooth, excluded)


def _average_down(scene: Scene, part: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean grey of each block of factor × factor pixels, and the fraction of it that is not finite."""
    unknown = ~np.isfinite(part)
    grey = _grey(part, scene.low, scene.middle, scene.high)
    short = [(0, -length % factor) for length in grey.shape]
    grey, unknown = np.pad(grey, short, mode="edge"), np.pad(unknown, short, mode="edge")
    blocks = (grey.shape[0] // factor, factor, grey.shape[1] // factor, factor)
    return grey.reshape(blocks).mean(axis=(1, 3)), unknown.reshape(blocks).mean(axis=(1, 3))


def _sample(scene: Scene, factor: int) -> list[Window]:
    """The whole image where it is small, else four windows spread over it."""
    height, width = (-(-length // factor) for length in scene.image.shape)
    if max(height, width) <= WINDOW:
        return [_window(scene, factor, slice(0, height), slice(0, width))]
    windows = []
    for part_down in (1, 3):
        for part_across in (1, 3):
            row = max(0, height * part_down // 4 - SAMPLE // 2)
            col = max(0, width * part_across // 4 - SAMPLE // 2)
            rows, cols = slice(row, min(row + SAMPLE, height)), slice(col, min(col + SAMPLE, width))
            windows.append(_window(scene, factor, rows, cols))
    return windows


def _scale(
    windows: list[Window],
    factor: int,
    step_of_grey: float,
    min_diameter_px: float | None,
    max_diameter_px: float | None,
) -> Scale:
    """Choose grey levels half by how often a grey occurs and half evenly: crowded greys and rare ones get theirs."""
    smallest = math.pi / 4 * ((min_diameter_px or 0) / factor) ** 2
    largest = math.pi / 4 * ((max_diameter_px or math.inf) / factor) ** 2
    greys = np.sort(np.concatenate([window.smooth.ravel() for window in windows]))
    even = np.linspace(greys[0], greys[-1], 2048)
    rank = (np.searchsorted(greys, even) / len(greys) + np.linspace(0, 1, len(even))) / 2
    levels = np.interp((np.arange(N_LEVELS) + 0.5) / N_LEVELS, rank, even)
    # The outline of a single step of grey is not an edge.
    noise = max(
        noise_gradient(np.concatenate([outline_gradient(window.smooth)[~window.excluded] for window in windows])),
        0.25 * step_of_grey,
    )
    return Scale(factor, levels, noise, max(MIN_AREA, math.ceil(smallest)), largest)


def _choose(windows: Iterable[Window], scale: Scale, sign: int) -> tuple[float, list[Particle]]:
    """Particles of some windows, placed in the scene (working pixels), and how well they explain the windows."""
    levels = scale.levels if sign > 0 else -scale.levels[::-1]
    total, found = 0.0, []
    for w in windows:
        smooth = sign * w.smooth
        view = View(smooth, outline_gradient(smooth), levels, scale.noise, w.excluded, scale.min_area, scale.max_area)
        value, particles = choose_particles(view)
        total += value
        found += [p._replace(row=p.row + w.row, col=p.col + w.col) for p in particles]
    return total, found


def _in_windows(scene: Scene, scale: Scale, sign: int, halo: int) -> Iterator[Particle]:
    """Go through a large scene window by window; a particle belongs to the window that holds its centre."""
    height, width = (-(-length // scale.factor) for length in scene.image.shape)
    for row in range(0, height, WINDOW):
        for col in range(0, width, WINDOW):
            rows = slice(max(0, row - halo), min(row + WINDOW + halo, height))
            cols = slice(max(0, col - halo), min(col + WINDOW + halo, width))
            for particle in _choose([_window(scene, scale.factor, rows, cols)], scale, sign)[1]:
                centre_row = particle.row + particle.mask.shape[0] // 2
                centre_col = particle.col + particle.mask.shape[1] // 2
                if row <= centre_row < row + WINDOW and col <= centre_col < col + WINDOW:
                    yield particle


def _drop_noise(particles: list[Particle], area: float) -> list[Particle]:
    """Leave out what may be noise, unless there is so much of it that it cannot be."""
    if len(particles) > FEW and sum(p.area for p in particles) > 0.05 * area:
        return particles
    return [p for p in particles if p.significance > ALONE_SIGNIFICANCE]


def _bulk(particles: list[Particle], values: list[float]) -> float:
    """Median weighted by area and score: the value of what most of the particles' area is made of."""
    order = np.argsort(values, kind="stable")
    weight = np.cumsum([particles[i].area * particles[i].score for i in order])
    return values[order[np.searchsorted(weight, weight[-1] / 2)]]


def _drop_outlying_sizes(particles: list[Particle], by_size: bool) -> list[Particle]:
    """Leave out what is far fainter than the bulk, and (unless a least size was given) what is far smaller."""
    if not particles:
        return []
    edge = MIN_RELATIVE_EDGE * _bulk(particles, [p.edge for p in particles])
    area = MIN_RELATIVE_DIAMETER**2 * _bulk(particles, [p.area for p in particles]) if by_size else 0
    return [p for p in particles if p.edge >= edge and p.area >= area]


def _draw_labels(image: np.ndarray, particles: list[Particle], factor: int) -> np.ndarray:
    """Label map at the image's own resolution."""
    labels = np.zeros(image.shape, np.int32)
    number = 0
    for particle in sorted(particles, key=lambda p: -p.score):
        mask = _enlarge(particle.mask, factor)
        row, col = particle.row * factor, particle.col * factor
        place = np.s_[row : row + mask.shape[0], col : col + mask.shape[1]]
        there = labels[place]
        mask = mask[: there.shape[0], : there.shape[1]]
        if image.dtype.kind == "f":
            mask = mask & np.isfinite(image[place])
        free = mask & (there == 0)
        # Two windows may both have found what lies on their seam.
        if free.sum() > mask.sum() / 2:
            number += 1
            there[free] = number
    return labels


def _enlarge(mask: np.ndarray, factor: int) -> np.ndarray:
    """Magnify a mask with a smooth outline."""
    if factor == 1:
        return mask
    grey = ndimage.zoom(np.pad(mask, 1).astype(np.float32), factor, order=1, mode="grid-constant", grid_mode=True)
    return grey[factor:-factor, factor:-factor] > 0.5
