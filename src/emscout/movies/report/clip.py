"""The clip of a movie: drift corrected, with outlines, paths of particles and marks at events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from emscout.io.files import write_atomic
from emscout.movies.report.footage import Footage
from emscout.movies.report.painter import Painter
from emscout.movies.report.time_axis import TimeAxis

__all__ = ["Clip", "write_clip"]

_MOST_BYTES = 15_000_000
_MP4_SIDE_PX, _GIF_SIDE_PX = 720, 400
_MP4_SECONDS, _GIF_FRAMES = 60, 120
_GIF_SHARE = 0.8
_MARK_SECONDS = 1.2


class Clip(NamedTuple):
    """A clip on disk: its file, its type, the number of frames, and a note if frames were left out."""

    path: Path
    media_type: str
    n_frames: int
    note: str


def write_clip(
    folder: Path | str,
    footage: Footage,
    particles: pd.DataFrame,
    time_axis: TimeAxis,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Clip:
    """Write the annotated movie: ``movie.mp4`` where imageio-ffmpeg is installed, else ``movie.gif``.

    Frames are drawn one at a time. Neither is larger than 15 MB: the MP4 of a long movie lasts a minute; a GIF has up
    to 120 frames, fewer and smaller ones where they are noisy.

    Parameters
    ----------
    folder : path-like
        Where the file is written.
    footage : Footage
    particles : DataFrame
        ``particle``, ``mechanism``, ``by_exchange_px2``, ``end``.
    time_axis : TimeAxis
    progress : callable or None
        Called as ``progress(done, total, what)``.

    Returns
    -------
    Clip
    """
    n = len(footage.drift)
    fps = float(np.clip(n / 20, 4, 25))
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return _write_gif(Path(folder) / "movie.gif", footage, particles, time_axis, min(fps, 12.0), progress)
    every = math.ceil(n / (fps * _MP4_SECONDS))
    numbers = list(range(0, n, every))
    painter = Painter(footage, particles, time_axis, _MP4_SIDE_PX, math.ceil(_MARK_SECONDS * fps) * every)
    path = Path(folder) / "movie.mp4"
    with write_atomic(path) as temporary:
        pictures = _report_each(map(painter.paint, numbers), len(numbers), progress)
        _write_mp4(temporary, pictures, len(numbers), fps)
    return Clip(path, "video/mp4", len(numbers), _note(every))


def _note(every: int) -> str:
    return f"It shows one frame in {every}." if every > 1 else ""


def _report_each(
    pictures: Iterator[Image.Image], total: int, progress: Callable[[int, int, str], None] | None
) -> Iterator[Image.Image]:
    for done, picture in enumerate(pictures, start=1):
        yield picture
        if progress:
            progress(done, total, "clip")


def _write_mp4(path: Path, pictures: Iterator[Image.Image], n: int, fps: float) -> None:
    import imageio_ffmpeg

    # Noise is hard to compress: the bit rate is bounded so that the file stays below the limit.
    bits = min(2.5e6, 0.9 * 8 * _MOST_BYTES / max(n / fps, 1.0))
    first = next(pictures)
    sink = imageio_ffmpeg.write_frames(
        str(path),
        first.size,
        fps=fps,
        codec="libx264",
        macro_block_size=2,
        output_params=[
            *(
                "-preset",
                "veryfast",
                "-crf",
                "22",
                "-maxrate",
                f"{bits:.0f}",
                "-bufsize",
                f"{2 * bits:.0f}",
                "-threads",
                "1",
            ),
            *("-movflags", "+faststart", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-f", "mp4"),
        ],
    )
    # Closed also when interrupted: until then ffmpeg writes.
    with closing(sink):
        sink.send(None)
        sink.send(np.asarray(first).tobytes())
        for picture in pictures:
            sink.send(np.asarray(picture).tobytes())


def _write_gif(
    path: Path,
    footage: Footage,
    particles: pd.DataFrame,
    time_axis: TimeAxis,
    fps: float,
    progress: Callable[[int, int, str], None] | None,
) -> Clip:
    with write_atomic(path) as temporary:
        n_frames, every = _save_gif(temporary, footage, particles, time_axis, fps, progress)
    return Clip(path, "image/gif", n_frames, _note(every))


def _save_gif(
    path: Path,
    footage: Footage,
    particles: pd.DataFrame,
    time_axis: TimeAxis,
    fps: float,
    progress: Callable[[int, int, str], None] | None,
) -> tuple[int, int]:
    """Save a GIF within the limit; how many frames it shows, and one of how many."""
    n = len(footage.drift)
    most, side = _GIF_FRAMES, _GIF_SIDE_PX
    while True:
        every = math.ceil(n / most)
        numbers = list(range(0, n, every))
        painter = Painter(footage, particles, time_axis, side, math.ceil(_MARK_SECONDS * fps) * every)
        # All have the colours of the first picture, so that none flickers.
        first = painter.paint(numbers[0]).quantize(128, dither=Image.Dither.NONE)
        pictures = (painter.paint(number).quantize(palette=first, dither=Image.Dither.NONE) for number in numbers[1:])
        first.save(
            path,
            format="GIF",
            save_all=True,
            append_images=_report_each(pictures, len(numbers) - 1, progress),
            duration=round(1000 / fps),
            loop=0,
        )
        size = path.stat().st_size
        if size <= _MOST_BYTES or (most <= 10 and side <= 120):
            return len(numbers), every
        # Fewer and smaller pictures.
        share = math.sqrt(_GIF_SHARE * _MOST_BYTES / size)
        most, side = max(int(len(numbers) * share), 10), max(int(side * math.sqrt(share)), 120)
