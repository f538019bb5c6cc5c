"""Which particles merged: those that touched, and whose areas and places fit the one that is left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from emscout.movies.tracking.observations import HALF_CUT, SETTLE, Observations

__all__ = ["Merger", "find_mergers"]

# Squared standard deviations by which the areas and places must speak against a merger of a particle that had no other
# reason to vanish, and for one of a particle that was about to shrink to nothing: odds of 90 to 1, and of 20 to 1.
_UNEXPECTED, _FADED = 9.0, -6.0
# At most so many particles merge at once.
_MOST_AT_ONCE = 3
# Share by which areas may differ where the edge of the field cuts a particle, and shows more or less of it later.
_HIDDEN = 0.3
# Error of the step to a common centre, in pixels and as a share of it, from pixels and shapes that are not discs.
_STEP_PX, _STEP_SHARE = 0.2, 0.15
# Tolerance of areas that are known without any error, so that it can be divided by.
_LEAST_TOLERANCE = 1e-9


class Merger(NamedTuple):
    """Parts that are no longer seen from `time` on, and the whole that they became."""

    time: int
    parts: tuple[int, ...]
    whole: int
    parts_px2: float
    whole_px2: float
    conserved: str
    deviation: float
    tolerance: float


def find_mergers(movie: Observations, time: int, gone: list[int], tolerance: float) -> Iterator[Merger]:
    """Mergers that explain why `gone` are no longer seen at `time`, the best fit first.

    Parameters
    ----------
    movie : Sights
    time : int
    gone : list of int
        Particles seen last in the frame before.
    tolerance : float
        See `emscout.movies.tracking.events.find_events`.
    """
    candidates: dict[int, set[int]] = {}
    for particle in gone:
        for other in movie.touching(particle, -1, time):
            candidates.setdefault(other, set()).add(particle)
    found = []
    for whole, parts in candidates.items():
        nearest = sorted(parts, key=lambda part: -movie.tracks[part].area_px2[-1])[: 2 * _MOST_AT_ONCE]
        for n in range(1, _MOST_AT_ONCE + 1):
            for some in combinations(nearest, n):
                merger = _judge(movie, time, some, whole, tolerance)
                if merger is not None:
                    found.append((merger.conserved == "nothing", abs(merger.deviation) / merger.tolerance, merger))
    for *_, merger in sorted(found, key=lambda entry: entry[:2]):
        yield merger


def _judge(movie: Observations, time: int, parts: tuple[int, ...], whole: int, tolerance: float) -> Merger | None:
    """Weigh whether `whole` took in `parts`; None when it did not."""
    track = movie.tracks[whole]
    if any(_mostly_out(movie, part) for part in parts):
        return None  # where it went cannot be seen
    # Areas at the moment of the change: shrinking before it, or after, must not count as a loss.
    moment = time - 0.5
    after = _area(track.volume_px3(time, time + SETTLE, moment))
    own = _area(track.volume_px3(time - SETTLE, time, moment))
    taken = [_area(movie.tracks[part].volume_px3(time - SETTLE, time, moment)) for part in parts]
    if np.isnan(after):
        return None
    if np.isnan(own):
        if len(parts) < 2 or track.time[0] != time:
            return None
        everything = np.array(taken)
    else:
        everything = np.array([own, *taken])
    by_area = float(everything.sum())
    if by_area == 0:
        return None
    by_volume = _area((everything**1.5).sum() / np.pi**1.5)
    # Of an area A from one outline: 2 sqrt(pi A) times that of the radius.
    noise = float(np.hypot.reduce(2 * movie.noise_px * np.sqrt(np.pi * np.append(everything, after))))
    kept = {"area": by_area, "volume": by_volume}
    conserved = min(kept, key=lambda name: abs(after - kept[name]))
    deviation = after / kept[conserved] - 1
    cut = any(movie.to_edge_px(place, at) < radius + 1 for place, radius, at in _around(movie, time, parts, whole))
    limit = float(np.hypot.reduce([tolerance, 3 * noise / kept[conserved], _HIDDEN if cut else 0.0]))
    limit = max(limit, _LEAST_TOLERANCE)
    # Flattened spheres lie between the two.
    missed = max(by_volume - after, after - by_area, 0.0)
    if not np.isnan(own):
        # How much better "nothing happened" fits the whole than "merged", in squared standard deviations.
        spread = limit * kept[conserved] / 3
        doubt = (missed**2 - (after - own) ** 2) / spread**2 + _doubt_by_place(movie, time, parts, whole, own, taken)
        if doubt > min(_prior(movie, part) for part in parts):
            return None
    if missed > limit * kept[conserved]:
        conserved = "nothing"
        if not _covers(movie, time, parts, whole):
            return None
    return Merger(time, parts, whole, by_area, after, conserved, deviation, limit)


def _area(volume_px3: float) -> float:
    """Of the disc whose radius has that cube."""
    return float(np.pi * volume_px3 ** (2 / 3))


def _doubt_by_place(
    movie: Observations, time: int, parts: tuple[int, ...], whole: int, own: float, taken: list[float]
) -> float:
    """How much better "it stayed" fits the place of the whole than "it went to the common centre"."""
    track = movie.tracks[whole]
    before = track.place_at(time - SETTLE, time, time - 0.5)
    step = track.place_at(time, time + SETTLE, time - 0.5) - before
    places = np.array([movie.tracks[part].place[-1] for part in parts]) - before
    steps = []
    for power in (1.0, 1.5):
        weights = np.array(taken) ** power
        steps.append((weights[:, None] * places).sum(axis=0) / max(own**power + weights.sum(), 1e-9))
    # Anywhere from the common centre of the volumes to that of the areas.
    least, most = steps[1], steps[0]
    way = most - least
    share = np.clip((step - least) @ way / max(float(way @ way), 1e-9), 0, 1)
    off = step - least - share * way
    spread = np.hypot.reduce([2 * movie.jitter_px, _STEP_PX, _STEP_SHARE * float(np.hypot(*most))])
    return float((off @ off - step @ step) / spread**2)


def _mostly_out(movie: Observations, part: int) -> bool:
    """Whether the edge of the field cut a particle halfway through or further when it was last seen."""
    track = movie.tracks[part]
    return movie.to_edge_px(track.place[-1], int(track.time[-1])) < HALF_CUT * float(track.radius_px[-1])


def _around(
    movie: Observations, time: int, parts: tuple[int, ...], whole: int
) -> Iterator[tuple[np.ndarray, float, int]]:
    """Place, radius and time of all that took part, as last seen before and as first seen after."""
    for name, i in [*((part, -1) for part in parts), *((whole, i) for i in _beside(movie, whole, time))]:
        track = movie.tracks[name]
        yield track.place[i], float(track.radius_px[i]), int(track.time[i])


def _beside(movie: Observations, particle: int, time: int) -> list[int]:
    """Of the frames in which a particle is seen, the last before a time and the first from it on."""
    seen = movie.tracks[particle].time
    i = int(np.searchsorted(seen, time))
    return [k for k in (i - 1, i) if 0 <= k < len(seen)]


def _prior(movie: Observations, part: int) -> float:
    """How much areas and places may speak against the merger of a part, by its own past, in squared deviations."""
    if movie.fades(part):
        return _FADED
    return _UNEXPECTED if len(movie.tracks[part].time) >= SETTLE else 0.0


def _covers(movie: Observations, time: int, parts: tuple[int, ...], whole: int) -> bool:
    """Whether the whole covers the middle of each part."""
    track = movie.tracks[whole]
    i = int(np.searchsorted(track.time, time))
    if i == len(track.time):
        return False
    return all(np.hypot(*(movie.tracks[part].place[-1] - track.place[i])) < track.radius_px[i] for part in parts)
