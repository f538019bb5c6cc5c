"""Rectangles of straight edges in a picture: frames, and the borders of insets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from emscout.literature.panels.boxes import Box
from emscout.literature.panels.surfaces import luminance

__all__ = ["Edges", "find_edges", "find_rectangles"]

_ALONG_PX = 9  # edges are averaged along so many pixels to suppress noise
_NEAR_PX, _FAR_PX = 4, 12  # lines beside an edge that give the usual step
_NOISE_FLOOR = 1.0
_STRONG, _STRONGEST = 2.0, 6.0  # an edge, and the largest value that counts, in units of the usual step
_LEAST_SHARE_OF_CORNER, _LEAST_SHARE = 0.75, 0.85  # of a side that is an edge
_LEAST_STRENGTH = 4.4
_MOST_BEYOND = 0.7  # of an edge beyond a corner: edges in the specimen, and gutters, continue
_MOST_CORNERS = 25
_CORNER_PX = 4


class Edges(NamedTuple):
    """Step in brightness or colour at each border between pixels, in units of the usual step, up to `_STRONGEST`.

    Parameters
    ----------
    rows : ndarray of float32, shape (H + 1, W)
        Between a row and the one above.
    cols : ndarray of float32, shape (H, W + 1)
        Between a column and the one left of it.
    """

    rows: np.ndarray
    cols: np.ndarray


class _Corner(NamedTuple):
    """Where two sides of a rectangle meet, and which sides: their positions in a `Box`."""

    row: int
    col: int
    vertical: int
    horizontal: int


def find_edges(image: np.ndarray) -> Edges:
    """How strong the edges along rows and columns of a picture (H, W, 3) are."""
    colours = image.astype(np.float32)
    # A red line can be as bright as what is around it.
    channels = luminance(image), colours.max(axis=2) - colours.min(axis=2)
    rows = np.maximum(*(_strength(channel) for channel in channels))
    cols = np.maximum(*(_strength(channel.T) for channel in channels)).T
    return Edges(rows, cols)


def _strength(grey: np.ndarray) -> np.ndarray:
    along = ndimage.uniform_filter1d(grey, _ALONG_PX, axis=1, mode="nearest")
    steps = np.zeros((len(grey) + 1, grey.shape[1]), np.float32)
    steps[1:-1] = np.abs(np.diff(along, axis=0))
    weights = np.ones(2 * _FAR_PX + 1)
    weights[_FAR_PX - _NEAR_PX + 1 : _FAR_PX + _NEAR_PX] = 0
    usual = ndimage.correlate1d(steps, weights / weights.sum(), axis=0, mode="reflect")
    usual = ndimage.uniform_filter1d(usual, 3 * _ALONG_PX, axis=1, mode="nearest")
    return np.minimum(steps / np.maximum(usual, _NOISE_FLOOR), _STRONGEST)


def find_rectangles(edges: Edges, least: float, most: float) -> list[Box]:
    """Find rectangles with edges along all sides, except where the picture ends.

    Parameters
    ----------
    edges : Edges
    least, most : float
        Height and width as shares of those of the picture.

    Returns
    -------
    list of Box
        Those with most sides first, then those with the clearest; they may overlap. Of a drawn frame either the outer
        or the inner edge is given.
    """
    # Tolerates steps blurred by JPEG, and frames that are not quite straight.
    rows, cols = ndimage.maximum_filter1d(edges.rows, 3, axis=0), ndimage.maximum_filter1d(edges.cols, 3, axis=1)
    rows[[0, -1]] = 0
    cols[:, [0, -1]] = 0
    shape = len(cols), rows.shape[1]
    corners = _corners(rows >= _STRONG, cols >= _STRONG, [max(8, round(least * side)) for side in shape])
    boxes = {_box_of(pair, shape) for pair in [*((corner,) for corner in corners), *combinations(corners, 2)]}
    sides = _Sides(rows, cols)
    found = []
    for box in sorted(box for box in boxes if box is not None):
        shares = box.height / shape[0], box.width / shape[1]
        if min(shares) >= least and max(shares) <= most and (drawn := sides.drawn(box)):
            found.append((-len(drawn), -min(drawn), box))
    return [box for *_, box in sorted(found)]


def _corners(rows: np.ndarray, cols: np.ndarray, lengths: Sequence[int]) -> list[_Corner]:
    """Corners: places from which edges run in two directions and not in the other two."""
    height, width = len(cols), rows.shape[1]
    found = []
    for vertical in (0, 2):
        for horizontal in (1, 3):
            # Flipped so that all are upper left corners.
            turn = (slice(None, None, 1 - vertical), slice(None, None, 2 - horizontal))
            for row, col in _upper_left_corners(rows[turn], cols[turn], lengths):
                place = height - row if vertical else row, width - col if horizontal == 3 else col
                found.append(_Corner(*place, vertical, horizontal))
    return found


def _upper_left_corners(rows: np.ndarray, cols: np.ndarray, lengths: Sequence[int]) -> list[tuple[int, int]]:
    down, up = (share.T for share in _shares_along(cols.T, lengths[0]))
    right, left = _shares_along(rows, lengths[1])
    drawn, beyond = np.minimum(right, down), np.maximum(left, up)
    score = np.where((drawn >= _LEAST_SHARE_OF_CORNER) & (beyond <= _MOST_BEYOND), drawn - beyond / 2, 0)
    peaks = (score == ndimage.maximum_filter(score, 2 * _CORNER_PX + 1)) & (score > 0)
    places = np.argwhere(peaks)
    best = np.argsort(-score[peaks], kind="stable")[:_MOST_CORNERS]
    return [(int(row), int(col)) for row, col in places[best]]


def _shares_along(marked: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Share of marked pixels among the ``length`` pixels ahead of each place in a row, and behind it."""
    before = length
    padded = np.pad(marked, ((0, 0), (before + 1, length)))
    sums = np.cumsum(padded, axis=1, dtype=np.int32)
    places = before + np.arange(marked.shape[1] + 1)
    ahead, behind = sums[:, places + length] - sums[:, places], sums[:, places] - sums[:, places - before]
    return ahead / np.float32(length), behind / np.float32(before)


