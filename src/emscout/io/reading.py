"""Open images: one micrograph, a series, or the headers only.

Whatever goes wrong in a library comes out of here as a ReadError of one sentence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emscout.errors import EmscoutError, NonSquarePixelsError, NotOneImageError, ReadError
from emscout.io.families import all_readers, family_of
from emscout.io.find import images_in
from emscout.io.frames import Frames, quiet
from emscout.micrograph import Calibration, Micrograph, Series

__all__ = ["inspect", "read", "read_series"]

_SAME_SIZE = 0.01
_SAME_CALIBRATION = 1e-4
_MOST_PX = 2_000_000_000
"""A file may claim any size; more pixels than this would fill the memory."""


def read(
    path: str | Path, *, frame: int | None = None, pixel_size_nm: float | None = None, resample: bool = False
) -> Micrograph:
    """Read one image.

    Parameters
    ----------
    path : str or Path
        PNG, JPEG, BMP, TIFF, DM3/DM4, SER/EMI, EMD (Velox, Berkeley), HSPY or MRC.
    frame : int, optional
        Which frame of a stack, counted from 0.
    pixel_size_nm : float, optional
        Pixel size in nm, instead of what the file says.
    resample : bool
        Bring pixels that are not square to squares of the finer of their two sizes.

    Returns
    -------
    Micrograph
        Grey values in the dtype of the file, shape (H, W); colour becomes luminance.

    Raises
    ------
    NotOneImageError
        For a stack when no ``frame`` is given.
    NonSquarePixelsError
        When height and width of a pixel differ by more than 1 % and neither ``resample`` nor ``pixel_size_nm`` is
        given.
    ReadError
        When it is not a readable image.
    CalibrationError
        When ``pixel_size_nm`` is not a positive length.

    Examples
    --------
    >>> import emscout as em
    >>> em.read("scan.tif").nm_per_px                        # doctest: +SKIP
    0.5
    >>> em.read("stack.tif", frame=3).image.shape            # doctest: +SKIP
    (1024, 1024)
    """
    path = Path(path)
    if path.is_dir():
        raise ReadError(f"'{path}' is a folder, not an image: read_series reads a folder of frames.")
    series = _series_of_file(path, pixel_size_nm, resample)
    if frame is None:
        if len(series) > 1:
            raise NotOneImageError(
                f"'{path}' is a stack of {len(series)} frames, not one image: "
                "choose one with frame=0, or read all with read_series."
            )
        frame = 0
    if not -len(series) <= frame < len(series):
        raise ReadError(f"'{path}' has {len(series)} frame(s), counted from 0; there is no frame {frame}.")
    return series[frame]


def read_series(path: str | Path, *, pixel_size_nm: float | None = None, resample: bool = False) -> Series:
    """Open a series of images without reading their pixels.

    Parameters
    ----------
    path : str or Path
        A stack, a single image (a series of one), or a folder of single images of one shape and pixel size, which are
        taken in natural order (``2.tif`` before ``10.tif``).
    pixel_size_nm, resample
        As in `read`.

    Returns
    -------
    Series
        Frame ``i`` is read when asked for; a damaged one raises a ReadError that names it.

    Raises
    ------
    NonSquarePixelsError, ReadError, CalibrationError
        As in `read`.

    Examples
    --------
    >>> import emscout as em
    >>> series = em.read_series("heating.tif")               # doctest: +SKIP
    >>> len(series), series[0].image.shape                   # doctest: +SKIP
    (91, (369, 369))
    """
    path = Path(path)
    return (_series_of_folder if path.is_dir() else _series_of_file)(path, pixel_size_nm, resample)


def inspect(path: str | Path) -> dict[str, Any]:
    """Describe a file from its headers; pixels are not read.

    Returns
    -------
    dict
        ``path``, ``frames``, ``height_px``, ``width_px``, ``dtype``, ``nm_per_px``, ``calibration_source`` and
        ``error``. What is unknown is ``None``. A file that cannot be read has an ``error``; so has one with pixels that
        are not square.
    """
    facts: dict[str, Any] = dict.fromkeys(
        ("path", "frames", "height_px", "width_px", "dtype", "nm_per_px", "calibration_source", "error")
    )
    facts["path"] = str(path)
    try:
        frames = _open(Path(path))
        facts |= {"frames": frames.length, "height_px": frames.shape[0], "width_px": frames.shape[1]}
        facts["dtype"] = str(frames.dtype)
        calibration = _calibration(Path(path), frames, None, resample=False)
        if calibration is not None:
            facts |= {"nm_per_px": calibration.nm_per_px, "calibration_source": calibration.source}
    except EmscoutError as error:
        facts["error"] = str(error)
    return facts


def _series_of_file(path: Path, pixel_size_nm: float | None, resample: bool) -> Series:
    frames = _open(path)
    calibration = _calibration(path, frames, pixel_size_nm, resample)
    shape = _square_shape(frames) if resample else frames.shape
    # Worker processes receive what loads a frame; metadata would only weigh it down.
    return Series(
        partial(_load, path, replace(frames, metadata={}), shape),
        frames.length,
        shape,
        frames.dtype,
        frames.times_s,
        calibration,
        frames.metadata,
        path,
    )


def _series_of_folder(folder: Path, pixel_size_nm: float | None, resample: bool) -> Series:
    files = images_in(folder)
    if not files:
        raise ReadError(f"The folder '{folder}' holds no image: name a folder of frames.")
    series = [_series_of_file(file, pixel_size_nm, resample) for file in files]
    first = series[0]
    for file, other in zip(files, series, strict=True):
        if len(other) != 1:
            raise ReadError(
                f"'{file}' is itself a stack of {len(other)} frames: a folder of frames holds single images."
            )
        if (other.shape, other.dtype) != (first.shape, first.dtype):
            raise ReadError(
                f"'{file}' ({_size(other)}) does not go with '{files[0]}' ({_size(first)}): "
                "the frames of a series have one shape and dtype."
            )
        sizes = [s.calibration.nm_per_px if s.calibration else 0 for s in (first, other)]
        if not math.isclose(*sizes, rel_tol=_SAME_CALIBRATION):
            raise ReadError(
                f"'{file}' has a different pixel size from '{files[0]}': give one for all with pixel_size_nm."
            )
    loads = [s.load_frame for s in series]
    return Series(
        partial(_load_from, loads),
        len(files),
        first.shape,
        first.dtype,
        None,
        first.calibration,
        first.metadata,
        folder,
    )


def _size(series: Series) -> str:
    return f"{series.shape[0]} x {series.shape[1]} {series.dtype}"


def _load_from(loads: list[Callable[[int], np.ndarray]], frame: int) -> np.ndarray:
    return loads[frame](0)


def _open(path: Path) -> Frames:
    with _read_errors(path, f"'{path}'"):
        frames = all_readers()[family_of(path)].open(path)
        dtype = np.dtype("uint8") if frames.dtype.kind == "b" else frames.dtype.newbyteorder("=")
        frames = replace(frames, dtype=dtype)
        height, width = frames.shape
        if frames.length < 1 or height < 1 or width < 1:
            raise ReadError(f"'{path}' holds no pixels: copy it again from the microscope.")
        if (height == 1) != (width == 1):
            raise ReadError(
                f"'{path}' is one-dimensional ({height} x {width}), a profile or a spectrum: give an image."
            )
        return frames


@contextmanager
def _read_errors(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a library raises on a bad file into a sentence that names the file."""
    try:
        with quiet():
            yield
    except EmscoutError:
        raise
    except FileNotFoundError as error:
        raise ReadError(f"{what} does not exist: check the spelling of the path.") from error
    except PermissionError as error:
        raise ReadError(f"{what} cannot be read (permission denied): ask its owner for access.") from error
    except MemoryError as error:
        raise ReadError(f"{what} needs more memory than this computer has, or is damaged.") from error
    except Exception as error:
        # Libraries name the file too; once is enough.
        reason = " ".join(str(error).replace(f"'{path}'", "it").split())[:200] or "no reason given"
        raise ReadError(
            f"{what} is damaged or of an unknown variant ({type(error).__name__}: {reason}): "
            "copy it again from the microscope or save it as TIFF."
        ) from error


