"""How fast, and by which law: the exponent of growth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, sparse

from emscout.errors import UsageError

__all__ = ["LAWS", "WIDEST_INTERVAL", "fit_power_law", "growth_exponent"]

LAWS = (
    (2, "growth limited by the interface", "interface"),
    (3, "growth limited by diffusion", "diffusion"),
    (4, "exchange along a surface", "surface, boundaries"),
)
"""Exponents of known laws of growth, each with its name in full and in short."""
WIDEST_INTERVAL = 1.5
"""An exponent with a wider 95 % interval does not tell one law from the next."""

# Exponents considered: interfaces 2, diffusion 3, along boundaries and surfaces 4, with room on either side.
_EXPONENTS = np.arange(5, 81) / 10
# Frames over which a particle's speed of growth is taken, and stretches of the movie with a critical radius each.
_STRETCH = 8
_PERIODS = 6
# Events that change a particle's area by something other than exchange with its surroundings.
_JUMPS = ("coalescence", "split", "segmentation-error")


def growth_exponent(
    tracks: pd.DataFrame,
    times: np.ndarray,
    events: pd.DataFrame | None = None,
    *,
    seed: int = 0,
    resamples: int = 200,
) -> pd.DataFrame:
    """Exponent n of r^n - r0^n = k t, from the mean radius and from each particle's own growth.

    Parameters
    ----------
    tracks : DataFrame
        ``frame``, ``particle``, ``area_px2``; particles that ``touches_border``, where there is that column, are left
        out.
    times : ndarray of float
        Time of each frame, by frame number, in seconds or whatever unit k is wanted in.
    events : DataFrame or None
        As from `find_events`: no speed of growth is taken across a merger, a split or an error.
    seed, resamples : int
        Of the bootstrap over particles that gives the intervals (95 %).

    Returns
    -------
    DataFrame
        Two rows: ``method`` (``mean-radius``, ``single-particles``), ``n``, ``n_low``, ``n_high``, ``k`` (px^n per unit
        of time), ``k_low``, ``k_high``. NaN where there are too few particles or frames, or no growth.

    Notes
    -----
    - ``mean-radius`` fits the law to the curve. With a few hundred particles that grow by less than half, n is not well
      determined, as its interval shows, and sizes that did not begin with the shape of steady ripening bend the curve.
    - ``single-particles`` fits dr/dt = K / r^(n-1) · (r / r* - 1), the mean field of ripening (Lifshitz & Slyozov 1961,
      doi:10.1016/0022-3697(61)90054-3; Wagner 1961), to the speeds of all particles over stretches of eight frames,
      with a critical radius r* for each sixth of the movie. It needs no steady state and no loss-free volume, and
      every particle gives information on n: the larger n is, the faster small ones shrink. k is 4K/9, which the mean
      radius follows when n is 3.
    """
    _check(tracks, times)
    table = tracks.loc[~tracks["touches_border"]] if "touches_border" in tracks else tracks
    table = table.sort_values(["particle", "frame"], kind="stable")
    rng = np.random.default_rng(seed)
    names = np.unique(table["particle"])
    weights = (
        np.vstack([np.ones(len(names)), rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)])
        if len(names)
        else np.ones((1, 0))
    )
    rows = [
        ("mean-radius", *_from_mean(table, np.asarray(times, dtype=float), weights)),
        ("single-particles", *_from_particles(table, np.asarray(times, dtype=float), events, names, weights)),
    ]
    return pd.DataFrame(rows, columns=["method", "n", "n_low", "n_high", "k", "k_low", "k_high"])


def _check(tracks: pd.DataFrame, times: np.ndarray) -> None:
    missing = [name for name in ("frame", "particle", "area_px2") if name not in tracks]
    if missing:
        raise UsageError(f"The table of tracks has no column {missing[0]}, without which there is no growth exponent.")
    if len(tracks) and tracks["frame"].max() >= len(times):
        raise UsageError(
            f"There are {len(times)} times but a frame {tracks['frame'].max()}: give a time to every frame."
        )


def fit_power_law(times: np.ndarray, mean_radius_px: np.ndarray) -> tuple[float, float]:
    """Fit r^n - r0^n = k t by least squares in r.

    Parameters
    ----------
    times, mean_radius_px : ndarray of float, shape (n,)

    Returns
    -------
    n, k : float
        NaN with fewer than four points, for a radius that does not grow, or where n reaches a limit of the search, 0.5
        or 8.
    """
    t, r = np.asarray(times, dtype=float), np.asarray(mean_radius_px, dtype=float)
    finite = np.isfinite(t) & np.isfinite(r)
    t, r = t[finite], r[finite]
    if len(t) < 4 or np.ptp(t) == 0 or np.polyfit(t, r, 1)[0] <= 0:
        return float("nan"), float("nan")
    part = (t - t[0]) / (t[-1] - t[0])

    def curve(n: float, start: float, end: float) -> np.ndarray:
        return (start**n + (end**n - start**n) * part) ** (1 / n)

    def left(p: np.ndarray) -> np.ndarray:
        return curve(p[0], p[1], p[2]) - r

    lowest, highest = _EXPONENTS[0], _EXPONENTS[-1]
    fit = optimize.least_squares(
        left,
        (3.0, r[0], r[-1]),
        bounds=((lowest, 1e-3 * r[0], 1e-3 * r[0]), (highest, np.inf, np.inf)),
    )
    n, start, end = fit.x
    if end <= start or not lowest + 1e-3 < n < highest - 1e-3:
        return float("nan"), float("nan")
    return float(n), float((end**n - start**n) / (t[-1] - t[0]))


def _from_mean(table: pd.DataFrame, times: np.ndarray, weights: np.ndarray) -> tuple[float, ...]:
    if len(table) == 0:
        return (float("nan"),) * 6
    frames, at = np.unique(table["frame"], return_inverse=True)
    _, who = np.unique(table["particle"], return_inverse=True)
    radius = np.sqrt(table["area_px2"].to_numpy(dtype=float) / np.pi)
    sums = weights @ sparse.coo_matrix((radius, (who, at))).tocsr()
    counts = weights @ sparse.coo_matrix((np.ones(len(who)), (who, at))).tocsr()
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums / counts
    return _with_intervals(np.array([fit_power_law(times[frames], mean) for mean in means]))


def _with_intervals(fits: np.ndarray) -> tuple[float, ...]:
    """Both n and k of all particles, each with the interval of the resampled; NaN counts as not determined at all."""
    figures: list[float] = []
    for value, *resampled in fits.T:
        known = np.isfinite(resampled)
        is_known = len(resampled) > 0 and np.isfinite(value) and known.mean() > 0.5
        low, high = np.percentile(np.array(resampled)[known], [2.5, 97.5]) if is_known else (np.nan, np.nan)
        figures += [float(value), float(low), float(high)]
    return tuple(figures)


class _Speeds(NamedTuple):
    """Stretches of tracks without a jump."""

    particle: np.ndarray
    time: np.ndarray
    radius: np.ndarray  # (n, _STRETCH - 1), between frames
    speed: np.ndarray


def _speeds(table: pd.DataFrame, times: np.ndarray, events: pd.DataFrame | None) -> _Speeds:
    """Radii and speed of growth of each particle over stretches without a jump."""
    frame = table["frame"].to_numpy(dtype=int)
    particle = table["particle"].to_numpy()
    jumped = set()
    if events is not None:
        jumps = events[events["kind"].isin(_JUMPS)]
        for at, some in zip(jumps["frame"], jumps["particles"], strict=True):
            jumped |= {(int(number), int(at)) for number in some.split()}
    cut = np.r_[True, particle[1:] != particle[:-1]] if len(particle) else np.empty(0, dtype=bool)
    if jumped:
        before = np.r_[-1, frame[:-1]]
        for number, at in jumped:
            cut |= (particle == number) & (before < at) & (at <= frame)
    group = cut.cumsum()
    since = np.arange(len(cut)) - np.flatnonzero(cut)[group - 1] if len(cut) else group
    stretch = pd.DataFrame(
        {
            "particle": particle,
            "time": times[frame],
            "radius": np.sqrt(table["area_px2"].to_numpy(dtype=float) / np.pi),
            "stretch": group * (len(cut) + 1) + since // _STRETCH,
        }
    )
    whole = stretch[stretch.groupby("stretch")["time"].transform("size") == _STRETCH]
    time = whole["time"].to_numpy().reshape(-1, _STRETCH)
    radius = whole["radius"].to_numpy().reshape(-1, _STRETCH)
    off = time - time.mean(axis=1, keepdims=True)
    speed = (off * radius).sum(axis=1) / (off**2).sum(axis=1)
    # Smooth, and halfway between frames: powers of single noisy radii would be too large on average.
    i = np.arange(_STRETCH)
    smooth = np.vander(i[:-1] + 0.5, 3) @ np.linalg.pinv(np.vander(i, 3))
    radius = np.maximum(radius @ smooth.T, radius.mean(axis=1, keepdims=True) / 4)
    return _Speeds(whole["particle"].to_numpy()[::_STRETCH], time.mean(axis=1), radius, speed)


def _from_particles(
    table: pd.DataFrame, times: np.ndarray, events: pd.DataFrame | None, names: np.ndarray, weights: np.ndarray
) -> tuple[float, ...]:
    speeds = _speeds(table, times, events)
    if len(speeds.speed) < 10 * _PERIODS:
        return (float("nan"),) * 6
    unit = float(np.median(speeds.radius))
    r, speed = speeds.radius / unit, speeds.speed / unit
    # Periods of as many stretches each, so that none is empty.
    order = np.argsort(speeds.time, kind="stable")
    period = np.empty(len(r), dtype=int)
    period[order] = np.arange(len(r)) * _PERIODS // len(r)
    who = np.searchsorted(names, speeds.particle)
    keep = np.ones(len(r), dtype=bool)
    for _ in range(2):  # once more without outliers, such as errors of segmentation that make no event
        best = _best_exponent(r[keep], speed[keep], period[keep], who[keep], weights[:1])[0]
        left = speed - _terms(r, period, best[0]) @ best[1:]
        keep = np.abs(left - np.median(left)) <= 5 * 1.4826 * np.median(np.abs(left - np.median(left)))
    fits = _best_exponent(r[keep], speed[keep], period[keep], who[keep], weights)
    n, rate = fits[:, 0], fits[:, -1]
    inside = (n > _EXPONENTS[0]) & (n < _EXPONENTS[-1]) & (rate > 0)
    k = 4 / 9 * rate * unit**n
    return _with_intervals(np.where(inside[:, None], np.column_stack([n, k]), np.nan))


def _terms(r: np.ndarray, period: np.ndarray, n: float) -> np.ndarray:
    """The factors of K / r* of each period, and of K, in the speed of growth over stretches of radii r."""
    # A slope by least squares is the mean of the speeds between frames, the middle ones weighing most.
    i = np.arange(1, _STRETCH)
    weight = i * (_STRETCH - i)
    power = np.exp((1 - n) * np.log(r))
    shrink, grow = power @ weight / weight.sum(), (power * r) @ weight / weight.sum()
    return np.column_stack([(period[:, None] == np.arange(_PERIODS)) * grow[:, None], -shrink])


def _best_exponent(
    r: np.ndarray, speed: np.ndarray, period: np.ndarray, who: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """For each row of weights (b, particles): n, then the factors of `_terms`; least squares on a grid of n."""
    order = np.argsort(who, kind="stable")
    r, speed, period, who = r[order], speed[order], period[order], who[order]
    present, starts = np.unique(who, return_index=True)
    weights = weights[:, present]
    size = _PERIODS + 1
    left, factors = np.empty((len(_EXPONENTS), len(weights))), np.empty((len(_EXPONENTS), len(weights), size))
    for i, n in enumerate(_EXPONENTS):
        columns = np.column_stack([_terms(r, period, n), speed])
        products = np.add.reduceat(columns[:, :, None] * columns[:, None], starts)
        sums = (weights @ products.reshape(len(present), -1)).reshape(-1, size + 1, size + 1)
        # A period that a resample leaves empty gets the factor 0 instead of none.
        normal = sums[:, :size, :size] + 1e-12 * np.eye(size) * np.trace(sums, axis1=1, axis2=2)[:, None, None]
        factors[i] = np.linalg.solve(normal, sums[:, :size, size:])[..., 0]
        left[i] = sums[:, size, size] - (factors[i] * sums[:, :size, size]).sum(axis=1)
    best = left.argmin(axis=0)
    rows = np.arange(len(weights))
    n = _EXPONENTS[best]
    middle = (best > 0) & (best < len(_EXPONENTS) - 1)
    at = np.clip(best, 1, len(_EXPONENTS) - 2)
    below, here, above = left[at - 1, rows], left[at, rows], left[at + 1, rows]
    bend = below - 2 * here + above
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.where(middle & (bend > 0), n + (below - above) / (2 * bend) * (_EXPONENTS[1] - _EXPONENTS[0]), n)
    return np.column_stack([n, factors[best, rows]])
