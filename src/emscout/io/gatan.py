"""Gatan DM3 and DM4, as RosettaSciIO reads them: mapped from the file, one frame at a time."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from emscout.errors import ReadError
from emscout.io.axes import frame_of_array, frames_of_array, grey_of_fields, image_axes
from emscout.io.frames import Frames, json_like

__all__ = ["open_gatan"]


def open_gatan(path: Path) -> Frames:
    """Open a DM3 or DM4 file: the first of its images, thumbnails aside."""
    signal, titles = _signal(path)
    data, axes = signal["data"], signal["axes"]
    picked = image_axes(path, axes, data.shape, data.dtype)
    metadata = {**json_like(signal["original_metadata"]), "images_in_file": titles}
    return frames_of_array(data, axes, picked, partial(_load, path, picked), metadata)


def _load(path: Path, picked: tuple[int, ...], frame: int) -> np.ndarray:
    pixels = frame_of_array(_signal(path)[0]["data"], picked, frame)
    if not isinstance(pixels, np.ndarray):
        # In one thread, because worker processes call this too; copied, so that the file does not stay mapped.
        pixels = np.array(pixels.compute(scheduler="synchronous"))
    return grey_of_fields(pixels)


def _signal(path: Path) -> tuple[dict[str, Any], list[str]]:
    stat = path.stat()
    return _signal_as_of(path, stat.st_mtime_ns, stat.st_size)


# Opening parses all tags, and the frames of a stack are mostly asked for one after the other. The state of the file is
# part of the key, so that a file written anew is read anew.
@lru_cache(maxsize=1)
def _signal_as_of(path: Path, mtime_ns: int, size: int) -> tuple[dict[str, Any], list[str]]:
    from rsciio.digitalmicrograph import file_reader  # here, because it loads dask, which takes a second

    try:
        signals = file_reader(str(path), lazy=True, chunks=-1)
    except ValueError as error:
        if "RGBA" not in str(error):
            raise
        signals = file_reader(str(path))
    if not signals:
        raise ReadError(f"'{path}' holds no image: open it in DigitalMicrograph and save one.")
    first = next((signal for signal in signals if signal["data"].ndim in (2, 3)), signals[0])
    return first, [str(signal["metadata"]["General"].get("title", "")) for signal in signals]
