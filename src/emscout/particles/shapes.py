"""The shape a particle's outline comes nearest to, and how sure that is."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy import ndimage

__all__ = ["SHAPES", "name_shape"]

SHAPES = ("sphere", "rod", "cube", "triangle", "hexagon", "irregular")

_N_ANGLES = 60
# Outlines are followed on masks of about this radius: larger ones are averaged down, which keeps the time bounded.
_MAX_RADIUS_PX = 20
_SMALLEST_AREA_PX2 = 9

# Aspect ratios (of the moments) at which a shape still goes by its name.
_ASPECT_RANGE = {
    "sphere": (1.0, 1.2),
    "rod": (1.5, math.inf),
    "cube": (1.0, 1.25),
    "triangle": (1.0, 1.3),
    "hexagon": (1.0, 1.2),
}
# An outline is better called irregular from this misfit (1 - IoU) on, the second number per pixel of outline in a pixel
# of area; misfits differ by about that much from one sampling of a particle to another. Both are set on drawn shapes
# of 6 to 60 px with and without noise; the spread is twice what those show, as real outlines are rougher.
_IRREGULAR = (0.08, 0.1)
_SPREAD = (0.005, 0.04)


def name_shape(mask: np.ndarray) -> tuple[str, float]:
    """Name the shape of one particle.

    The outline is brought to equal second moments in all directions (which turns ellipses into circles and
    rectangles into squares) and compared with circles, regular triangles, squares and hexagons with sharp and
    rounded corners, in all rotations, by intersection over union at equal area and centroid. Being more or less
    elongated than a shape may be costs the overlap lost in stretching. A rod is 1.5 or more times longer than wide,
    with straight sides along its axis or an ellipse; a cube is seen face-on, a square or a rectangle up to 1.25.

    Parameters
    ----------
    mask : ndarray of bool, shape (h, w)
        True on the particle, which fills the box; at least one pixel.

    Returns
    -------
    (str, float)
        One of `SHAPES` and its score in 0..1: the share of this shape in the evidence, when the outline is
        uncertain by a fraction of a pixel. Small particles therefore score low whatever they look like; below
        9 pixels nothing can be said: ``('irregular', 0.0)``.
    """
    area = np.count_nonzero(mask)
    if area < _SMALLEST_AREA_PX2:
        return "irregular", 0.0
    radius = math.sqrt(area / math.pi)
    outline, aspect = _isotropic_outline(_averaged_down(mask, max(1, math.ceil(radius / _MAX_RADIUS_PX))))
    # Of an ellipse, to first order: how many pixels of outline there are to a pixel of area.
    outline_per_area = (math.sqrt(aspect) + 1 / math.sqrt(aspect)) / radius
    misfits = _misfits(outline, aspect)
    misfits["irregular"] = _IRREGULAR[0] + _IRREGULAR[1] * outline_per_area
    values = np.array([misfits[name] for name in SHAPES])
    evidence = np.exp(-(values - values.min()) / (_SPREAD[0] + _SPREAD[1] * outline_per_area))
    return SHAPES[int(np.argmin(values))], float(1 / evidence.sum())


def _misfits(outline: np.ndarray, aspect: float) -> dict[str, float]:
    """1 - IoU with the nearest of each class of ideal shapes."""
    misfits = {}
    for name, ideals in _ideal_outlines().items():
        iou = (np.minimum(ideals, outline).sum(axis=1) / np.maximum(ideals, outline).sum(axis=1)).max()
        low, high = _ASPECT_RANGE[name]
        stretch = max(low / aspect, aspect / high, 1.0)
        # What overlap an ellipse loses to one stretched by this much: 2/π · ln(stretch), to first order.
        misfits[name] = 1 - float(iou) + 2 / math.pi * math.log(stretch)
    return misfits


def _averaged_down(mask: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return mask.astype(float)
    height, width = (math.ceil(n / factor) for n in mask.shape)
    padded = np.pad(mask, [(0, height * factor - mask.shape[0]), (0, width * factor - mask.shape[1])])
    return padded.reshape(height, factor, width, factor).mean(axis=(1, 3))


def _isotropic_outline(coverage: np.ndarray) -> tuple[np.ndarray, float]:
    """Squared radius of the outline against angle, made isotropic, mean 1; and the aspect ratio before.

    Angle 0 is the long axis. The squared radius is twice the area in the sector, so holes and folds count by
    their area.
    """
    total = coverage.sum()
    r, c = np.arange(coverage.shape[0]), np.arange(coverage.shape[1])
    row, col = coverage.sum(axis=1) @ r / total, coverage.sum(axis=0) @ c / total
    r, c = r - row, c - col
    mu_rc = r @ coverage @ c / total
    # A pixel is a square, not a point: 1/12 is its own second moment.
    covariance = np.array([[coverage.sum(axis=1) @ r**2, 0], [0, coverage.sum(axis=0) @ c**2]]) / total + np.eye(2) / 12
    covariance[0, 1] = covariance[1, 0] = mu_rc
    (minor, major), axes = np.linalg.eigh(covariance)
    aspect = math.sqrt(major / minor)
    scale = math.sqrt(total / math.pi)
    # Columns: where the unit vectors along the long and the short axis of the isotropic frame lie in the image.
    frame = axes[:, ::-1] * (scale * math.sqrt(aspect), scale / math.sqrt(aspect))
    angles = np.arange(_N_ANGLES) * (2 * math.pi / _N_ANGLES)
    n_steps = math.ceil(5 * scale * math.sqrt(aspect)) + 10
    steps = (np.arange(n_steps) + 0.5) * (2.5 / n_steps)
    directions = frame @ np.stack([np.cos(angles), np.sin(angles)])
    points = directions[:, :, None] * steps
    points[0] += row
    points[1] += col
    values = ndimage.map_coordinates(coverage, points, order=1, mode="grid-constant")
    squared_radius = values @ steps
    return squared_radius / squared_radius.mean(), aspect


@cache
def _ideal_outlines() -> dict[str, np.ndarray]:
    """Squared radius against angle, mean 1, of every ideal shape: arrays (n, _N_ANGLES) by class."""
    return {
        "sphere": np.ones((1, _N_ANGLES)),
        # Along the long axis only: a square there was a rectangle, a circle was an ellipse.
        "rod": np.stack([_rounded_polygon(4, rounding, 0.0) for rounding in (0, 0.25, 0.5, 0.75, 1)]),
        "cube": _turned(4, (0, 0.25, 0.5)),
        "triangle": _turned(3, (0, 0.25, 0.5)),
        "hexagon": _turned(6, (0, 0.3)),
    }


def _turned(n_sides: int, roundings: tuple[float, ...]) -> np.ndarray:
    turns = np.radians(np.arange(0, 360 / n_sides, 3))
    return np.stack([_rounded_polygon(n_sides, rounding, turn) for rounding in roundings for turn in turns])


def _rounded_polygon(n_sides: int, rounding: float, turn: float) -> np.ndarray:
    """Squared radius of a regular polygon whose corners are arcs; `rounding` 0 is sharp, 1 is the inscribed circle."""
    angles = np.arange(_N_ANGLES) * (2 * math.pi / _N_ANGLES) - turn
    half = math.pi / n_sides
    # From the middle of the nearest side, in units of the inscribed circle's radius.
    from_side = np.abs((angles + half) % (2 * half) - half)
    arc_centre = (1 - rounding) / math.cos(half)
    from_corner = half - from_side
    on_arc = np.tan(from_side) > (1 - rounding) * math.tan(half)
    reach = np.sqrt(np.maximum(rounding**2 - (arc_centre * np.sin(from_corner)) ** 2, 0))
    radius = np.where(on_arc, arc_centre * np.cos(from_corner) + reach, 1 / np.cos(from_side))
    return radius**2 / np.mean(radius**2)
