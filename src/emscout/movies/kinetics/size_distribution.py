"""Which law made these sizes: their distribution compared with those that ripening and coalescence leave."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage, optimize

__all__ = ["compare_distributions", "last_radii_px", "lsw_density"]

# With fewer sizes no distribution is fitted.
_FEWEST = 5


def lsw_density(relative_radius: np.ndarray) -> np.ndarray:
    """Probability density of r / mean r in steady ripening limited by diffusion, that of Lifshitz, Slyozov and Wagner.

    Parameters
    ----------
    relative_radius : ndarray of float

    Returns
    -------
    ndarray of float
        0 from 1.5 up.
    """
    u = np.asarray(relative_radius, dtype=float)
    inside = (u > 0) & (u < 1.5)
    v = np.where(inside, u, 1.0)
    density = 4 / 9 * v**2 * (3 / (3 + v)) ** (7 / 3) * (1.5 / (1.5 - v)) ** (11 / 3) * np.exp(-v / (1.5 - v))
    return np.where(inside, density, 0.0)


def last_radii_px(tracks: pd.DataFrame) -> np.ndarray:
    """Radii in the last frame, when the distribution has had most time to form; without particles cut by the border.

    Parameters
    ----------
    tracks : DataFrame
        ``frame``, ``equivalent_circular_diameter_px``, ``touches_border``.

    Returns
    -------
    ndarray of float, shape (n,)
    """
    last = tracks[(tracks["frame"] == tracks["frame"].max()) & ~tracks["touches_border"].astype(bool)]
    return last["equivalent_circular_diameter_px"].to_numpy(dtype=float) / 2


def compare_distributions(radii: np.ndarray, error: float = 0.0) -> pd.DataFrame:
    """Compare a size distribution with those that ripening and coalescence leave.

    Parameters
    ----------
    radii : ndarray of float, shape (n,)
        Radii or diameters, in any unit.
    error : float
        Standard deviation of one of them, in that unit: the LSW distribution, which ends sharply at 1.5 times the mean,
        is blurred by it.

    Returns
    -------
    DataFrame
        Two rows: ``shape`` (``lsw``, of ripening limited by diffusion; ``log-normal``, usual after coalescence:
        Granqvist & Buhrman 1976, doi:10.1063/1.322870), ``scale`` (the mean, and the median) and ``spread`` (NaN, and
        the standard deviation of the logarithm) of greatest likelihood, ``log_likelihood``, ``aic`` (the smaller, the
        better the fit), ``kolmogorov`` (greatest distance between the cumulative curves, that of
        LSW at the mean of the sizes), ``n``. NaN for fewer than five values.
    """
    values = np.asarray(radii, dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    n = len(values)
    columns = ["shape", "scale", "spread", "log_likelihood", "aic", "kolmogorov", "n"]
    if n < _FEWEST or np.ptp(values) == 0:
        empty = (np.nan,) * 5
        return pd.DataFrame([("lsw", *empty, n), ("log-normal", *empty, n)], columns=columns)

    grid = np.linspace(0, 2, 4001)
    sharp = lsw_density(grid)

    def blurred(scale: float) -> np.ndarray:
        width = error / scale / grid[1]
        return ndimage.gaussian_filter1d(sharp, width, mode="constant") if width > 0.1 else sharp

    def unlikely(log_scale: float) -> float:
        scale = float(np.exp(log_scale))
        density = np.interp(values / scale, grid, blurred(scale), right=0.0) / scale
        # Never 0: the search needs a slope to find its way back from scales that are impossible.
        return -float(np.log(np.maximum(density, 1e-300)).sum())

    middle = np.log(values.mean())
    tried = middle + np.linspace(-0.3, np.log(values.max() / values.mean()) + 0.1, 200)
    best = float(tried[np.argmin([unlikely(one) for one in tried])])
    step = tried[1] - tried[0]
    fit = optimize.minimize_scalar(unlikely, bounds=(best - step, best + step), method="bounded")
    cumulative = np.cumsum(blurred(float(values.mean())))
    from scipy import stats  # takes half a second to import

    lsw = stats.kstest(values / values.mean(), lambda u: np.interp(u, grid, cumulative / cumulative[-1])).statistic
    logs = np.log(values)
    spread, median = float(logs.std()), float(np.exp(logs.mean()))
    log_normal = stats.lognorm(spread, scale=median)
    likelihood = float(log_normal.logpdf(values).sum())
    distance = float(stats.kstest(values, log_normal.cdf).statistic)
    rows = [
        ("lsw", float(np.exp(fit.x)), np.nan, -float(fit.fun), 2 + 2 * float(fit.fun), float(lsw), n),
        ("log-normal", median, spread, likelihood, 4 - 2 * likelihood, distance, n),
    ]
    return pd.DataFrame(rows, columns=columns)