def _calibration(path: Path, frames: Frames, given_nm: float | None, resample: bool) -> Calibration | None:
    if given_nm is not None:
        return Calibration(given_nm, "user")
    if frames.pixel_size_nm is None:
        return None
    height, width = frames.pixel_size_nm
    if _same_size(height, width):
        return Calibration((height + width) / 2, "metadata")
    if not resample:
        raise NonSquarePixelsError(
            f"'{path}' has pixels that are not square ({height:.4g} nm high, {width:.4g} nm wide): make them square "
            "with `resample=True`, or say how large they are with `pixel_size`."
        )
    return Calibration(min(height, width), "metadata")


def _same_size(one_nm: float, other_nm: float) -> bool:
    return math.isclose(one_nm, other_nm, rel_tol=_SAME_SIZE)


def _square_shape(frames: Frames) -> tuple[int, int]:
    if frames.pixel_size_nm is None or _same_size(*frames.pixel_size_nm):
        return frames.shape
    finer = min(frames.pixel_size_nm)
    height, width = (
        max(1, round(n * size / finer)) for n, size in zip(frames.shape, frames.pixel_size_nm, strict=True)
    )
    return height, width


def _load(path: Path, frames: Frames, shape: tuple[int, int], frame: int) -> np.ndarray:
    what = f"frame {frame} of '{path}'" if frames.length > 1 else f"'{path}'"
    if math.prod(frames.shape) > _MOST_PX:
        height, width = frames.shape
        raise ReadError(
            f"{what} is {width} x {height} px, more than the {_MOST_PX // 1_000_000} million pixels that fit into "
            "memory: crop it or bin it."
        )
    with _read_errors(path, what):
        try:
            pixels = _plain(frames.load(frame))
        except ReadError as error:  # a reader does not know which frame it is asked for
            if f"'{path}'" in str(error):
                raise
            raise ReadError(f"{what} cannot be read: {error}") from error
        if pixels.shape != frames.shape or pixels.dtype != frames.dtype:
            raise ReadError(
                f"{what} does not have the shape and dtype given in its header: copy it again from the microscope."
            )
        return pixels if shape == frames.shape else _resampled(pixels, shape)


def _plain(pixels: np.ndarray) -> np.ndarray:
    """Native byte order; a mask of bits becomes 0 and 255."""
    if pixels.dtype.kind == "b":
        return pixels * np.uint8(255)
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))


def _resampled(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    from scipy import ndimage  # here, because few files need it and it is slow to load

    factors = [new / old for new, old in zip(shape, pixels.shape, strict=True)]
    stretched = ndimage.zoom(pixels, factors, output=np.float64, order=1, mode="nearest", grid_mode=True)
    return stretched.astype(pixels.dtype) if pixels.dtype.kind == "f" else np.rint(stretched).astype(pixels.dtype)
