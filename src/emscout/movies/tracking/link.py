"""Particles linked through time.

Most particles lie where they lay, so overlap alone says which is which: two particles of neighbouring frames are the
same when each is the one the other overlaps most. What overlap leaves open, and gaps of a few frames, are assigned by
laptrack (Fukai & Kawaguchi 2023, doi:10.1093/bioinformatics/btac799; method of Jaqaman et al. 2008,
doi:10.1038/nmeth.1237). It solves a stretch of frames at a time, so time grows with the frames and memory does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from emscout.errors import UsageError

__all__ = ["link_particles"]

# Share of the smaller particle's area by which two outlines must overlap to be the same particle.
_LEAST_OVERLAP = 0.5
# A particle whose area jumps by more than this factor is linked by what it was before, for as long as a gap may last:
# most such jumps are two neighbours segmented as one for a frame or two.
_SWOLLEN = 1.3
# Frames solved at once by laptrack.
_WINDOW = 48


class _Frame(NamedTuple):
    """The particles of one frame: their rows in the table and where they are."""

    rows: np.ndarray
    place: np.ndarray  # (n, 3): row, column, radius in pixels
    area_px2: np.ndarray
    label: np.ndarray


class _Memory(NamedTuple):
    """Place and area of each particle of a frame before it swelled, and how many frames ago that was."""

    place: np.ndarray
    area_px2: np.ndarray
    age: np.ndarray


def link_particles(
    particles: pd.DataFrame,
    labels: Callable[[int], np.ndarray] | None = None,
    *,
    max_step_px: float | None = None,
    max_gap: int = 3,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Give every particle of a movie a number that it keeps through time.

    Parameters
    ----------
    particles : DataFrame
        One row per particle and frame: ``frame``, ``row_px``, ``col_px`` (in the drift-corrected field), ``area_px2``,
        and ``label`` when `labels` are given. Frames without a row (blank ones, say) are skipped and do not
        count as gaps. Other columns are kept.
    labels : callable or None
        Frame to its label map, shape (H, W), in the drift-corrected field; each map is asked for once, in order, and
        two are kept in memory. Without it, particles overlap like discs of their areas.
    max_step_px : float or None
        Farthest a particle moves from one frame to the next, where it does not overlap with itself. By default half
        the median distance to the nearest neighbour, and no more than the median diameter.
    max_gap : int
        Most frames for which a particle may be missing.
    progress : callable or None
        Called with the number of frames done and of all.

    Returns
    -------
    DataFrame
        The rows of `particles`, by frame and then as given, with ``particle`` (int) after ``frame``: 1..n by first
        appearance. Where particles merge, the number of the largest goes on; where one splits, the part most like what
        it was before keeps the number.

    Raises
    ------
    UsageError
        When a column is missing, a position or area is not a number, or an option makes no sense.
    """
    _check(particles, labels, max_step_px, max_gap)
    table = particles.sort_values("frame", kind="stable", ignore_index=True)
    frames = _by_frame(table)
    predecessor = np.full(len(table), -1)
    if len(frames) > 1:
        step_px = _usual_step_px(frames) if max_step_px is None else max_step_px
        known = _overlap_links(frames, table["frame"].to_numpy(), labels, max_gap, progress)
        predecessor = _assign(frames, known, step_px, max_gap)
    number = np.empty(len(table), dtype=np.int64)
    seen = 0
    for row, before in enumerate(predecessor.tolist()):
        if before < 0:
            seen += 1
        number[row] = seen if before < 0 else number[before]
    table = table.drop(columns="particle", errors="ignore")
    table.insert(list(table.columns).index("frame") + 1, "particle", number)
    return table


def _check(
    particles: pd.DataFrame, labels: Callable[[int], np.ndarray] | None, max_step_px: float | None, max_gap: int
) -> None:
    needed = ["frame", "row_px", "col_px", "area_px2", *(["label"] if labels is not None else [])]
    missing = [name for name in needed if name not in particles]
    if missing:
        raise UsageError(f"The table of particles has no column {missing[0]}, without which they cannot be linked.")
    values = particles[needed].to_numpy(dtype=float)
    if not np.isfinite(values).all() or (particles["area_px2"] <= 0).any():
        raise UsageError("Every particle needs a position and an area above 0 to be linked: some rows have none.")
    if max_step_px is not None and not max_step_px > 0:
        raise UsageError(f"`max_step_px` must be more than 0, not {max_step_px:g}.")
    if max_gap < 0:
        raise UsageError(f"`max_gap` must be 0 or more, not {max_gap}.")


