"""Curves of the whole field against time: number, mean radius, coverage and volume."""

from __future__ import annotations

import numpy as np
import pandas as pd

from emscout.errors import UsageError
from emscout.movies.tracking.observations import outline_noise_px

__all__ = ["measure_curves"]


def measure_curves(
    tracks: pd.DataFrame,
    field_area_px2: float,
    *,
    frames: np.ndarray | None = None,
    times_s: np.ndarray | None = None,
) -> pd.DataFrame:
    """Number, mean radius, coverage and volume against time, each with a band.

    Parameters
    ----------
    tracks : DataFrame
        ``frame``, ``particle``, ``area_px2``. The bands are wider where the table has
        ``probability`` (that the particle is one), ``area_low_px2`` and ``area_high_px2`` (its area by the narrowest
        and the widest possible outline). Particles that ``touches_border`` count in number and coverage, not in
        mean radius and volume.
    field_area_px2 : float
        Area of the field of view.
    frames : ndarray of int or None
        The frames that were measured, so that one without a particle has a row too.
    times_s : ndarray or None
        Time of each frame, by frame number.

    Returns
    -------
    DataFrame
        One row per frame: ``frame``, ``time_s`` where known, then ``n``, ``mean_radius_px``, ``coverage``,
        ``volume_px3`` (as spheres), each with ``_low`` and ``_high``.

    Notes
    -----
    The band is that of the segmentation: 95 % of what independent errors of the particles can do (the noise of their
    outlines from frame to frame, and whether each is one at all), beyond the curves of the narrowest and the widest
    outlines, which all particles of a frame share. It is not the scatter between fields of view.
    """
    missing = [name for name in ("frame", "particle", "area_px2") if name not in tracks]
    if missing:
        raise UsageError(f"The table of tracks has no column {missing[0]}, without which there are no curves.")
    noise = outline_noise_px(tracks)
    numbers = np.unique(tracks["frame"] if frames is None else np.concatenate([frames, tracks["frame"]])).astype(int)
    by_frame = dict(iter(tracks.groupby("frame")))
    rows = [_figures(by_frame.get(number, tracks.iloc[:0]), field_area_px2, noise) for number in numbers]
    names = [
        f"{name}{end}" for name in ("n", "mean_radius_px", "coverage", "volume_px3") for end in ("", "_low", "_high")
    ]
    table = pd.DataFrame(rows, columns=names)
    table.insert(0, "frame", numbers)
    if times_s is not None:
        table.insert(1, "time_s", np.asarray(times_s, dtype=float)[numbers])
    return table


def _figures(table: pd.DataFrame, field_area_px2: float, noise: float) -> tuple[float, ...]:
    """The four figures of a frame, each with its band."""

    def column(name: str, default: np.ndarray) -> np.ndarray:
        return table[name].to_numpy(dtype=float) if name in table else default

    area = table["area_px2"].to_numpy(dtype=float)
    low, high = column("area_low_px2", area), column("area_high_px2", area)
    doubt = column("probability", np.ones(len(area)))
    doubt = doubt * (1 - doubt)  # the variance of being there or not
    inside = ~column("touches_border", np.zeros(len(area))).astype(bool)
    radius = np.sqrt(area / np.pi)

    def band(value: float, lowest: float, highest: float, variance: float) -> tuple[float, float, float]:
        half = 1.96 * float(np.sqrt(variance))
        return value, max(min(lowest, value) - half, 0.0), max(highest, value) + half

    n = len(area)
    count = band(n, n, n, doubt.sum())
    cover = band(
        area.sum() / field_area_px2,
        low.sum() / field_area_px2,
        high.sum() / field_area_px2,
        ((2 * np.pi * radius * noise) ** 2 + doubt * area**2).sum() / field_area_px2**2,
    )
    r = radius[inside]
    if len(r) == 0:
        nothing = 0.0 if n == 0 else np.nan
        return (*count, np.nan, np.nan, np.nan, *cover, nothing, nothing, nothing)
    r_low, r_high = np.sqrt(low[inside] / np.pi), np.sqrt(high[inside] / np.pi)
    there = doubt[inside]
    mean = band(r.mean(), r_low.mean(), r_high.mean(), (noise**2 + there * (r - r.mean()) ** 2).sum() / len(r) ** 2)
    spheres, least, most = (float(4 / 3 * np.pi * (some**3).sum()) for some in (r, r_low, r_high))
    volume = band(
        spheres,
        least,
        most,
        ((4 * np.pi * r**2 * noise) ** 2 + there * (4 / 3 * np.pi * r**3) ** 2).sum(),
    )
    return (*count, *mean, *cover, *volume)
