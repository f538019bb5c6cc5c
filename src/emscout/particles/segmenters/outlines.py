"""Outlines drawn anew at the image's own resolution, where the network saw the particles much smaller."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage
from skimage.measure import perimeter_crofton

__all__ = ["HALF_HEIGHT", "refine_outlines", "smooth_finely"]

HALF_HEIGHT = 0.5
"""Level of an edge as a microscope blurs it: the same in every frame, and where a particle's area is right."""

# These were chosen on the validation images of particles-v2. People draw a little outside of the half height.
_LEVEL = 0.75

_BAND = 0.12
"""How far an outline may move, over the particle's diameter; a pixel at least."""

_BLURS_PX = (0.7, 1.4, 2.8, 5.6, 11.2)
"""The first stands for `smooth_finely`, which is as smooth."""

_FINEST_PX = 0.5

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
"""Of its inside, and of its surroundings, for a particle whose grey values must be estimated from itself alone."""

_FEWEST_PARTICLES = 10
"""So many say what is usual among them."""

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

    Notes
    -----
    A few noisy pixels tell the greys of a small particle badly, and a wrong grey moves its outline. So they are drawn
    towards what is usual in the image, the more so the less its particles differ by more than their noise (empirical
    Bayes: Efron & Morris, doi:10.1080/01621459.1975.10479864).
    """
    refined = np.zeros_like(labels)
    places = [_neighbourhood(labels, number, box) for number, box in enumerate(ndimage.find_objects(labels), 1)]
    finest = [_smooth(grey, place.near, _BLURS_PX[0]) for place in places]
    usual = _typical_greys(places, finest)
    for number, (place, finest_one) in enumerate(zip(places, finest, strict=True), 1):
        near, particle = place.near, place.particle
        free = place.free & (refined[near] == 0)
        redrawn = particle & free
        rough = _roughness(redrawn)
        for blur_px in _BLURS_PX:
            if blur_px > max(_BLURS_PX[0], _WIDEST_BLUR * place.diameter_px):
                break
            # As many pixels outside the half height, however much is blurred.
            at = 0.5 + (level - 0.5) * _BLURS_PX[0] / blur_px
            smoothed = finest_one if blur_px == _BLURS_PX[0] else _smooth(grey, place.near, blur_px)
            contrast, drawn = _redraw(place, free, smoothed, at, usual)
            round_px = min(_ROUND * blur_px, _WIDEST_BLUR * place.diameter_px)
            if drawn is not None:
                redrawn = _one_piece(free & (ndimage.gaussian_filter(drawn.astype(np.float32), round_px) > 0.5))
            if contrast > _SMOOTH and _roughness(redrawn) <= _FRAYED * rough:
                break
        refined[near][redrawn if (redrawn & particle).any() else particle & free] = number
    return refined


def smooth_finely(grey: np.ndarray) -> np.ndarray:
    """Take the grain off an image so that outlines do not fray: a Gaussian of half a pixel, a median of 3 x 3 pixels.

    Parameters
    ----------
    grey : ndarray of float32, shape (H, W)

    Returns
    -------
    ndarray of float32, shape (H, W)
        A wider Gaussian that costs small particles as much of their area leaves more of it.
    """
    import cv2

    # The median is forty times as fast as SciPy's.
    return cv2.medianBlur(ndimage.gaussian_filter(grey, _FINEST_PX), 3)


class _Place(NamedTuple):
    """A particle as it was outlined, and what is around it."""

    near: tuple[slice, ...]
    particle: np.ndarray
    free: np.ndarray  # the particle's own pixels and background
    depth: np.ndarray  # px inside the outline; less than 0 outside
    diameter_px: float
    band_px: float

    def zones(self) -> tuple[np.ndarray, np.ndarray]:
        """The pixels that are surely inside, and those surely outside."""
        # Of a small particle only the middle is not edge.
        core_px = max(self.band_px, min(0.5 * self.depth.max(), 2.0))
        inner = (self.depth > core_px) & (self.depth <= 3 * self.band_px + 1)
        return inner, self.free & (self.depth < -self.band_px) & (self.depth >= -2.5 * self.band_px)


class _Smoothed(NamedTuple):
    """What is around a particle, blurred, and what noise is left in it."""

    smooth: np.ndarray
    noise: np.ndarray


class _Typical(NamedTuple):
    """What is usual of a grey among the particles of an image."""

    grey: float
    variance: float  # of the particles' own, without what noise adds; inf where too few say what is usual

    def draw(self, own: float, error: float) -> float:
        """A particle's own grey, known to a standard error, drawn towards the usual one."""
        if not np.isfinite(self.variance):
            return own
        return self.grey + (own - self.grey) * self.variance / (self.variance + error**2)


