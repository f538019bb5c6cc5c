"""The movie to show: drift corrected, with outlines, paths of particles and marks where something happens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from emscout.movies.report.curves import Clock
from emscout.movies.report.footage import Footage
from emscout.movies.report.painter import Painter

__all__ = ["Clip", "write_clip"]

_MOST_BYTES = 15_000_000
_MP4_SIDE_PX, _GIF_SIDE_PX = 720, 400
_MP4_SECONDS, _GIF_FRAMES = 60, 120
_GIF_SHARE = 0.8
_MARK_SECONDS = 1.2


class Clip(NamedTuple):
    """A clip on disk: its file, its type, how many frames it shows, and what was left out of it (or empty)."""

    path: Path
    media_type: str
    n_frames: int
    note: str


def write_clip(
    folder: Path | str,
    footage: Footage,
    particles: pd.DataFrame,
    clock: Clock,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Clip:
    """Write the annotated movie: ``movie.mp4`` where imageio-ffmpeg is installed, else ``movie.gif``.

    Frames are drawn one at a time. Neither is larger than 15 MB: of a long movie an MP4 shows a minute; a GIF shows
    up to 120 frames, fewer and smaller where they are noisy.

    Parameters
    ----------
    folder : path-like
        Where the file is written.
    footage : Footage
    particles : DataFrame
        ``particle``, ``mechanism``, ``by_exchange_px2``, ``end``.
    clock : Clock
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
        return _write_gif(Path(folder) / "movie.gif", footage, particles, clock, min(fps, 12.0), progress)
    every = math.ceil(n / (fps * _MP4_SECONDS))
    numbers = list(range(0, n, every))
    painter = Painter(footage, particles, clock, _MP4_SIDE_PX, math.ceil(_MARK_SECONDS * fps) * every)
    path = Path(folder) / "movie.mp4"
    _write_mp4(path, _told(map(painter.paint, numbers), len(numbers), progress), len(numbers), fps)
    return Clip(path, "video/mp4", len(numbers), _left_out(every))


def _left_out(every: int) -> str:
    return f"It shows one frame of {every}." if every > 1 else ""


def _told(
    pictures: Iterator[Image.Image], total: int, progress: Callable[[int, int, str], None] | None
) -> Iterator[Image.Image]:
    for done, picture in enumerate(pictures, start=1):
        yield picture
        if progress:
            progress(done, total, "clip")


def _write_mp4(path: Path, pictures: Iterator[Image.Image], n: int, fps: float) -> None:
    import imageio_ffmpeg

    part = path.with_name(path.name + ".part")
    # Noise is hard to compress: the bit rate is bounded so that the whole stays below the limit.
    bits = min(2.5e6, 0.9 * 8 * _MOST_BYTES / max(n / fps, 1.0))
    first = next(pictures)
    sink = imageio_ffmpeg.write_frames(
        str(part),
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
    sink.send(None)
    sink.send(np.asarray(first).tobytes())
    for picture in pictures:
        sink.send(np.asarray(picture).tobytes())
    sink.close()
    part.replace(path)


def _write_gif(
    path: Path,
    footage: Footage,
    particles: pd.DataFrame,
    clock: Clock,
    fps: float,
    progress: Callable[[int, int, str], None] | None,
) -> Clip:
    n = len(footage.drift)
    part = path.with_name(path.name + ".part")
    most, side = _GIF_FRAMES, _GIF_SIDE_PX
    while True:
        every = math.ceil(n / most)
        numbers = list(range(0, n, every))
        painter = Painter(footage, particles, clock, side, math.ceil(_MARK_SECONDS * fps) * every)
        # The colours of the first picture for all: no picture flickers.
        first = painter.paint(numbers[0]).quantize(128, dither=Image.Dither.NONE)
        pictures = (painter.paint(number).quantize(palette=first, dither=Image.Dither.NONE) for number in numbers[1:])
        first.save(
            part,
            format="GIF",
            save_all=True,
            append_images=_told(pictures, len(numbers) - 1, progress),
            duration=round(1000 / fps),
            loop=0,
        )
        size = part.stat().st_size
        if size <= _MOST_BYTES or (most <= 10 and side <= 120):
            break
        # Both number and size of the pictures give way.
        share = math.sqrt(_GIF_SHARE * _MOST_BYTES / size)
        most, side = max(int(len(numbers) * share), 10), max(int(side * math.sqrt(share)), 120)
    part.replace(path)
    return Clip(path, "image/gif", len(numbers), _left_out(every))
