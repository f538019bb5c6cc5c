"""A movie with what was found in it, and its frames with the drift corrected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from emscout.errors import ReadError

__all__ = ["Footage", "aligned_labels", "aligned_view", "fit_size", "grey_limits", "spread_evenly"]


@dataclass(frozen=True)
class Footage:
    """A movie with what was found in it: what pictures are drawn from.

    Parameters
    ----------
    frame : callable
        Frame number to grey values as recorded, shape (H, W); may raise `ReadError`.
    labels : callable
        Number of a measured frame to its label map, with the numbers of the column ``label`` of `tracks`.
    origins : mapping of int to (int, int)
        First pixel of the label image of each measured frame, in the recorded frame.
    field : (slice, slice)
        What is shown, in pixels of the first good frame.
    drift, tracks, events : DataFrame
        As they are saved; `drift` has a row for every frame, and says with ``file`` which file holds it.
    times_s : ndarray or None
        Time of each frame by number, where known.
    nm_per_px : float or None
        Pixel size, where known.
    """

    frame: Callable[[int], np.ndarray]
    labels: Callable[[int], np.ndarray]
    origins: Mapping[int, tuple[int, int]]
    field: tuple[slice, slice]
    drift: pd.DataFrame
    tracks: pd.DataFrame
    events: pd.DataFrame
    times_s: np.ndarray | None = None
    nm_per_px: float | None = None

    @property
    def measured(self) -> list[int]:
        """Numbers of the frames whose particles were measured."""
        return sorted(self.origins)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of what is shown."""
        rows, cols = self.field
        return rows.stop - rows.start, cols.stop - cols.start

    def drift_px(self, number: int | np.ndarray) -> np.ndarray:
        """Place of the specimen in a frame relative to the first good one: row and column."""
        return self.drift[["row_px", "col_px"]].to_numpy(dtype=float)[number]

    def corner_px(self, number: int) -> np.ndarray:
        """First pixel of what is shown, in the recorded frame: row and column."""
        return self.drift_px(number) + [part.start for part in self.field]

    def in_view(self) -> np.ndarray:
        """Row and column of every row of the tracks, in pixels from the first pixel of what is shown."""
        at = self.tracks[["row_frame_px", "col_frame_px"]].to_numpy(dtype=float)
        return at - self.drift_px(self.tracks["frame"].to_numpy(dtype=int)) - [part.start for part in self.field]

    def events_in_view(self) -> np.ndarray:
        """Row and column of every event, likewise."""
        places = self.events[["row_px", "col_px"]].to_numpy(dtype=float)
        if len(self.tracks) == 0:
            return places
        # The origin of the tracks need not be the first pixel of what is shown.
        return places + np.median(self.in_view() - self.tracks[["row_px", "col_px"]].to_numpy(dtype=float), axis=0)


def aligned_view(footage: Footage, number: int, size: tuple[int, int]) -> np.ndarray:
    """The shown part of a frame, its drift corrected to a fraction of a pixel.

    Parameters
    ----------
    footage : Footage
    number : int
    size : (int, int)
        Height and width of the picture.

    Returns
    -------
    ndarray of float32, shape `size`
        Grey values; NaN beyond the frame, or everywhere where it cannot be read.
    """
    try:
        image = np.asarray(footage.frame(number), dtype=np.float32)
    except ReadError:
        return np.full(size, np.nan, dtype=np.float32)
    return _cut(image, footage.corner_px(number), footage.size, size, Image.Resampling.BICUBIC, math.nan)


def aligned_labels(footage: Footage, number: int, size: tuple[int, int]) -> np.ndarray:
    """The labels of the particles in `aligned_view`."""
    labels = np.asarray(footage.labels(number), dtype=np.int32)
    corner = footage.corner_px(number) - footage.origins[number]
    return _cut(labels, corner, footage.size, size, Image.Resampling.NEAREST, 0)


def _cut(
    image: np.ndarray,
    corner: np.ndarray,
    shape: tuple[int, int],
    size: tuple[int, int],
    method: Image.Resampling,
    outside: float,
) -> np.ndarray:
    """Part of an image that begins between pixels, drawn at another size; beyond the image it is `outside`.

    Parameters
    ----------
    image : ndarray of float32 or int32, shape (H, W)
    corner : ndarray, shape (2,)
        Row and column of the part's first pixel.
    shape, size : (int, int)
        Of the part, and of what is drawn.
    method : PIL.Image.Resampling
    outside : float
    """
    first = np.floor(corner).astype(int)
    last = np.ceil(corner + shape).astype(int)
    before = np.clip(-first, 0, last - first)
    after = np.clip(last - image.shape, 0, last - first)
    inside = tuple(
        slice(max(low, 0), max(min(high, n), 0)) for low, high, n in zip(first, last, image.shape, strict=True)
    )
    part = np.pad(image[inside], [(int(b), int(a)) for b, a in zip(before, after, strict=True)], constant_values=0)
    part = part[: last[0] - first[0], : last[1] - first[1]]
    top, left = corner - first
    box = (left, top, left + shape[1], top + shape[0])
    drawn = np.asarray(Image.fromarray(part).resize(size[::-1], method, box=box))
    if not (before.any() or after.any()):
        return drawn
    row = (np.arange(size[0]) + 0.5) * shape[0] / size[0] + corner[0]
    col = (np.arange(size[1]) + 0.5) * shape[1] / size[1] + corner[1]
    seen = ((row >= 0) & (row < image.shape[0]))[:, None] & ((col >= 0) & (col < image.shape[1]))
    return np.where(seen, drawn, drawn.dtype.type(outside))


def fit_size(size: tuple[int, int], most_px: int) -> tuple[int, int]:
    """Height and width of the same shape, no side longer than `most_px`."""
    scale = min(1.0, most_px / max(size))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def spread_evenly(numbers: list[int], most: int) -> list[int]:
    """At most so many of the numbers, the first and the last among them."""
    return [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, most).round().astype(int))]


def grey_limits(footage: Footage) -> tuple[float, float]:
    """Darkest and brightest grey value to show, from a few frames together, so that pictures do not flicker."""
    numbers = footage.measured or list(range(len(footage.drift)))
    limits = []
    for number in spread_evenly(numbers, 9):
        view = aligned_view(footage, number, fit_size(footage.size, 1024))
        if np.isfinite(view).any():
            limits.append(np.nanpercentile(view, (0.3, 99.7)))
    low, high = np.median(limits, axis=0) if limits else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))
