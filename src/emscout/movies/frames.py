"""The frames of a movie: a stack, or a folder of single images that are numbered in order."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import overload

import numpy as np

from emscout.errors import ReadError, UsageError
from emscout.io import READERS, find_images, inspect, read, read_series
from emscout.io.find import images_in
from emscout.micrograph import Micrograph, Series

__all__ = ["Images", "files_of", "open_movie"]

# Headers read to see what the frames of a folder are like; one by one, a folder of ten thousand would take minutes.
_SAMPLE = 15
_SAME_PIXEL_SIZE = 1e-3
# Names that leave out more numbers than they use do not count frames.
_MOST_MISSING = 0.5
_MOST_NAMED = 8
# Drift cannot be told from noise in smaller frames.
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
        A frame that is damaged, or differs from the others in size, type or pixel size, raises a ReadError when asked
        for. Where numbers are missing in a folder, ``times_s`` leaves the time for them. ``metadata["warnings"]`` lists
        what the user should know, a sentence each.

    Raises
    ------
    UsageError
        When there is no such file or folder, the frame time makes no sense, or the movie has one frame only.
    ReadError
        When it holds no image that can be read.
    """
    if frame_time_s is not None and not 0 < frame_time_s < math.inf:
        raise UsageError(f"A frame time of {frame_time_s:g} s makes no sense: give a positive one, such as 0.5s.")
    path = Path(path)
    files = files_of(path)
    if len(files) == 1:
        series = read_series(files[0], pixel_size_nm=pixel_size_nm, resample=resample)
        numbers, warnings = np.arange(len(series)), list[str]()
    else:
        series, warnings = _open_folder(path, files, pixel_size_nm, resample)
        numbers, missing = _count(files)
        if missing:
            warnings.append(_name_missing(path, missing, timed=frame_time_s is not None))
    if len(series) == 1:
        raise UsageError(f"'{path}' holds one frame only, and nothing moves in it: measure it with emscout analyze.")
    if min(series.shape) < _SMALLEST_PX:
        raise UsageError(
            f"The frames of '{path}' are {series.shape[0]}×{series.shape[1]} px: too small to follow anything."
        )
    times_s = series.times_s if frame_time_s is None else numbers * float(frame_time_s)
    if times_s is not None and frame_time_s is None and files[0].suffix.lower() in READERS["video"].suffixes:
        warnings.append(
            f"Times are those at which '{files[0].name}' plays: if it plays faster or slower than it was recorded, "
            "give `frame_time`."
        )
    if times_s is not None and not (np.isfinite(times_s).all() and (np.diff(times_s) > 0).all()):
        warnings.append("The times of the frames in the file do not rise from frame to frame and are not used.")
        times_s = None
    return replace(series, times_s=times_s, metadata=series.metadata | {"warnings": warnings})


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


def _open_folder(
    folder: Path, files: list[Path], pixel_size_nm: float | None, resample: bool
) -> tuple[Series, list[str]]:
    """The frames of a folder, as most of a sample are; and how many files are of another kind."""
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
    warnings = []
    others = len(images_in(folder)) - len(files)
    if others:
        warnings.append(
            f"{others} image file{'s' * (others != 1)} of '{folder}' with another suffix than {files[0].suffix} "
            "are left out."
        )
    series = Series(load, len(files), shape, first.image.dtype, None, first.calibration, dict(first.metadata), folder)
    return series, warnings


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
            f"({shape[0]}×{shape[1]} px, {dtype}) and is passed over."
        )
    own = micrograph.nm_per_px
    if own is not None and nm_per_px is not None and not math.isclose(own, nm_per_px, rel_tol=_SAME_PIXEL_SIZE):
        raise ReadError(
            f"'{file}' has another pixel size ({own:.4g} nm) than the other frames of the movie ({nm_per_px:.4g} nm) "
            "and is passed over."
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


def _name_missing(folder: Path, missing: list[int], *, timed: bool) -> str:
    named = ", ".join(map(str, missing[:_MOST_NAMED])) + (" …" if len(missing) > _MOST_NAMED else "")
    if len(missing) == 1:
        told = "its time is left" if timed else "frames are counted without it"
        return f"Number {named} is missing among the frames of '{folder}': {told}."
    told = "the time for them is left" if timed else "frames are counted without them"
    return f"{len(missing)} numbers are missing among the frames of '{folder}' ({named}): {told}."
