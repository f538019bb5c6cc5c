"""Figures as files: colour is kept, because it distinguishes photographs and maps from micrographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emscout.errors import ReadError
from emscout.io import read_series
from emscout.io.colour import read_colours
from emscout.io.pictures import open_any_size

__all__ = ["MOST_PX", "PICTURE_SUFFIXES", "read_figure", "to_colours", "too_large"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
# A figure printed at 600 dpi over a whole page has 35 million; far larger ones fill the memory.
MOST_PX = 80_000_000


def read_figure(path: Path) -> np.ndarray:
    """Read a picture with its colours.

    Parameters
    ----------
    path : Path
        PNG, JPEG, TIFF or BMP. Other dtypes are converted to 8 bits, from the 0.1st to the 99.9th percentile.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    ReadError
        When it is not a readable picture, or has more than `MOST_PX` pixels.
    """
    if (pixels := _read_inks(path)) is not None:
        return pixels
    height, width = read_series(path).shape  # the header; pixels are not read yet
    if height * width > MOST_PX:
        raise too_large(str(path), width, height)
    return to_colours(read_colours(path))


def to_colours(pixels: np.ndarray) -> np.ndarray:
    """Pixels (H, W) or (H, W, 3) of any real dtype as uint8 of shape (H, W, 3); see `read_figure`."""
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint8:
        grey = pixels.astype(np.float32)
        low, high = np.nanpercentile(grey, (0.1, 99.9))
        pixels = np.rint(np.nan_to_num(255 * (grey - low) / max(high - low, 1e-12)).clip(0, 255)).astype(np.uint8)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def too_large(name: str, width: int, height: int) -> ReadError:
    """The error for a figure of more than `MOST_PX`."""
    return ReadError(
        f"'{name}' is {width} x {height} px, more than the {MOST_PX // 1_000_000} million pixels a figure may have: "
        "save it smaller or cut it into parts; give a single large micrograph to emscout analyze."
    )


def _read_inks(path: Path) -> np.ndarray | None:
    """A TIFF in cyan, magenta, yellow and black, as printers use; None of any other file."""
    try:
        with open_any_size(path, ("TIFF",)) as picture:
            if picture.mode != "CMYK":
                return None
            if picture.width * picture.height > MOST_PX:
                raise too_large(str(path), picture.width, picture.height)
            return np.asarray(picture.convert("RGB"))
    except (OSError, SyntaxError):  # not a TIFF, or a damaged one: the reader of micrographs says what is wrong
        return None
