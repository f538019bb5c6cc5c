"""An image at all its scales, and what a network of fields takes for particles at each of them, tile by tile.

A tile is as much of the image as is in memory at once, so that an image of any size can be searched. A particle belongs
to the tile that holds its centre; one that is larger than the overlap of tiles is found at a coarser scale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from emscout.models import FieldModel
from emscout.particles.segmenters.bayesian import grey_range
from emscout.particles.segmenters.fields import FieldSettings, Greys, label_fields, local_contrast, window_channels

__all__ = ["FEATURES", "Candidate", "Pyramid", "enlarge_mask", "find_candidates"]

TILE_PX = 1024
HALO_PX = 96
"""What a tile shares with its neighbour on either side: the radius of the largest particle found across a seam."""

COARSEST_PX = 192
"""No coarser scale is looked at than that in which the longer side has this many pixels: views in training have 256."""

_TINY_PX = 8.0
"""Where the median particle at the image's own pixels is smaller, twice the size is looked at too."""

_SMALLEST_PX = 4.0
"""Smaller particles of a coarser scale are left to the finer one."""

_LEAST_CORE = 0.04
"""Of the area of a particle: a smaller core, or a shell of less, is below a fifth of its diameter and not believed."""

_SAMPLED_PX = 2**24
"""Of larger images every n-th pixel tells the range of greys."""

FEATURES = ("matter", "ridge", "outline", "information", "log_diameter", "contrast", "extent")


class Candidate(NamedTuple):
    """What may be a particle.

    ``level`` says at which scale it was found: the image at 2**-level times its size. ``row`` and ``col`` are where
    ``mask`` (bool, (h, w)) begins, in pixels of that scale. ``information`` (float16, (h, w)) is the mutual information
    in nats. ``features`` (float, (7,)) are `FEATURES`: mean chance of a particle, highest ridge, mean chance of an
    outline along its rim, mean mutual information, logarithm of the diameter in pixels of the scale, how much brighter
    it is than its surroundings, and the share of its bounding box that it fills. ``core`` (bool, (h, w)) is where its
    core lies, None where it has none.
    """

    level: int
    row: int
    col: int
    mask: np.ndarray
    information: np.ndarray
    features: np.ndarray
    core: np.ndarray | None


