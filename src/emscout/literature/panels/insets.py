"""Pictures inside a panel: another magnification, a diffraction pattern, a plot."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emscout.literature.panels.boxes import Box
from emscout.literature.panels.frames import Edges, find_edges, find_rectangles
from emscout.literature.panels.letters import read_text
from emscout.literature.panels.surfaces import is_drawn, is_flat, luminance

__all__ = ["Inset", "find_insets"]

_SIDE_PX = 900
_LEAST_SHARE, _MOST_SHARE = 0.2, 0.7  # of the panel's height and width
_LEAST_PX = 64
_THICKEST_SHARE = 0.02
_LEAST_LINE, _LINED = 3.0, 0.5  # grey levels by which the line of a frame differs, and on which share of a side
_LABEL_SHARE = 0.25  # of the height of a plate
_STRONG, _DRAWN = 2.0, 0.75  # an edge, in units of the usual step, and the share of a side of a frame that is one
_SAME = 0.5
_MARGIN_PX = 4  # blurred by JPEG with the colour of a frame
_STRIP_PX, _GRAIN_PX = 6, 24
_EDGE = 8.0  # grey levels, more than grain
_NOISE_FLOOR, _GRAIN_FLOOR = 2.0, 0.5
_STEP, _GRAIN = 2.0, 0.6  # units of the difference in brightness, and in the logarithm of the grain
_LEAST_DIFFERENCE = 1.05  # the sum of both in these units


class Inset(NamedTuple):
    """A picture in a picture, and the place it takes with its frame."""

    picture: Box
    framed: Box


def find_insets(image: np.ndarray) -> list[Inset]:
    """Find pictures inset into a panel, which do not continue what is around them.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)

    Returns
    -------
    list of Inset
        From the top. Each has a frame or a straight edge on all sides, except where the panel ends. A frame that marks
        a part of the picture is not an inset, nor is a label on a plate.
    """
    height, width = image.shape[:2]
    step = max(1, max(height, width) // _SIDE_PX)
    small = image[::step, ::step]
    grey, edges = luminance(small), find_edges(small)
    found: list[Inset] = []
    judged: list[Box] = []
    for box in find_rectangles(edges, _LEAST_SHARE, _MOST_SHARE):
        # The same sides, a line further in or out, need not be judged again.
        if any(box.overlap(other) > _SAME * min(box.area, other.area) for other in judged):
            continue
        judged.append(box)
        if any(box.overlap(other.framed) for other in found):
            continue
        inset = _without_frame(edges, box)
        if (
            min(inset.picture.height, inset.picture.width) >= _LEAST_PX
            and _is_framed_or_in_corner(small, inset)
            and _differs(grey, inset)
            and not _is_plate(small[inset.picture.slices])
        ):
            found.append(inset)
    whole = Box(0, 0, height, width)
    return [Inset(*(box.scaled(step).within(whole) for box in inset)) for inset in sorted(found)]


def _without_frame(edges: Edges, box: Box) -> Inset:
    """The innermost and the outermost edges along a rectangle."""
    ends = len(edges.cols), edges.rows.shape[1]
    reach = _thickness(ends) + 1
    inner, outer = list(box), list(box)
    for side in range(4):
        axis, end = side % 2, ends[side % 2]
        if box[side] in (0, end):
            continue
        lines = edges.rows if axis == 0 else edges.cols.T
        first, last = max(1, box[side] - reach), min(end, box[side] + reach + 1)
        drawn = (lines[first:last, box[1 - axis] : box[3 - axis]] >= _STRONG).mean(axis=1) >= _DRAWN
        places = [box[side], *(first + np.flatnonzero(drawn)).tolist()]
        inner[side], outer[side] = (max(places), min(places)) if side < 2 else (min(places), max(places))
    return Inset(Box(*inner), Box(*outer))


def _is_framed_or_in_corner(image: np.ndarray, inset: Inset) -> bool:
    """Whether a line is drawn around it; where the panel ends on two sides, the edge of a picture is enough.

    Elsewhere cubes and facets have four straight edges too.
    """
    near = _thickness(image.shape[:2])
    drawn = [
        _has_line(image, inset, side) for side in range(4) if near < inset.framed[side] < image.shape[side % 2] - near
    ]
    return len(drawn) <= 2 or sum(drawn) >= len(drawn) - 1


def _has_line(image: np.ndarray, inset: Inset, side: int) -> bool:
    """Whether the area between both edges of a side is brighter, darker or more coloured than both of its sides."""
    axis, sign = side % 2, 1 if side < 2 else -1
    lines = np.swapaxes(image, 0, axis)[:, inset.picture[1 - axis] : inset.picture[3 - axis]].astype(np.float32)
    first, last = sorted((inset.framed[side], inset.picture[side]))
    if first == last:
        return False
    parts = (
        lines[first:last],
        *(
            _behind(lines, edge, towards)[2 : 2 + _STRIP_PX]
            for edge, towards in ((inset.picture[side], sign), (inset.framed[side], -sign))
        ),
    )
    if min(map(len, parts)) == 0:
        return False
    differs = False
    for channel in (luminance, lambda colours: np.ptp(colours, axis=-1)):
        line, inside, outside = (_block_means(channel(part)) for part in parts)
        above, below = line - np.maximum(inside, outside), np.minimum(inside, outside) - line
        differs = differs | (np.maximum(above, below) > _LEAST_LINE)
    return bool(np.mean(differs) >= _LINED)


def _thickness(panel: tuple[int, int]) -> int:
    """Thickness of the thickest frame, in pixels."""
    return max(3, round(_THICKEST_SHARE * max(panel)))


def _is_plate(picture: np.ndarray) -> bool:
    """Whether it is a plate of one colour, filled by a letter or label."""
    if not (is_flat(picture) or is_drawn(picture)):
        return False
    return any(line.height_px > _LABEL_SHARE * len(picture) for line in read_text(picture))


def _differs(grey: np.ndarray, inset: Inset) -> bool:
    """Whether a frame holds another picture than its surroundings, by brightness and grain."""
    steps, grains = [], []
    for side in range(4):
        axis, sign = side % 2, 1 if side < 2 else -1
        lines = np.swapaxes(grey, 0, axis)
        if inset.framed[side] in (0, len(lines)):
            continue
        first, last = inset.picture[1 - axis], inset.picture[3 - axis]
        inside, outside = (
            _behind(lines[:, first:last], edge, towards)
            for edge, towards in ((inset.picture[side], sign), (inset.framed[side], -sign))
        )
        if min(len(inside), len(outside)) < _MARGIN_PX + _STRIP_PX:
            continue
        within, beyond = (part[_MARGIN_PX : _MARGIN_PX + _STRIP_PX] for part in (inside, outside))
        # Compared with strips that are as far apart, so that uneven illumination does not count.
        far = _STRIP_PX + 2 * _MARGIN_PX + abs(inset.picture[side] - inset.framed[side])
        strips = (part[_MARGIN_PX + far : _MARGIN_PX + far + _STRIP_PX] for part in (inside, outside))
        usual = [
            _apart(near, strip) for near, strip in zip((within, beyond), strips, strict=True) if len(strip) == _STRIP_PX
        ]
        if usual:
            steps.append(np.median(_apart(within, beyond) / np.maximum(np.max(usual, axis=0), _NOISE_FLOOR)))
            grains.append(np.log((_grain(inside) + _GRAIN_FLOOR) / (_grain(outside) + _GRAIN_FLOOR)))
    if not steps:
        return False
    return bool(np.median(steps) / _STEP + abs(np.median(grains)) / _GRAIN >= _LEAST_DIFFERENCE)


def _behind(lines: np.ndarray, edge: int, sign: int) -> np.ndarray:
    """The lines from an edge on in one direction."""
    return lines[edge:] if sign > 0 else lines[:edge][::-1]


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(_block_means(one) - _block_means(other))


def _block_means(strip: np.ndarray) -> np.ndarray:
    return np.array([block.mean() for block in np.array_split(strip, max(1, strip.shape[1] // 12), axis=1)])


def _grain(strip: np.ndarray) -> float:
    """Mean difference of neighbouring pixels just behind an edge; larger steps, at edges of objects, are clipped."""
    grain = np.abs(np.diff(strip[_MARGIN_PX : _MARGIN_PX + _GRAIN_PX], axis=1))
    return float(np.minimum(grain, _EDGE).mean())
