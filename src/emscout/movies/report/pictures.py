"""Pictures of a movie: outlines coloured by time before and after drift correction, and the map of events."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from skimage.measure import find_contours

from emscout.movies.report.curves import EVENT_COLOURS, EVENT_MARKS
from emscout.movies.report.footage import Footage, aligned_view, fit_size, grey_limits, spread_evenly
from emscout.movies.report.time_axis import TimeAxis
from emscout.report.plots import INK, STYLE

__all__ = ["draw_event_map", "draw_time_outlines"]

_DPI = 150
# Number of outlines, of which later ones hide earlier ones.
_OUTLINES = 12
_MEAN_OF, _MEAN_SIDE_PX = 40, 1200
# Beyond these, numbers beside the marks hide the marks.
_MOST_NUMBERS = 60
# Without its palest end, which is hard to see on a bright background.
_TIME = ListedColormap(matplotlib.colormaps["plasma"](np.linspace(0, 0.9, 256)))
# Weight of an event for the choice of the enlarged part.
_WORTH = {"coalescence": 3.0, "split": 2.0, "vanished": 1.0, "appeared": 1.0}
# Events of a kind this near, as a share of the field's longer side, are drawn as one mark.
_ONE_SPOT = 0.012
_HOLLOW = ("coalescence", "split", "segmentation-error")
_EVENTS_OF_THE_FIELD = ("left-field", "entered-field")


def draw_time_outlines(footage: Footage, time_axis: TimeAxis) -> np.ndarray:
    """Draw outlines coloured by time over the first frame, before and after drift correction, whole and enlarged.

    Parameters
    ----------
    footage : Footage
        With at least one measured frame.
    time_axis : TimeAxis

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
    """
    numbers = footage.measured
    some = spread_evenly(numbers, _OUTLINES)
    first = numbers[0]
    image = np.asarray(footage.frame(first), dtype=np.float32)
    colour = Normalize(time_axis.when[some[0]], max(time_axis.when[some[-1]], time_axis.when[some[0]] + 1e-9))
    window = _window(footage)
    with matplotlib.rc_context(STYLE):
        height, width = footage.size
        panel = 4.6
        figure = Figure(figsize=(2 * panel + 1.1, 2 * panel * min(height / width, 1.6) + 0.9), layout="constrained")
        axes = figure.subplots(2, 2)
        lines: list[list[np.ndarray]] = [[], []]
        colours: list[Any] = []
        for number in some:
            outlines = _outlines(footage.labels(number))
            origin = np.array(footage.origins[number], dtype=float)
            # Relative to the frame in the background, which may itself have drifted.
            moved = footage.drift_px(number) - footage.drift_px(first)
            lines[0] += [outline + origin for outline in outlines]
            lines[1] += [outline + origin - moved for outline in outlines]
            colours += [_TIME(colour(time_axis.when[number]))] * len(outlines)
        corner = footage.corner_px(first)
        whole = (corner[0], corner[0] + height, corner[1], corner[1] + width)
        near = (
            corner[0] + window[0],
            corner[0] + window[0] + window[2],
            corner[1] + window[1],
            corner[1] + window[1] + window[2],
        )
        low, high = grey_limits(footage)
        for column, (outlines, title) in enumerate(zip(lines, ("as recorded", "drift corrected"), strict=True)):
            for row, part in enumerate((whole, near)):
                shown: Axes = axes[row, column]
                # Paler than the frame, so that the outlines stand out.
                shown.imshow(image, cmap="gray", vmin=low - 0.7 * (high - low), vmax=high, interpolation="nearest")
                paths = [outline[:, ::-1] for outline in outlines]
                shown.add_collection(LineCollection(paths, colors=colours, linewidths=0.7 + 0.5 * row))
                _frame_part(shown, part)
            axes[0, column].set_title(title, fontsize=11)
            box = Rectangle((near[2], near[0]), window[2], window[2], fill=False, edgecolor=INK, linewidth=1.2)
            axes[0, column].add_patch(box)
        key = matplotlib.cm.ScalarMappable(colour, _TIME)
        figure.colorbar(key, ax=axes, label=time_axis.label, shrink=0.6, aspect=30, pad=0.02)
        return _pixels(figure)


def _frame_part(axes: Axes, part: tuple[float, float, float, float]) -> None:
    axes.set_ylim(part[1] - 0.5, part[0] - 0.5)
    axes.set_xlim(part[2] - 0.5, part[3] - 0.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(True)


def _outlines(labels: np.ndarray) -> list[np.ndarray]:
    """Outlines (row, col) of all particles, those that touch apart."""
    inside = np.pad(labels, 1)
    mask = inside > 0
    mask[1:] &= (inside[1:] == inside[:-1]) | (inside[:-1] == 0)
    mask[:, 1:] &= (inside[:, 1:] == inside[:, :-1]) | (inside[:, :-1] == 0)
    return [contour - 1 for contour in find_contours(mask.astype(np.float32), 0.5)]


def _window(footage: Footage) -> tuple[float, float, float]:
    """First row and column, and side, of the part to enlarge, where most events are, in pixels of what is shown."""
    height, width = footage.size
    side = min(max(round(min(height, width) / 3.5), 24), height, width)
    weight = footage.events["kind"].map(_WORTH).fillna(0).to_numpy(dtype=float)
    places = footage.events_in_view()
    if weight.sum() == 0:
        places = footage.in_view()
        weight = np.ones(len(places))
    busy = np.zeros((height, width))
    rows, cols = places.round().astype(int).reshape(-1, 2).T
    np.add.at(busy, (rows.clip(0, height - 1), cols.clip(0, width - 1)), weight)
    # Events should be near the middle of the part.
    busy = ndimage.gaussian_filter(busy, side / 5, mode="constant")
    half = side // 2
    middles = busy[half : height - side + half + 1, half : width - side + half + 1]
    row, col = np.unravel_index(int(middles.argmax()), middles.shape)
    return float(row), float(col), float(side)


def draw_event_map(footage: Footage, time_axis: TimeAxis) -> np.ndarray:
    """Draw where in the field what happened, over the mean of the drift-corrected frames.

    Parameters
    ----------
    footage : Footage
        With at least one measured frame.
    time_axis : TimeAxis

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
        Events are numbered as the rows of their table, counted from 1, where there are few enough to read them.
    """
    # With whole frames, some places are shown by few frames, or none.
    size = fit_size(footage.size, _MEAN_SIDE_PX)
    total, seen = np.zeros(size), np.zeros(size)
    for number in spread_evenly(footage.measured, _MEAN_OF):
        view = aligned_view(footage, number, size)
        total += np.nan_to_num(view)
        seen += np.isfinite(view)
    mean = np.where(seen > 0, total / np.maximum(seen, 1), np.nan)
    low, high = np.nanpercentile(mean, (0.3, 99.7)) if seen.any() else (0.0, 1.0)
    places = footage.events_in_view()
    kinds = footage.events["kind"].to_numpy()
    numbered = np.count_nonzero(~np.isin(kinds, _EVENTS_OF_THE_FIELD)) <= _MOST_NUMBERS
    with matplotlib.rc_context(STYLE):
        height, width = footage.size
        figure = Figure(figsize=(9.4, 6.4 * min(height / width, 1.5) + 0.3), layout="constrained")
        axes = figure.add_subplot()
        axes.imshow(
            mean,
            cmap="gray",
            vmin=low - 0.5 * (high - low),
            vmax=high,
            interpolation="nearest",
            extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        )
        for kind, colour in EVENT_COLOURS.items():
            of_kind = np.flatnonzero(kinds == kind)
            if len(of_kind) == 0:
                continue
            # The same neighbours may be segmented as one in twenty frames.
            spots = _gather(places[of_kind], _ONE_SPOT * max(height, width))
            at = np.array([places[of_kind[spot]].mean(axis=0) for spot in spots])
            # Many events may be at one place: hollow marks hide nothing, and rare kinds are drawn over frequent ones.
            hollow = kind in _HOLLOW
            area = 46 if numbered else 26
            many = f" at {len(spots)} place{'s' * (len(spots) > 1)}" if len(spots) < len(of_kind) else ""
            axes.scatter(
                at[:, 1],
                at[:, 0],
                s=3 * area if hollow else area,
                marker=EVENT_MARKS[kind],
                label=f"{kind} ({len(of_kind)}{many})",
                zorder=3 + 1 / (1 + len(spots)),
                facecolors="none" if hollow else colour,
                edgecolors=colour if hollow else "white",
                linewidths=1.8 if hollow else 0.8,
                path_effects=[Stroke(linewidth=3.4, foreground="white"), Normal()] if hollow else None,
                clip_on=False,
            )
            if not numbered or kind in _EVENTS_OF_THE_FIELD:
                continue
            for (row, col), spot in zip(at, spots, strict=True):
                names = [str(i + 1) for i in of_kind[spot]]
                axes.annotate(
                    ", ".join(names) if len(names) < 4 else f"{names[0]}, {names[1]} … {names[-1]}",
                    (col, row),
                    (7, -12) if hollow else (5, 4),
                    textcoords="offset points",
                    fontsize=8,
                    zorder=5,
                    bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
                )
        _frame_part(axes, (0, height, 0, width))
        if len(kinds):
            figure.legend(loc="outside right upper", frameon=False, fontsize=9, labelspacing=0.8)
        return _pixels(figure)


def _gather(places: np.ndarray, reach: float) -> list[np.ndarray]:
    """Groups of places, each within reach of another of its group, by their indices."""
    near = KDTree(places).query_pairs(reach, output_type="ndarray")
    links = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(places), len(places)))
    n_spots, spot = connected_components(links, directed=False)
    return [np.flatnonzero(spot == k) for k in range(n_spots)]


def _pixels(figure: Figure) -> np.ndarray:
    # A canvas of its own instead of pyplot: no global state changes and no display is needed.
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(_DPI)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
