"""Sums, counts and extremes of grey values over all windows of an image at once."""

from __future__ import annotations

import numpy as np

from emscout.crystals.tiles.grid import Lattice, are_disjoint

__all__ = ["window_counts", "window_extremes", "window_sums"]


def window_sums(values: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Sum of the values in each window.

    Sums of windows that overlap are made of running sums over 1, 2, 4, ... pixels along either axis, so that the time
    hardly grows with the size of the window, and no precision is lost to a running total of the whole image.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        Numbers or booleans.
    lattice : Lattice
        The windows.

    Returns
    -------
    ndarray, shape (n_rows, n_cols)
        float64 for floats, int64 for integers and booleans.
    """
    kind = np.dtype(np.float64 if values.dtype.kind == "f" else np.int64)
    return _sums(_sums(values, lattice.rows, 0, kind), lattice.cols, 1, kind)


def window_counts(mask: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Number of pixels of a mask in each window: faster than `window_sums`.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
        True where a pixel counts.
    lattice : Lattice
        The windows.

    Returns
    -------
    ndarray, shape (n_rows, n_cols)
        In the smallest unsigned integer dtype that can count a whole window.
    """
    n_rows, n_cols = (int(np.diff(spans, axis=1).max()) for spans in (lattice.rows, lattice.cols))
    narrow, wide = np.min_scalar_type(n_rows), np.min_scalar_type(n_rows * n_cols)
    return _sums(_sums(mask, lattice.rows, 0, narrow), lattice.cols, 1, wide)


def window_extremes(values: np.ndarray, lattice: Lattice) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value in each window.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        Real numbers.
    lattice : Lattice
        The windows.

    Returns
    -------
    smallest, largest : ndarray of the values' dtype, shape (n_rows, n_cols)
    """
    smallest, largest = (
        _extremes(function, _extremes(function, values, lattice.rows, 0), lattice.cols, 1)
        for function in (np.minimum, np.maximum)
    )
    return smallest, largest


def _sums(values: np.ndarray, spans: np.ndarray, axis: int, kind: np.dtype) -> np.ndarray:
    if are_disjoint(spans):
        return _reduce(np.add, values, spans, axis, kind)
    found = np.empty(_with_length(values.shape, axis, len(spans)), kind)
    lengths = spans[:, 1] - spans[:, 0]
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        n = values.shape[axis] - length + 1
        total, running, width, done = np.zeros(_with_length(values.shape, axis, n), kind), values.astype(kind), 1, 0
        while True:
            if length & width:
                total += running[_along(axis, slice(done, done + n))]
                done += width
            if done == length:
                break
            running = running[_along(axis, slice(None, -width))] + running[_along(axis, slice(width, None))]
            width *= 2
        found[_along(axis, _as_slice(chosen))] = total[_along(axis, _as_slice(spans[chosen, 0]))]
    return found


def _extremes(function: np.ufunc, values: np.ndarray, spans: np.ndarray, axis: int) -> np.ndarray:
    if are_disjoint(spans):
        return _reduce(function, values, spans, axis, None)
    # Two runs of the longest power of two that fits cover any span.
    fitting = np.int64(1) << (np.frexp(spans[:, 1] - spans[:, 0])[1] - 1)
    found = np.empty(_with_length(values.shape, axis, len(spans)), values.dtype)
    running, width = values, 1
    while True:
        chosen = np.flatnonzero(fitting == width)
        if len(chosen):
            first, last = (_along(axis, _as_slice(start)) for start in (spans[chosen, 0], spans[chosen, 1] - width))
            found[_along(axis, _as_slice(chosen))] = function(running[first], running[last])
        if width == fitting.max():
            return found
        running = function(running[_along(axis, slice(None, -width))], running[_along(axis, slice(width, None))])
        width *= 2


def _along(axis: int, index: slice | np.ndarray) -> tuple[slice | np.ndarray, ...]:
    return (slice(None),) * axis + (index,)


def _with_length(shape: tuple[int, ...], axis: int, length: int) -> tuple[int, ...]:
    return (*shape[:axis], length, *shape[axis + 1 :])


def _as_slice(index: np.ndarray) -> slice | np.ndarray:
    """Evenly spaced indices as a slice, which NumPy takes much faster."""
    steps = np.diff(index)
    step = int(steps[0]) if len(steps) else 1
    return slice(int(index[0]), int(index[-1]) + 1, step) if (steps == step).all() and step > 0 else index


def _reduce(function: np.ufunc, values: np.ndarray, spans: np.ndarray, axis: int, kind: np.dtype | None) -> np.ndarray:
    """Reduce spans that do not overlap; every second result belongs to a gap between them and is dropped."""
    length = values.shape[axis]
    bounds = spans.ravel()
    gapless = (spans[1:, 0] == spans[:-1, 1]).all() and bounds[-1] == length
    if gapless:
        return function.reduceat(values, spans[:, 0], axis, kind)
    inside = bounds[:-1] if bounds[-1] == length else bounds
    return function.reduceat(values, inside, axis, kind).take(np.arange(len(spans)) * 2, axis)
