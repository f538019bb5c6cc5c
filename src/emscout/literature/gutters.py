"""Where a figure can be cut straight through: gutters of any colour and width, and seams where panels touch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Cut", "find_cut", "find_seam", "is_drawn", "is_filled", "is_flat", "luminance"]

# Grey levels by which a pixel differs from a colour and still is of it: JPEG leaves colours uneven.
SAME = 12
_BLANK = 0.95  # share of a line that has one colour: arrows and frames cross gutters
_PAPER = 240
_STRIP_PX = 24  # what lies beside a gutter is judged by so many lines
_RINGING_PX = 8  # that JPEG leaves beside an edge
_BLOCKS = 24
_COLOURED = 60
_LEAST_UNEVENNESS = (1, 3)  # grey levels, of what is grey and of what is coloured
_NOISE_FLOOR = 1.0
# A step that parts panels, in units of what is usual between neighbouring lines.
_LEAST_STEP = 4.6
_LEAST_STEP_AT_LETTER = 1.8
_LEAST_STEP_EVERYWHERE = 2.1


class Cut(NamedTuple):
    """Lines ``start`` to ``stop`` along ``axis`` (not included; equal at a seam) part what is before and behind."""

    axis: int
    start: int
    stop: int
    strength: float
    colour: np.ndarray | None


def luminance(image: np.ndarray) -> np.ndarray:
    """Grey values (float32) of a colour image."""
    grey = np.float32(0.299) * image[..., 0]
    # Channel by channel, because a float copy of all three would fill the memory for a poster.
    for channel, weight in ((1, 0.587), (2, 0.114)):
        grey += np.float32(weight) * image[..., channel]
    return grey


def find_cut(image: np.ndarray, least_px: int) -> Cut | None:
    """The clearest straight cut through the whole of an image, or None where it is one panel.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    least_px : int
        Height and width that a piece must keep.

    Returns
    -------
    Cut or None
        The widest gutter beside something that fills its place as a micrograph does; without a gutter the strongest
        seam. Gaps between the parts of a plot are no gutters.
    """
    gutters = [cut for axis in (0, 1) for cut in _gutters(np.swapaxes(image, 0, axis), axis, least_px)]
    if gutters:
        return max(gutters, key=lambda cut: cut.strength)
    seams = [cut for axis in (0, 1) for cut in _seams(np.swapaxes(image, 0, axis), axis, least_px)]
    return max(seams, key=lambda cut: cut.strength, default=None)


def _gutters(image: np.ndarray, axis: int, least_px: int) -> list[Cut]:
    """Runs of lines of one colour with a filled place on at least one side; lines are rows here."""
    if len(image) < 2 * least_px:
        return []
    colours = np.median(image[:, :: max(1, image.shape[1] // 512)], axis=1)
    blank = (np.abs(image - colours[:, None]).max(axis=2) <= SAME).mean(axis=1) >= _BLANK
    found = []
    for start, stop in _runs(blank, colours):
        if start < least_px or len(image) - stop < least_px:
            continue
        colour = np.median(colours[start:stop], axis=0)
        sides = image[max(0, start - _STRIP_PX) : start][::-1], image[stop : stop + _STRIP_PX]
        covered = [_share_covered(side, colour) for side in sides]
        filled = max(_share_filled(side, colour) for side in sides)
        is_white, is_wide = bool(colour.min() >= _PAPER), stop - start > 2
        is_even = is_wide and (np.abs(image[start:stop] - colour).max(axis=2) <= 2).mean() > 0.95
        if is_white and is_wide:
            # White paper is seldom part of a micrograph: that one begins beside it anywhere will do.
            evidence, needed = filled, 0.25
        else:
            # Other colours, and thin lines, are: both sides must end there, and not be the bars of a plot.
            evidence, needed = max(covered) if is_even else min(covered), 0.6
            evidence = 0.0 if (is_white or not is_wide) and filled < 0.25 else evidence
        if evidence >= needed:
            found.append(Cut(axis, start, stop, evidence * (stop - start), colour))
    return found


def _runs(blank: np.ndarray, colours: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop of runs of blank lines of one colour."""
    runs: list[tuple[int, int]] = []
    for line in np.flatnonzero(blank):
        if runs and runs[-1][1] == line and np.abs(colours[line] - colours[runs[-1][0]]).max() <= SAME:
            runs[-1] = (runs[-1][0], int(line) + 1)
        else:
            runs.append((int(line), int(line) + 1))
    return runs


def _share_covered(strip: np.ndarray, colour: np.ndarray) -> float:
    """Share of the length of a gutter beside which another colour begins."""
    other = np.abs(strip - colour).max(axis=2) > SAME
    return float(np.mean([block.mean() >= 0.75 for block in _blocks(other)]))


