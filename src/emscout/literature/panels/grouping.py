"""Which strokes belong to which plot or drawing: nearest first, and never two plots together."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from emscout.literature.panels.boxes import Box

__all__ = ["group_ink"]

_MOST_PARTS = 4000
_BLOCK = 256  # boxes that are compared with all others at a time


def group_ink(ink: np.ndarray, core_px: int) -> list[Box]:
    """Boxes around what belongs together on blank paper.

    Strokes that are connected are a part; a part of at least `core_px` in height and width (axes, a frame, a shape)
    is the core of a plot. All others (digits, letters, ticks) join what is nearest, step by step, as long as that
    does not join two cores. So an axis title goes with its tick labels, not with the plot it happens to stand near.

    Parameters
    ----------
    ink : ndarray of bool, shape (H, W)
        What is not paper.
    core_px : int
        Least extent of a core.

    Returns
    -------
    list of Box
        One a plot; one around all where there is no core, none where there is no ink.
    """
    labels, count = ndimage.label(ink, np.ones((3, 3)))
    parts = [Box(rows.start, cols.start, rows.stop, cols.stop) for rows, cols in ndimage.find_objects(labels)]
    if count > _MOST_PARTS:  # dots of a screen or noise: the largest are enough
        parts = sorted(parts, key=lambda box: box.area, reverse=True)[:_MOST_PARTS]
    if not parts:
        return []
    others = [box for box in parts if min(box.height, box.width) < core_px]
    cores = _merge_cores([box for box in parts if min(box.height, box.width) >= core_px], others, core_px)
    if len(cores) < 2:  # everything belongs to the one plot
        return [_around(parts)]
    return _join_nearest(cores, [box for box in others if all(core.overlap(box) == 0 for core in cores)], core_px)


def _around(boxes: list[Box]) -> Box:
    whole = boxes[0]
    for box in boxes:
        whole = whole.joined(box)
    return whole


def _merge_cores(cores: list[Box], others: list[Box], core_px: int) -> list[Box]:
    """Join cores that overlap, nearly touch, or are connected by an arrow: insets, pairs of axes, steps of a scheme."""
    touching = core_px // 12
    arrows = [box for box in others if max(box.height, box.width) >= core_px // 2]
    merged: list[Box] = []
    waiting = list(cores)
    while waiting:
        core = waiting.pop()
        reach = [core, *(arrow for arrow in arrows if arrow.gap(core) <= touching)]
        near = [other for other in (*waiting, *merged) if any(part.gap(other) <= touching for part in reach)]
        if not near:
            merged.append(core)
            continue
        waiting = [other for other in waiting if other not in near]
        merged = [other for other in merged if other not in near]
        waiting.append(_around([core, *near]))
    return merged


def _join_nearest(cores: list[Box], others: list[Box], reach_px: int) -> list[Box]:
    """Join each part to the nearest core, in steps over parts of at most ``reach_px`` apart; the others are dropped.

    It is a minimum spanning forest over the gaps between boxes (Kruskal 1956) with one core in each tree.
    """
    boxes = np.array([*cores, *others])
    edges = np.empty((0, 3))
    for start in range(0, len(boxes), _BLOCK):  # the forest of all pairs is that of the forests of parts of them
        edges = _spanning_forest(np.concatenate([edges, _near_pairs(boxes, start, reach_px)]), len(cores), len(boxes))
    first, second = edges[:, :2].astype(int).T
    graph = coo_array((np.ones(len(edges)), (first, second)), shape=(len(boxes), len(boxes)))
    groups = connected_components(graph, directed=False)[1]
    joined = []
    for group in groups[: len(cores)]:
        members = boxes[groups == group]
        joined.append(Box(*members[:, :2].min(axis=0).tolist(), *members[:, 2:].max(axis=0).tolist()))
    return joined


def _near_pairs(boxes: np.ndarray, start: int, reach_px: int) -> np.ndarray:
    """Pairs of a block of boxes and those behind them (m, 3): number, number, gap; only within reach."""
    ones, others = boxes[start : start + _BLOCK, None], boxes[None, start:]
    top, left = np.maximum(ones, others)[..., :2].transpose(2, 0, 1)
    bottom, right = np.minimum(ones, others)[..., 2:].transpose(2, 0, 1)
    gaps = np.hypot(np.maximum(top - bottom, 0), np.maximum(left - right, 0))
    first, second = np.nonzero(np.triu(gaps <= reach_px, 1))
    return np.stack([first + start, second + start, gaps[first, second]], axis=1)


def _spanning_forest(edges: np.ndarray, n_cores: int, n_boxes: int) -> np.ndarray:
    """Those of the edges (m, 3) that are in the forest; of edges of one length the one of smaller numbers."""
    edges = edges[np.lexsort((edges[:, 1], edges[:, 0], edges[:, 2]))]
    # Cores must not be joined with one another: they are one node of the graph.
    nodes = np.maximum(edges[:, :2].astype(int) - n_cores + 1, 0)
    places, ranks = np.unique(nodes @ [n_boxes, 1], return_index=True)
    apart = places > 0  # a core and another core
    first, second = np.divmod(places[apart], n_boxes)
    graph = coo_array((ranks[apart] + 1.0, (first, second)), shape=(n_boxes, n_boxes))
    return edges[np.sort(minimum_spanning_tree(graph.tocsr()).data.astype(int)) - 1]
