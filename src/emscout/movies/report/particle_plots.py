"""Plots of particles against time: how many of each size, and single ones that change most."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import colormaps

from emscout.movies.report.curves import EVENT_COLOURS, EVENT_MARKS, ORANGE, new_figure
from emscout.movies.report.time_axis import TimeAxis
from emscout.report.plots import ABOVE, STYLE, svg_of

__all__ = ["plot_single_particles", "plot_sizes_through_time"]

# With more columns or rows, those of the map would be narrower than a printed line.
_MOST_COLUMNS, _MOST_SIZES, _FEWEST_SIZES = 200, 40, 8
_LINES = 5
_SHOWN_ON_CURVES = ("coalescence", "split", "vanished", "appeared")
# Frames of the running median that is drawn over the noisy curve of a particle.
_SMOOTH = 5


def plot_sizes_through_time(
    tracks: pd.DataFrame, measured: list[int], time_axis: TimeAxis, nm_per_px: float | None
) -> str:
    """Draw how many particles there are of each diameter, frame by frame, and the lines of D10, D50 and D90.

    Parameters
    ----------
    tracks : DataFrame
        ``frame``, ``equivalent_circular_diameter_px``, ``touches_border``: those cut by the border are left out.
    measured : list of int
        Numbers of the measured frames; others stay grey.
    time_axis : TimeAxis
    nm_per_px : float or None

    Returns
    -------
    str
        An SVG document.
    """
    whole = tracks[~tracks["touches_border"].to_numpy(dtype=bool)]
    diameter = whole["equivalent_circular_diameter_px"].to_numpy(dtype=float) * (nm_per_px or 1.0)
    frame = whole["frame"].to_numpy(dtype=int)
    n_frames = len(time_axis.when)
    step = -(-n_frames // _MOST_COLUMNS)
    top = float(np.percentile(diameter, 99.8)) * 1.1 if len(diameter) else 1.0
    n_sizes = int(np.clip(2 * (len(diameter) / max(len(measured), 1)) ** 0.5, _FEWEST_SIZES, _MOST_SIZES))
    n_columns = -(-n_frames // step)
    edges = np.linspace(0, top, n_sizes + 1)
    column = np.arange(n_columns + 1) * step - 0.5
    count = np.histogram2d(diameter, frame, bins=(edges, column))[0]
    looked_at = np.histogram(measured, bins=column)[0]
    density = np.where(looked_at > 0, count / np.maximum(looked_at, 1), np.nan)
    with matplotlib.rc_context(STYLE):
        figure = new_figure(7.2, 3.4)
        axes = figure.add_subplot()
        # Half a frame before the first and after the last.
        steps = np.interp(column.clip(0, n_frames - 1), np.arange(n_frames), time_axis.when)
        half = (time_axis.when[-1] - time_axis.when[0]) / max(n_frames - 1, 1) / 2 or 0.5
        steps[0], steps[-1] = time_axis.when[0] - half, time_axis.when[-1] + half
        blues = colormaps["Blues"].with_extremes(bad="#dfe4e8")
        mesh = axes.pcolormesh(steps, edges, np.ma.masked_invalid(density), cmap=blues, vmin=0, rasterized=True)
        figure.colorbar(mesh, ax=axes, label="particles per frame", pad=0.02, aspect=30)
        by_frame = pd.Series(diameter).groupby(frame)
        numbers = np.arange(n_frames)
        for share, style, name in ((0.9, "--", "D90"), (0.5, "-", "median"), (0.1, "--", "D10")):
            line = by_frame.quantile(share).reindex(numbers)
            line = line.rolling(step, center=True, min_periods=1).median() if step > 1 else line
            axes.plot(time_axis.when, line, style, color=ORANGE, linewidth=1.8 if share == 0.5 else 1.1, label=name)
        axes.legend(**(ABOVE | {"ncols": 3}))
        axes.set_ylabel(f"diameter ({'nm' if nm_per_px else 'px'})")
        axes.set_xlabel(time_axis.label)
        axes.set_xlim(steps[0], steps[-1])
        return svg_of(figure)


def plot_single_particles(
    tracks: pd.DataFrame, particles: pd.DataFrame, events: pd.DataFrame, time_axis: TimeAxis, nm_per_px: float | None
) -> str:
    """Draw the area against time of the particles that grow or shrink most, and of those that merge.

    Parameters
    ----------
    tracks, particles, events : DataFrame
        As they are saved.
    time_axis : TimeAxis
    nm_per_px : float or None

    Returns
    -------
    str
        An SVG document; a panel without particles says none.
    """
    groups = _choose_particles(particles, events)
    shown = tracks[tracks["particle"].isin({number for numbers in groups.values() for number in numbers})]
    by_particle = dict(iter(shown.groupby("particle")))
    scale = (nm_per_px or 1.0) ** 2
    with matplotlib.rc_context(STYLE):
        figure = new_figure(10.2, 3.4)
        panels = figure.subplots(1, len(groups), sharex=True)
        for axes, (title, numbers) in zip(panels, groups.items(), strict=True):
            marked: set[str] = set()
            for i, number in enumerate(numbers):
                colour = colormaps["viridis"](0.85 * i / max(len(numbers) - 1, 1))
                line = by_particle[number].set_index("frame")["area_px2"] * scale
                gaps = line.reindex(range(int(line.index.min()), int(line.index.max()) + 1))
                time = time_axis.when[gaps.index.to_numpy()]
                axes.plot(time, gaps, color=colour, linewidth=0.8, alpha=0.35)
                axes.plot(time, gaps.rolling(_SMOOTH, center=True, min_periods=1).median(), color=colour, linewidth=1.6)
                own = events[np.array([str(number) in some.split() for some in events["particles"]], dtype=bool)]
                for event in own[own["kind"].isin(_SHOWN_ON_CURVES)].to_dict("records"):
                    at = int(np.abs(line.index.to_numpy() - event["frame"]).argmin())
                    kind = str(event["kind"])
                    axes.plot(
                        time_axis.when[event["frame"]],
                        line.iloc[at],
                        EVENT_MARKS[kind],
                        color=EVENT_COLOURS[kind],
                        markeredgecolor="white",
                        markersize=7,
                        label=None if kind in marked else kind,
                        zorder=3,
                    )
                    marked.add(kind)
            axes.set_title(title, loc="left", fontsize=9.5)
            axes.set_ylim(bottom=0)
            axes.set_xlabel(time_axis.label)
            if marked:
                axes.legend(frameon=False, fontsize=8, loc="best")
            if not numbers:
                axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color="#5f6f7c")
                axes.set_yticks([])
        panels[0].set_ylabel(f"area ({'nm²' if nm_per_px else 'px²'})")
        return svg_of(figure)


def _choose_particles(particles: pd.DataFrame, events: pd.DataFrame) -> dict[str, list[int]]:
    """Numbers of the particles to draw, by title."""
    wrong = {int(n) for some in events.loc[events["kind"] == "segmentation-error", "particles"] for n in some.split()}
    steady = particles[particles["mechanism"].isin(("ripening", "both"))]
    # Jumps between wrong outlines look like growth: particles without such errors come first.
    steady = steady.assign(doubtful=steady["particle"].isin(wrong), gain=steady["by_exchange_px2"])
    most = steady.sort_values(["doubtful", "gain"], ascending=[True, False], kind="stable")
    least = steady.sort_values(["doubtful", "gain"], kind="stable")
    grow, shrink = most[most["gain"] > 0]["particle"].head(_LINES), least[least["gain"] < 0]["particle"].head(_LINES)
    merged = events[events["kind"] == "coalescence"].sort_values("area_after_px2", ascending=False, kind="stable")
    known = set(particles["particle"])
    part = [number for some in merged["particles"].head(3) for number in map(int, some.split()) if number in known]
    return {
        "largest growers": [int(number) for number in grow],
        "largest shrinkers": [int(number) for number in shrink],
        "largest coalescences": list(dict.fromkeys(part)),
    }
