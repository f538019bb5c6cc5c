"""The frames of a movie: a stack, a folder of single images numbered in order, or images in memory."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np

from emscout.errors import ReadError, UsageError
from emscout.io import READERS, find_images, inspect, read, read_series
from emscout.io.find import images_in
from emscout.micrograph import Calibration, Micrograph, Notice, Series

__all__ = ["Images", "as_series", "file_names", "files_of", "open_movie"]

# Headers that are read to see what the frames of a folder are like: reading all of ten thousand would take minutes.
_SAMPLE = 15
_SAME_PIXEL_SIZE = 1e-3
# Numbers in file names do not count frames if more of them are missing than are used.
_MOST_MISSING = 0.5
_MOST_NAMED = 8
# In smaller frames drift cannot be distinguished from noise.
_SMALLEST_PX = 16


def open_movie(
    path: str | Path,
    *,
    pixel_size_nm: float | None = None,
    frame_time_s: float | None = None,
    resample: bool = False,
) -> Series:
    """Open a movie without reading its pixels.

    Parameters
    ----------
    path : str or Path
        A stack or a video, or a folder of single images, which are taken in the order of their numbers (``2.tif``
        before ``10.tif``). Of a folder with several kinds of files the most frequent kind counts.
    pixel_size_nm : float or None
        Pixel size, instead of what the files say.
    frame_time_s : float or None
        Time from one frame to the next, instead of what the file says.
    resample : bool
        Bring pixels that are not square to squares.

    Returns
    -------
    Series
        A frame that is damaged, or differs from the others in size, type or pixel size, raises a ReadError when it is
        read. Where numbers are missing in a folder, ``times_s`` leaves time for them. ``warnings`` has what the user
        should know.

    Raises
    ------
    UsageError
        When there is no such file or folder, the frame time makes no sense, or the movie has only one frame.
    ReadError
        When it holds no image that can be read.
    """
    path = Path(path)
    files = files_of(path)
    if len(files) == 1:
        series = read_series(files[0], pixel_size_nm=pixel_size_nm, resample=resample)
        return _complete(series, np.arange(len(series)), frame_time_s, f"'{path}'")
    series = _open_folder(path, files, pixel_size_nm, resample)
    numbers, missing = _count(files)
    if missing:
        notice = _notice_of_missing(path, missing, timed=frame_time_s is not None)
        series = replace(series, warnings=(*series.warnings, notice))
    return _complete(series, numbers, frame_time_s, f"'{path}'")


def as_series(
    frames: Series | Iterable[np.ndarray | Micrograph],
    *,
    pixel_size_nm: float | None = None,
    frame_time_s: float | None = None,
) -> Series:
    """A movie in memory as a series.

    Parameters
    ----------
    frames : Series, or iterable of ndarray (H, W) or Micrograph
        Frames of one size and type; the pixel size of the first micrograph counts for all.
    pixel_size_nm, frame_time_s
        As for `open_movie`.

    Raises
    ------
    UsageError
        When the frames differ, are too small or too few, or the frame time makes no sense.
    """
    series = frames if isinstance(frames, Series) else _series_of(list(frames))
    if pixel_size_nm is not None:
        series = replace(series, calibration=Calibration(pixel_size_nm, "user"))
    name = "The movie" if series.path is None else f"'{series.path}'"
    return _complete(series, np.arange(len(series)), frame_time_s, name)


def _series_of(frames: list[np.ndarray | Micrograph]) -> Series:
    images = [frame.image if isinstance(frame, Micrograph) else np.asarray(frame) for frame in frames]
    if not images:
        raise UsageError("The movie has no frames.")
    kinds = {(image.shape, image.dtype) for image in images}
    if len(kinds) > 1 or images[0].ndim != 2:
        found = ", ".join(sorted(f"{dtype} of shape {shape}" for shape, dtype in kinds))
        raise UsageError(f"The frames of a movie are grey images of one size and type, not {found}.")
    calibration = frames[0].calibration if isinstance(frames[0], Micrograph) else None
    height, width = images[0].shape
    return Series(images.__getitem__, len(images), (height, width), images[0].dtype, calibration=calibration)


def _complete(series: Series, numbers: np.ndarray, frame_time_s: float | None, name: str) -> Series:
    """A series that can be followed, with its times: those given, or those of the file where they make sense."""
    if frame_time_s is not None and not 0 < frame_time_s < math.inf:
        raise UsageError(f"A frame time of {frame_time_s:g} s makes no sense: give a positive one, such as 0.5s.")
    if len(series) == 1:
        raise UsageError(f"{name} has one frame only, so nothing can change in it: measure it with emscout analyze.")
    if min(series.shape) < _SMALLEST_PX:
        raise UsageError(
            f"The frames of {name} are {series.shape[0]}×{series.shape[1]} px: too small to follow anything."
        )
    if frame_time_s is not None:
        return replace(series, times_s=numbers * float(frame_time_s))
    times_s, warnings = series.times_s, [*series.warnings]
    if times_s is not None and series.path is not None and series.path.suffix.lower() in READERS["video"].suffixes:
        sentence = f"Times are playback times of '{series.path.name}' plays."
        warnings.append(
            Notice("video-time", sentence, "If it plays faster or slower than it was recorded, give `frame_time`.")
        )
    if times_s is not None and not (np.isfinite(times_s).all() and (np.diff(times_s) > 0).all()):
        sentence = "The times in the file do not increase from frame to frame and are not used."
        warnings.append(Notice("times", sentence, "Give `frame_time`."))
        times_s = None
    return replace(series, times_s=times_s, warnings=tuple(warnings))


@dataclass(frozen=True)
class Images(Sequence[np.ndarray]):
    """The frames of a series as plain arrays."""

    series: Series

    def __len__(self) -> int:
        return len(self.series)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return self.series[index].image


def files_of(path: Path) -> list[Path]:
    """The files of a movie in the order of its frames: one for a stack.

    Raises
    ------
    UsageError
        When there is no such file or folder, or no image in it.
    """
    files = find_images([path]) if path.is_dir() else [path]
    if not path.exists():
        raise UsageError(f"'{path}' does not exist: check the spelling of the path.")
    kinds = Counter(file.suffix.lower() for file in files)
    usual = max(kinds, key=lambda kind: kinds[kind])
    return [file for file in files if file.suffix.lower() == usual]


def file_names(series: Series) -> list[str]:
    """The name of the file that holds each frame; empty for images in memory."""
    if series.path is None:
        return []
    files = files_of(series.path)
    return [file.name for file in files] if len(files) == len(series) else [files[0].name] * len(series)


def _open_folder(folder: Path, files: list[Path], pixel_size_nm: float | None, resample: bool) -> Series:
    """The frames of a folder, which are expected to be like most of a sample."""
    sample = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, _SAMPLE).round().astype(int))]
    facts = [inspect(file) for file in sample]
    usable = [fact for fact in facts if fact["frames"] is not None]
    if not usable:
        raise ReadError(f"No frame of '{folder}' can be read. {facts[0]['error']}")
    kinds = Counter((fact["frames"], fact["height_px"], fact["width_px"], fact["dtype"]) for fact in usable)
    usual = kinds.most_common(1)[0][0]
    if usual[0] > 1:
        raise ReadError(
            f"'{folder}' holds stacks (of {usual[0]} frames), not single frames: "
            f"give one of them, such as '{sample[0]}'."
        )
    names = ("frames", "height_px", "width_px", "dtype")
    alike = [fact["path"] for fact in usable if tuple(fact[name] for name in names) == usual]
    first = _first_of(alike, pixel_size_nm, resample)
    shape = (first.image.shape[0], first.image.shape[1])
    load = partial(
        _load, files, shape, str(first.image.dtype), first.nm_per_px, pixel_size_nm=pixel_size_nm, resample=resample
    )
    others = len(images_in(folder)) - len(files)
    sentence = (
        f"{others} image file{'s' * (others != 1)} of '{folder}' with another suffix than {files[0].suffix} "
        f"{'are' if others != 1 else 'is'} left out."
    )
    warnings = (Notice("other-files", sentence),) if others else ()
    return Series(
        load, len(files), shape, first.image.dtype, None, first.calibration, dict(first.metadata), folder, warnings
    )


def _first_of(paths: list[str], pixel_size_nm: float | None, resample: bool) -> Micrograph:
    """The first that is not damaged."""
    for path in paths[:-1]:
        with suppress(ReadError):
            return read(path, pixel_size_nm=pixel_size_nm, resample=resample)
    return read(paths[-1], pixel_size_nm=pixel_size_nm, resample=resample)


def _load(
    files: list[Path],
    shape: tuple[int, int],
    dtype: str,
    nm_per_px: float | None,
    frame: int,
    *,
    pixel_size_nm: float | None,
    resample: bool,
) -> np.ndarray:
    file = files[frame]
    micrograph = read(file, pixel_size_nm=pixel_size_nm, resample=resample)
    image = micrograph.image
    if image.shape != shape or str(image.dtype) != dtype:
        raise ReadError(
            f"'{file}' ({image.shape[0]}×{image.shape[1]} px, {image.dtype}) is not like the other frames of the movie "
            f"({shape[0]}×{shape[1]} px, {dtype}) and is skipped."
        )
    own = micrograph.nm_per_px
    if own is not None and nm_per_px is not None and not math.isclose(own, nm_per_px, rel_tol=_SAME_PIXEL_SIZE):
        raise ReadError(
            f"'{file}' has a different pixel size ({own:.4g} nm) from the other frames of the movie ({nm_per_px:.4g} "
            "nm) and is skipped."
        )
    return image


def _count(files: list[Path]) -> tuple[np.ndarray, list[int]]:
    """When each frame was taken, in frames from the first, and which numbers are missing in between."""
    digits = [re.findall(r"\d+", file.stem) for file in files]
    plain = np.arange(len(files))
    if not all(digits):
        return plain, []
    numbers = np.array([int(some[-1]) for some in digits], dtype=object)
    steps = np.diff(numbers)
    if len({re.sub(r"\d+(?=\D*$)", "", file.stem) for file in files}) > 1 or (steps <= 0).any():
        return plain, []
    step = math.gcd(*(int(one) for one in steps))
    counted = ((numbers - numbers[0]) // step).astype(np.int64)
    if counted[-1] + 1 - len(files) > _MOST_MISSING * len(files):
        return plain, []
    missing = np.setdiff1d(np.arange(counted[-1]), counted)
    return counted, [int(numbers[0]) + step * int(one) for one in missing]


def _notice_of_missing(folder: Path, missing: list[int], *, timed: bool) -> Notice:
    named = ", ".join(map(str, missing[:_MOST_NAMED])) + (" …" if len(missing) > _MOST_NAMED else "")
    if len(missing) == 1:
        effect = "its time is kept free" if timed else "frames are counted without it"
        return Notice("missing-frames", f"Number {named} is missing among the frames of '{folder}': {effect}.")
    effect = "their time is kept free" if timed else "frames are counted without them"
    return Notice(
        "missing-frames", f"{len(missing)} numbers are missing among the frames of '{folder}' ({named}): {effect}."
    )
