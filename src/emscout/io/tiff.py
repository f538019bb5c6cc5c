"""TIFF of every kind tifffile reads: pages, OME, ImageJ, tiled, compressed, colour."""

from __future__ import annotations

import math
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import PHOTOMETRIC, TiffFile, TiffPage, TiffPageSeries

from emscout.errors import ReadError
from emscout.io.frames import CUT_OFF, Frames, json_like, read_pixels, to_grey
from emscout.io.sem_tags import pixel_size_nm

__all__ = ["open_tiff"]

# The file of a frame, the offset of its page in there (None where that was lost or is unlike the others), and that of
# its pixels (None unless frames follow one another without a page of their own, as ImageJ stores big stacks).
Place = tuple[Path, int | None, int | None]

# So many pages that are alike, each a series of its own to tifffile, are the frames of a stack.
_FEWEST_PAGES = 3
_SECONDS_PER_UNIT = {"sec": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0}
_COLOUR = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)


def open_tiff(path: Path) -> Frames:
    """Open a TIFF: the pages of the largest shape; smaller ones are thumbnails or an overview."""
    with TiffFile(path) as tiff:
        series = max(tiff.series, key=lambda series: series.keyframe.imagelength * series.keyframe.imagewidth)
        page = series.keyframe
        pixels = _pixels_dtype(path, page)
        places = _places_page_by_page(path, tiff, series) or _places(path, series, _count_frames(path, series))
        if _lost_pages(tiff) and places[-1][2] is None:
            # The number of lost pages is unknown; that some are lost must not go unnoticed.
            places.append((path, None, None))
        length = len(places)
        return Frames(
            load=partial(_load, places),
            length=length,
            shape=(page.imagelength, page.imagewidth),
            dtype=np.dtype("uint8") if page.photometric == PHOTOMETRIC.PALETTE else pixels,
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


def _pixels_dtype(path: Path, page: TiffPage) -> np.dtype:
    if page.dtype is None or page.imagedepth > 1:
        raise ReadError(f"'{path}' stores its pixels in a way emscout does not know: save it as an ordinary TIFF.")
    if page.dtype.kind == "c":
        raise ReadError(
            f"'{path}' holds complex numbers (a Fourier transform or a wave): save its modulus as an image."
        )
    samples = page.samplesperpixel
    if samples > 2 and page.photometric not in _COLOUR:
        raise ReadError(f"'{path}' has {samples} channels that are not red, green and blue: save one of them as grey.")
    return page.dtype


def _lost_pages(tiff: TiffFile) -> bool:
    """Whether the next page lies beyond the end of the file, where tifffile stops without an error."""
    layout, file = tiff.tiff, tiff.filehandle
    file.seek(tiff.pages[-1].offset)
    (number_of_tags,) = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))
    file.seek(number_of_tags * layout.tagsize, 1)
    (next_page,) = struct.unpack(layout.offsetformat, file.read(layout.offsetsize).ljust(layout.offsetsize, b"\0"))
    return next_page > file.size


def _places_page_by_page(path: Path, tiff: TiffFile, series: TiffPageSeries) -> list[Place] | None:
    """Where frames are that were written one by one, which tifffile takes for a series each; None for other files.

    A page of another size among them is a frame that cannot be read, not a thumbnail: the others keep their numbers.
    """
    if series.kind not in ("shaped", "generic") or len(tiff.series) < _FEWEST_PAGES:
        return None
    if any(len(one.pages) != 1 for one in tiff.series):
        return None
    key = series.keyframe
    alike = [(one.keyframe.shape, one.keyframe.dtype) == (key.shape, key.dtype) for one in tiff.series]
    if sum(alike) < _FEWEST_PAGES:
        return None
    first, last = alike.index(True), len(alike) - 1 - alike[::-1].index(True)
    return [
        (path, one.keyframe.offset if same else None, None)
        for one, same in zip(tiff.series[first : last + 1], alike[first : last + 1], strict=True)
    ]


def _places(path: Path, series: TiffPageSeries, length: int) -> list[Place]:
    """Where each frame lies."""
    pages = list(series.pages)[:length]
    if len(pages) == length:
        if any(page is None for page in pages):
            raise ReadError(f"'{path}' keeps some of its frames in other files, which are missing: put them beside it.")
        files = {page.parent: Path(page.parent.filehandle.path) for page in pages if page is not None}
        return [(files[page.parent], page.offset, None) for page in pages if page is not None]
    page = series.keyframe
    if series.dataoffset is None or page.samplesperpixel > 1:
        raise ReadError(f"'{path}' stores its frames in a way emscout does not know: save it as an ordinary TIFF.")
    return [(path, page.offset, series.dataoffset + frame * page.nbytes) for frame in range(length)]


def _load(places: list[Place], frame: int) -> np.ndarray:
    path, page_offset, pixels_offset = places[frame]
    if page_offset is None:
        if frame < len(places) - 1:
            raise ReadError("it differs in size or type from the other frames.")
        raise ReadError(f"its page was lost: {CUT_OFF}")
    with TiffFile(path) as tiff:
        # Straight to the page: finding it by its number would walk through all before it.
        tiff.filehandle.seek(page_offset)
        page = TiffPage(tiff, 0)
        if pixels_offset is not None and page.dtype is not None:
            pixels = read_pixels(path, pixels_offset, page.dtype.newbyteorder(tiff.byteorder), page.shape)
        else:
            size = path.stat().st_size
            segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
            # tifffile fills what is missing with zeros, which nobody could tell from black.
            if len(segments) < math.prod(page.chunked) or any(
                count == 0 or offset + count > size for offset, count in segments
            ):
                raise ReadError(CUT_OFF)
            pixels = page.asarray()
    return _grey(pixels, page)


def _grey(pixels: np.ndarray, page: TiffPage) -> np.ndarray:
    if not pixels.dtype.isnative:
        pixels = pixels.byteswap(inplace=True).view(pixels.dtype.newbyteorder("="))
    if page.photometric == PHOTOMETRIC.PALETTE:
        # Colour maps have 16 bits, of which the lower eight repeat the upper ones.
        return to_grey((np.asarray(page.colormap) >> 8).astype(np.uint8).T[pixels])
    if page.samplesperpixel > 1:
        if page.planarconfig == 2:
            pixels = np.moveaxis(pixels, 0, -1)
        return pixels[..., 0].copy() if page.samplesperpixel == 2 else to_grey(pixels)
    if page.photometric == PHOTOMETRIC.MINISWHITE and pixels.dtype.kind in "bu":
        white = 2 ** int(np.max(page.bitspersample)) - 1
        return ~pixels if pixels.dtype.kind == "b" else np.subtract(white, pixels, out=pixels, casting="unsafe")
    return pixels


def _times_s(tiff: TiffFile, length: int) -> np.ndarray | None:
    """Of an ImageJ stack with a frame interval."""
    tags = tiff.imagej_metadata or {}
    unit = _SECONDS_PER_UNIT.get(str(tags.get("tunit", "sec")))
    interval = tags.get("finterval")
    if length < 2 or unit is None or not isinstance(interval, int | float) or not 0 < interval < math.inf:
        return None
    return np.arange(length) * (interval * unit)


def _metadata(tiff: TiffFile, page: TiffPage) -> dict[str, Any]:
    tags = {tag.name: tag.value for tag in page.tags if not tag.name.endswith(("Offsets", "ByteCounts"))}
    return json_like(tags | ({"ImageJ": tiff.imagej_metadata} if tiff.imagej_metadata else {}))
