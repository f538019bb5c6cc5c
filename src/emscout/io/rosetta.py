"""Gatan DM3/DM4 and MRC, as RosettaSciIO reads them: mapped from the file, one frame at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from emscout.errors import ReadError
from emscout.io.frames import Frames, json_like, length_nm, to_grey

__all__ = ["image_axes", "open_gatan", "open_mrc", "seconds"]

_SECONDS_PER_UNIT = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ms": 1e-3,
    "µs": 1e-6,
    "us": 1e-6,
    "min": 60.0,
}
_ENERGY_UNITS = ("ev", "kev", "mev")


def open_gatan(path: Path) -> Frames:
    """Open a DM3 or DM4 file: the first of its images, thumbnails aside."""
    return _open(path, "digitalmicrograph", "")


def open_mrc(path: Path) -> Frames:
    """Open an MRC file; one whose header names no cell is uncalibrated."""
    with path.open("rb") as file:
        header = file.read(1024)
    if len(header) < 1024:
        raise ReadError(f"'{path}' is cut off within its header: copy it again from the microscope.")
    # The mode is a small number; read with the wrong byte order it is a huge one.
    endianness = "<" if int.from_bytes(header[12:16], "little") < 2**16 else ">"
    return _open(path, "mrc", endianness)


def image_axes(path: Path, axes: Sequence[dict[str, Any]], shape: Sequence[int], dtype: np.dtype) -> tuple[int, ...]:
    """Positions of (frame,) row and column among the axes of an array.

    Parameters
    ----------
    axes : sequence of dict
        ``name``, ``units`` and ``navigate`` of each axis, as far as known.

    Returns
    -------
    tuple of int
        Two or three positions. Axes of length 1 are left out, unless there are only two axes.

    Raises
    ------
    ReadError
        When the array is no image and no stack of images.
    """
    size = " x ".join(str(n) for n in shape)
    if dtype.kind == "c":
        raise ReadError(
            f"'{path}' holds complex numbers (a Fourier transform or a wave): save its modulus as an image."
        )
    if dtype.kind not in "biuf" and dtype.names is None:
        raise ReadError(f"'{path}' holds {dtype} and no grey values: save it as an image.")
    kept = [i for i, n in enumerate(shape) if n != 1] if len(shape) > 2 else list(range(len(shape)))
    if len(shape) > 2 and len(kept) < 2:
        kept = list(range(len(shape)))[-2:]
    if any(str(axes[i].get("units")).strip().lower() in _ENERGY_UNITS or axes[i].get("name") == "Energy" for i in kept):
        raise ReadError(f"'{path}' holds spectra ({size}), not images: give it to a program for spectra.")
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
    return tuple(navigating + signal) if len(navigating) == 1 else tuple(kept)


def seconds(axis: dict[str, Any], length: int) -> np.ndarray | None:
    """Time of each step along an axis, from the first, or ``None`` where the axis is no time."""
    factor = _SECONDS_PER_UNIT.get(str(axis.get("units")).strip())
    step = axis.get("scale")
    return None if factor is None or not step else np.arange(length) * (abs(float(step)) * factor)


def _open(path: Path, module: str, endianness: str) -> Frames:
    # The state of the file is part of the key, so that a file written anew is read anew.
    stat = path.stat()
    signal, number = _signal(path, module, endianness, stat.st_mtime_ns, stat.st_size)
    data, axes = signal["data"], signal["axes"]
    picked = image_axes(path, axes, data.shape, data.dtype)
    *frame_axis, row, column = picked
    rows, columns = (length_nm(axes[i]["scale"], axes[i]["units"]) for i in (row, column))
    if module == "mrc" and not _mrc_has_cell(signal["original_metadata"]):
        rows = columns = None
    length = data.shape[frame_axis[0]] if frame_axis else 1
    return Frames(
        load=partial(_load, path, module, endianness, picked),
        length=length,
        shape=(data.shape[row], data.shape[column]),
        dtype=data.dtype if data.dtype.names is None else data.dtype[0],
        pixel_size_nm=None if rows is None or columns is None else (rows, columns),
        times_s=seconds(axes[frame_axis[0]], length) if frame_axis else None,
        metadata={**json_like(signal["original_metadata"]), "images_in_file": number},
    )


# Opening maps the file and parses its tags; frames of a stack are mostly asked for one after the other.
@lru_cache(maxsize=1)
def _signal(path: Path, module: str, endianness: str, mtime_ns: int, size: int) -> tuple[dict[str, Any], int]:
    file_reader = import_module(f"rsciio.{module}").file_reader
    options = {"endianness": endianness, "metadata_file": None} if module == "mrc" else {}
    try:
        signals = file_reader(str(path), lazy=True, **options)
    except ValueError as error:
        if "RGBA" not in str(error):
            raise
        signals = file_reader(str(path), lazy=False, **options)
    if not signals:
        raise ReadError(f"'{path}' holds no image: open it in DigitalMicrograph and save one.")
    first = next((signal for signal in signals if signal["data"].ndim in (2, 3)), signals[0])
    return first, len(signals)


def _load(path: Path, module: str, endianness: str, picked: tuple[int, ...], frame: int) -> np.ndarray:
    stat = path.stat()
    data = _signal(path, module, endianness, stat.st_mtime_ns, stat.st_size)[0]["data"]
    index: list[Any] = [0] * data.ndim
    *frame_axis, row, column = picked
    index[row] = index[column] = slice(None)
    for i in frame_axis:
        index[i] = frame
    # A copy, so that no mapping of the file outlives the call; in one thread, because workers call this too.
    part = data[tuple(index)]
    pixels = np.array(part.compute(scheduler="synchronous") if hasattr(part, "compute") else part)
    if row > column:
        pixels = pixels.T
    return pixels if pixels.dtype.names is None else to_grey(np.stack([pixels[c] for c in "RGB"], axis=-1))


def _mrc_has_cell(metadata: dict[str, Any]) -> bool:
    """RosettaSciIO answers 1 nm where the header names no cell."""
    if "fei_header" in metadata:
        return True
    header = metadata["std_header"]
    return all(float(np.ravel(header[key])[0]) != 0 for key in ("Xlen", "Ylen", "MX", "MY"))