def _by_frame(table: pd.DataFrame) -> list[_Frame]:
    area = table["area_px2"].to_numpy(dtype=float)
    place = np.column_stack([table[["row_px", "col_px"]].to_numpy(dtype=float), np.sqrt(area / np.pi)])
    label = table["label"].to_numpy() if "label" in table else np.arange(len(table))
    starts = np.flatnonzero(np.diff(table["frame"].to_numpy(), prepend=np.nan) != 0)
    return [
        _Frame(rows, place[rows], area[rows], label[rows])
        for rows in np.split(np.arange(len(table)), starts[1:])
        if len(rows)
    ]


def _usual_step_px(frames: list[_Frame]) -> float:
    """A step that neither reaches a neighbour nor leads beyond the particle's own size."""
    some = frames[:: max(1, len(frames) // 50)]
    diameter = 2 * float(np.median(np.concatenate([frame.place[:, 2] for frame in some])))
    apart = [
        np.asarray(cKDTree(frame.place[:, :2]).query(frame.place[:, :2], k=2)[0])[:, 1]
        for frame in some
        if len(frame.rows) > 1
    ]
    return min(diameter, float(np.median(np.concatenate(apart))) / 2) if apart else diameter


def _overlap_links(
    frames: list[_Frame],
    numbers: np.ndarray,
    labels: Callable[[int], np.ndarray] | None,
    max_gap: int,
    progress: Callable[[int, int], None] | None,
) -> list[np.ndarray]:
    """For each frame but the last the links (k, 2) to the next that overlap alone tells: index here, index there."""
    links = []
    before = frames[0]
    memory = _Memory(before.place, before.area_px2, np.zeros(len(before.rows), dtype=int))
    map_before = labels(int(numbers[before.rows[0]])) if labels is not None else np.empty((0, 0), dtype=int)
    for done, after in enumerate(frames[1:], start=1):
        if labels is None:
            overlap = _overlaps_of_discs(before, after)
        else:
            map_after = labels(int(numbers[after.rows[0]]))
            overlap = _overlaps_of_labels(before, after, map_before, map_after)
            map_before = map_after
        links.append(_mutual(before, after, memory, *overlap))
        memory = _remember(memory, after, links[-1], max_gap)
        before = after
        if progress is not None:
            progress(done + 1, len(frames))
    return links


def _overlaps_of_discs(before: _Frame, after: _Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index before, index after and shared area of all pairs of discs that overlap."""
    reach = before.place[:, 2].max() + after.place[:, 2].max()
    near = cKDTree(before.place[:, :2]).sparse_distance_matrix(
        cKDTree(after.place[:, :2]), reach, output_type="ndarray"
    )
    i, j, d = near["i"], near["j"], near["v"]
    r, s = before.place[i, 2], after.place[j, 2]
    overlap = d < r + s
    i, j, d, r, s = i[overlap], j[overlap], d[overlap], r[overlap], s[overlap]
    inside = d <= np.abs(r - s)
    d = np.where(inside, r + s, d)  # any distance that keeps the formula for crossing circles defined
    lens = (
        r**2 * np.arccos(np.clip((d**2 + r**2 - s**2) / (2 * d * r), -1, 1))
        + s**2 * np.arccos(np.clip((d**2 + s**2 - r**2) / (2 * d * s), -1, 1))
        - np.sqrt(np.maximum((r + s - d) * (d + r - s) * (d - r + s) * (d + r + s), 0)) / 2
    )
    return i, j, np.where(inside, np.pi * np.minimum(r, s) ** 2, lens)


def _overlaps_of_labels(
    before: _Frame, after: _Frame, map_before: np.ndarray, map_after: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index before, index after and shared pixels of all pairs of labels that overlap."""
    if map_before.shape != map_after.shape:
        raise UsageError("The label maps differ in shape: give them all in the one drift-corrected field.")
    both = (map_before > 0) & (map_after > 0)
    pixels = np.ones(np.count_nonzero(both))
    size = (int(map_before.max(initial=0)) + 1, int(map_after.max(initial=0)) + 1)
    shared = sparse.coo_matrix((pixels, (map_before[both], map_after[both])), shape=size).tocsr().tocoo()
    i, known_before = _index_of(shared.row, before.label)
    j, known_after = _index_of(shared.col, after.label)
    known = known_before & known_after
    return i[known], j[known], shared.data[known]


def _index_of(names: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each name stands in `label`, and whether it does at all."""
    order = np.argsort(label)
    at = np.minimum(np.searchsorted(label[order], names), len(label) - 1)
    return order[at], label[order][at] == names


def _mutual(
    before: _Frame, after: _Frame, memory: _Memory, i: np.ndarray, j: np.ndarray, overlap: np.ndarray
) -> np.ndarray:
    """Pairs that are each other's best."""
    enough = overlap >= _LEAST_OVERLAP * np.minimum(before.area_px2[i], after.area_px2[j])
    i, j, overlap = i[enough], j[enough], overlap[enough]
    # What has swollen is looked for where, and as large as, it was before: neighbours that come apart again after
    # a frame as one keep their numbers.
    moved = ((memory.place[i] - after.place[j]) ** 2).sum(axis=1)
    liking = np.where(memory.age[i] > 0, -moved, overlap)
    best = _best(i, liking) & _best(j, overlap)
    return np.column_stack([i[best], j[best]])


def _best(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Whether an entry has the greatest value of its group; of equal ones the first."""
    best = np.zeros(len(group), dtype=bool)
    order = np.lexsort((-np.arange(len(group)), value, group))
    best[order[np.diff(group[order], append=-1) != 0]] = True
    return best


def _remember(memory: _Memory, after: _Frame, links: np.ndarray, max_gap: int) -> _Memory:
    place, area, age = after.place.copy(), after.area_px2.copy(), np.zeros(len(after.rows), dtype=int)
    i, j = links.T
    swollen = (after.area_px2[j] > _SWOLLEN * memory.area_px2[i]) & (memory.age[i] < max_gap)
    i, j = i[swollen], j[swollen]
    place[j], area[j], age[j] = memory.place[i], memory.area_px2[i], memory.age[i] + 1
    return _Memory(place, area, age)


def _assign(frames: list[_Frame], known: list[np.ndarray], step_px: float, max_gap: int) -> np.ndarray:
    """Row of the same particle before, -1 for none, for every row: known links, then laptrack's.

    Windows of frames overlap by what a gap may span on either side: a link counts only where its window shows all it
    could have led to, and the next window takes it as given.
    """
    from laptrack import LapTrack  # here, because it loads scikit-learn and networkx

    n_rows = int(frames[-1].rows[-1]) + 1
    predecessor, successor = np.full(n_rows, -1), np.full(n_rows, -1)
    for t, links in enumerate(known):
        before, after = frames[t].rows[links[:, 0]], frames[t + 1].rows[links[:, 1]]
        predecessor[after], successor[before] = before, after
    limit = step_px**2
    settings: dict[str, Any] = {
        "cutoff": limit,
        "gap_closing_cutoff": limit if max_gap else False,
        "gap_closing_max_frame_count": max_gap + 1,
        # Two particles of one place are one rather than an end and a beginning.
        **dict.fromkeys(("track_start_cost", "track_end_cost", "segment_start_cost", "segment_end_cost"), limit),
        **dict.fromkeys(("no_merging_cost", "no_splitting_cost"), limit),
    }
    tracker = LapTrack(**settings)
    first_rows = np.array([frame.rows[0] for frame in frames])
    reach = max_gap + 1
    start = 0
    while True:
        stop = min(start + _WINDOW + 2 * reach, len(frames))
        final = len(frames) if stop == len(frames) else stop - reach
        inside = np.arange(frames[start].rows[0], frames[stop - 1].rows[-1] + 1)
        linked = inside[(predecessor[inside] >= inside[0])]
        time = np.searchsorted(first_rows, inside, side="right") - 1

        def node(row: int, time: np.ndarray = time, origin: int = int(inside[0]), start: int = start) -> tuple:
            t = int(time[row - origin])
            return t - start, row - int(first_rows[t])

        edges = [(node(int(predecessor[row])), node(int(row))) for row in linked]
        tree = tracker.predict([frame.place for frame in frames[start:stop]], connected_edges=edges)
        for (t, i), (u, j) in tree.edges:
            before, after = frames[start + t].rows[i], frames[start + u].rows[j]
            if start + t < final and successor[before] < 0 and predecessor[after] < 0:
                successor[before], predecessor[after] = after, before
        if final == len(frames):
            return predecessor
        start = final - reach
