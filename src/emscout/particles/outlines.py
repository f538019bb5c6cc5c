"""Outlines drawn anew at the image's own resolution, where the network has looked at particles much shrunk."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.measure import perimeter_crofton

__all__ = ["HALF_HEIGHT", "refine_outlines"]

HALF_HEIGHT = 0.5
"""Level of an edge as a microscope blurs it: the same in every frame, and where a particle's area is right."""

# These were chosen on the validation images of particles-v2. People draw a little outside of the half height.
_LEVEL = 0.75

_BAND = 0.12
"""How far an outline may move, over the particle's diameter; a pixel at least."""

_BLURS_PX = (0.7, 1.4, 2.8, 5.6, 11.2)
_WIDEST_BLUR = 0.08
"""Over the particle's diameter: more would move the outline."""

_SMOOTH = 12.0
"""Where inside and outside differ by so many standard deviations of the noise, it does not fray the outline."""

_FRAYED = 1.2
"""Where an outline becomes longer than the network's by this, for its area, noise frays it yet."""

_ROUND = 1.5
"""Radius to which an outline is smoothed, over that to which the noise was."""

_CLEAR = 2.8
"""Only where inside and outside differ by so many standard deviations of either."""

_FEWEST_PX = 8

# From a median of absolute values to a standard deviation.
_MAD = 1.4826


def refine_outlines(labels: np.ndarray, grey: np.ndarray, level: float = _LEVEL) -> np.ndarray:
    """Let each outline run where the grey passes from the particle's to that around it.

    Noise is blurred away as far as it takes, and as the particle's size allows.

    Parameters
    ----------
    labels : ndarray of int32, shape (H, W)
        1..n without gaps, each in one piece.
    grey : ndarray of float32, shape (H, W)
        In 0..1.
    level : float
        Where on the way from the grey inside (0) to that outside (1) an outline runs; by default where people draw it.

    Returns
    -------
    ndarray of int32, shape (H, W)
        The same particles, each in one piece; those of little contrast, or too small to tell, as they were.
    """
    refined = np.zeros_like(labels)
    for index, box in enumerate(ndimage.find_objects(labels)):
        diameter_px = np.sqrt(4 / np.pi * np.count_nonzero(labels[box] == index + 1))
        band_px = max(1.0, _BAND * diameter_px)
        margin = int(np.ceil(2.5 * band_px)) + 1
        near = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        particle = labels[near] == index + 1
        free = (particle | (labels[near] == 0)) & (refined[near] == 0)
        depth = ndimage.distance_transform_edt(particle) - ndimage.distance_transform_edt(~particle)
        redrawn = particle & free
        rough = _roughness(redrawn)
        for blur_px in _BLURS_PX:
            if blur_px > max(_BLURS_PX[0], _WIDEST_BLUR * diameter_px):
                break
            # As many pixels outside the half height, however much is blurred.
            at = 0.5 + (level - 0.5) * _BLURS_PX[0] / blur_px
            smooth = _blur(grey, near, blur_px)
            noise = smooth - _blur(grey, near, 2 * blur_px)
            contrast, drawn = _redraw(depth, free, smooth, noise, band_px, at)
            round_px = min(_ROUND * blur_px, _WIDEST_BLUR * diameter_px)
            if drawn is not None:
                redrawn = _one_piece(free & (ndimage.gaussian_filter(drawn.astype(np.float32), round_px) > 0.5))
            if contrast > _SMOOTH and _roughness(redrawn) <= _FRAYED * rough:
                break
        refined[near][redrawn if (redrawn & particle).any() else particle & free] = index + 1
    return refined


def _blur(grey: np.ndarray, near: tuple[slice, ...], blur_px: float) -> np.ndarray:
    """A part of the blurred image; as a whole at every radius that would fill the memory."""
    reach = int(4 * blur_px + 0.5)
    around = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in near)
    inner = tuple(slice(n.start - a.start, n.stop - a.start) for n, a in zip(near, around, strict=True))
    return ndimage.gaussian_filter(grey[around], blur_px)[inner]


def _redraw(
    depth: np.ndarray, free: np.ndarray, grey: np.ndarray, noise: np.ndarray, band_px: float, level: float
) -> tuple[float, np.ndarray | None]:
    """Contrast over noise, and one particle's pixels where it is clear which; ``depth`` is that in its old outline."""
    # Of a small particle only the middle is not edge.
    core_px = max(band_px, min(0.5 * depth.max(), 2.0))
    inner, outer = (depth > core_px) & (depth <= 3 * band_px + 1), free & (depth < -band_px) & (depth >= -2.5 * band_px)
    if min(inner.sum(), outer.sum()) < _FEWEST_PX:
        return 0.0, None
    inside, outside = np.median(grey[inner]), np.median(grey[outer])
    contrast = abs(inside - outside) / (_MAD * max(np.median(np.abs(noise[inner | outer])), 1e-6))
    spread = _MAD * max(np.median(np.abs(grey[inner] - inside)), np.median(np.abs(grey[outer] - outside)), 0.01)
    if abs(inside - outside) <= _CLEAR * spread:
        return contrast, None
    like_inside = (grey - inside - level * (outside - inside)) * (inside - outside) > 0
    redrawn = free & ((depth > band_px) | (like_inside & (depth > -band_px)))
    return contrast, ndimage.binary_fill_holes(redrawn) & free


def _roughness(mask: np.ndarray) -> float:
    """Perimeter over the square root of the area."""
    return float(perimeter_crofton(np.pad(mask, 1)) / np.sqrt(max(mask.sum(), 1)))


def _one_piece(mask: np.ndarray) -> np.ndarray:
    pieces, count = ndimage.label(mask)
    return mask if count < 2 else pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1
