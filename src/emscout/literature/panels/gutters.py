"""Straight cuts through a figure: gutters of any colour and width, and seams where panels touch."""

from __future__ import annotations

import numpy as np

from emscout.literature.panels.boxes import Cut
from emscout.literature.panels.seams import find_seams
from emscout.literature.panels.surfaces import SAME, blocks_of, is_drawn, is_uneven

__all__ = ["find_cut"]

_BLANK = 0.95  # share of a line that has one colour: arrows and frames cross gutters
_CLEAN = 0.998  # the same of a line that nothing crosses
_LEAST_CLEAN_PX = 3
_WHOLLY = 0.95  # of the length of a gutter
_PAPER = 240
_STRIP_PX = 24  # number of lines beside a gutter that are compared
_RINGING_PX = 8  # JPEG artefacts beside an edge


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
        seam. Gaps between the parts of a plot are not gutters.
    """
    gutters = [cut for axis in (0, 1) for cut in _gutters(np.swapaxes(image, 0, axis), axis, least_px)]
    if gutters:
        return max(gutters, key=lambda cut: cut.strength)
    seams = [cut for axis in (0, 1) for cut in find_seams(np.swapaxes(image, 0, axis), axis, least_px)]
    return max(seams, key=lambda cut: cut.strength, default=None)


def _gutters(image: np.ndarray, axis: int, least_px: int) -> list[Cut]:
    """Runs of lines of one colour with something filled on at least one side; lines are rows here."""
    if len(image) < 2 * least_px:
        return []
    colours = np.median(image[:, :: max(1, image.shape[1] // 512)], axis=1)
    share = (np.abs(image - colours[:, None]).max(axis=2) <= SAME).mean(axis=1)
    blank, clean = share >= _BLANK, share >= _CLEAN
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
            # White paper is seldom part of a micrograph: that one begins beside it anywhere will do. A dark one may be
            # as even as what is drawn, but then that is seldom as wide as the figure.
            evidence, needed = max(filled, max(covered) if max(covered) >= _WHOLLY else 0.0), 0.25
        else:
            # Other colours, and thin lines, are: both sides must end there, and not be the bars of a plot.
            evidence, needed = max(covered) if is_even else min(covered), 0.6
            evidence = 0.0 if (is_white or not is_wide) and filled < 0.25 else evidence
        if evidence >= needed:
            strength = evidence * (stop - start)
            # The low end of a curve or the last bars of a plot stand in lines that are nearly blank; so do letters,
            # but these belong to what follows.
            runs = _runs(clean[start:stop], colours[start:stop]) if is_white else []
            first = next((run[0] for run in runs if run[1] - run[0] >= _LEAST_CLEAN_PX), 0)
            found.append(Cut(axis, start + first, stop, strength, colour))
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
    return float(np.mean([block.mean() >= 0.75 for block in blocks_of(other)]))


def _share_filled(strip: np.ndarray, colour: np.ndarray) -> float:
    """Share of the length of a gutter, first in the strip, beside which something uneven covers the place wholly."""
    beyond = strip[_RINGING_PX:]
    if not beyond.size or is_drawn(beyond):
        return 0.0
    other = np.abs(beyond - colour).max(axis=2) > SAME
    filled = [
        block.mean() >= 0.9 and is_uneven(inner)
        for block, inner in zip(blocks_of(other), blocks_of(beyond), strict=True)
    ]
    return float(np.mean(filled))
