"""Plots of the report as SVG text: the same table gives the same bytes."""

from __future__ import annotations

import io
import math
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ABOVE", "INK", "STYLE", "bin_values", "plot_histogram", "plot_radial_distribution", "styled", "svg_of"]

INK = "#22303c"
_BAR = "#5b8db8"
_ACCENT = "#c2410c"
# Values that differ by no more than this part of them are one size: no bins lie between their last digits.
_SAME = 1e-9
STYLE: dict[Any, Any] = {
    # Without a salt of its own matplotlib numbers the parts of an SVG at random.
    "svg.hashsalt": "emscout",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


# A legend over the axes hides no data.
ABOVE: dict[str, Any] = {
    "loc": "lower right",
    "bbox_to_anchor": (1.0, 1.0),
    "borderaxespad": 0,
    "frameon": False,
    "fontsize": 8,
}


def plot_histogram(
    bins: pd.DataFrame, label: str, *, median: tuple[float, float, float] | None = None, log: bool = False
) -> str:
    """Draw a histogram, with its median and the interval of the median where given.

    Parameters
    ----------
    bins : DataFrame
        Columns ``bin_low``, ``bin_high``, ``count``.
    label : str
        Of the horizontal axis, with its unit.
    median : (float, float, float) or None
        Median and both ends of its 95 % interval (not-a-number where there is none), drawn above the bars.
    log : bool
        Whether the horizontal axis is logarithmic.

    Returns
    -------
    str
        An SVG document.
    """
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    with styled():
        figure, axes = _new_axes()
        low, high, count = (bins[name].to_numpy(dtype=float) for name in ("bin_low", "bin_high", "count"))
        # Particles all of one size are one bin without width, which would be invisible.
        width = np.where(high > low, high - low, 0.02 * np.abs(low))
        axes.bar(low, count, width=width, align="edge", color=_BAR, edgecolor="white", linewidth=0.6)
        if median is not None and math.isfinite(median[0]):
            middle, start, end = median
            has_interval = math.isfinite(start) and math.isfinite(end)
            axes.errorbar(
                middle,
                1.08 * count.max(),
                xerr=[[middle - start], [end - middle]] if has_interval else None,
                fmt="o",
                color=_ACCENT,
                markersize=4,
                capsize=3,
                label="median, 95 % interval" if has_interval else "median",
            )
            axes.legend(**ABOVE)
        if log:
            axes.set_xscale("log")
            # Within a decade or two the powers of ten alone are too few.
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(f"n = {int(count.sum())}", loc="left", fontsize=9)
        axes.set_xlabel(label)
        axes.set_ylabel("number of particles")
        axes.set_ylim(0, 1.18 * count.max())
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        axes.margins(x=0.02)
        return svg_of(figure)


def plot_radial_distribution(r: np.ndarray, g: np.ndarray, g_error: np.ndarray, unit: str, count: int) -> str:
    """Draw the radial distribution function of the centroids.

    Parameters
    ----------
    r : ndarray, shape (n,)
        Distance, in ``unit``.
    g : ndarray, shape (n,)
        Density of neighbours at that distance over the mean density; 1 where there is no order.
    g_error : ndarray, shape (n,)
        One standard deviation of ``g``, drawn as a band; not-a-number where unknown.
    unit : {'nm', 'px'}
    count : int
        Number of particles.

    Returns
    -------
    str
        An SVG document.
    """
    with styled():
        figure, axes = _new_axes()
        axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.fill_between(r, g - g_error, g + g_error, color=_BAR, alpha=0.3, linewidth=0, label="± one std. deviation")
        axes.plot(r, g, color=_BAR, linewidth=1.6)
        axes.legend(**ABOVE)
        axes.set_title(f"n = {count}", loc="left", fontsize=9)
        axes.set_xlabel(f"distance between centroids r ({unit})")
        axes.set_ylabel("radial distribution g(r)")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        return svg_of(figure)


def bin_values(values: np.ndarray, *, log: bool = False) -> pd.DataFrame:
    """Count values in bins of equal width, as many as Rice's rule gives.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Finite.
    log : bool
        Whether it is the logarithm that is cut into equal widths.

    Returns
    -------
    DataFrame
        Columns ``bin_low``, ``bin_high``, ``count``.
    """
    if len(values) and np.ptp(values) <= _SAME * np.abs(values).max():
        count, edges = np.array([len(values)]), np.array([np.min(values), np.max(values)])
    else:
        n_bins = max(1, math.ceil(round(2 * len(values) ** (1 / 3), 9)))
        count, edges = np.histogram(np.log(values) if log else values, bins=n_bins)
        edges = np.exp(edges) if log else edges
    return pd.DataFrame({"bin_low": edges[:-1], "bin_high": edges[1:], "count": count})


def _new_axes() -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # An object of its own, never pyplot: nothing global changes and nothing needs a display.
    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def styled() -> AbstractContextManager[None]:
    """Style of all plots of emscout, for use in a ``with`` block."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def svg_of(figure: Figure) -> str:
    """A figure as an SVG document without a date, on transparent ground."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True, dpi=200)
    return buffer.getvalue()
