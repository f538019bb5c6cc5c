"""Of what was found at all scales of an image: which is the same particle, which lies in another, which counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from emscout.particles.segmenters.pyramid import Candidate

__all__ = [
    "Choice",
    "Level",
    "Overlaps",
    "areas_px2",
    "choose_level",
    "drop_rivals",
    "find_overlaps",
    "measure_agreement",
]

Level = Literal["auto", "smallest", "largest", "all"]

_SAME = 0.5
"""Two outlines with a larger intersection over union are of one particle: the overlap at which a match is counted."""

_ON_SUPPORT = 3
"""A larger particle with so many smaller ones in it is what they lie on; fewer may be texture."""


Overlaps = dict[int, dict[int, float]]
"""Of a candidate, those of finer scales that it meets, and their common area in px² of the image."""


class Choice(NamedTuple):
    """Which candidates count.

    ``counted`` and ``left_out`` are indices of candidates; ``cores`` are the cores of those that have one; ``level`` is
    what was decided, and ``nested`` why: larger ones are what smaller ones lie on (``supports``), or shells around
    ``cores``; empty where nothing lies in or on another.
    """

    counted: list[int]
    left_out: list[int]
    cores: dict[int, Candidate]
    level: Level
    nested: Literal["", "supports", "cores"]


def find_overlaps(candidates: Sequence[Candidate], shapes: dict[int, tuple[int, int]]) -> Overlaps:
    """Which candidates of different scales lie over each other.

    Parameters
    ----------
    candidates : sequence of Candidate
        Finer scales first.
    shapes : dict
        Height and width of the image at each level.
    """
    met: Overlaps = defaultdict(dict)
    for level, coarser in _by_level(candidates).items():
        shape = shapes[level]
        owner = np.full(shape, -1, np.int32)
        for index in coarser:
            one = candidates[index]
            place = owner[one.row : one.row + one.mask.shape[0], one.col : one.col + one.mask.shape[1]]
            place[one.mask] = index
        for index in range(coarser[0]):
            one = candidates[index]
            shift = level - one.level
            row, col = np.nonzero(one.mask)
            row = np.minimum((row + one.row) >> shift, shape[0] - 1)
            col = np.minimum((col + one.col) >> shift, shape[1] - 1)
            owners, counts = np.unique(owner[row, col], return_counts=True)
            for other, count in zip(owners.tolist(), counts.tolist(), strict=True):
                if other >= 0:
                    met[other][index] = count * 4.0**one.level
    return met


def areas_px2(candidates: Sequence[Candidate]) -> np.ndarray:
    """Area (n,) of each candidate in pixels of the image."""
    return np.array([np.count_nonzero(one.mask) * 4.0**one.level for one in candidates])


def measure_agreement(candidates: Sequence[Candidate], overlaps: Overlaps) -> np.ndarray:
    """Of each candidate the greatest intersection over union (n,) with one of another scale, 0 where there is none."""
    areas, best = areas_px2(candidates), np.zeros(len(candidates))
    for index, met in overlaps.items():
        for other, common in met.items():
            iou = common / (areas[index] + areas[other] - common)
            best[index], best[other] = max(best[index], iou), max(best[other], iou)
    return best


def _by_level(candidates: Sequence[Candidate]) -> dict[int, list[int]]:
    levels: dict[int, list[int]] = defaultdict(list)
    for index, candidate in enumerate(candidates):
        levels[candidate.level].append(index)
    return levels


def drop_rivals(
    candidates: Sequence[Candidate], probability: np.ndarray, overlaps: Overlaps
) -> tuple[list[int], dict[int, int]]:
    """Of outlines that exclude each other keep the surest.

    Two of one particle exclude each other, and so do one and several that fill more than half of it. What fills less
    lies in it or on it, and both stay.

    Parameters
    ----------
    candidates : sequence of Candidate
        Finer scales first.
    probability : ndarray of float, shape (n,)
        How likely each is to be a particle.
    overlaps : dict
        From `find_overlaps`.

    Returns
    -------
    kept : list of int
        Indices of candidates.
    inside : dict
        Of a kept candidate, the smallest other one that it lies in.
    """
    areas = areas_px2(candidates)
    kept: list[int] = []
    inside: dict[int, int] = {}
    for members in _by_level(candidates).values():
        alive, dropped = set(kept), set[int]()
        for index in members:
            met = {one: common for one, common in overlaps.get(index, {}).items() if one in alive - dropped}
            others, common = np.array(list(met), int), np.array(list(met.values()))
            iou = common / (areas[others] + areas[index] - common)
            if len(iou) and iou.max() > _SAME:
                same = int(others[iou.argmax()])
                if probability[index] <= probability[same]:
                    continue
                dropped.add(same)
                others, common = others[others != same], common[others != same]
            elif (common > areas[index] / 2).any():
                continue  # what lies in a particle of a finer scale would have been seen there
            within = common > areas[others] / 2
            others, common = others[within], common[within]
            if common.sum() > areas[index] / 2:
                if probability[index] <= np.average(probability[others], weights=common):
                    continue
                dropped.update(others.tolist())
                others = others[:0]
            kept.append(index)
            for other in others.tolist():
                inside.setdefault(other, index)
        kept = [index for index in kept if index not in dropped]
    alive = set(kept)
    return sorted(kept), {one: other for one, other in inside.items() if one in alive and other in alive}


def choose_level(
    candidates: Sequence[Candidate],
    kept: Sequence[int],
    inside: dict[int, int],
    probability: np.ndarray,
    level: Level = "auto",
) -> Choice:
    """Where particles lie in or on others, which of them count.

    Parameters
    ----------
    candidates, kept, inside
        From `drop_rivals`.
    probability : ndarray of float, shape (n,)
    level : {'auto', 'smallest', 'largest', 'all'}
        ``auto``: the larger ones where most particles have a core, the smaller ones where many lie on one, else the
        larger ones. Cores are counted by themselves with ``smallest``: see `Choice.cores`.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for one, other in inside.items():
        members[other].append(one)
    cores = {index: core for index in kept if (core := _core_of(candidates, index, members[index])) is not None}
    crowded = {outer for outer in members if probability[members[outer]].sum() >= _ON_SUPPORT}
    nested: Literal["", "supports", "cores"] = ""
    outermost = [one for one in kept if one not in inside]
    if probability[list(cores)].sum() > max(probability[outermost].sum() / 2, probability[list(crowded)].sum()):
        nested = "cores"
    elif crowded:
        nested = "supports"
    decided = level
    if level == "auto":
        decided = "smallest" if nested == "supports" else "largest"
    if decided == "all":
        counted = list(kept)
    elif decided == "largest" or nested != "supports":
        counted = outermost
    else:
        # A texture of one or two specks does not make a support of a particle.
        counted = [one for one in kept if one not in crowded and inside.get(one, one) in (one, *crowded)]
    chosen = set(counted)
    left_out = [one for one in kept if one not in chosen]
    return Choice(counted, left_out, {one: cores[one] for one in counted if one in cores}, decided, nested)


def _core_of(candidates: Sequence[Candidate], index: int, members: Sequence[int]) -> Candidate | None:
    """The core of a particle: what lies in its middle by itself, or what the network takes for its core."""
    outer = candidates[index]
    if len(members) == 1 and _is_core(outer, candidates[members[0]]):
        return candidates[members[0]]
    return None if outer.core is None else outer._replace(mask=outer.core, core=None)


def _is_core(outer: Candidate, inner: Candidate) -> bool:
    """Whether one particle lies in the middle of another: nearer to its centre than an eighth of its diameter."""
    place, middle = _centre(inner), _centre(outer)
    diameter = 2 * np.sqrt(np.count_nonzero(outer.mask) / np.pi) * 2.0**outer.level
    return bool(np.hypot(*(place - middle)) < diameter / 8)


def _centre(one: Candidate) -> np.ndarray:
    """Centroid (row, col) in pixels of the image."""
    row, col = (where.mean() for where in np.nonzero(one.mask))
    return (np.array([row + one.row, col + one.col]) + 0.5) * 2.0**one.level
