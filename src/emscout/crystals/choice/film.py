"""The film between crystals: whether it shows only noise, and which tiles hold something far darker than the film."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["DEEP", "MOSTLY_FILM", "find_noise_tiles", "is_only_noise", "measure_depth"]

MOSTLY_FILM = 0.6
"""The largest cluster is taken for film when it has at least this share of the tiles."""

DEEP = 6.0
"""A tile whose darkest hundredth lies this many spreads below that of the film holds something that is not film."""

# DEEP was set by eye on two sets of asbestos and one of graphite with bars in view: fibres and flakes lie 6 to 30
# spreads below the film, edges of holes and dim light beside a bar 4 to 5. There bars take a third of the tiles or
# more, and the means of the other tiles have a spread of at most 0.02; on 12 labelled micrographs with as much black
# it is at least 0.08. On smooth film a tile that is a few hundredths darker is still film.
_BARS_IN_VIEW, _EVEN, _LEAST_DEPTH = 0.1, 0.04, 0.05

# Dark areas fill 2 to 4 % of such a tile there, and 20 % where crystals are as large as tiles; then the features tell
# which tiles are full of crystal and which are only touched by one.
_THIN = 0.1

# In standard errors. Synthetic film without anything on it stays below 7.5 and 13; crystals of 3 % contrast in 2 %
# noise reach 30 in the mean of a tile.
_LEAST_CONTRAST, _LEAST_STEP = 8.0, 15.0

# _ROUGH is in spreads of the film. The film shows only noise where its spread is at most _NOISE_ONLY times the spread
# that the noise of single pixels causes: on two sets of polymers it is 1 to 2 times that, on seven sets of graphite,
# asbestos and wires 4 times or more.
_ROUGH, _NOISE_ONLY = 4.0, 3.0
_FAINT = 2.0  # times the noise; rougher tiles stand out and are judged by their features


def measure_depth(tiles: pd.DataFrame) -> np.ndarray | None:
    """How far the darkest hundredth of each tile lies below the film, where bars are in view.

    Overviews with bars have a low magnification: crystals on them are small or thin, and far darker than film with or
    without holes. The features of a tile, which were learned from larger particles, say less there.

    Parameters
    ----------
    tiles : DataFrame
        ``black``, ``cluster`` (missing where black), ``height_px``, ``width_px``, and the statistics ``mean``,
        ``standard_deviation`` and ``quantile_01`` after correction of the illumination.

    Returns
    -------
    ndarray of float, shape (n,), or None
        In spreads of the film; 0 where not darker, NaN where black. ``None`` where the depth says nothing: no bars are
        in view, tiles differ too much for film, the film shows only noise, no tile is `DEEP`, or crystals fill the deep
        tiles instead of crossing them.
    """
    seen, mean = tiles["cluster"].notna().to_numpy(bool), tiles["mean"].to_numpy(float)
    if tiles["black"].mean() < _BARS_IN_VIEW or _spread(mean[seen]) > _EVEN or find_noise_tiles(tiles)[0].any():
        return None
    dark = tiles["quantile_01"].to_numpy(float)
    spread = max(_spread(dark[seen]), _LEAST_DEPTH / DEEP)
    depth = np.where(seen, np.maximum(np.median(dark[seen]) - dark, 0) / spread, np.nan)
    if not np.nanmax(depth) >= DEEP:
        return None
    film, deep = float(np.median(mean[seen])), depth >= DEEP
    share = (film - mean[deep]) / (film - dark[deep])
    return depth if np.median(share) <= _THIN else None


def find_noise_tiles(tiles: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Find the tiles that show only noise, and those that are a little rougher.

    Parameters
    ----------
    tiles : DataFrame
        As for `measure_depth`.

    Returns
    -------
    noise, faint : ndarray of bool, shape (n,)
        All False unless most tiles of the set show only noise.
    """
    nowhere, seen = np.zeros(len(tiles), bool), tiles["cluster"].notna().to_numpy(bool)
    deviation, mean = tiles["standard_deviation"].to_numpy(float), tiles["mean"].to_numpy(float)
    usual, grey = float(np.median(deviation[seen])), float(np.median(mean[seen]))
    # Measured on the smoother half, because anything that lies on film makes it rougher.
    spread = usual - float(np.quantile(deviation[seen], 0.16))
    of_noise = usual / np.sqrt(2 * float((tiles["height_px"] * tiles["width_px"]).median()))
    if not 0 < spread <= _NOISE_ONLY * of_noise:
        return nowhere, nowhere
    rough = deviation >= usual + _ROUGH * spread
    faint = seen & rough & (deviation <= _FAINT * usual)
    calm = seen & ~rough & (np.abs(mean - grey) <= _ROUGH * _spread(mean[seen]))
    return (calm, faint) if calm.sum() >= MOSTLY_FILM * seen.sum() else (nowhere, nowhere)


def is_only_noise(tiles: pd.DataFrame) -> bool:
    """Whether the tiles of an image differ only by the noise of its pixels, so that even the best of them is empty."""
    deviation, mean = tiles["standard_deviation"].to_numpy(float), tiles["mean"].to_numpy(float)
    noise, n_px = float(np.median(deviation)), (tiles["height_px"] * tiles["width_px"]).to_numpy(float)
    if noise == 0:
        return not deviation.any() and float(np.ptp(mean)) == 0
    # In standard errors of a standard deviation and of a mean.
    of_deviation = (deviation / noise - 1) * np.sqrt(2 * n_px)
    of_mean = (mean - np.median(mean)) / noise * np.sqrt(n_px)
    return bool(of_deviation.max() < _LEAST_CONTRAST and np.abs(of_mean).max() < _LEAST_STEP)


def _spread(values: np.ndarray) -> float:
    """Robust standard deviation, from the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
