"""What happened to the particles: merged, split, vanished, appeared, left or entered the field, or wrongly segmented.

Where a track ends, its particle has merged with a neighbour that it touched and that now has the area or volume of
both, or it has left over the edge of the field, or it has vanished. Where a track begins, the same is found backwards
in time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from emscout.errors import UsageError
from emscout.movies.tracking.mergers import Merger, find_mergers
from emscout.movies.tracking.observations import HALF_CUT, SETTLE, Observations, read_tracks

__all__ = ["KINDS", "find_events"]

KINDS = ("coalescence", "split", "vanished", "appeared", "left-field", "entered-field", "segmentation-error")
_BACKWARDS = {"coalescence": "split", "vanished": "appeared", "left-field": "entered-field"}
# Frames are cropped by whole pixels, so that the edge itself moves by half of one.
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
        From `link_particles`: ``frame``, ``particle``, ``row_px``, ``col_px``, ``area_px2``.
    shape : (int, int)
        Height and width in pixels of the field, whose first pixel is (0, 0) in the tracks.
    drift : DataFrame or None
        ``frame``, ``row_px``, ``col_px``, from `estimate_drift`: only where whole frames were measured, so that the
        field moves over the specimen; `shape` is then that of a frame. Without it, every frame shows the same field.
    frames : ndarray of int or None
        The frames that were measured, so that one without a particle counts; by default those in the tracks.
    times_s : ndarray or None
        Time of each frame, by frame number.
    tolerance : float
        Relative deviation up to which area or volume counts as conserved. It is widened by what the noise of the
        outlines can do, three standard deviations, and by what the edge of the field can hide; the column ``tolerance``
        has the value that was used.
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
        When a column is missing, or `tolerance` is negative.

    Notes
    -----
    A particle that is no longer seen has merged when it touched one that now has the area or the volume of both (or
    something between, like flattened spheres), and when a merger fits the other's area, and its step towards their
    common centre, better than no merger. Areas are those at the moment of the change, by lines through five frames on
    either side, so that steady shrinking does not count as a loss. How much better the fit must be depends on what the
    particle did before: if it was shrinking and near the smallest radius seen, clear evidence is needed, if not, hardly
    any. Where the edge of the field cuts one of them, areas need to agree only to a third. A merger that conserves
    neither is a segmentation error, and so are one that a split undoes within five frames, two neighbours segmented as
    one for a moment, and particles seen in fewer than `min_frames` frames.

    A particle has left the field when more than half of it was in the field and, with the same motion, half or more
    would be out of it. One that shrinks to nothing beside the edge has vanished. If more than half of a particle lay
    beyond the edge whenever it was seen, or half of it did and it disappears at once, there is no way to know, and no
    event is reported. What is missing for fewer than `min_frames` frames before the end of the movie, or after its
    beginning, may only have been missed and makes no event, unless it was fading.
    """
    missing = [name for name in ("frame", "particle", "row_px", "col_px", "area_px2") if name not in tracks]
    if missing:
        raise UsageError(f"The table of tracks has no column {missing[0]}, without which no events can be found.")
    if tolerance < 0:
        raise UsageError(f"`tolerance` must be 0 or more, not {tolerance:g}.")
    numbers = np.unique(tracks["frame"] if frames is None else np.concatenate([frames, tracks["frame"]])).astype(int)
    movie = read_tracks(tracks, numbers, shape, drift)
    # What is there in the first frames counts as having been there before; what is there only in the last may be noise.
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


def _endings(movie: Observations, tolerance: float, min_frames: int, *, from_start: bool) -> list[dict[str, Any]]:
    """What became of every particle that is no longer seen in the last frame.

    One seen in too few frames, but in the first one, makes no event unless `from_start`.
    """
    ended: dict[int, list[int]] = {}
    for particle, track in movie.tracks.items():
        if track.time[-1] < len(movie.view) - 1:
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
            elif len(movie.view) - time < min_frames and not movie.fades(particle):
                continue
            elif len(track.time) >= min_frames or (from_start and track.time[0] == 0):
                kind = "vanished"
            elif track.time[0] == 0:
                continue
            else:
                kind = "segmentation-error"
            rows.append(_row(movie, kind, time, {particle}, None))
    return rows


def _row(movie: Observations, kind: str, time: int, numbers: set[int], merger: Merger | None) -> dict[str, Any]:
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


def _at_edge(movie: Observations, particle: int) -> str:
    """Where a particle went that is no longer seen: ``inside``, ``left``, or ``unknown`` if the edge hid half of it."""
    track = movie.tracks[particle]
    time = int(track.time[-1]) + 1
    slack = 2 * movie.jitter_px
    # Distance of its middle from the edge; of a cut particle, the middle of the visible part is farther inside.
    room = np.array([movie.to_edge_px(*seen) for seen in zip(track.place, track.time, strict=True)])
    room -= HALF_CUT * track.radius_px
    then = movie.to_edge_px(track.place_at(time - SETTLE, time, time), time) - HALF_CUT * float(track.radius_px[-1])
    if then >= slack:
        return "inside"
    # A single position may be off by as much as its outline.
    once = float(np.sort(room)[-min(len(room), 3)])
    if once < _WHOLE_PX / 2:
        return "unknown"
    if once - then > _WHOLE_PX + 2 * slack:
        return "left"
    return "inside" if movie.fades(particle) else "unknown"


def _momentary_mergers(movie: Observations) -> list[dict[str, Any]]:
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
    """Call a merger that a split undoes at once, or the other way round, a segmentation error."""
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
    """Leave out duplicates.

    That is, the end of one particle that is part of a merger, split or error of several at the same time, or of an
    earlier error.
    """
    kept = []
    wrong: set[int] = set()
    together = {(row["time"], number) for row in rows if len(row["numbers"]) > 1 for number in row["numbers"]}
    for row in sorted(rows, key=lambda row: row["time"]):
        if len(row["numbers"]) == 1:
            (number,) = row["numbers"]
            if (row["time"], number) in together or (row["kind"] == "segmentation-error" and number in wrong):
                continue
        if row["kind"] == "segmentation-error":
            wrong |= row["numbers"]
        kept.append(row)
    return kept
