"""Positions of the windows of an image: the tiles of a grid, or a sliding window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emscout.errors import UsageError

__all__ = [
    "MIN_SIDE",
    "Lattice",
    "are_disjoint",
    "cut_grid",
    "cut_tiles",
    "split_evenly",
]

MIN_SIDE = 4  # px; statistics of a smaller window mean nothing
# px, side of the part that is processed at once, see Lattice.blocks: small enough for the processor's cache
BLOCK_OF_TILES = 1024
BLOCK_OF_OVERLAPPING = 256


@dataclass(frozen=True, eq=False)
class Lattice:
    """Windows in rows and columns: tiles of a grid, or the positions of a sliding window.

    Attributes
    ----------
    rows : ndarray of int, shape (n_rows, 2)
        First and last + 1 pixel row of each row of windows, in ascending order.
    cols : ndarray of int, shape (n_cols, 2)
        The same for columns. Window (r, c) is ``image[rows[r, 0]:rows[r, 1], cols[c, 0]:cols[c, 1]]``.
    """

    rows: np.ndarray
    cols: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns of windows."""
        return len(self.rows), len(self.cols)

    @property
    def areas(self) -> np.ndarray:
        """Number of pixels of each window, shape (n_rows, n_cols)."""
        return np.outer(self.rows[:, 1] - self.rows[:, 0], self.cols[:, 1] - self.cols[:, 0])

    @property
    def disjoint(self) -> bool:
        """Whether no two windows overlap."""
        return are_disjoint(self.rows) and are_disjoint(self.cols)

    def shortened(self, n_rows: int, n_cols: int) -> Lattice:
        """The same windows without their last pixel rows and columns."""
        return Lattice(self.rows - (0, n_rows), self.cols - (0, n_cols))

    def blocks(self) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice], Lattice]]:
        """Iterate over the windows in blocks of neighbours that together cover a small part of the image.

        Yields
        ------
        windows : tuple of slice
            Which windows.
        pixels : tuple of slice
            The part of the image they cover.
        lattice : Lattice
            The windows in that part.
        """
        for r, rows in _runs(self.rows):
            for c, cols in _runs(self.cols):
                pixels = slice(rows[0, 0], rows[-1, 1]), slice(cols[0, 0], cols[-1, 1])
                yield (r, c), pixels, Lattice(rows - rows[0, 0], cols - cols[0, 0])


def cut_grid(shape: tuple[int, int], n_rows: int, n_cols: int) -> Lattice:
    """Cut an image into tiles.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image in pixels.
    n_rows, n_cols : int
        Number of tiles down and across.

    Returns
    -------
    Lattice
        Tiles without gaps; their sides differ by one pixel at most.

    Raises
    ------
    UsageError
        When there would be no tile, or a side would be shorter than 4 px.
    """
    if n_rows < 1 or n_cols < 1:
        raise UsageError(f"A grid of {n_rows}x{n_cols} has no tiles; ask for at least 1x1.")
    side = min(shape[0] // n_rows, shape[1] // n_cols)
    if min(shape) < MIN_SIDE:
        raise UsageError(f"An image of {shape[0]}x{shape[1]} px is too small for a tile, which needs {MIN_SIDE} px.")
    if side < MIN_SIDE:
        most = f"{shape[0] // MIN_SIDE}x{shape[1] // MIN_SIDE}"
        raise UsageError(
            f"A grid of {n_rows}x{n_cols} on an image of {shape[0]}x{shape[1]} px makes tiles of {side} px; "
            f"a tile needs at least {MIN_SIDE} px, so ask for {most} or fewer."
        )
    return split_evenly(shape, n_rows, n_cols)


def cut_tiles(shape: tuple[int, int], side_px: float, step_px: float | None = None) -> Lattice:
    """Cut an image into tiles of a given side, or slide a window of that side over it.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image in pixels.
    side_px : float
        Side of the window.
    step_px : float or None
        From one position of a sliding window to the next; ``None`` for a grid of tiles of about that side that covers
        the whole image without gaps.

    Returns
    -------
    Lattice
        Sliding windows lie inside the image, so up to ``step_px - 1`` px at the lower and right edges may be left out.

    Raises
    ------
    UsageError
        When the side is shorter than 4 px or longer than the image, or the step shorter than 1 px.
    """
    if not np.isfinite(side_px) or side_px < MIN_SIDE:
        raise UsageError(f"A tile of {side_px:g} px is too small; it needs at least {MIN_SIDE} px.")
    if side_px > min(shape):
        raise UsageError(
            f"A tile of {side_px:g} px does not fit into an image of {shape[0]}x{shape[1]} px; ask for a smaller one."
        )
    if step_px is None:
        return split_evenly(shape, *(max(1, round(length / side_px)) for length in shape))
    if not np.isfinite(step_px) or step_px < 1:
        raise UsageError(f"A step of {step_px:g} px is too short; a sliding window moves by at least 1 px.")
    side, step = int(side_px), int(step_px)
    starts = (np.arange(0, length - side + 1, step) for length in shape)
    return Lattice(*(np.stack([start, start + side], axis=1) for start in starts))


def split_evenly(shape: tuple[int, int], n_rows: int, n_cols: int) -> Lattice:
    """Split an image into rows and columns whose sides differ by one pixel at most, with no smallest side.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the image in pixels.
    n_rows, n_cols : int
        Number of rows and columns, not more than there are pixels.
    """
    edges = (np.arange(n + 1) * length // n for length, n in zip(shape, (n_rows, n_cols), strict=True))
    return Lattice(*(np.stack([edge[:-1], edge[1:]], axis=1) for edge in edges))


def _runs(spans: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Split spans into runs of neighbours that together cover one block, or little more than one span."""
    first, disjoint = 0, are_disjoint(spans)
    while first < len(spans):
        side = int(spans[first, 1] - spans[first, 0])
        longest = BLOCK_OF_TILES if disjoint else max(BLOCK_OF_OVERLAPPING, 2 * side)
        stop = int(np.searchsorted(spans[:, 1], spans[first, 0] + longest, side="right"))
        run = slice(first, max(stop, first + 1))
        yield run, spans[run]
        first = run.stop


def are_disjoint(spans: np.ndarray) -> bool:
    """Whether spans (n, 2), sorted by their starts, do not overlap."""
    return bool((spans[1:, 0] >= spans[:-1, 1]).all())
