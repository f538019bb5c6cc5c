"""Of what was found at all scales of an image: which is the same particle, which lies in another, which counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from emscout.particles.segmenters.pyramid import Candidate

__all__ = ["Choice", "Level", "Overlaps", "choose_level", "drop_rivals", "find_overlaps", "measure_agreement"]

Level = Literal["auto", "smallest", "largest", "all"]

_SAME = 0.5
"""Two outlines with a larger intersection over union are of one particle: the overlap at which a match is counted."""

_ON_SUPPORT = 3
"""A larger particle with so many smaller ones in it is what they lie on; fewer may be texture."""


Overlaps = dict[int, dict[int, float]]
"""Of a candidate, those of finer scales that it meets, and their common area in px² of the image."""


class Choice(NamedTuple):
    """``counted`` and ``left_out``: indices of candidates; ``core_of``: of a counted particle, that in its centre."""

    counted: list[int]
    left_out: list[int]
    core_of: dict[int, int]
    kind: Literal["", "supports", "cores"]


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
        ``auto``: the larger ones where most of them hold one concentric core, the smaller ones where they are many
        on each, else the larger ones.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for one, other in inside.items():
        members[other].append(one)
    cores = {
        outer: members[outer][0]
        for outer in members
        if _is_core(candidates[outer], [candidates[i] for i in members[outer]])
    }
    crowded = {outer for outer in members if probability[members[outer]].sum() >= _ON_SUPPORT}
    kind: Literal["", "supports", "cores"] = ""
    if level == "auto":
        if len(cores) > len(crowded):
            level, kind = "largest", "cores"
        elif crowded:
            level, kind = "smallest", "supports"
        else:
            level = "largest"
    if level == "all":
        counted = list(kept)
    elif level == "smallest":
        # A texture of one or two specks does not make a support of a particle.
        outer = crowded if kind else set(members)
        below = {one for one, other in inside.items() if kind and other not in crowded}
        counted = [one for one in kept if one not in outer and one not in below]
    else:
        counted = [one for one in kept if one not in inside]
    chosen = set(counted)
    return Choice(
        counted,
        [one for one in kept if one not in chosen],
        {outer: core for outer, core in cores.items() if outer in chosen},
        kind,
    )


def _is_core(outer: Candidate, inner: Sequence[Candidate]) -> bool:
    """Whether one particle lies in the middle of another: nearer to its centre than an eighth of its diameter."""
    if len(inner) != 1:
        return False
    place, middle = _centre(inner[0]), _centre(outer)
    diameter = 2 * np.sqrt(np.count_nonzero(outer.mask) / np.pi) * 2.0**outer.level
    return bool(np.hypot(*(place - middle)) < diameter / 8)


def _centre(one: Candidate) -> np.ndarray:
    """Centroid (row, col) in pixels of the image."""
    row, col = (where.mean() for where in np.nonzero(one.mask))
    return (np.array([row + one.row, col + one.col]) + 0.5) * 2.0**one.level
