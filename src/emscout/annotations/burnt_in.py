"""Titles and logos drawn over the frames of a movie: they stay where they are while the specimen moves."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pandas as pd
from scipy import ndimage

from emscout.errors import ReadError
from emscout.micrograph import Series

__all__ = ["ends_sharply", "find_burnt_in", "specimen_moves"]

# Number of frames compared, and how far the specimen must have moved to be distinguished from what is drawn.
_SAMPLE, _MOVED_PX = 12, 6.0
# Grey levels over which a pixel usually ranges; with fewer it may stay the same by chance.
_MANY_LEVELS = 4.0
# A pixel that varies by less than this share of the usual range may be drawn, unless more than this share of all does.
_STILL, _MOST = 0.35, 0.3
_FEWEST_PX = 12
# What is drawn ends within a pixel on all sides; the moving edge of the specimen is smeared over several.
_SHARP, _SHARES = 0.3, 25
# Standard deviations of the noise by which it stands out; ten of twelve normal values have a range of 2.2 of them.
_CLEAR, _RANGE = 2.0, 2.2
_MARGIN_PX = 3


def find_burnt_in(series: Series) -> np.ndarray:
    """Find what may be drawn over all frames alike, such as a title or a logo.

    Parameters
    ----------
    series : Series

    Returns
    -------
    ndarray of bool, shape (H, W)
        What stays the same in all frames and ends sharply. Where the specimen does not move, it may be specimen.
    """
    nothing = np.zeros(series.shape, bool)
    images = []
    for i in np.unique(np.linspace(0, len(series) - 1, _SAMPLE).round().astype(int)):
        with suppress(ReadError):
            images.append(series[int(i)].image)
    if len(images) < _SAMPLE:
        return nothing
    # Without the two extremes, because one of the frames may be a bad one.
    ordered = np.sort(np.stack(images), axis=0)[1:-1].astype(np.float32)
    spread, mean = ordered[-1] - ordered[0], ordered.mean(axis=0)
    usual = float(np.median(spread))
    steps = np.diff(np.unique(images[0][::7]).astype(np.float32))
    if len(steps) == 0 or usual < _MANY_LEVELS * float(steps.min()):
        return nothing
    still = spread <= _STILL * usual
    if still.mean() > _MOST:
        return nothing
    drawn = ends_sharply(still, mean, usual / _RANGE, fewest_px=_FEWEST_PX)
    # Letters are close together: between them no particle can be seen.
    wide = ndimage.binary_fill_holes(ndimage.binary_dilation(drawn, iterations=2 * _MARGIN_PX))
    return ndimage.binary_erosion(wide, iterations=_MARGIN_PX, border_value=1)


def specimen_moves(drift: pd.DataFrame) -> bool:
    """Whether the specimen moves so far that what stays the same in all frames is not part of it."""
    good = drift.loc[drift["status"] == "ok", ["row_px", "col_px"]].to_numpy(dtype=float)
    return bool(np.ptp(good, axis=0).max() >= _MOVED_PX)


def ends_sharply(still: np.ndarray, mean: np.ndarray, noise: float, *, fewest_px: int = 1) -> np.ndarray:
    """Those regions of what stays the same that end sharply on all sides.

    The inside of a particle may stay the same too, where grey values are clipped; but its edge moves with the specimen.

    Parameters
    ----------
    still : ndarray of bool, shape (H, W)
    mean : ndarray of float, shape (H, W)
        Of the frames.
    noise : float
        Standard deviation in a single frame.
    fewest_px : int
        Smaller regions are left out.

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    around = np.ones((3, 3), bool)
    regions, _ = ndimage.label(still, around)
    drawn = np.zeros(still.shape, bool)
    background = float(np.median(mean))
    for number, box in enumerate(ndimage.find_objects(regions), 1):
        near = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
        region = regions[near] == number
        ring = ndimage.binary_dilation(region, around) & ~region
        if region.sum() < fewest_px or not ring.any():
            continue
        inside = float(np.median(mean[near][region]))
        jump = float(np.percentile(np.abs(mean[near][ring] - inside), _SHARES))
        if jump > max(_CLEAR * noise, _SHARP * abs(inside - background)):
            drawn[near] |= region
    return drawn
