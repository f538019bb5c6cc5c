"""Plots of tiles and clusters: advice on the number of clusters, tiles by their statistics, the dendrogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emscout.crystals.report.heat_map import TARGET_COLOUR, cluster_colour
from emscout.report.plots import INK, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import OffsetImage

__all__ = ["choose_spread_points", "plot_advice", "plot_dendrogram", "plot_scatter"]

_CELLS = (13, 9)
_MOST_LEAVES = 24
_DPI = 150


def plot_advice(advice: pd.DataFrame, n_clusters: int) -> np.ndarray:
    """Plot how well separated and how repeatable clusterings with different numbers of clusters are.

    Parameters
    ----------
    advice : DataFrame
        ``n_clusters``, ``silhouette`` and ``stability``.
    n_clusters : int
        The number that was used; it is marked.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with styled():
        figure = Figure(figsize=(5.6, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.axvline(n_clusters, color="#b8c4cc", linewidth=6, zorder=0, label=f"used here: {n_clusters}")
        axes.plot(advice["n_clusters"], advice["stability"], "o-", color="#0072b2", label="stability (adjusted Rand)")
        axes.plot(advice["n_clusters"], advice["silhouette"], "s--", color="#d55e00", label="silhouette")
        axes.set_xlabel("number of clusters")
        axes.set_ylabel("higher is better")
        axes.set_ylim(min(0.0, float(advice["silhouette"].min()) - 0.05), 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        return _pixels(figure)


def plot_scatter(
    points: np.ndarray,
    clusters: np.ndarray,
    target: np.ndarray,
    pictures: Sequence[np.ndarray],
    chosen: np.ndarray,
    labels: tuple[str, str],
) -> np.ndarray:
    """Plot tiles in the plane of two of their numbers, some of them as pictures.

    Parameters
    ----------
    points : ndarray, shape (n, 2)
    clusters : ndarray of int, shape (n,)
        From 1.
    target : ndarray of bool, shape (n,)
    pictures : sequence of ndarray of uint8
        Of the tiles ``chosen``.
    chosen : ndarray of int
        Rows of ``points``.
    labels : (str, str)
        Of the axes.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
    """
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import AnnotationBbox

    with styled():
        figure = Figure(figsize=(8.4, 6.0), layout="constrained")
        axes = figure.add_subplot()
        for cluster in np.unique(clusters):
            here = points[clusters == cluster]
            axes.scatter(
                here[:, 0],
                here[:, 1],
                s=10,
                color=_rgb(cluster_colour(int(cluster))),
                linewidths=0,
                label=f"cluster {cluster}",
            )
        if target.any():
            style: dict[str, Any] = {"facecolors": "none", "edgecolors": _rgb(TARGET_COLOUR), "linewidths": 0.7}
            axes.scatter(points[target, 0], points[target, 1], s=22, label="target", **style)
        for index, picture in zip(chosen, pictures, strict=True):
            frame = _rgb(TARGET_COLOUR if target[index] else cluster_colour(int(clusters[index])))
            thumbnail = _thumbnail(picture, 26)
            axes.add_artist(AnnotationBbox(thumbnail, tuple(points[index]), pad=0.07, bboxprops=_frame(frame)))
        # A few outliers must not compress all others; they lie outside the axes.
        low, high = np.percentile(points, (0.2, 99.8), axis=0)
        margin = 0.08 * np.maximum(high - low, 1e-9)
        axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.6)
        return _pixels(figure)


def choose_spread_points(points: np.ndarray) -> np.ndarray:
    """Rows of ``points`` (n, 2) that lie far enough apart for their pictures not to overlap much."""
    low, high = np.percentile(points, (0.2, 99.8), axis=0)
    inside = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    places = (points[inside] - low) / np.maximum(high - low, 1e-9) * _CELLS
    # In each cell of a grid the point nearest to its centre.
    cells = places.round()
    order = np.argsort(((places - cells) ** 2).sum(axis=1), kind="stable")
    _, first = np.unique(cells[order], axis=0, return_index=True)
    return np.sort(inside[order[first]])


def plot_dendrogram(
    tree: np.ndarray, clusters: np.ndarray, pictures: Sequence[np.ndarray], n_clusters: int, *, distance: str
) -> np.ndarray:
    """Plot how tiles join into larger and larger groups, with the picture of one tile of each of the last groups.

    Parameters
    ----------
    tree : ndarray, shape (n - 1, 4)
        As `scipy.cluster.hierarchy.linkage` gives it.
    clusters : ndarray of int, shape (n,)
        The cluster of each tile, from 1; the colour of a group is that of most of its tiles.
    pictures : sequence of ndarray of uint8
        One per tile.
    n_clusters : int
        Number of groups at which the tree is cut.
    distance : str
        Label of the vertical axis.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
    """
    from matplotlib.figure import Figure
    from matplotlib.offsetbox import AnnotationBbox
    from scipy.cluster import hierarchy

    n_leaves = min(_MOST_LEAVES, len(tree) + 1)
    members: list[list[int]] = [[index] for index in range(len(tree) + 1)]
    for first, second, _, _ in tree:
        members.append(members[int(first)] + members[int(second)])
    with styled():
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        colours = {node: _hex(_majority(clusters[group])) for node, group in enumerate(members)}
        shown = hierarchy.dendrogram(
            tree,
            p=n_leaves,
            truncate_mode="lastp",
            ax=axes,
            no_labels=True,
            link_color_func=lambda node: colours[node],
        )
        if 1 < n_clusters <= len(tree):
            cut = (tree[-n_clusters, 2] + tree[1 - n_clusters, 2]) / 2
            axes.axhline(cut, color=INK, linestyle=(0, (4, 3)), linewidth=0.9)
            right: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontsize": 8, "va": "center"}
            axes.annotate(f" cut into {n_clusters}", (1.0, cut), **right)
        below: dict[str, Any] = {"xybox": (0, -18), "boxcoords": "offset points", "annotation_clip": False}
        for place, node in enumerate(shown["leaves"] or ()):
            group, foot = members[node], (10 * place + 5, 0)
            picture = _thumbnail(pictures[group[len(group) // 2]], 24)
            axes.add_artist(AnnotationBbox(picture, foot, pad=0.07, bboxprops=_frame(colours[node]), **below))
            axes.annotate(str(len(group)), foot, (0, -42), textcoords="offset points", ha="center", fontsize=7)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(distance)
        axes.set_xlabel("one tile of each group, and the number of tiles in the group", labelpad=48)
        axes.spines["bottom"].set_visible(False)
        return _pixels(figure)


def _majority(clusters: np.ndarray) -> tuple[int, int, int]:
    return cluster_colour(int(np.bincount(clusters).argmax()))


def _thumbnail(picture: np.ndarray, side_points: float) -> OffsetImage:
    from matplotlib.colors import Normalize
    from matplotlib.offsetbox import OffsetImage

    grey = Normalize(0, 255)
    return OffsetImage(picture, zoom=side_points / max(picture.shape), cmap="gray", norm=grey, resample=True)


def _frame(colour: Any) -> dict[str, Any]:
    return {"edgecolor": colour, "linewidth": 2, "boxstyle": "square,pad=0.07"}


def _rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _pixels(figure: Figure) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # Without pyplot, which changes global state and may need a display.
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(_DPI)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
