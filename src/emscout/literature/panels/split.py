"""From a composite figure to the boxes of its panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from emscout.literature.panels.boxes import Box, Cut
from emscout.literature.panels.grouping import group_ink
from emscout.literature.panels.gutters import find_cut
from emscout.literature.panels.seams import find_seam
from emscout.literature.panels.surfaces import SAME, is_drawn, is_filled, is_flat

__all__ = ["split_at_letters", "split_figure"]

# Gutters of one pixel are visible at this size, and a poster takes no longer than a figure.
_WORKING_SIDE_PX = 2000
_WHITE = np.array([255.0, 255.0, 255.0])
_LEAST_PX = 40
_LEAST_SHARE = 0.07


def split_figure(image: np.ndarray) -> list[Box]:
    """Split a figure into the boxes of its panels.

    It is cut along gutters of any colour and along seams as long as there are any (`find_cut`). What remains is one
    panel where it is filled; on blank paper, strokes are put together to plots and drawings (`group_ink`), and
    filled rectangles among them are panels of their own.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)

    Returns
    -------
    list of Box
        In reading order: row by row, from the left. The box of a micrograph is the picture without the text around
        it; that of a plot holds its titles.
    """
    factor = max(1.0, max(image.shape[:2]) / _WORKING_SIDE_PX)
    small = image
    if factor > 1:
        size = round(image.shape[1] / factor), round(image.shape[0] / factor)
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    least_px = max(_LEAST_PX, round(_LEAST_SHARE * min(small.shape[:2])))
    whole = Box(0, 0, *small.shape[:2])
    panels = _cut_up(small, whole, least_px, [*_border_colour(small), _WHITE])
    figure = Box(0, 0, *image.shape[:2])
    return _in_reading_order(
        [box.scaled(factor).within(figure) for box in _without_nested(_join_banners(small, panels))]
    )


def split_at_letters(image: np.ndarray, panels: Sequence[Box], letters: Sequence[Box]) -> list[Box]:
    """Split panels that hold several letters where the panel of each letter begins: panels that touch and look alike.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    panels : sequence of Box
        From `split_figure`.
    letters : sequence of Box
        Where letters stand.

    Returns
    -------
    list of Box
        In reading order. A panel without a seam near its letters stays as it is.
    """
    done: list[Box] = []
    waiting = list(panels)
    while waiting:
        panel = waiting.pop()
        # On paper, single letters are labels of a plot, and panels have gutters.
        is_picture = is_filled(image[panel.slices], _WHITE, 0.5)
        inside = [letter for letter in letters if is_picture and panel.overlap(letter) > 0.5 * letter.area]
        cut = next((cut for letter in inside if (cut := _cut_at_letter(image, panel, letter, inside))), None)
        if cut is None:
            done.append(panel)
        elif cut.axis == 0:
            waiting += [panel._replace(bottom=panel.top + cut.start), panel._replace(top=panel.top + cut.start)]
        else:
            waiting += [panel._replace(right=panel.left + cut.start), panel._replace(left=panel.left + cut.start)]
    return _in_reading_order(done)


def _cut_at_letter(image: np.ndarray, panel: Box, letter: Box, letters: Sequence[Box]) -> Cut | None:
    """A seam left of a letter with another letter further left, or above a letter with another further up."""
    for axis, extent in ((1, panel.width), (0, panel.height)):
        start = letter[axis] - panel[axis]
        size = max(letter.height, letter.width)
        others = [other for other in letters if letter[axis] - other[axis] > _LEAST_PX + size]
        level = [other for other in others if abs(other[1 - axis] - letter[1 - axis]) < 1.5 * size]
        if not level or not _LEAST_PX < start < extent - _LEAST_PX:
            continue
        first = max(start - 2 * size, max(other[axis + 2] for other in level) - panel[axis] + 2, _LEAST_PX)
        cut = find_seam(image[panel.slices], axis, first, start + 1)
        if cut is not None and extent - cut.start >= _LEAST_PX:
            return cut
    return None


def _cut_up(image: np.ndarray, box: Box, least_px: int, colours: list[np.ndarray]) -> list[Box]:
    for colour in 2 * colours:  # twice, because paper may have a frame of another colour
        box = _trim(image, box, colour)
    if min(box.height, box.width) < least_px // 2:
        return []
    cut = find_cut(image[box.slices], least_px)
    if cut is None:
        return _fill_or_group(image, box, least_px)
    if cut.colour is not None:
        colours = [colour for colour in colours if not np.array_equal(colour, cut.colour)] + [cut.colour]
    start, stop = cut.start + box[cut.axis], cut.stop + box[cut.axis]
    before = box._replace(bottom=start) if cut.axis == 0 else box._replace(right=start)
    behind = box._replace(top=stop) if cut.axis == 0 else box._replace(left=stop)
    return _cut_up(image, before, least_px, colours) + _cut_up(image, behind, least_px, colours)


def _border_colour(image: np.ndarray) -> list[np.ndarray]:
    """The one colour along all four edges of a figure, if there is one."""
    edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    colour = np.median(edges, axis=0)
    return [colour] if (np.abs(edges - colour).max(axis=1) <= 2).mean() > 0.9 else []


def _trim(image: np.ndarray, box: Box, colour: np.ndarray) -> Box:
    """Without lines of that colour at its edges."""
    ink = np.abs(image[box.slices] - colour).max(axis=2) > SAME
    # Single pixels are not counted: JPEG leaves some around whatever is drawn.
    rows, cols = (np.flatnonzero(ink.sum(axis=axis) > 1) for axis in (1, 0))
    if len(rows) == 0 or len(cols) == 0:
        return box._replace(bottom=box.top, right=box.left)
    return Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1).shifted(box.top, box.left)


def _fill_or_group(image: np.ndarray, box: Box, least_px: int) -> list[Box]:
    """The one panel of a piece without a cut, or the plots on its paper."""
    ink = np.abs(image[box.slices] - _WHITE).max(axis=2) > SAME
    inner = _filled_part(ink)
    if inner.area >= 0.5 * box.area and not is_drawn(image[inner.shifted(box.top, box.left).slices]):
        return [inner.shifted(box.top, box.left)]
    solids = _solids(image[box.slices], ink, least_px)
    rest = ink.copy()
    for solid in solids:
        rest[max(0, solid.top - 2) : solid.bottom + 2, max(0, solid.left - 2) : solid.right + 2] = False
    found = [
        *solids,
        *(group for group in group_ink(rest, least_px) if min(group.height, group.width) >= least_px // 2),
    ]
    return [panel.shifted(box.top, box.left) for panel in _absorb(found, solids)]


def _filled_part(ink: np.ndarray) -> Box:
    """The part of a piece without lines of mostly paper at its edges, which are text beside a picture."""
    box = Box(0, 0, *ink.shape)
    while True:
        rows = np.flatnonzero(ink[box.slices].mean(axis=1) >= 0.6)
        cols = np.flatnonzero(ink[box.slices].mean(axis=0) >= 0.6)
        if len(rows) == 0 or len(cols) == 0:
            return Box(0, 0, 0, 0)
        inner = Box(int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1).shifted(box.top, box.left)
        if inner == box:
            return _with_banner(ink, box) if ink[box.slices].mean() >= 0.7 else Box(0, 0, 0, 0)
        box = inner


def _with_banner(ink: np.ndarray, picture: Box) -> Box:
    """With the white info banner below it: text from edge to edge, which has the scale."""
    below = ink[picture.bottom :, picture.left : picture.right]
    lines, cols = np.flatnonzero(below.any(axis=1)), np.flatnonzero(below.any(axis=0))
    from_edge_to_edge = len(cols) > 0 and cols[-1] - cols[0] > 0.75 * picture.width
    if from_edge_to_edge and lines[0] < 0.06 * picture.height and lines[-1] < 0.25 * picture.height:
        return picture._replace(bottom=picture.bottom + int(lines[-1]) + 1)
    return picture


def _solids(image: np.ndarray, ink: np.ndarray, least_px: int) -> list[Box]:
    """Filled rectangles among strokes: micrographs that lines or arrows connect with something else."""
    opened = ndimage.binary_opening(ink, np.ones((least_px // 3, least_px // 3), bool))
    labels, _ = ndimage.label(opened)
    found = []
    for number, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
        solid = labels[rows, cols] == number
        # The plate of a letter may touch the picture above.
        lines, columns = (np.flatnonzero(solid.mean(axis=axis) >= 0.6) for axis in (1, 0))
        if len(lines) < least_px or len(columns) < least_px:
            continue
        inner = Box(int(lines[0]), int(columns[0]), int(lines[-1]) + 1, int(columns[-1]) + 1)
        box = inner.shifted(rows.start, cols.start)
        picture = image[box.slices]
        if solid[inner.slices].mean() > 0.9 and is_filled(picture, _WHITE) and not is_drawn(picture):
            found.append(box)
    return found


def _absorb(found: list[Box], solids: list[Box]) -> list[Box]:
    """Drop groups of text around a picture: they are not panels."""
    return [
        box
        for box in found
        if box in solids or all(box.overlap(solid) < 0.5 * solid.area for solid in solids if solid != box)
    ]


def _join_banners(image: np.ndarray, panels: list[Box]) -> list[Box]:
    """Join an info banner that was split off with its picture."""
    joined = sorted(panels)
    for strip in sorted(panels):
        if not is_flat(image[strip.slices]):
            continue
        for index, picture in enumerate(joined):
            if (
                picture != strip
                and strip.height < 0.25 * picture.height
                and -3 <= strip.top - picture.bottom <= 0.06 * picture.height
                and strip.left >= picture.left - 3
                and strip.right <= picture.right + 3
                and not is_flat(image[picture.slices])
            ):
                joined[index] = picture.joined(strip)
                joined.remove(strip)
                break
    return joined


def _without_nested(panels: list[Box]) -> list[Box]:
    """Insets belong to the panel they are in."""
    return [
        box
        for index, box in enumerate(panels)
        if not any(
            other.overlap(box) > 0.8 * box.area and (other.area, -place) > (box.area, -index)
            for place, other in enumerate(panels)
            if place != index
        )
    ]


def _in_reading_order(panels: list[Box]) -> list[Box]:
    """Row by row: a panel begins a new row when it begins below the middle of the row's first."""
    rows: list[list[Box]] = []
    for box in sorted(panels):
        if rows and box.top < rows[-1][0].top + 0.5 * rows[-1][0].height:
            rows[-1].append(box)
        else:
            rows.append([box])
    return [box for row in rows for box in sorted(row, key=lambda box: box.left)]
