"""TIFF of every kind tifffile reads: pages, OME, ImageJ, tiled, compressed, colour."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import PHOTOMETRIC, TiffFile, TiffPage, TiffPageSeries

from emscout.errors import ReadError
from emscout.io.frames import Frames, json_like, to_grey
from emscout.io.sem_tags import pixel_size_nm

__all__ = ["open_tiff"]

_REDUCED = 1
_SECONDS_PER_UNIT = {"sec": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0}
_COLOUR = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)


def open_tiff(path: Path) -> Frames:
    """Open a TIFF: its pages of the first full-size image's shape; thumbnails among them do not count."""
    with TiffFile(path) as tiff:
        series = next((s for s in tiff.series if not s.keyframe.subfiletype & _REDUCED), tiff.series[0])
        page = series.keyframe
        length = _count_frames(path, series)
        _refuse_odd_channels(path, page)
        return Frames(
            load=partial(_load, path, _places(path, series, length)),
            length=length,
            shape=(page.imagelength, page.imagewidth),
            dtype=_grey_dtype(page),
            pixel_size_nm=pixel_size_nm(tiff, page),
            times_s=_times_s(tiff, length),
            metadata=_metadata(tiff, page),
        )


def _count_frames(path: Path, series: TiffPageSeries) -> int:
    steps = [n for n, axis in zip(series.shape, series.axes, strict=True) if axis not in "YXS" and n > 1]
    if len(steps) > 1:
        raise ReadError(
            f"'{path}' has {len(steps) + 2} dimensions ({' x '.join(map(str, series.shape))}, axes {series.axes}): "
            "save one channel, slice or time series as its own stack."
        )
    return steps[0] if steps else 1


def _refuse_odd_channels(path: Path, page: TiffPage) -> None:
    if page.dtype is None or page.imagedepth > 1:
        raise ReadError(f"'{path}' stores its pixels in a way emscout does not know: save it as an ordinary TIFF.")
    if page.dtype.kind == "c":
        raise ReadError(
            f"'{path}' holds complex numbers (a Fourier transform or a wave): save its modulus as an image."
        )
    samples = page.samplesperpixel
    if samples > 2 and page.photometric not in _COLOUR:
        raise ReadError(f"'{path}' has {samples} channels that are not red, green and blue: save one of them as grey.")


def _grey_dtype(page: TiffPage) -> np.dtype:
    if page.photometric == PHOTOMETRIC.PALETTE or page.dtype.kind == "b":
        return np.dtype("uint8")
    return page.dtype.newbyteorder("=")


def _places(path: Path, series: TiffPageSeries, length: int) -> int | list[tuple[Path, int]]:
    """Where each frame lies: the file and page of each, or the offset of the first where they follow one another.

    The second is how ImageJ stores big stacks, with a single page for all of them.
    """
    if len(series.pages) < length:
        if series.dataoffset is None or series.keyframe.samplesperpixel > 1:
            raise ReadError(f"'{path}' stores its frames in a way emscout does not know: save it as an ordinary TIFF.")
        return series.dataoffset
    pages = list(series.pages)[:length]
    if any(page is None for page in pages):
        raise ReadError(f"'{path}' keeps some of its frames in other files, which are missing: put them beside it.")
    return [(Path(page.parent.filehandle.path), page.index) for page in pages]


def _load(path: Path, places: int | list[tuple[Path, int]], frame: int) -> np.ndarray:
    if isinstance(places, int):
        with TiffFile(path) as tiff:
            page = tiff.pages.first
            with path.open("rb") as file:
                file.seek(places + frame * page.nbytes)
                pixels = np.fromfile(file, page.dtype.newbyteorder(tiff.byteorder), page.size)
            return _grey(pixels.reshape(page.shape), page)
    file_path, index = places[frame]
    with TiffFile(file_path) as tiff:
        page = tiff.pages[index]
        size = file_path.stat().st_size
        segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        # tifffile fills what is missing with zeros, which nobody could tell from black.
        if not segments or any(count == 0 or offset + count > size for offset, count in segments):
            raise ReadError(f"'{path}' is cut off: some of its pixels are missing; copy it again from the microscope.")
        return _grey(page.asarray(), page)


def _grey(pixels: np.ndarray, page: TiffPage) -> np.ndarray:
    if not pixels.dtype.isnative:
        pixels = pixels.byteswap(inplace=True).view(pixels.dtype.newbyteorder("="))
    if page.photometric == PHOTOMETRIC.PALETTE:
        # Colour maps have 16 bits, of which the lower eight repeat the upper ones.
        return to_grey((page.colormap >> 8).astype(np.uint8).T[pixels])
    if page.samplesperpixel > 1:
        if page.planarconfig == 2:
            pixels = np.moveaxis(pixels, 0, -1)
        return pixels[..., 0].copy() if page.samplesperpixel == 2 else to_grey(pixels)
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8) * np.uint8(255)
        page_maximum = 255
    else:
        page_maximum = 2 ** int(np.max(page.bitspersample)) - 1
    if page.photometric == PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
        np.subtract(page_maximum, pixels, out=pixels, casting="unsafe")
    return pixels


def _times_s(tiff: TiffFile, length: int) -> np.ndarray | None:
    """Of an ImageJ stack with a frame interval."""
    tags = tiff.imagej_metadata or {}
    unit = _SECONDS_PER_UNIT.get(str(tags.get("tunit", "sec")))
    interval = tags.get("finterval")
    if (
        length < 2
        or unit is None
        or not isinstance(interval, int | float)
        or not math.isfinite(interval)
        or interval <= 0
    ):
        return None
    return np.arange(length) * (interval * unit)


def _metadata(tiff: TiffFile, page: TiffPage) -> dict[str, Any]:
    makers = {
        "fei": tiff.fei_metadata,
        "sem": tiff.sem_metadata,
        "imagej": tiff.imagej_metadata,
        "ome": tiff.ome_metadata,
    }
    tags = {tag.name: tag.value for tag in page.tags if not tag.name.endswith(("Offsets", "ByteCounts"))}
    return json_like({**tags, **{name: value for name, value in makers.items() if value}})