def _share_filled(strip: np.ndarray, colour: np.ndarray) -> float:
    """Share of the length of a gutter, first in the strip, beside which something uneven covers the place wholly."""
    beyond = strip[_RINGING_PX:]
    if not beyond.size or is_drawn(beyond):
        return 0.0
    other = np.abs(strip - colour).max(axis=2) > SAME
    filled = [
        block.mean() >= 0.9 and is_uneven(inner) for block, inner in zip(_blocks(other), _blocks(beyond), strict=True)
    ]
    return float(np.mean(filled))


def is_filled(image: np.ndarray, colour: np.ndarray, share: float = 0.9) -> bool:
    """Whether an image (H, W, 3) is, to that share, not of ``colour``, and uneven as micrographs are."""
    return bool((np.abs(image - colour).max(axis=-1) > SAME).mean() >= share and is_uneven(image))


def is_uneven(image: np.ndarray) -> bool:
    """Whether grey values differ along the rows: the bars of a plot, and the lines around them, have one."""
    if not image.size:
        return False
    grey = luminance(image)
    # JPEG leaves more unevenness in colours than in greys.
    is_coloured = np.median(np.ptp(image, axis=-1)) > _COLOURED
    least = _LEAST_UNEVENNESS[1 if is_coloured else 0]
    return bool(np.median(np.abs(grey - np.median(grey, axis=1, keepdims=True))) >= least)


def is_drawn(image: np.ndarray) -> bool:
    """Whether four grey values make up most of it, as in shapes filled with a colour."""
    counts = np.bincount(luminance(image).astype(int).ravel(), minlength=4)
    return bool(np.sort(counts)[-4:].sum() > 0.75 * counts.sum())


def is_flat(image: np.ndarray) -> bool:
    """Whether more than half of it has one grey value, as paper and banners have."""
    grey = luminance(image)
    return bool((np.bincount((grey / 4).astype(int).ravel(), minlength=1).max()) > 0.5 * grey.size)


def _blocks(strip: np.ndarray) -> list[np.ndarray]:
    return np.array_split(strip, min(_BLOCKS, max(1, strip.shape[1] // 12)), axis=1)


def _seams(image: np.ndarray, axis: int, least_px: int) -> list[Cut]:
    """Lines across which the whole width changes at once more than anywhere near; lines are rows here."""
    if len(image) < 2 * least_px or image.shape[1] < least_px:
        return []
    grey = luminance(image)
    steps = _steps(grey)
    lines = np.arange(1, len(grey))
    # Cut short, and everywhere a little at least, because the edge of one large thing spans a part of the width.
    everywhere = np.percentile(steps, 25, axis=1) >= _LEAST_STEP_EVERYWHERE
    strength = np.where(everywhere, np.minimum(steps, 10).mean(axis=1), 0)
    allowed = (lines >= least_px) & (lines <= len(grey) - least_px)
    found = []
    for index in np.flatnonzero(allowed & (strength >= _LEAST_STEP)):
        if strength[index] < strength[max(0, index - 6) : index + 7].max():
            continue
        line = int(lines[index])
        sides = image[max(0, line - 2 - _STRIP_PX) : line - 2], image[line + 2 : line + 2 + _STRIP_PX]
        white = np.array([255, 255, 255])
        if all(is_filled(side, white, 0.5) for side in sides) and not _goes_on(grey, line):
            found.append(Cut(axis, line, line, float(strength[index]), None))
    return found


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
    """How far each block of the width steps from a line to the next, in units of what is usual in that block."""
    means = np.stack([block.mean(axis=1) for block in _blocks(grey)], axis=1)
    difference = np.abs(np.diff(means, axis=0))
    # Where pixels were repeated to enlarge a picture, most lines do not step at all.
    usual = np.maximum(1.4826 * np.median(difference, axis=0), np.percentile(difference, 90, axis=0) / 2.5)
    return difference / np.maximum(usual, _NOISE_FLOOR)


def _goes_on(grey: np.ndarray, line: int, apart: int = 4) -> bool:
    """Whether what is shown before the line is continued behind it: a jump in brightness, not a seam."""

    def likeness(one: np.ndarray, other: np.ndarray) -> float:
        one, other = (values - np.median(values) for values in (one, other))
        scale = np.sqrt((one**2).sum() * (other**2).sum())
        return float((one * other).sum() / scale) if scale else 0.0

    half = apart // 2
    across = likeness(grey[line - 1 - half], grey[line + half])
    starts = np.linspace(0, len(grey) - apart - 2, 41).astype(int)
    usual = np.median([likeness(grey[start], grey[start + apart + 1]) for start in starts])
    return bool(usual > 0.3 and across > 0.6 * usual)
