"""Movies compared with truth: drift, links from frame to frame, and events."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

__all__ = ["CROSSINGS", "match_tracks", "score_drift", "score_events", "score_links"]

# A frame whose shift is off by more than this, apart from the constant offset, is wrong rather than imprecise.
_WRONG_PX = 1.0

CROSSINGS = ("left-field", "entered-field")
"""Kinds of events at the edge of the field."""


def score_drift(true_shift_px: np.ndarray, shift_px: np.ndarray, counted: np.ndarray | None = None) -> dict[str, float]:
    """Score drift by its error apart from the constant offset.

    Parameters
    ----------
    true_shift_px, shift_px : ndarray of float, shape (n, 2)
        Row and column of each frame.
    counted : ndarray of bool, shape (n,), or None
        The frames to score: those that show the specimen. By default all.

    Returns
    -------
    dict
        ``frames``, ``rms_px`` (root of the mean over frames of the squared length of the error), ``worst_px``,
        ``wrong_frames`` (off by more than 1 px from the median error). NaN without a frame.

    Raises
    ------
    ValueError
        When the two differ in shape.
    """
    true_shift_px, shift_px = np.asarray(true_shift_px, dtype=float), np.asarray(shift_px, dtype=float)
    if true_shift_px.shape != shift_px.shape:
        raise ValueError(f"The truth has shape {true_shift_px.shape} and the drift {shift_px.shape}.")
    error = shift_px - true_shift_px
    if counted is not None:
        error = error[np.asarray(counted, dtype=bool)]
    if len(error) == 0:
        return {"frames": 0, "rms_px": np.nan, "worst_px": np.nan, "wrong_frames": 0}
    length = np.hypot(*(error - error.mean(axis=0)).T)
    # From the median: one frame that is far off would move the mean of all.
    wrong = np.hypot(*(error - np.median(error, axis=0)).T) > _WRONG_PX
    return {
        "frames": len(error),
        "rms_px": float(np.sqrt(np.mean(length**2))),
        "worst_px": float(length.max()),
        "wrong_frames": int(wrong.sum()),
    }


def match_tracks(true_tracks: pd.DataFrame, tracks: pd.DataFrame) -> pd.DataFrame:
    """Match the particles that were found to the true ones, frame by frame.

    Parameters
    ----------
    true_tracks : DataFrame
        ``frame``, ``particle``, ``row_px``, ``col_px``, ``radius_px``.
    tracks : DataFrame
        ``frame``, ``particle``, ``row_px``, ``col_px``, in the same field.

    Returns
    -------
    DataFrame
        ``frame``, ``true_particle``, ``particle``: one to one in every frame, as many as possible and as close as
        possible, centroids within half the true particle's diameter.
    """
    found = dict(iter(tracks.groupby("frame")))
    parts = []
    for frame, true in true_tracks.groupby("frame"):
        if frame not in found:
            continue
        here = found[frame]
        distance = cdist(true[["row_px", "col_px"]], here[["row_px", "col_px"]])
        limit = true["radius_px"].to_numpy(dtype=float)
        # Each pair out of reach costs more than all in reach, so that none is given up for a closer one elsewhere.
        beyond = 1 + 2 * limit.max() * len(limit)
        i, j = linear_sum_assignment(np.where(distance <= limit[:, None], distance, beyond))
        near = distance[i, j] <= limit[i]
        parts.append(
            pd.DataFrame(
                {
                    "frame": frame,
                    "true_particle": true["particle"].to_numpy()[i[near]],
                    "particle": here["particle"].to_numpy()[j[near]],
                }
            )
        )
    columns = ["frame", "true_particle", "particle"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns, dtype="int64")


def score_links(true_tracks: pd.DataFrame, tracks: pd.DataFrame, frames: np.ndarray | None = None) -> dict[str, float]:
    """Score links from each frame to the next.

    Parameters
    ----------
    true_tracks, tracks : DataFrame
        As for `match_tracks`.
    frames : ndarray of int or None
        The frames that can be linked, such as all but the blank ones: links go from one of them to the next. By
        default those of the truth.

    Returns
    -------
    dict
        ``true_links``: of true particles in both frames; ``found``: fraction of them found (both ends matched, with the
        same number); ``detected_links`` and ``found_of_detected``: the same where both ends were found at all, for
        which linking alone is responsible; ``links`` and ``right``: those made between matched particles, and the
        fraction of them that are true.
    """
    numbers = np.unique(true_tracks["frame"] if frames is None else np.asarray(frames))
    following = dict(zip(numbers[:-1].tolist(), numbers[1:].tolist(), strict=True))

    def links(table: pd.DataFrame, name: str) -> pd.DataFrame:
        """Rows of particles that are in a frame and in the next one."""
        here = table.assign(following=table["frame"].map(following)).dropna(subset="following")
        return here.merge(table, left_on=["following", name], right_on=["frame", name], suffixes=("", "_then"))

    matched = match_tracks(true_tracks, tracks)
    detected = links(matched, "true_particle")
    claimed = links(matched, "particle")
    n_true = len(links(true_tracks[["frame", "particle"]], "particle"))
    n_found = int((detected["particle"] == detected["particle_then"]).sum())
    n_right = int((claimed["true_particle"] == claimed["true_particle_then"]).sum())
    return {
        "true_links": n_true,
        "found": _share(n_found, n_true),
        "detected_links": len(detected),
        "found_of_detected": _share(n_found, len(detected)),
        "links": len(claimed),
        "right": _share(n_right, len(claimed)),
    }


def score_events(
    true_events: pd.DataFrame,
    events: pd.DataFrame,
    true_tracks: pd.DataFrame,
    tracks: pd.DataFrame,
    *,
    tolerance_frames: int = 2,
) -> pd.DataFrame:
    """Score events: right kind and particles, the frame within a tolerance.

    Parameters
    ----------
    true_events, events : DataFrame
        ``frame``, ``kind``, ``particles`` (numbers separated by spaces, or a sequence of them).
    true_tracks, tracks : DataFrame
        As for `match_tracks`: they say which particle is which.
    tolerance_frames : int
        How far the frames may be apart; for crossings of the edge any number, because a particle takes many frames to
        cross it.

    Returns
    -------
    DataFrame
        A row for each kind: ``kind``, ``n_true``, ``n_found``, ``matched``, ``precision``, ``recall``, ``f1``
        (NaN where there is nothing to count). Each event matches one other at most, the closest in time first. True
        events with a particle that was not in the field (nor entered it) are left out: they cannot have been seen.
    """
    matched = match_tracks(true_tracks, tracks)
    matches = {
        particle: (some["frame"].to_numpy(), some["true_particle"].to_numpy())
        for particle, some in matched.groupby("particle")
    }

    def true_number(particle: int, frame: int) -> int:
        """The true particle it was when last seen before the frame, or else when first seen; -1 if there is none."""
        if particle not in matches:
            return -1
        frames, names = matches[particle]
        return int(names[max(0, int(np.searchsorted(frames, frame)) - 1)])

    visible = set(true_tracks[["particle", "frame"]].itertuples(index=False, name=None))

    def was_visible(particles: Iterable[int], frame: int, kind: str) -> bool:
        when = (frame - 1,) if kind in ("coalescence", "vanished") else (frame - 1, frame)
        return all(any((number, one) in visible for one in when) for number in particles)

    truth = [
        (int(frame), kind, frozenset(_numbers(some)))
        for frame, kind, some in _rows(true_events)
        if was_visible(_numbers(some), int(frame), kind)
    ]
    found = [
        (int(frame), kind, frozenset(true_number(number, frame) for number in _numbers(some)))
        for frame, kind, some in _rows(events)
    ]
    places: dict[tuple[str, frozenset[int]], list[int]] = {}
    for i, (_, kind, some) in enumerate(truth):
        places.setdefault((kind, some), []).append(i)
    close = [
        (abs(truth[i][0] - frame), i, j)
        for j, (frame, kind, some) in enumerate(found)
        for i in places.get((kind, some), [])
        if abs(truth[i][0] - frame) <= tolerance_frames or kind in CROSSINGS
    ]
    used_true: set[int] = set()
    used: set[int] = set()
    for _, i, j in sorted(close):
        if i not in used_true and j not in used:
            used_true.add(i)
            used.add(j)
    rows = []
    for kind in sorted({kind for _, kind, _ in (*truth, *found)}):
        n_true, n_found = (sum(k == kind for _, k, _ in some) for some in (truth, found))
        n = sum(truth[i][1] == kind for i in used_true)
        rows.append((kind, n_true, n_found, n, _share(n, n_found), _share(n, n_true), _share(2 * n, n_true + n_found)))
    return pd.DataFrame(rows, columns=["kind", "n_true", "n_found", "matched", "precision", "recall", "f1"])


def _rows(events: pd.DataFrame) -> Iterable[tuple]:
    return events[["frame", "kind", "particles"]].itertuples(index=False)


def _numbers(particles: str | Iterable[int]) -> list[int]:
    return [int(number) for number in (particles.split() if isinstance(particles, str) else particles)]


def _share(n: int, of: int) -> float:
    return n / of if of else float("nan")
