"""Figures as files: colour is kept, because it tells photographs and maps from micrographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from emscout.errors import ReadError
from emscout.io import read

__all__ = ["MOST_PX", "PICTURE_SUFFIXES", "read_colour", "too_large"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
# A figure printed at 600 dpi over a whole page has 35 million; what is far above fills the memory, or means to.
MOST_PX = 80_000_000


def read_colour(path: Path) -> np.ndarray:
    """Read a picture with its colours.

    Parameters
    ----------
    path : Path
        PNG, JPEG, TIFF or BMP. Other dtypes than 8 bits are brought to 8 from their darkest to their brightest
        0.1 percent.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    ReadError
        When it is no readable picture, or has more than `MOST_PX` pixels.
    """
    if not path.exists():
        raise ReadError(f"'{path}' does not exist: check the spelling of the path.")
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        # Only the header: Pillow decodes when the pixels are asked for.
        with Image.open(path) as file:
            picture: Image.Image = file
            if picture.width * picture.height > MOST_PX:
                raise too_large(str(path), picture.width, picture.height)
            if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                paper = Image.new("RGBA", picture.size, "white")
                return np.asarray(Image.alpha_composite(paper, picture).convert("RGB"))
            if picture.mode in ("RGB", "L", "P", "1", "CMYK", "YCbCr"):
                return np.asarray(picture.convert("RGB"))
    except ReadError:
        raise
    except MemoryError as error:
        raise ReadError(f"'{path}' needs more memory than there is, or is damaged.") from error
    except Exception as error:
        return _from_instrument(path, error)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    return _from_instrument(path, None)


def too_large(name: str, width: int, height: int) -> ReadError:
    """What to say of a figure beyond `MOST_PX`."""
    return ReadError(
        f"'{name}' is {width} x {height} px, more than the {MOST_PX // 1_000_000} million pixels a figure may have: "
        "save it smaller or cut it up; a single large micrograph is for emscout analyze."
    )


def _from_instrument(path: Path, cause: Exception | None) -> np.ndarray:
    """What Pillow does not read: 16 bits, floats, and damaged files, of which `read` says what is wrong."""
    try:
        image = read(path, frame=0).image.astype(np.float32)
    except ReadError as error:
        raise error from cause
    if image.size > MOST_PX:
        raise too_large(str(path), image.shape[1], image.shape[0])
    low, high = np.nanpercentile(image, (0.1, 99.9))
    grey = np.nan_to_num(255 * (image - low) / max(high - low, 1e-12)).clip(0, 255)
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)
