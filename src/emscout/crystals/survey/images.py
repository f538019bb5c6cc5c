"""Images of a set: opened and prepared when they are needed, and kept as far as memory allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from emscout.crystals.tiles.background import (
    correct_illumination,
    find_grid_bars,
    find_stripes,
)
from emscout.crystals.tiles.grid import Lattice
from emscout.micrograph import Micrograph
from emscout.scale import NoScale, ScaleReading, annotation_mask

__all__ = ["ImageSource", "Images", "Task", "widen"]

# The brightness falls off beside a bar more slowly than the mask of the bar says: a margin of this share of the image's
# longer side does not count.
_MARGIN = 0.01
# A smaller share of film, a sliver at the corner of a bar, says nothing about the illumination.
_MIN_FILM = 0.005
_KEPT_BYTES = 1_000_000_000


@dataclass(frozen=True, eq=False)
class ImageSource:
    """An image of a set, which is loaded when it is needed.

    Parameters
    ----------
    name : str
        Unique in the set.
    load : callable
        ``load()`` gives the Micrograph; picklable where images are surveyed in several processes.
    stack : str
        Images with the same ``stack`` are frames of one stack: the printed scale is read in the first of them.
    file : dict or None
        ``path`` and ``frame`` of an image in a file; they become columns of the table of images, with its ``sha256``.
    """

    name: str
    load: Callable[[], Micrograph]
    stack: str
    file: dict[str, Any] | None = None

    @property
    def place(self) -> str:
        """What an error message calls the image: its path, or its name."""
        return self.file["path"] if self.file else self.name


@dataclass(frozen=True, eq=False)
class Task:
    """What the later steps need to know of an image."""

    source: ImageSource
    scale: ScaleReading | NoScale
    lattice: Lattice
    bright: float


class _Cache:
    """Remembers what was made of an image, as far as memory allows; in another process it starts empty."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}
        self._free = _KEPT_BYTES

    def __reduce__(self) -> tuple[Any, ...]:
        return _Cache, ()

    def get(self, name: str, make: Callable[[], tuple[Any, int]]) -> Any:
        """What was made under this name; ``make()`` gives it, and its size in bytes."""
        if name in self._kept:
            return self._kept[name]
        made, size = make()
        if size <= self._free:
            self._kept[name] = made
            self._free -= size
        return made


@dataclass(frozen=True, eq=False)
class Images:
    """Opens images and prepares their grey values, each once where memory allows."""

    correct: bool
    exclude_black: bool
    opened: _Cache = field(default_factory=_Cache)
    prepared: _Cache = field(default_factory=_Cache)

    def open(self, source: ImageSource) -> Micrograph:
        def make() -> tuple[Micrograph, int]:
            micrograph = source.load()
            return micrograph, micrograph.image.nbytes

        return self.opened.get(source.name, make)

    def prepare(self, task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Grey values for the statistics, grey values in even illumination, and where the image is black."""

        def make() -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], int]:
            image = self.open(task.source).image
            even, black = _even_out(image, task.bright, self.exclude_black)
            if self.exclude_black:
                even[annotation_mask(image, task.scale)] = np.nan
            return (even if self.correct else image, even, black), even.nbytes + black.nbytes

        return self.prepared.get(task.source.name, make)


def _even_out(image: np.ndarray, bright: float, exclude_black: bool) -> tuple[np.ndarray, np.ndarray]:
    """Grey values in even illumination, NaN where they do not show the specimen; and where the image is black."""
    black = find_grid_bars(image, bright)
    if (~black).mean() < _MIN_FILM:
        black[:] = True
    values = correct_illumination(image, black)
    values[find_stripes(image)] = np.nan
    if exclude_black:
        values[widen(black)] = np.nan
    return values, black


def widen(black: np.ndarray) -> np.ndarray:
    """The black areas with a margin around them."""
    reach = math.ceil(_MARGIN * max(black.shape))
    return ndimage.maximum_filter(black, 2 * reach + 1) if black.any() else black
