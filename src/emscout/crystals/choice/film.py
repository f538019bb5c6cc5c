"""What the film of a set shows between its crystals: nothing but noise, or more; and what is far darker than it."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["DEEP", "MOSTLY_FILM", "is_noise", "measure_depth", "noise_and_more"]

MOSTLY_FILM = 0.6
"""Film is what most tiles show."""

DEEP = 6.0
"""Spreads of the film's dark end, below which a tile holds something that is no film."""

# DEEP was set by eye on two sets of asbestos and one of graphite with bars in view: fibres and flakes go 6 to 30
# spreads below the film, the edges of its holes and its soft light beside a bar 4 to 5. There bars take a third of the
# tiles and more, and the means of the others have a spread of 0.02 at most; on 12 labelled micrographs with as much
# black it is 0.08 and more. What is darker by a few hundredths of smooth film is still film.
_BARS_IN_VIEW, _EVEN, _LEAST_DEPTH = 0.1, 0.04, 0.05

# What is dark fills 2 to 4 % of such a tile there, and 20 % where crystals are as large as tiles, of which looks tell
# which are full of crystal and which are only touched.
_THIN = 0.1

# In standard errors. Made film without anything on it stays below 7.5 and 13; crystals of 3 % contrast in 2 % noise
# reach 30 in the mean of a tile.
_LEAST_CONTRAST, _LEAST_STEP = 8.0, 15.0

# In spreads of the film's own, where that is no more than so many times what the noise of its pixels makes of it.
# On two sets of polymers the film's is 1 to 2 times that, on seven of graphite, asbestos and wires 4 and more.
_ROUGH, _NOISE_ONLY = 4.0, 3.0
_FAINT = 2.0  # times the noise; what is rougher stands out, and is judged by its looks


def measure_depth(tiles: pd.DataFrame) -> np.ndarray | None:
    """How far the darkest hundredth of each tile lies below the film, in spreads of the film's, where bars are in view.

    Overviews with bars are of low magnification: crystals on them are small or thin, and far darker than film, whatever
    holes that has. How a tile looks, which was learned from larger particles, says less there.

    Parameters
    ----------
    tiles : DataFrame
        ``black``, ``cluster`` (missing where black), ``height_px``, ``width_px``, and the statistics ``mean``,
        ``standard_deviation`` and ``quantile_01`` in even light.

    Returns
    -------
    ndarray of float, shape (n,), or None
        0 where not darker, NaN where black. ``None`` where it says nothing: no bars are in view, tiles differ too much
        for film, film shows nothing but noise, no tile is `DEEP`, or those that are so are filled rather than crossed.
    """
    seen, mean = tiles["cluster"].notna().to_numpy(bool), tiles["mean"].to_numpy(float)
    if tiles["black"].mean() < _BARS_IN_VIEW or _spread(mean[seen]) > _EVEN or noise_and_more(tiles)[0].any():
        return None
    dark = tiles["quantile_01"].to_numpy(float)
    spread = max(_spread(dark[seen]), _LEAST_DEPTH / DEEP)
    depth = np.where(seen, np.maximum(np.median(dark[seen]) - dark, 0) / spread, np.nan)
    if not np.nanmax(depth) >= DEEP:
        return None
    film, deep = float(np.median(mean[seen])), depth >= DEEP
    share = (film - mean[deep]) / (film - dark[deep])
    return depth if np.median(share) <= _THIN else None


def noise_and_more(tiles: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Tiles that show nothing but noise, and those a little rougher, where most of a set is such film: bool (n,) each.

    Nowhere where most tiles show more than noise.
    """
    nowhere, seen = np.zeros(len(tiles), bool), tiles["cluster"].notna().to_numpy(bool)
    deviation, mean = tiles["standard_deviation"].to_numpy(float), tiles["mean"].to_numpy(float)
    usual, grey = float(np.median(deviation[seen])), float(np.median(mean[seen]))
    # By the smoother ones: what lies on film makes it rougher.
    spread = usual - float(np.quantile(deviation[seen], 0.16))
    of_noise = usual / np.sqrt(2 * float((tiles["height_px"] * tiles["width_px"]).median()))
    if not 0 < spread <= _NOISE_ONLY * of_noise:
        return nowhere, nowhere
    rough = deviation >= usual + _ROUGH * spread
    faint = seen & rough & (deviation <= _FAINT * usual)
    calm = seen & ~rough & (np.abs(mean - grey) <= _ROUGH * _spread(mean[seen]))
    return (calm, faint) if calm.sum() >= MOSTLY_FILM * seen.sum() else (nowhere, nowhere)


def is_noise(tiles: pd.DataFrame) -> bool:
    """Whether the tiles of an image differ by no more than the noise of its pixels: the best of them is nothing."""
    deviation, mean = tiles["standard_deviation"].to_numpy(float), tiles["mean"].to_numpy(float)
    noise, n_px = float(np.median(deviation)), (tiles["height_px"] * tiles["width_px"]).to_numpy(float)
    if noise == 0:
        return not deviation.any() and float(np.ptp(mean)) == 0
    # By the standard errors of a standard deviation and of a mean.
    of_deviation = (deviation / noise - 1) * np.sqrt(2 * n_px)
    of_mean = (mean - np.median(mean)) / noise * np.sqrt(n_px)
    return bool(of_deviation.max() < _LEAST_CONTRAST and np.abs(of_mean).max() < _LEAST_STEP)


def _spread(values: np.ndarray) -> float:
    """Standard deviation, were they normal: from the median distance to their median."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
