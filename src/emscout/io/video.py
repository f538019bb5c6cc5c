"""AVI, MP4 and other videos, by ffmpeg, if imageio-ffmpeg is installed."""

from __future__ import annotations

import math
import os
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from emscout.errors import ReadError
from emscout.io.frames import CUT_OFF, Frames, json_like, to_grey

__all__ = ["open_video"]


def open_video(path: Path) -> Frames:
    """Open a video; its frames have no pixel size, and colour becomes luminance.

    Raises
    ------
    ReadError
        When ffmpeg is not there or cannot read it.
    """
    if find_spec("imageio_ffmpeg") is None:
        raise ReadError(
            f"'{path}' is a video, and the package that reads videos is not installed: pip install imageio-ffmpeg, "
            "or save the frames as TIFF."
        )
    try:
        reader = _reader(path, path.stat().st_mtime_ns, os.getpid())
    except OSError as error:
        # The message of ffmpeg has many lines about its own versions and options.
        raise ReadError(f"'{path}' is a video that ffmpeg cannot read: copy it again, or save it as TIFF.") from error
    facts = reader.get_meta_data()
    width, height = facts["size"]
    there, fps = reader.count_frames(), float(facts.get("fps") or 0)
    length = max(there, _announced(path))
    return Frames(
        load=partial(_load, path, path.stat().st_mtime_ns, there),
        length=length,
        shape=(height, width),
        dtype=np.dtype("uint8"),
        times_s=np.arange(length) / fps if math.isfinite(fps) and fps > 0 else None,
        metadata=json_like({name: value for name, value in facts.items() if name != "nframes"}),
    )


def _announced(path: Path) -> int:
    """Number of frames according to the header of an AVI file; more than there are if the file was cut off."""
    with path.open("rb") as file:
        head = file.read(52)
    return int.from_bytes(head[48:52], "little") if head[24:28] == b"avih" else 0


def _load(path: Path, changed: int, there: int, frame: int) -> np.ndarray:
    if frame >= there:
        raise ReadError(CUT_OFF)
    return to_grey(_reader(path, changed, os.getpid()).get_data(frame))


@lru_cache(maxsize=2)
def _reader(path: Path, changed: int, process: int) -> Any:
    """A reader that stays open, because ffmpeg finds the next frame much faster than any other."""
    import imageio

    return imageio.get_reader(path, format="FFMPEG", mode="I")