def _box_of(corners: Sequence[_Corner], shape: tuple[int, int]) -> Box | None:
    """The rectangle with these corners, open sides at the ends of the picture; None where they do not match."""
    edges: dict[int, int] = {}
    for corner in corners:
        for side, place in ((corner.vertical, corner.row), (corner.horizontal, corner.col)):
            if abs(edges.setdefault(side, place) - place) > _CORNER_PX:
                return None
    box = Box(edges.get(0, 0), edges.get(1, 0), edges.get(2, shape[0]), edges.get(3, shape[1]))
    return box if box.height > 0 and box.width > 0 else None


class _Sides:
    """Cumulative sums of the edges, to test the sides of many rectangles."""

    def __init__(self, rows: np.ndarray, cols: np.ndarray) -> None:
        self._ends = len(cols), rows.shape[1]
        lines = rows, cols.T
        self._shares = [_sums(edge >= _STRONG) for edge in lines]
        self._strengths = [_sums(edge) for edge in lines]

    def drawn(self, box: Box) -> list[float]:
        """Share of each inner side that is an edge; empty where one of the sides is not an edge."""
        shares: list[float] = []
        strengths: list[float] = []
        for side in range(4):
            axis = side % 2
            line, first, last = box[side], box[1 - axis] + _CORNER_PX, box[3 - axis] - _CORNER_PX
            if line in (0, self._ends[axis]):
                continue
            for means, sums in ((shares, self._shares[axis]), (strengths, self._strengths[axis])):
                means.append(float(sums[line, last] - sums[line, first]) / max(1, last - first))
        if len(shares) < 2 or min(shares) < _LEAST_SHARE or np.mean(strengths) < _LEAST_STRENGTH:
            return []
        return shares


def _sums(lines: np.ndarray) -> np.ndarray:
    return np.pad(np.cumsum(lines, axis=1, dtype=np.float64), ((0, 0), (1, 0)))
