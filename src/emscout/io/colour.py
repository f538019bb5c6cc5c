"""Pictures with their colours, for classification and figures; measurements use grey values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from emscout.errors import EmscoutError
from emscout.io.families import family_of
from emscout.io.pictures import open_any_size
from emscout.io.reading import read_series
from emscout.micrograph import Micrograph

__all__ = ["colours_of", "read_colours"]

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_EIGHT_BITS = ("RGB", "P", "CMYK", "YCbCr", "LAB", "HSV")


def read_colours(path: str | Path, *, frame: int | None = None) -> np.ndarray:
    """Read an image with its colours, where the file has any.

    Parameters
    ----------
    path : str or Path
    frame : int or None
        Which frame of a stack, counted from 0; the first where none is given.

    Returns
    -------
    ndarray
        Grey values (H, W) in the dtype of the file; or uint8 (H, W, 3), red, green, blue, of a coloured picture or TIFF
        of 8 bits a channel; what is transparent is white, as on paper.

    Raises
    ------
    ReadError
        When it is not a readable image.
    """
    path = Path(path)
    grey = read_series(path)[frame or 0].image
    # The grey reader has checked the file: what it refuses, or reads as one channel, is not opened again.
    try:
        colours = {"picture": _colours_of_picture, "tiff": _colours_of_tiff}[family_of(path)](path, frame or 0)
    except (KeyError, EmscoutError):
        return grey
    if colours is None or colours.shape[:2] != grey.shape:
        return grey
    if (colours == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0]) if grey.dtype == np.uint8 else grey
    return colours


def colours_of(picture: Micrograph | np.ndarray) -> np.ndarray:
    """The pixels of a picture in memory, with the colours of its file where the file shows the same picture.

    Parameters
    ----------
    picture : Micrograph or ndarray

    Returns
    -------
    ndarray, shape (H, W) or (H, W, 3)
        An array is returned as it is; a micrograph as `read_colours` gives its file, unless it was changed since.
    """
    if not isinstance(picture, Micrograph):
        return picture
    if picture.path is None or picture.image.dtype != np.uint8:  # coloured pictures have eight bits a channel
        return picture.image
    try:
        is_same = np.array_equal(read_series(picture.path)[0].image, picture.image)
        return read_colours(picture.path) if is_same else picture.image
    except EmscoutError:
        return picture.image


def _colours_of_picture(path: Path, frame: int) -> np.ndarray | None:
    with open_any_size(path, _FORMATS) as picture:
        picture.seek(frame)
        if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
            paper = Image.new("RGBA", picture.size, "white")
            return np.asarray(Image.alpha_composite(paper, picture.convert("RGBA")).convert("RGB"))
        return np.asarray(picture.convert("RGB")) if picture.mode in _EIGHT_BITS else None


def _colours_of_tiff(path: Path, frame: int) -> np.ndarray | None:
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[frame]
            if page.dtype != np.uint8 or page.ndim != 3 or page.shape[-1] not in (3, 4):
                return None
            if page.shape[-1] == 3:
                return page.asarray()
    except (IndexError, ValueError, OSError):
        return None
    # The fourth says how transparent it is.
    return _colours_of_picture(path, frame)
