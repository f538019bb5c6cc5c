"""Series of images in .ser files (TIA), mapped rather than read, so that memory does not grow with the movie.

RosettaSciIO reads a whole series at once, and none of one that was cut off. Here it describes the first frame, from a
copy of it alone; the others lie behind it at equal steps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from emscout.errors import ReadError
from emscout.io.frames import CUT_OFF

__all__ = ["read_ser"]

Signal = dict[str, Any]

_IMAGES = 0x4122
_TIME_TAGS = (0x4142, 0x4152)
_LAST_VERSION_OF_32_BITS = 528
_TAG = np.dtype([("kind", "<u2"), ("unused", "<u2"), ("time_s", "<u4")])
# Calibration, type and size of an image, which stand before its pixels.
_ELEMENT = np.dtype(
    [("calibration", "V40"), ("data_type", "<u2"), ("columns", "<u4"), ("rows", "<u4")],
)


def read_ser(path: Path, read_with_library: Callable[[Path], Signal]) -> Signal:
    """Read what a .ser file says of itself, and map its frames.

    Parameters
    ----------
    path : Path
        A .ser file.
    read_with_library : callable
        ``read_with_library(path) -> signal``: RosettaSciIO's reader.

    Returns
    -------
    dict
        As RosettaSciIO's: data (n, H, W) or (H, W), axes, original_metadata; ``announced``, the number of frames
        there should be, where the file is cut off.

    Raises
    ------
    ReadError
        When no frame is there whole, when it names more frames than it can hold, or when they differ in shape or dtype.
    """
    with path.open("rb") as file:
        head = file.read(34).ljust(34, b"\0")
    is_long = struct.unpack_from("<H", head, 4)[0] > _LAST_VERSION_OF_32_BITS
    kind, _, total, valid = struct.unpack_from("<IIII", head, 6)
    (table,) = struct.unpack_from("<Q" if is_long else "<I", head, 22)
    (dimensions,) = struct.unpack_from("<I", head, 30 if is_long else 26)
    if not 0 < valid <= total:
        raise ReadError(
            f"'{path}' holds no complete image: the acquisition was stopped before the first image was finished."
        )
    # RosettaSciIO believes these numbers: it would read what is not a frame as one, and reserve memory for all of them.
    if table + total * 2 * (8 if is_long else 4) > path.stat().st_size or dimensions > 4:
        raise ReadError(f"'{path}' is damaged: it lists more frames than it can hold.")
    offsets = np.fromfile(path, "<u8" if is_long else "<u4", valid, offset=table).astype(np.int64)
    if kind == _IMAGES and dimensions == 1 and valid > 1 and np.unique(np.diff(offsets)).size == 1:
        return _mapped(path, head, table, offsets, read_with_library)
    signal = read_with_library(path)
    header = signal["original_metadata"]["ser_header_parameters"]
    if any(np.unique(header[key]).size > 1 for key in ("ArraySizeX", "ArraySizeY", "DataType") if key in header):
        raise ReadError(_differ(path))
    return signal


def _mapped(
    path: Path, head: bytes, table: int, offsets: np.ndarray, read_with_library: Callable[[Path], Signal]
) -> Signal:
    first, step = int(offsets[0]), int(offsets[1] - offsets[0])
    first_frame = _read_first_frame(path, head, table, first, step, read_with_library)
    shape, dtype = first_frame["data"].shape, first_frame["data"].dtype
    content = np.memmap(path, np.uint8, "r")
    pixels_bytes = int(np.prod(shape)) * dtype.itemsize
    if not 0 < _ELEMENT.itemsize + pixels_bytes <= step:
        raise ReadError(_differ(path))
    there = min(len(offsets), (content.size - first - _ELEMENT.itemsize - pixels_bytes) // step + 1)
    if there < 1:
        raise ReadError(f"'{path}': {CUT_OFF}")

    def each(at: int, what: np.dtype, *inner: int) -> np.ndarray:
        strides = (step, *(int(np.prod(inner[i + 1 :])) * what.itemsize for i in range(len(inner))))
        return np.ndarray((there, *inner), what, content, first + at, strides)

    elements = each(0, _ELEMENT)
    if any(np.unique(elements[name]).size > 1 for name in ("data_type", "columns", "rows")):
        raise ReadError(_differ(path))
    axes = [{"name": "time", "navigate": True}, *first_frame["axes"][-2:]]
    header = first_frame["original_metadata"]["ser_header_parameters"]
    total = struct.unpack_from("<I", head, 14)[0]
    header |= {"TotalNumberElements": total, "ValidNumberElements": len(offsets)}
    # TIA stores the lowest row first.
    data = each(_ELEMENT.itemsize, dtype, *shape)[:, ::-1]
    signal = first_frame | {"data": data, "axes": axes}
    if there < len(offsets):
        return signal | {"announced": len(offsets)}
    axes[0] |= _times(content, first + _ELEMENT.itemsize + pixels_bytes, step, there)
    return signal


def _times(content: np.ndarray, at: int, step: int, length: int) -> dict[str, Any]:
    """Axis of times, of the tags behind the frames; they count whole seconds, so that a fast series has none."""
    if at + (length - 1) * step + _TAG.itemsize > content.size:
        return {}
    tags = np.ndarray((length,), _TAG, content, at, (step,))
    seconds = tags["time_s"].astype(float)
    has_times = np.isin(tags["kind"], _TIME_TAGS).all() and (np.diff(seconds) > 0).all()
    return {"axis": seconds, "units": "s"} if has_times else {}


def _read_first_frame(
    path: Path, head: bytes, table: int, first: int, step: int, read_with_library: Callable[[Path], Signal]
) -> Signal:
    """What RosettaSciIO says of a copy that holds one frame of two, which it reads as one image."""
    with path.open("rb") as file:
        before = bytearray(file.read(min(table, first)))
        file.seek(first)
        frame = file.read(step)
    is_long = struct.unpack_from("<H", head, 4)[0] > _LAST_VERSION_OF_32_BITS
    number = "Q" if is_long else "I"
    struct.pack_into("<II", before, 14, 2, 1)
    struct.pack_into(f"<{number}", before, 22, len(before))
    offset = len(before) + 4 * struct.calcsize(number)
    with NamedTemporaryFile(suffix=".ser", delete=False) as short:
        short.write(before + struct.pack(f"<4{number}", *[offset] * 4) + frame)
    try:
        return read_with_library(Path(short.name))
    finally:
        with suppress(OSError):
            Path(short.name).unlink()


def _differ(path: Path) -> str:
    return f"'{path}' holds frames of more than one shape or dtype: split it into series of one shape and dtype each."
