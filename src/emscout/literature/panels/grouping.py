"""Which strokes belong to which plot or drawing: nearest first, and never two plots together."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emscout.literature.panels.boxes import Box

__all__ = ["group_ink"]

_MOST_PARTS = 4000


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
    if count > _MOST_PARTS:  # dots of a screen or noise: the largest say all there is to say
        parts = sorted(parts, key=lambda box: box.area, reverse=True)[:_MOST_PARTS]
    if not parts:
        return []
    others = [box for box in parts if min(box.height, box.width) < core_px]
    cores = _merge_cores([box for box in parts if min(box.height, box.width) >= core_px], others, core_px)
    if len(cores) < 2:  # whatever stands there belongs to the one plot
        return [_around(parts)]
    return _join_nearest(cores, [box for box in others if all(core.overlap(box) == 0 for core in cores)], core_px)


def _around(boxes: list[Box]) -> Box:
    whole = boxes[0]
    for box in boxes:
        whole = whole.joined(box)
    return whole


def _merge_cores(cores: list[Box], others: list[Box], core_px: int) -> list[Box]:
    """Cores that overlap, all but touch, or are tied by an arrow are one: insets, pairs of axes, steps of a scheme."""
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
    """Kruskal's minimum spanning forest over the gaps between boxes, with one core a tree; what is far is left."""
    boxes = [*cores, *others]
    edges = np.array(boxes)
    rows = np.maximum(edges[:, None, 0], edges[None, :, 0]) - np.minimum(edges[:, None, 2], edges[None, :, 2])
    cols = np.maximum(edges[:, None, 1], edges[None, :, 1]) - np.minimum(edges[:, None, 3], edges[None, :, 3])
    gaps = np.hypot(np.maximum(rows, 0), np.maximum(cols, 0))
    first, second = np.triu_indices(len(boxes), 1)
    trees = list(range(len(boxes)))

    def root(index: int) -> int:
        while trees[index] != index:
            trees[index] = trees[trees[index]]
            index = trees[index]
        return index

    # The smaller number stays the root, so the root of a tree with a core is its core.
    for pair in np.argsort(gaps[first, second], kind="stable"):
        low, high = sorted((root(int(first[pair])), root(int(second[pair]))))
        if low != high and high >= len(cores) and gaps[first[pair], second[pair]] <= reach_px:
            trees[high] = low
    groups = list(cores)
    for index in range(len(cores), len(boxes)):
        home = root(index)
        if home < len(cores):
            groups[home] = groups[home].joined(boxes[index])
    return groups