class Pyramid:
    """The greys of an image, 0..1, at its own size and at every half of it; read from the image as they are needed.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        May be mapped from a file.

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite pixel.
    """

    def __init__(self, image: np.ndarray) -> None:
        step = int(np.ceil(np.sqrt(image.size / _SAMPLED_PX)))
        values = np.asarray(image[::step, ::step])
        values = values[np.isfinite(values)]
        low, high = grey_range(values)
        self._image, self._low, self._range = image, np.float32(low), np.float32(high) - np.float32(low)
        self._fill = np.float32((np.median(values) - low) / (high - low))
        self._halves = [self._halve(_Scale(self, 0))]
        while max(self._halves[-1].shape) > COARSEST_PX:
            self._halves.append(self._halve(self._halves[-1]))

    @property
    def levels(self) -> range:
        """Those whose longer side is not less than `COARSEST_PX`, from the image's own size on."""
        sides = [max(self._image.shape), *(max(half.shape) for half in self._halves)]
        return range(max(1, sum(side >= COARSEST_PX for side in sides)))

    def scale(self, level: int) -> _Scale:
        """The image at 2**-level times its size."""
        return _Scale(self, level)

    def shape(self, level: int) -> tuple[int, int]:
        """Its height and width at a level."""
        if level > 0:
            return self._halves[level - 1].shape
        factor = 2**-level
        return self._image.shape[0] * factor, self._image.shape[1] * factor

    def part(self, level: int, rows: slice, cols: slice) -> np.ndarray:
        """Greys (h, w) float32 of a part at a level."""
        if level > 0:
            return self._halves[level - 1][rows, cols]
        if level == 0:
            part = (self._image[rows, cols].astype(np.float32) - self._low) / self._range
            return np.clip(np.where(np.isfinite(part), part, self._fill), 0, 1)
        factor = 2**-level
        box, cut = [], []
        for side, length in zip((rows, cols), self._image.shape, strict=True):
            cut.append(slice(max(0, side.start // factor - 2), min(length, -(-side.stop // factor) + 2)))
            box += [side.start / factor - cut[-1].start, side.stop / factor - cut[-1].start]
        whole = Image.fromarray(self.part(0, *cut))
        size = (cols.stop - cols.start, rows.stop - rows.start)
        return np.asarray(whole.resize(size, Image.Resampling.BILINEAR, box=(box[2], box[0], box[3], box[1])))

    @staticmethod
    def _halve(scale: Greys) -> np.ndarray:
        halves = []
        for start in range(0, scale.shape[0], 1024):
            strip = scale[start : start + 1024]
            strip = np.pad(strip, ((0, len(strip) % 2), (0, strip.shape[1] % 2)), mode="edge")
            halves.append(strip.reshape(len(strip) // 2, 2, -1, 2).mean((1, 3)))
        return np.concatenate(halves)


class _Scale:
    """One level of a pyramid: its rows can be cut out as from an array."""

    def __init__(self, pyramid: Pyramid, level: int) -> None:
        self._pyramid, self._level = pyramid, level

    @property
    def shape(self) -> tuple[int, int]:
        return self._pyramid.shape(self._level)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(len(self))
        return self._pyramid.part(self._level, slice(start, stop), slice(0, self.shape[1]))


def find_candidates(
    pyramid: Pyramid,
    model: FieldModel,
    masks: tuple[np.ndarray, np.ndarray],
    settings: FieldSettings,
    weigh: Callable[[Sequence[Candidate]], np.ndarray],
) -> list[Candidate]:
    """What may be a particle at any scale of an image, finer scales first.

    Parameters
    ----------
    pyramid : Pyramid
    model : FieldModel
    masks : tuple of two ndarrays
        Dropout masks of the samples.
    settings : FieldSettings
    weigh : callable
        ``weigh(candidates)`` gives how likely each is to be a particle: float (n,).
    """

    def search(level: int) -> list[Candidate]:
        return [one for some in search_level(pyramid, level, model, masks, settings) for one in some]

    first, *coarser = (search(level) for level in pyramid.levels)
    finer = search(-1) if first and _typical_diameter(first, weigh(first)) < _TINY_PX else []
    return [*finer, *first, *(one for level in coarser for one in level)]


def _typical_diameter(candidates: Sequence[Candidate], weights: np.ndarray) -> float:
    """Median diameter, in pixels of their scale, of what the candidates are likely to be."""
    sizes = np.array([one.features[FEATURES.index("log_diameter")] for one in candidates])
    order = np.argsort(sizes)
    total = np.cumsum(weights[order])
    return float(np.exp(sizes[order[np.searchsorted(total, total[-1] / 2)]]))


def search_level(
    pyramid: Pyramid, level: int, model: FieldModel, masks: tuple[np.ndarray, np.ndarray], settings: FieldSettings
) -> Iterator[list[Candidate]]:
    """Candidates of one scale, tile by tile."""
    around = local_contrast(pyramid.scale(level))
    stride = model.description["stride_px"]
    for rows, cols, core in _tiles(pyramid.shape(level)):
        part = pyramid.part(level, rows, cols)
        channels = window_channels(part, around, rows, cols)
        height, width = part.shape
        channels = np.pad(channels, ((0, 0), (0, -height % stride), (0, -width % stride)), mode="edge")
        fields, _, information = model.run(channels, masks)
        fields = fields[:, :height, :width]
        labels = label_fields(fields[0], fields[1], fields[2], settings)
        smallest = _SMALLEST_PX if level > 0 else 0.0
        yield list(_cut_out(labels, part, fields, information, level, (rows, cols), core, smallest))


def _cut_out(
    labels: np.ndarray,
    grey: np.ndarray,
    fields: np.ndarray,
    information: np.ndarray,
    level: int,
    place: tuple[slice, slice],
    core: tuple[slice, slice],
    smallest_px: float,
) -> Iterator[Candidate]:
    """The particles of a tile whose centres lie in its core."""
    matter, ridge, edge, cores = fields
    height, width = labels.shape
    # A particle that is cut by a seam is found by the neighbour, or at a coarser scale.
    seams = [place[0].start < core[0].start, core[0].stop < place[0].stop]
    seams += [place[1].start < core[1].start, core[1].stop < place[1].stop]
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        top, bottom, left, right = box[0].start, box[0].stop, box[1].start, box[1].stop
        if (
            (seams[0] and top == 0)
            or (seams[1] and bottom == height)
            or (seams[2] and left == 0)
            or (seams[3] and right == width)
        ):
            continue
        mask = labels[box] == number
        area = np.count_nonzero(mask)
        diameter = 2 * np.sqrt(area / np.pi)
        if diameter < smallest_px:
            continue
        row, col = (float(where.mean()) for where in np.nonzero(mask))
        row, col = row + top + place[0].start, col + left + place[1].start
        if not (core[0].start <= row < core[0].stop and core[1].start <= col < core[1].stop):
            continue
        rim = mask & ~ndimage.binary_erosion(mask)
        half = (slice(top // 2, -(-bottom // 2)), slice(left // 2, -(-right // 2)))
        doubled = information[half].repeat(2, 0).repeat(2, 1)
        inner = doubled[top % 2 : top % 2 + bottom - top, left % 2 : left % 2 + right - left]
        wide = (slice(max(0, top - 4), bottom + 4), slice(max(0, left - 4), right + 4))
        ring = labels[wide] == 0
        around = grey[wide][ring].mean() if ring.any() else grey[wide].mean()
        features = np.array(
            [
                matter[box][mask].mean(),
                ridge[box][mask].max(),
                edge[box][rim].mean(),
                inner[mask].mean(),
                np.log(diameter),
                grey[box][mask].mean() - around,
                area / mask.size,
            ]
        )
        inside = mask & (cores[box] > 0.5)
        has_core = _LEAST_CORE < np.count_nonzero(inside) / area < 1 - _LEAST_CORE
        yield Candidate(
            level,
            top + place[0].start,
            left + place[1].start,
            mask,
            inner.astype(np.float16),
            features,
            inside if has_core else None,
        )


def _tiles(shape: tuple[int, int]) -> Iterator[tuple[slice, slice, tuple[slice, slice]]]:
    """Rows and columns of each tile, and of its core; the cores part the image."""
    for (rows, core_rows), (cols, core_cols) in product(*(_cut_side(length) for length in shape)):
        yield rows, cols, (core_rows, core_cols)


def _cut_side(length: int) -> list[tuple[slice, slice]]:
    if length <= TILE_PX:
        return [(slice(0, length), slice(0, length))]
    count = -(-(length - 2 * HALO_PX) // (TILE_PX - 2 * HALO_PX))
    starts = np.linspace(0, length - TILE_PX, count).round().astype(int).tolist()
    seams = [0, *((first + TILE_PX + second) // 2 for first, second in pairwise(starts)), length]
    return [(slice(start, start + TILE_PX), slice(*core)) for start, core in zip(starts, pairwise(seams), strict=True)]


def enlarge_mask(mask: np.ndarray, level: int) -> np.ndarray:
    """A mask of a level at the image's own size, with a smooth outline: bool, (h * 2**level, w * 2**level)."""
    if level == 0:
        return mask
    if level < 0:
        size = (-(-mask.shape[1] // 2), -(-mask.shape[0] // 2))
        padded = np.pad(mask, ((0, size[1] * 2 - mask.shape[0]), (0, size[0] * 2 - mask.shape[1])))
        return padded.reshape(size[1], 2, size[0], 2).mean((1, 3)) >= 0.5
    factor = 2**level
    framed = Image.fromarray(np.pad(mask, 1).astype(np.float32))
    size = (framed.width * factor, framed.height * factor)
    return np.asarray(framed.resize(size, Image.Resampling.BILINEAR))[factor:-factor, factor:-factor] > 0.5
