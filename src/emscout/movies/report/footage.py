"""A movie and what was found in it, and how a frame looks once its drift is taken out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from emscout.errors import ReadError

__all__ = ["Footage", "grey_limits", "labels_in_view", "names_of_files", "shrunk", "spread_evenly", "view_of"]


@dataclass(frozen=True)
class Footage:
    """A movie and what was found in it.

    Parameters
    ----------
    frame : callable
        Frame number to grey values as recorded, shape (H, W); may raise `ReadError`.
    labels : callable
        Number of a measured frame to its label map, with the numbers of the column ``label`` of `tracks`.
    origins : mapping of int to (int, int)
        Of each measured frame, where in the frame as recorded the first pixel of its label map lies.
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
        """Where the specimen lies in a frame relative to the first good one: row and column."""
        return self.drift[["row_px", "col_px"]].to_numpy(dtype=float)[number]

    def corner_px(self, number: int) -> np.ndarray:
        """Where in a frame as recorded the first pixel of what is shown lies: row and column."""
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
        # The field whose first pixel is the origin of the tracks need not be what is shown.
        return places + np.median(self.in_view() - self.tracks[["row_px", "col_px"]].to_numpy(dtype=float), axis=0)


def names_of_files(drift: pd.DataFrame) -> dict[int, str]:
    """Frame to the file that holds it, where every frame has a file of its own; else nothing."""
    if "file" not in drift or drift["file"].nunique() < len(drift) or len(drift) < 2:
        return {}
    return dict(zip(drift["frame"].tolist(), drift["file"].tolist(), strict=True))


def view_of(footage: Footage, number: int, size: tuple[int, int]) -> np.ndarray:
    """What is shown of a frame, its drift taken out to a fraction of a pixel.

    Parameters
    ----------
    footage : Footage
    number : int
    size : (int, int)
        Height and width of the picture.

    Returns
    -------
    ndarray of float32, shape `size`
        Grey values; not-a-number where the frame shows nothing or cannot be read.
    """
    try:
        image = np.asarray(footage.frame(number), dtype=np.float32)
    except ReadError:
        return np.full(size, np.nan, dtype=np.float32)
    return _cut(image, footage.corner_px(number), footage.size, size, Image.Resampling.BICUBIC, math.nan)


def labels_in_view(footage: Footage, number: int, size: tuple[int, int]) -> np.ndarray:
    """Which particle each pixel of `view_of` belongs to, by label."""
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


def shrunk(size: tuple[int, int], most_px: int) -> tuple[int, int]:
    """Height and width of the same shape, no side longer than `most_px`."""
    scale = min(1.0, most_px / max(size))
    return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)


def spread_evenly(numbers: list[int], most: int) -> list[int]:
    """At most so many of the numbers, the first and the last among them."""
    return [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, most).round().astype(int))]


def grey_limits(footage: Footage) -> tuple[float, float]:
    """Darkest and brightest grey value worth showing, of a few measured frames together: no picture flickers."""
    numbers = footage.measured or list(range(len(footage.drift)))
    limits = []
    for number in spread_evenly(numbers, 9):
        view = view_of(footage, number, shrunk(footage.size, 1024))
        if np.isfinite(view).any():
            limits.append(np.nanpercentile(view, (0.3, 99.7)))
    low, high = np.median(limits, axis=0) if limits else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))