def _neighbourhood(labels: np.ndarray, number: int, box: tuple[slice, ...]) -> _Place:
    diameter_px = float(np.sqrt(4 / np.pi * np.count_nonzero(labels[box] == number)))
    band_px = max(1.0, _BAND * diameter_px)
    margin = int(np.ceil(2.5 * band_px)) + 1
    near = tuple(slice(max(0, side.start - margin), side.stop + margin) for side in box)
    particle = labels[near] == number
    depth = ndimage.distance_transform_edt(particle) - ndimage.distance_transform_edt(~particle)
    return _Place(near, particle, particle | (labels[near] == 0), depth, diameter_px, band_px)


def _typical_greys(places: list[_Place], smoothed: list[_Smoothed]) -> tuple[_Typical, _Typical]:
    """The usual grey values inside and outside of the particles."""
    known = []
    for place, (smooth, noise) in zip(places, smoothed, strict=True):
        inner, outer = place.zones()
        if inner.any() and outer.any():
            deviation = _deviation(noise[inner | outer])
            known.append([(np.median(smooth[zone]), _error(zone, deviation)) for zone in (inner, outer)])
    if len(known) < _FEWEST_PARTICLES:
        return _Typical(0.0, np.inf), _Typical(0.0, np.inf)
    values, errors = np.moveaxis(np.array(known), 2, 0)
    usual = np.median(values, axis=0)
    spread = _MAD * np.median(np.abs(values - usual), axis=0)
    own = np.maximum(spread**2 - np.median(errors**2, axis=0), 1e-6)
    return _Typical(usual[0], own[0]), _Typical(usual[1], own[1])


def _smooth(grey: np.ndarray, near: tuple[slice, ...], blur_px: float) -> _Smoothed:
    """A part of the image blurred: all of it at every radius would fill the memory."""
    reach = int(8 * blur_px + 0.5)
    around = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in near)
    inner = tuple(slice(n.start - a.start, n.stop - a.start) for n, a in zip(near, around, strict=True))
    is_finest = blur_px == _BLURS_PX[0]
    smooth = smooth_finely(grey[around]) if is_finest else ndimage.gaussian_filter(grey[around], blur_px)
    return _Smoothed(smooth[inner], (smooth - ndimage.gaussian_filter(grey[around], 2 * blur_px))[inner])


def _deviation(noise: np.ndarray) -> float:
    return max(_MAD * float(np.median(np.abs(noise))), 1e-6)


def _error(zone: np.ndarray, deviation: float) -> float:
    """Standard error of the median of a zone's pixels; those within the finest blur are one."""
    return 1.25 * deviation * min(1.0, float(np.sqrt(4 * np.pi * _BLURS_PX[0] ** 2 / zone.sum())))


def _redraw(
    place: _Place, free: np.ndarray, smoothed: _Smoothed, level: float, usual: tuple[_Typical, _Typical]
) -> tuple[float, np.ndarray | None]:
    """Contrast over noise, and one particle's pixels where it is clear which."""
    smooth, noise = smoothed
    usual_inside, usual_outside = usual
    inner, outer = place.zones()
    outer = outer & free
    fewest = _FEWEST_PX if np.isinf(usual_inside.variance) else 1
    if min(inner.sum(), outer.sum()) < fewest:
        return 0.0, None
    inside, outside = np.median(smooth[inner]), np.median(smooth[outer])
    spread = max(_deviation(smooth[inner] - inside), _deviation(smooth[outer] - outside), _MAD * 0.01)
    deviation = _deviation(noise[inner | outer])
    inside = usual_inside.draw(inside, _error(inner, deviation))
    outside = usual_outside.draw(outside, _error(outer, deviation))
    contrast = abs(inside - outside) / deviation
    if abs(inside - outside) <= _CLEAR * spread:
        return contrast, None
    like_inside = (smooth - inside - level * (outside - inside)) * (inside - outside) > 0
    redrawn = free & ((place.depth > place.band_px) | (like_inside & (place.depth > -place.band_px)))
    return contrast, ndimage.binary_fill_holes(redrawn) & free


def _roughness(mask: np.ndarray) -> float:
    """Perimeter over the square root of the area."""
    return float(perimeter_crofton(np.pad(mask, 1)) / np.sqrt(max(mask.sum(), 1)))


def _one_piece(mask: np.ndarray) -> np.ndarray:
    pieces, count = ndimage.label(mask)
    return mask if count < 2 else pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1
