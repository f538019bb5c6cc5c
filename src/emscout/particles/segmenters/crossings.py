"""Fibres that cross: the pieces on either side of a crossing are joined, where both go on in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from emscout.particles.segmenters.pyramid import FEATURES, Candidate

__all__ = ["join_crossings"]

_SLENDER = 3.5
"""Length over width from which a piece has a direction: shorter ones are not told from round particles."""

_END_WIDTHS = 4.0
"""Length of an end over its width: of less, an end that is cut at an angle gives a wrong direction."""

_WIDEST_GAP = 5.0
"""Gap over the width of the pieces: what crosses at 30° covers twice its width, and both ends are rounded."""

_BEND_DEG = 25.0
"""Largest angle between the direction of an end and that of the gap."""

_BESIDE = 0.5
"""Of the width: what two ends may lie beside each other's line."""

_WIDTH_RATIO = 1.6
_COVERED = 0.5
"""Least share of the gap that lies on other particles: two rods in line with nothing between them are two rods."""


class _End(NamedTuple):
    """An end of a slender piece: its place in px of the level, direction outwards, and the width of the piece."""

    piece: int
    place: np.ndarray
    direction: np.ndarray
    width: float


def join_crossings(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates of one scale, with the pieces of a fibre that others cross joined to one.

    Parameters
    ----------
    candidates : sequence of Candidate
        All of one level.

    Returns
    -------
    list of Candidate
        What is joined stands in the place of its first piece.
    """
    ends = [end for index, one in enumerate(candidates) for end in _find_ends(index, one)]
    if len(ends) < 2:
        return list(candidates)
    group = np.arange(len(candidates))
    for first, second in _match_ends(ends, candidates):
        group[group == group[second]] = group[first]
    joined = []
    for index, one in enumerate(candidates):
        members = np.flatnonzero(group == index).tolist()
        if len(members) > 1:
            joined.append(_join([candidates[member] for member in members]))
        elif group[index] == index:
            joined.append(one)
    return joined


def _find_ends(index: int, one: Candidate) -> list[_End]:
    """Both ends of a candidate that is slender enough to have a direction."""
    area = np.count_nonzero(one.mask)
    if area * _SLENDER > np.hypot(*one.mask.shape) ** 2:
        return []
    width = 2 * float(ndimage.distance_transform_edt(np.pad(one.mask, 1)).max()) - 1
    if area / width < _SLENDER * width or width < 1:
        return []
    points = np.argwhere(one.mask) + np.array([one.row, one.col])
    along = (points - points.mean(0)) @ _main_axis(points)
    ends = []
    for sign in (1, -1):
        tip = points[(sign * along).argmax()]
        near = points[((points - tip) ** 2).sum(1) <= (_END_WIDTHS * width) ** 2]
        axis = _main_axis(near)
        outwards = axis * (np.sign((tip - near.mean(0)) @ axis) or 1)
        # On the middle line: an end that is cut at an angle has its tip at a corner.
        middle = near.mean(0) + outwards * ((near - near.mean(0)) @ outwards).max()
        ends.append(_End(index, middle, outwards, width))
    return ends


def _main_axis(points: np.ndarray) -> np.ndarray:
    """Unit vector (row, col) along which points (n, 2) are spread most."""
    spread = np.cov(points.T) if len(points) > 1 else np.eye(2)
    return np.linalg.eigh(spread)[1][:, 1]


def _match_ends(ends: Sequence[_End], candidates: Sequence[Candidate]) -> list[tuple[int, int]]:
    """Pairs of pieces whose ends face each other over what crosses them, the straightest first; each end once."""
    places = np.array([end.place for end in ends])
    reach = _WIDEST_GAP * max(end.width for end in ends)
    least, bend = np.cos(np.radians(_BEND_DEG)), np.sin(np.radians(_BEND_DEG))
    found = []
    for a, b in cKDTree(places).query_pairs(reach):
        one, other = ends[a], ends[b]
        gap = other.place - one.place
        length = float(np.hypot(*gap))
        widths = sorted((one.width, other.width))
        if one.piece == other.piece or length > _WIDEST_GAP * widths[1] or widths[1] > _WIDTH_RATIO * widths[0]:
            continue
        straight = float(-one.direction @ other.direction)
        # How far each end lies beside the line on which the other goes on.
        beside = max(abs(_cross(one.direction, gap)), abs(_cross(other.direction, gap)))
        ahead = min(one.direction @ gap, -other.direction @ gap)
        if straight < least or ahead < -widths[1] or beside > max(_BESIDE * widths[1], length * bend):
            continue
        if _is_covered(one, other, candidates):
            found.append((straight, a, b))
    taken, pairs = set[int](), []
    for _, a, b in sorted(found, reverse=True):
        if a not in taken and b not in taken:
            taken |= {a, b}
            pairs.append((ends[a].piece, ends[b].piece))
    return pairs


def _cross(one: np.ndarray, other: np.ndarray) -> float:
    return float(one[0] * other[1] - one[1] * other[0])


def _is_covered(one: _End, other: _End, candidates: Sequence[Candidate]) -> bool:
    """Whether other particles lie on most of what is between two ends."""
    steps = max(2, int(np.hypot(*(other.place - one.place))) + 1)
    places = np.rint(np.linspace(one.place, other.place, steps)[1:-1]).astype(int)
    if not len(places):
        return False
    covered = np.zeros(len(places), bool)
    for index, candidate in enumerate(candidates):
        if index in (one.piece, other.piece):
            continue
        inside = places - (candidate.row, candidate.col)
        within = ((inside >= 0) & (inside < candidate.mask.shape)).all(1)
        covered[within] |= candidate.mask[inside[within, 0], inside[within, 1]]
    return bool(covered.mean() >= _COVERED)


def _join(pieces: Sequence[Candidate]) -> Candidate:
    """One candidate of several: features are the mean over their areas, and the size that of all."""
    top, left = min(one.row for one in pieces), min(one.col for one in pieces)
    bottom = max(one.row + one.mask.shape[0] for one in pieces)
    right = max(one.col + one.mask.shape[1] for one in pieces)
    mask, information = np.zeros((bottom - top, right - left), bool), np.zeros((bottom - top, right - left), np.float16)
    for one in pieces:
        place = np.s_[
            one.row - top : one.row - top + one.mask.shape[0], one.col - left : one.col - left + one.mask.shape[1]
        ]
        mask[place] |= one.mask
        information[place][one.mask] = one.information[one.mask]
    areas = np.array([np.count_nonzero(one.mask) for one in pieces])
    features = np.average([one.features for one in pieces], axis=0, weights=areas)
    features[FEATURES.index("log_diameter")] = np.log(2 * np.sqrt(areas.sum() / np.pi))
    return Candidate(pieces[0].level, top, left, mask, information, features, None)
