"""Plots that compare sizes with laws: the growth of the mean radius, and the size distribution."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
import pandas as pd
from scipy import optimize

from emscout.movies.kinetics.growth import LAWS
from emscout.movies.kinetics.size_distribution import lsw_density
from emscout.movies.report.curves import BLUE, GREEN, ORANGE, VIOLET, new_figure
from emscout.movies.report.time_axis import TimeAxis
from emscout.report.plots import ABOVE, INK, STYLE, bin_values, svg_of

__all__ = ["plot_growth_law", "plot_size_distribution"]

_METHODS = {"mean-radius": "mean radius", "single-particles": "single particles"}


def plot_growth_law(curves: pd.DataFrame, growth: pd.DataFrame, time_axis: TimeAxis, nm_per_px: float | None) -> str:
    """Draw the mean radius with the law r^n - r0^n = kt for several n, and n with its interval by either method.

    Parameters
    ----------
    curves : DataFrame
        ``frame``, ``mean_radius_px`` with ``_low`` and ``_high``.
    growth : DataFrame
        ``method``, ``n``, ``n_low``, ``n_high``; not-a-number where not determined.
    time_axis : TimeAxis
    nm_per_px : float or None

    Returns
    -------
    str
        An SVG document.
    """
    unit, length = ("nm", nm_per_px) if nm_per_px else ("px", 1.0)
    known = curves[np.isfinite(curves["mean_radius_px"])]
    time = time_axis.when[known["frame"].to_numpy(dtype=int)]
    low, radius, high = (known[f"mean_radius_px{end}"].to_numpy(dtype=float) * length for end in ("_low", "", "_high"))
    best = float(growth.loc[growth["method"] == "mean-radius", "n"].iloc[0])
    with matplotlib.rc_context(STYLE):
        figure = new_figure(9.4, 3.2)
        curve, exponent = figure.subplots(1, 2, width_ratios=(1.5, 1))
        curve.fill_between(time, low, high, color=BLUE, alpha=0.2, linewidth=0)
        curve.plot(time, radius, ".", color=BLUE, markersize=3)
        colours = (GREEN, INK, VIOLET)
        tried = [(float(n), f"n = {n}", "--", colour) for (n, *_), colour in zip(LAWS, colours, strict=True)]
        tried += [(best, f"n = {best:.1f} (best fit)", "-", ORANGE)] if math.isfinite(best) else []
        for n, name, style, colour in tried:
            law = _law(time, radius, n)
            if law is not None:
                curve.plot(time, law, style, color=colour, linewidth=1.6 if style == "-" else 1.0, label=name)
        if curve.get_legend_handles_labels()[0]:
            curve.legend(**(ABOVE | {"ncols": 4}))
        curve.set_xlabel(time_axis.label)
        curve.set_ylabel(f"mean radius ({unit})")

        for n, _, name in LAWS:
            exponent.axvline(n, color="#c3ccd3", linewidth=1, zorder=0)
            exponent.text(n, 2.35, f" {n:g} {name}", rotation=90, ha="right", va="top", fontsize=7.5, color="#5f6f7c")
        figures = growth.set_index("method")[["n", "n_low", "n_high"]].reindex(list(_METHODS)).to_numpy(dtype=float)
        for place, (value, start, end) in enumerate(figures.tolist()):
            if math.isfinite(value):
                ends = [[max(value - start, 0)], [max(end - value, 0)]]
                exponent.errorbar(value, place, xerr=ends, fmt="o", color=ORANGE, capsize=4, markersize=5)
            else:
                exponent.text(
                    4.6,
                    place,
                    "not determined",
                    va="center",
                    ha="center",
                    fontsize=8.5,
                    color="#5f6f7c",
                    backgroundcolor="white",
                )
        exponent.set_xlim(1, 8.1)
        exponent.set_ylim(-0.5, 2.4)
        exponent.set_yticks(range(len(_METHODS)), list(_METHODS.values()))
        exponent.tick_params(axis="y", length=0)
        exponent.spines["left"].set_visible(False)
        exponent.set_xlabel("exponent n, 95 % interval")
        return svg_of(figure)


def _law(time: np.ndarray, radius: np.ndarray, n: float) -> np.ndarray | None:
    """The curve r^n - r0^n = kt of least squares in r for this n; ``None`` where it does not grow."""
    if len(time) < 4 or np.ptp(time) == 0:
        return None
    part = (time - time[0]) / np.ptp(time)

    def curve(ends: np.ndarray) -> np.ndarray:
        return np.maximum(ends[0] ** n + (ends[1] ** n - ends[0] ** n) * part, 1e-12) ** (1 / n)

    start = np.median(radius[: max(len(radius) // 5, 1)]), np.median(radius[-max(len(radius) // 5, 1) :])

    def left(ends: np.ndarray) -> np.ndarray:
        return curve(ends) - radius

    fit = optimize.least_squares(left, start, bounds=(1e-6, np.inf))
    return curve(fit.x) if fit.x[1] > fit.x[0] else None


def plot_size_distribution(radii_px: np.ndarray, shapes: pd.DataFrame, nm_per_px: float | None) -> str:
    """Draw a size distribution with the best fits of those of ripening (LSW) and of coalescence (log-normal).

    Parameters
    ----------
    radii_px : ndarray, shape (n,)
        At least one.
    shapes : DataFrame
        ``shape`` (``lsw``, ``log-normal``), ``scale``, ``spread``; not-a-number where there were too few sizes.
    nm_per_px : float or None

    Returns
    -------
    str
        An SVG document.
    """
    unit, length = ("nm", nm_per_px) if nm_per_px else ("px", 1.0)
    values = np.asarray(radii_px, dtype=float) * length
    bins = bin_values(values)
    low, high, count = (bins[name].to_numpy(dtype=float) for name in ("bin_low", "bin_high", "count"))
    # Particles all of one size are one bin without width, which would not be visible.
    width = np.where(high > low, high - low, 0.02 * low)
    scale = dict(zip(shapes["shape"], shapes["scale"].to_numpy(dtype=float) * length, strict=True))
    mean, median = scale["lsw"], scale["log-normal"]
    spread = float(shapes.loc[shapes["shape"] == "log-normal", "spread"].iloc[0])
    with matplotlib.rc_context(STYLE):
        figure = new_figure(5.0, 3.2)
        axes = figure.add_subplot()
        axes.bar(low, count / count.sum() / width, width=width, align="edge", color="#b9cfe0", edgecolor="white")
        r = np.linspace(1e-3, 1.15 * max(values.max(), low[-1] + width[-1]), 600)
        if math.isfinite(mean):
            axes.plot(r, lsw_density(r / mean) / mean, color=ORANGE, linewidth=1.6, label="LSW (ripening)")
        if math.isfinite(median) and spread > 0:
            bell = np.exp(-((np.log(r / median) / spread) ** 2) / 2) / (r * spread * math.sqrt(2 * math.pi))
            axes.plot(r, bell, "--", color=BLUE, linewidth=1.6, label="log-normal (coalescence)")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(**(ABOVE | {"ncols": 2}))
        axes.set_title(f"n = {len(values)}", loc="left", fontsize=9)
        axes.set_xlabel(f"radius ({unit})")
        axes.set_ylabel(f"density (1/{unit})")
        axes.set_xlim(left=max(0.0, float(r[-1]) - 1.6 * (float(r[-1]) - float(low[0])) - 0.1))
        return svg_of(figure)
