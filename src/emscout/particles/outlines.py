"""Outlines drawn anew at the image's own resolution, where the network has looked at particles much shrunk."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["HALF_HEIGHT", "refine_outlines"]

HALF_HEIGHT = 0.5
"""Level of an edge as a microscope blurs it: the same in every frame, and where a particle's area is right."""

# Chosen on the validation images of particles-v2: people draw a little outside of the half height.
_LEVEL = 0.7

_BAND = 0.06
"""How far an outline may move, over the particle's diameter; a pixel at least."""

_CLEAR = 3.0
"""Only where inside and outside differ by so many standard deviations of either."""

_FEWEST_PX = 8


def refine_outlines(labels: np.ndarray, grey: np.ndarray, level: float = _LEVEL) -> np.ndarray:
    """Let each outline run where the grey passes from the particle's to that around it.

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
    smooth = ndimage.gaussian_filter(grey, 0.7)
    refined = np.zeros_like(labels)
    for index, box in enumerate(ndimage.find_objects(labels)):
        diameter_px = np.sqrt(4 / np.pi * np.count_nonzero(labels[box] == index + 1))
        band_px = max(1.0, _BAND * diameter_px)
        margin = int(np.ceil(2.5 * band_px)) + 1
        near = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
        particle = labels[near] == index + 1
        free = (particle | (labels[near] == 0)) & (refined[near] == 0)
        redrawn = _redraw(particle, free, smooth[near], band_px, level)
        refined[near][redrawn if (redrawn & particle).any() else particle & free] = index + 1
    return refined


def _redraw(particle: np.ndarray, free: np.ndarray, grey: np.ndarray, band_px: float, level: float) -> np.ndarray:
    """One particle's pixels, of those that are free."""
    depth = ndimage.distance_transform_edt(particle) - ndimage.distance_transform_edt(~particle)
    inner, outer = (depth > band_px) & (depth <= 3 * band_px + 1), free & (depth < -band_px) & (depth >= -2.5 * band_px)
    if min(inner.sum(), outer.sum()) < _FEWEST_PX:
        return particle & free
    inside, outside = np.median(grey[inner]), np.median(grey[outer])
    noise = 1.4826 * max(np.median(np.abs(grey[inner] - inside)), np.median(np.abs(grey[outer] - outside)), 0.01)
    if abs(inside - outside) <= _CLEAR * noise:
        return particle & free
    like_inside = (grey - inside - level * (outside - inside)) * (inside - outside) > 0
    redrawn = free & ((depth > band_px) | (like_inside & (depth > -band_px)))
    pieces, count = ndimage.label(redrawn)
    if count > 1:
        redrawn = pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1
    return ndimage.binary_fill_holes(redrawn) & (free | redrawn)
