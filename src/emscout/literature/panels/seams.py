"""Seams, where panels touch: lines across which a picture changes all along."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emscout.literature.panels.boxes import Cut
from emscout.literature.panels.surfaces import blocks_of, is_filled, luminance

__all__ = ["find_seam", "find_seams"]

_STRIP_PX = 24  # number of lines beside a seam that are compared
_NOISE_FLOOR = 1.0
# A step that separates panels, in units of the usual step between neighbouring lines.
_LEAST_STEP = 4.6
_LEAST_STEP_AT_LETTER = 1.8
_LEAST_STEP_EVERYWHERE = 2.1
_LEAST_SHARPNESS = 1.5
_LEAST_STEP_WITH_GRAIN = 2.0
_LEAST_GRAIN_CHANGE = 0.15
_GRAIN_LINES = (4, 16)
_GRAIN_BLOCKS = 12
_LARGE_PX = 31
_GRAIN_FLOOR = 0.3  # grey levels, so that the ratio stays small where there is hardly any


def find_seams(image: np.ndarray, axis: int, least_px: int) -> list[Cut]:
    """Lines across which the whole width changes at once more than anywhere near.

    Either the brightness steps, or it steps a little where the grain (noise and magnification) changes as well.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        Oriented so that lines are rows.
    axis : {0, 1}
        Axis of the figure that its rows are along.
    least_px : int
        Lines that a piece must keep.
    """
    if len(image) < 2 * least_px or image.shape[1] < least_px:
        return []
    grey = luminance(image)
    steps = _steps(grey)
    lines = np.arange(1, len(grey))
    strength = np.minimum(steps, 10).mean(axis=1)
    # A small step along the whole width: the edge of a large object spans only a part of it.
    bright = (np.percentile(steps, 25, axis=1) >= _LEAST_STEP_EVERYWHERE) & (strength >= _LEAST_STEP)
    grain = (_grain_change(grey) >= _LEAST_GRAIN_CHANGE) & (strength >= _LEAST_STEP_WITH_GRAIN)
    allowed = (lines >= least_px) & (lines <= len(grey) - least_px)
    # A blurred edge steps along several lines, a seam along one or two.
    sharp = strength >= _LEAST_SHARPNESS * _beside(strength)
    strength = np.where((bright | grain) & sharp, strength, 0)
    found = []
    for index in np.flatnonzero(allowed & (strength > 0)):
        if strength[index] < strength[max(0, index - 6) : index + 7].max():
            continue
        line = int(lines[index])
        sides = image[max(0, line - 2 - _STRIP_PX) : line - 2], image[line + 2 : line + 2 + _STRIP_PX]
        white = np.array([255, 255, 255])
        if all(is_filled(side, white, 0.5) for side in sides) and not _goes_on(grey, line):
            found.append(Cut(axis, line, line, float(strength[index]), None))
    return found


def _beside(strength: np.ndarray) -> np.ndarray:
    """The mean of what is 3 to 6 lines before and behind each line."""
    weights = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1]) / 8
    return ndimage.convolve1d(strength, weights, mode="nearest")


def find_seam(image: np.ndarray, axis: int, first: int, last: int) -> Cut | None:
    """The clearest seam within a few lines, where a letter says that a panel begins: fainter than `find_cut` asks.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    axis : {0, 1}
    first, last : int
        Lines between which the panel behind the seam begins.
    """
    steps = _steps(luminance(np.swapaxes(image, 0, axis)))
    strength = np.minimum(steps, 10).mean(axis=1)
    first, last = max(first, 1), min(last, len(strength))
    if first >= last:
        return None
    line = first + int(strength[first - 1 : last].argmax())
    if strength[line - 1] < _LEAST_STEP_AT_LETTER:
        return None
    return Cut(axis, line, line, float(strength[line - 1]), None)


def _steps(grey: np.ndarray) -> np.ndarray:
    """Step of each block of the width from a line to the next, in units of the usual step in that block."""
    means = np.stack([block.mean(axis=1) for block in blocks_of(grey)], axis=1)
    difference = np.abs(np.diff(means, axis=0))
    # Where a picture was enlarged by repeating pixels, most lines do not differ at all.
    usual = np.maximum(1.4826 * np.median(difference, axis=0), np.percentile(difference, 90, axis=0) / 2.5)
    return difference / np.maximum(usual, _NOISE_FLOOR)


def _grain_change(grey: np.ndarray) -> np.ndarray:
    """How much the grain differs before and behind each line: the logarithm of the ratio of differences side by side.

    The change that three quarters of the width reach in the same direction counts, within a few lines and within many:
    the grain of one picture changes slowly.
    """
    difference = np.abs(np.diff(grey, axis=1))
    # Edges of objects do not count as grain.
    difference = np.minimum(difference, max(_NOISE_FLOOR, float(np.median(difference))) * 4)
    grain = np.stack([block.mean(axis=1) for block in np.array_split(difference, _GRAIN_BLOCKS, axis=1)], axis=1)
    sums = np.concatenate([np.zeros((1, grain.shape[1])), np.cumsum(grain, axis=0)])
    lines = np.arange(1, len(grain))[:, None]
    ratios = []
    for reach in _GRAIN_LINES:
        first, last = np.maximum(lines - reach, 0), np.minimum(lines + reach, len(grain))
        before, behind = (
            (np.take_along_axis(sums, stop, 0) - np.take_along_axis(sums, start, 0)) / (stop - start)
            for start, stop in ((first, lines), (lines, last))
        )
        ratios.append(np.log((behind + _GRAIN_FLOOR) / (before + _GRAIN_FLOOR)))
    direction = np.sign(np.median(ratios[-1], axis=1, keepdims=True))
    return np.min([np.percentile(direction * ratio, 25, axis=1) for ratio in ratios], axis=0)


def _goes_on(grey: np.ndarray, line: int, apart: int = 4) -> bool:
    """Whether the picture continues across the line: a jump in brightness, not a seam."""

    def likeness(one: np.ndarray, other: np.ndarray) -> float:
        # Large objects and uneven illumination correlate by chance.
        one, other = (values - ndimage.uniform_filter1d(values, _LARGE_PX) for values in (one, other))
        scale = np.sqrt((one**2).sum() * (other**2).sum())
        return float((one * other).sum() / scale) if scale else 0.0

    half = apart // 2
    across = likeness(grey[line - 1 - half], grey[line + half])
    starts = np.linspace(0, len(grey) - apart - 2, 41).astype(int)
    usual = np.median([likeness(grey[start], grey[start + apart + 1]) for start in starts])
    return bool(usual > 0.3 and across > 0.6 * usual)
