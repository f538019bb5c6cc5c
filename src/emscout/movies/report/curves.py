"""Plots of a movie against time: its drift, and the curves of the whole field; the colours of all plots."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from emscout.movies.report.time_axis import TimeAxis
from emscout.report.plots import ABOVE, INK, STYLE, svg_of

__all__ = [
    "EVENT_COLOURS",
    "EVENT_MARKS",
    "new_figure",
    "plot_curves",
    "plot_drift",
]

# After Okabe & Ito (https://jfly.uni-koeln.de/color/), for colour-blind readers too.
BLUE, ORANGE, GREEN, VIOLET = "#0072b2", "#d55e00", "#009e73", "#a0569a"
EVENT_COLOURS = {
    "coalescence": ORANGE,
    "split": VIOLET,
    "vanished": BLUE,
    "appeared": GREEN,
    "segmentation-error": "#8a8f94",
    "left-field": "#c9b458",
    "entered-field": "#e6d98c",
}
EVENT_MARKS = {
    "coalescence": "o",
    "split": "D",
    "vanished": "X",
    "appeared": "P",
    "segmentation-error": "s",
    "left-field": "<",
    "entered-field": ">",
}
_FAULT_COLOURS = {
    "blank": INK,
    "blurred": "#e69f00",
    "saturated": ORANGE,
    "doubled": VIOLET,
    "incomplete": "#56b4e9",
    "unmatched": "#c2185b",
    "unreadable": "#8a8f94",
}


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own: no global state changes and no display is needed."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def plot_drift(drift: pd.DataFrame, time_axis: TimeAxis) -> str:
    """Draw the place of the specimen in every frame, and how well each frame fits; frames with a fault are marked.

    Parameters
    ----------
    drift : DataFrame
        ``frame``, ``row_px``, ``col_px``, ``quality``, ``status``; a row for every frame.
    time_axis : TimeAxis

    Returns
    -------
    str
        An SVG document.
    """
    with matplotlib.rc_context(STYLE):
        figure = new_figure(7.2, 3.8)
        path, fit = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        time, status = time_axis.when, drift["status"].to_numpy()
        width = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
        for fault in [name for name in _FAULT_COLOURS if (status == name).any()]:
            bad = np.flatnonzero(status == fault)
            runs = np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1)
            spans = [(time[run[0]] - width / 2, time[run[-1]] - time[run[0]] + width) for run in runs]
            for axes in (path, fit):
                axes.broken_barh(
                    spans,
                    (0, 1),
                    transform=axes.get_xaxis_transform(),
                    color=_FAULT_COLOURS[fault],
                    alpha=0.4,
                    linewidth=0.8,
                    label=f"{fault} ({len(bad)})" if axes is path else None,
                )
        path.plot(time, drift["row_px"], color=BLUE, linewidth=1.4, label="down")
        path.plot(time, drift["col_px"], color=ORANGE, linewidth=1.4, label="to the right")
        path.set_ylabel("displacement of the specimen (px)")
        path.legend(**(ABOVE | {"ncols": 5}))
        fit.plot(time, drift["quality"], color=INK, linewidth=0.9)
        fit.set_ylim(0, 1.05)
        fit.set_ylabel("quality")
        fit.set_xlabel(time_axis.label)
        fit.margins(x=0.01)
        return svg_of(figure)


def plot_curves(curves: pd.DataFrame, events: pd.DataFrame, time_axis: TimeAxis, nm_per_px: float | None) -> str:
    """Draw number, mean radius, coverage and volume against time with their bands, and when particles were lost.

    Parameters
    ----------
    curves : DataFrame
        ``frame``, then ``n``, ``mean_radius_px``, ``coverage``, ``volume_px3``, each with ``_low`` and ``_high``.
    events : DataFrame
    time_axis : TimeAxis
    nm_per_px : float or None

    Returns
    -------
    str
        An SVG document.
    """
    unit, length = ("nm", nm_per_px) if nm_per_px else ("px", 1.0)
    figures: tuple[tuple[str, str, float], ...] = (
        ("n", "number of particles", 1.0),
        ("mean_radius_px", f"mean radius ({unit})", length),
        ("coverage", "area covered (%)", 100.0),
        ("volume_px3", f"volume, as spheres ({unit}³)", length**3),
    )
    # No line over a frame that was not measured.
    table = curves.set_index("frame").reindex(range(len(time_axis.when)))
    alone = table["n"].notna() & table["n"].shift().isna() & table["n"].shift(-1).isna()
    with matplotlib.rc_context(STYLE):
        figure = new_figure(9.4, 5.4)
        panels = figure.subplots(2, 2, sharex=True)
        for axes, (name, label, scale) in zip(panels.flat, figures, strict=True):
            low, middle, high = (table[f"{name}{end}"].to_numpy(dtype=float) * scale for end in ("_low", "", "_high"))
            axes.fill_between(time_axis.when, low, high, color=BLUE, alpha=0.22, linewidth=0)
            axes.plot(time_axis.when, middle, color=BLUE, linewidth=1.4)
            axes.plot(time_axis.when[alone], middle[alone], ".", color=BLUE, markersize=3)
            axes.set_ylabel(label)
            _set_bottom(axes, low, high)
            _mark_events(axes, events, time_axis)
        for axes in panels[1]:
            axes.set_xlabel(time_axis.label)
            axes.margins(x=0.01)
        if panels[0, 1].get_legend_handles_labels()[0]:
            panels[0, 1].legend(**(ABOVE | {"ncols": 2}))
        return svg_of(figure)


def _set_bottom(axes: Axes, low: np.ndarray, high: np.ndarray) -> None:
    """Room for the ticks of events below; from 0 where that does not flatten the curve."""
    if not np.isfinite(low).any():
        return
    bottom, top = float(np.nanmin(low)), float(np.nanmax(high))
    start = 0.0 if bottom < 0.6 * top else bottom - 0.1 * (top - bottom)
    span = (top - start) or 1.0
    axes.set_ylim(start - 0.12 * span, top + 0.06 * span)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))


def _mark_events(axes: Axes, events: pd.DataFrame, time_axis: TimeAxis) -> None:
    for place, kind in ((0.045, "vanished"), (0.085, "coalescence")):
        when = time_axis.when[events.loc[events["kind"] == kind, "frame"].to_numpy(dtype=int)]
        style: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        if len(when):
            axes.plot(when, np.full(len(when), place), "|", color=EVENT_COLOURS[kind], label=kind, **style)
