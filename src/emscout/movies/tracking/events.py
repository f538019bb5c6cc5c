"""What happened to the particles: merged, split, vanished, appeared, left or entered the field, or wrongly segmented.

Where a track ends, its particle has merged with a neighbour that it touched and that now holds what both held, or it
has left over the edge of what is seen, or it is gone. Where a track begins the same is told backwards in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from emscout.errors import UsageError
from emscout.movies.tracking.mergers import SETTLE, Merger, find_mergers
from emscout.movies.tracking.observations import HALF_CUT, Sights, lay_out

__all__ = ["KINDS", "find_events"]

KINDS = ("coalescence", "split", "vanished", "appeared", "left-field", "entered-field", "segmentation-error")
_BACKWARDS = {"coalescence": "split", "vanished": "appeared", "left-field": "entered-field"}
# Frames are cut by whole pixels, so that the edge itself goes to and fro by half of one.
_WHOLE_PX = 1.0
_COLUMNS = {
    "frame": "int64",
    "kind": "str",
    "particles": "str",
    "row_px": "float64",
    "col_px": "float64",
    "area_before_px2": "float64",
    "area_after_px2": "float64",
    "conserved": "str",
    "deviation": "float64",
    "tolerance": "float64",
}


def find_events(
    tracks: pd.DataFrame,
    shape: tuple[int, int],
    *,
    drift: pd.DataFrame | None = None,
    frames: np.ndarray | None = None,
    times_s: np.ndarray | None = None,
    tolerance: float = 0.1,
    min_frames: int = 3,
) -> pd.DataFrame:
    """Find what happened to the particles of a movie.

    Parameters
    ----------
    tracks : DataFrame
        As from `link_particles`: ``frame``, ``particle``, ``row_px``, ``col_px``, ``area_px2``.
    shape : (int, int)
        Height and width in pixels of the field, whose first pixel is (0, 0) in the tracks.
    drift : DataFrame or None
        ``frame``, ``row_px``, ``col_px``, as from `estimate_drift`: only where the whole of every frame was looked at,
        so that what is seen of the specimen moves; `shape` is then that of a frame. Without, every frame shows the
        same field.
    frames : ndarray of int or None
        The frames that were looked at, so that one without a particle counts; by default those in the tracks.
    times_s : ndarray or None
        Time of each frame, by frame number.
    tolerance : float
        Relative deviation up to which area or volume counts as conserved. It is widened by what the noise of the
        outlines can do, three standard deviations, and what the edge of the field can hide; the column ``tolerance``
        has what was applied.
    min_frames : int
        A particle seen in fewer frames neither appeared nor vanished: it was wrongly segmented.

    Returns
    -------
    DataFrame
        One row an event, by frame:

        - ``frame``: the first one after the change;
        - ``kind``: one of `KINDS`;
        - ``particles``: numbers of all that took part, with spaces between;
        - ``row_px``, ``col_px``: where;
        - ``area_before_px2``, ``area_after_px2``: of all that took part, medians of up to five frames; 0 for what is
          not there;
        - ``conserved``: of mergers and splits, ``area``, ``volume`` (of spheres: Σ area^(3/2)) or ``nothing``;
          ``deviation``: by how much the nearer of the two is off; ``tolerance``;
        - ``time_s`` where `times_s` are given.

    Raises
    ------
    UsageError
        When a column is missing.

    Notes
    -----
    A particle that is gone has merged when it touched one that now holds the area or the volume of both (or something
    between, as flattened spheres do), and when that explains the other's area, and the step it has made towards their
    common centre, better than that nothing happened. Areas are those at the moment of the change, by lines through five
    frames on either side, so that what shrinks anyway is no loss. How much better depends on what else the particle
    would have come to: one that was shrinking and near the smallest radius seen needs plain signs, one that was not
    hardly any. Where the edge of the field cuts one of them, areas need agree to a third only. A merger that conserves
    neither is a segmentation error, and so are one that a split undoes within five frames, two neighbours segmented as
    one for a moment, and particles seen in fewer than `min_frames` frames.

    A particle has left the field when it was in it by more than half and, moving on as it did, would be out of it by
    half or more. One that shrinks to nothing beside the edge has vanished; of one that lay more than half beyond the
    edge for as long as it was seen, or stood half beyond it and is gone at once, nobody can say, and nothing is told.
    What is missing for fewer than `min_frames` frames before the end of the
    movie, or after its beginning, may only be out of sight and makes no event, unless it was fading.
    """
    missing = [name for name in ("frame", "particle", "row_px", "col_px", "area_px2") if name not in tracks]
    if missing:
        raise UsageError(f"Finding events needs the column {missing[0]} in the table of tracks.")
    numbers = np.unique(tracks["frame"] if frames is None else np.concatenate([frames, tracks["frame"]])).astype(int)
    movie = lay_out(tracks, numbers, shape, drift)
    # What is there when the movie begins counts as having been there; what is there only as it ends may be noise.
    rows = _endings(movie, tolerance, min_frames, from_start=True)
    for row in _endings(movie.backwards(), tolerance, min_frames, from_start=False):
        row["time"] = len(numbers) - row["time"]
        row["area_before_px2"], row["area_after_px2"] = row["area_after_px2"], row["area_before_px2"]
        row["kind"] = _BACKWARDS.get(row["kind"], row["kind"])
        rows.append(row)
    events = _once(_undone(_momentary_mergers(movie) + rows))
    table = pd.DataFrame(events, columns=["time", "numbers", *_COLUMNS])
    table["frame"] = numbers[table["time"].to_numpy(dtype=int)] if len(table) else []
    table["particles"] = [" ".join(map(str, sorted(some))) for some in table["numbers"]]
    order = [*_COLUMNS]
    if times_s is not None:
        table["time_s"] = np.asarray(times_s, dtype=float)[table["frame"].to_numpy(dtype=int)]
        order.insert(1, "time_s")
    table = table[order].astype(_COLUMNS)
    return table.sort_values(["frame", "kind", "particles"], kind="stable", ignore_index=True)


def _endings(movie: Sights, tolerance: float, min_frames: int, *, from_start: bool) -> list[dict[str, Any]]:
    """What became of every particle that is no longer seen in the last frame.

    Of one seen in too few frames, but in the first one, nothing is told unless `from_start`.
    """
    ended: dict[int, list[int]] = {}
    for particle, track in movie.tracks.items():
        if track.time[-1] < len(movie.seen) - 1:
            ended.setdefault(int(track.time[-1]) + 1, []).append(particle)
    rows = []
    for time, gone in sorted(ended.items()):
        open_ends = set(gone)
        for merger in find_mergers(movie, time, gone, tolerance):
            if not open_ends.issuperset(merger.parts):
                continue
            open_ends.difference_update(merger.parts)
            kind = "coalescence" if merger.conserved != "nothing" else "segmentation-error"
            rows.append(_row(movie, kind, merger.time, {*merger.parts, merger.whole}, merger))
        for particle in sorted(open_ends):
            track = movie.tracks[particle]
            whereabouts = _at_edge(movie, particle)
            if whereabouts == "unknown":
                continue
            if whereabouts == "left":
                if len(track.time) < min_frames and track.time[0] > 0:
                    continue  # a sliver at the edge that flickers
                kind = "left-field"
            elif len(movie.seen) - time < min_frames and not movie.fades(particle):
                continue
            elif len(track.time) >= min_frames or (from_start and track.time[0] == 0):
                kind = "vanished"
            elif track.time[0] == 0:
                continue
            else:
                kind = "segmentation-error"
            rows.append(_row(movie, kind, time, {particle}, None))
    return rows


def _row(movie: Sights, kind: str, time: int, numbers: set[int], merger: Merger | None) -> dict[str, Any]:
    tracks = [movie.tracks[number] for number in numbers]
    before = [track.median_px2(time - SETTLE, time) for track in tracks]
    last = [track.place[max(0, int(np.searchsorted(track.time, time)) - 1)] for track in tracks]
    row, col = np.mean(last, axis=0)
    return {
        "time": time,
        "kind": kind,
        "numbers": frozenset(numbers),
        "row_px": row,
        "col_px": col,
        "area_before_px2": merger.parts_px2 if merger else float(np.nansum(before)),
        "area_after_px2": merger.whole_px2 if merger else 0.0,
        "conserved": merger.conserved if merger else "",
        "deviation": merger.deviation if merger else float("nan"),
        "tolerance": merger.tolerance if merger else float("nan"),
    }


def _at_edge(movie: Sights, particle: int) -> str:
    """Where a particle is that is no longer seen: ``inside``, ``left``, or ``unknown``, as the edge hid half of it."""
    track = movie.tracks[particle]
    time = int(track.time[-1]) + 1
    slack = 2 * movie.jitter_px
    # How far its middle is inside; of what is cut, the middle of what is left lies farther in.
    room = np.array([movie.to_edge_px(*sight) for sight in zip(track.place, track.time, strict=True)])
    room -= HALF_CUT * track.radius_px
    then = movie.to_edge_px(track.place_at(time - SETTLE, time, time), time) - HALF_CUT * float(track.radius_px[-1])
    if then >= slack:
        return "inside"
    # A single sight may be off by as much as its outline.
    once = float(np.sort(room)[-min(len(room), 3)])
    if once < _WHOLE_PX / 2:
        return "unknown"
    if once - then > _WHOLE_PX + 2 * slack:
        return "left"
    return "inside" if movie.fades(particle) else "unknown"


def _momentary_mergers(movie: Sights) -> list[dict[str, Any]]:
    """Neighbours segmented as one while one of them has a gap in its track."""
    rows = []
    for particle, track in movie.tracks.items():
        for i in np.flatnonzero(np.diff(track.time) > 1):
            first, back = int(track.time[i]) + 1, int(track.time[i + 1])
            for other in movie.touching(particle, int(i), first):
                near = movie.tracks[other]
                own = near.median_px2(first - SETTLE, first)
                swollen = near.median_px2(first, back)
                again = near.median_px2(back, back + SETTLE)
                part = float(track.area_px2[i])
                usual = float(np.fmin(own, again))
                if abs(swollen - usual - part) < 0.5 * part:
                    row = _row(movie, "segmentation-error", first, {particle, other}, None)
                    rows.append(row | {"area_before_px2": own + part, "area_after_px2": swollen})
                    break
    return rows


def _undone(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Call a merger that a split undoes at once, or the other way round, what it is."""
    changes = sorted((row for row in rows if row["kind"] in ("coalescence", "split")), key=lambda row: row["time"])
    errors = []
    for i, row in enumerate(changes):
        for later in changes[i + 1 :]:
            if later["time"] - row["time"] > SETTLE:
                break
            off = abs(later["area_after_px2"] / row["area_before_px2"] - 1)
            if later["kind"] != row["kind"] and row["numbers"] & later["numbers"] and off <= 2 * row["tolerance"]:
                errors += [row, later]
    for row in errors:
        row["kind"] = "segmentation-error"
    return rows


def _once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what is told twice.

    That is, of one particle what a merger, split or error of several tells at the same time, and the end of what is an
    error already.
    """
    kept = []
    told: set[int] = set()
    together = {(row["time"], number) for row in rows if len(row["numbers"]) > 1 for number in row["numbers"]}
    for row in sorted(rows, key=lambda row: row["time"]):
        if len(row["numbers"]) == 1:
            (number,) = row["numbers"]
            if (row["time"], number) in together or (row["kind"] == "segmentation-error" and number in told):
                continue
        if row["kind"] == "segmentation-error":
            told |= row["numbers"]
        kept.append(row)
    return kept
