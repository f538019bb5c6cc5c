"""Find the image in an array with named axes: which axes are frame, row and column, and how large a pixel is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emscout.errors import ReadError
from emscout.io.frames import Frames, length_nm, to_grey

__all__ = ["Axis", "frame_of_array", "frames_of_array", "grey_of_fields", "image_axes"]

_SECONDS_PER_UNIT = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "µs": 1e-6,
    "us": 1e-6,
    "ns": 1e-9,
    "min": 60.0,
    "ks": 1e3,
}
_ENERGY_UNITS = ("ev", "kev", "mev")

# What a file says of an axis, as far as it does: name, units, scale (length of a step) or axis (position of each step),
# navigate (whether it leads from image to image, or from spectrum to spectrum).
Axis = dict[str, Any]


def image_axes(path: Path, axes: Sequence[Axis], shape: Sequence[int], dtype: np.dtype) -> tuple[int, ...]:
    """Positions of (frame,) row and column among the axes of an array.

    Returns
    -------
    tuple of int
        Two or three positions; axes of length 1 are left out where enough others remain.

    Raises
    ------
    ReadError
        When the array is neither an image nor a stack of images.
    """
    size = " x ".join(map(str, shape))
    if dtype.kind == "c":
        raise ReadError(
            f"'{path}' holds complex numbers (a Fourier transform or a wave): save its modulus as an image."
        )
    if dtype.kind not in "biuf" and not {"R", "G", "B"} <= set(dtype.names or ()):
        raise ReadError(f"'{path}' holds {dtype}, not grey values: save it as an image.")
    long = [i for i, n in enumerate(shape) if n != 1]
    kept = long if len(long) >= 2 else list(range(len(shape)))[-2:]
    if any(str(axes[i].get("units")).strip().lower() in _ENERGY_UNITS or axes[i].get("name") == "Energy" for i in kept):
        raise ReadError(f"'{path}' holds spectra ({size}), not images: open it in a program for spectra.")
    if len(kept) < 2:
        raise ReadError(f"'{path}' is one-dimensional ({size}), a profile or a spectrum: give an image.")
    navigating = [i for i in kept if axes[i].get("navigate")]
    signal = [i for i in kept if i not in navigating]
    if len(signal) == 1:
        raise ReadError(f"'{path}' holds a spectrum or profile at each point ({size}): save a map of it as an image.")
    if len(kept) > 3:
        raise ReadError(
            f"'{path}' has {len(kept)} dimensions ({size}): save one channel, slice or time series as its own stack."
        )
    return _rows_before_columns(axes, navigating + signal if len(navigating) == 1 else kept)


def _rows_before_columns(axes: Sequence[Axis], picked: list[int]) -> tuple[int, ...]:
    """Go by the names where both are there: HyperSpy writes Berkeley EMD with x before y, others do not."""
    names = {str(axes[i].get("name")).lower(): i for i in picked}
    if not {"x", "y"} <= names.keys():
        return tuple(picked)
    rest = [i for i in picked if i not in (names["x"], names["y"])]
    return (*rest, names["y"], names["x"])


def frames_of_array(
    array: Any,
    axes: Sequence[Axis],
    picked: tuple[int, ...],
    load: Callable[[int], np.ndarray],
    metadata: dict[str, Any],
) -> Frames:
    """Describe the images in an array (anything with shape and dtype) of which `image_axes` picked the axes."""
    *frame_axis, row, column = picked
    height, width = (length_nm(axes[i].get("scale"), axes[i].get("units")) for i in (row, column))
    length = array.shape[frame_axis[0]] if frame_axis else 1
    return Frames(
        load=load,
        length=length,
        shape=(array.shape[row], array.shape[column]),
        dtype=array.dtype if array.dtype.names is None else array.dtype["R"],
        pixel_size_nm=None if height is None or width is None else (height, width),
        times_s=_times_s(axes[frame_axis[0]], length) if frame_axis else None,
        metadata=metadata,
    )


def frame_of_array(array: Any, picked: tuple[int, ...], frame: int) -> Any:
    """Cut one image out of an array, rows before columns; a lazy array gives a lazy image."""
    *frame_axis, row, column = picked
    index: list[Any] = [0] * array.ndim
    index[row] = index[column] = slice(None)
    for i in frame_axis:
        index[i] = frame
    pixels = array[tuple(index)]
    return pixels.T if row > column else pixels


def grey_of_fields(pixels: np.ndarray) -> np.ndarray:
    """Luminance of pixels stored as records of R, G and B; other pixels as they are."""
    return pixels if pixels.dtype.names is None else to_grey(np.stack([pixels[name] for name in "RGB"], axis=-1))


def _times_s(axis: Axis, length: int) -> np.ndarray | None:
    factor = _SECONDS_PER_UNIT.get(str(axis.get("units")).strip())
    positions = np.arange(length) * abs(float(axis.get("scale") or 0))
    if "axis" in axis:  # steps of different lengths
        positions = np.asarray(axis["axis"], dtype=float) - axis["axis"][0]
    return None if factor is None or not positions.any() else positions * factor
