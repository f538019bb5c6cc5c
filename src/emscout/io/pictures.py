"""PNG, JPEG and BMP: pictures without a pixel size (their dpi is a printer's, not a microscope's)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image, UnidentifiedImageError

from emscout.errors import ReadError
from emscout.io.frames import Frames, json_like, to_grey

__all__ = ["open_any_size", "open_picture"]

# The most that compression can reach; a damaged header that says more would only fill the memory.
_PIXELS_PER_BYTE = {"PNG": 8300, "JPEG": 1000, "BMP": 200}
_DTYPES = {"I;16": "uint16", "I;16B": "uint16", "I": "int32", "F": "float32"}


def open_picture(path: Path) -> Frames:
    """Open a PNG, JPEG or BMP file."""
    with open_any_size(path, tuple(_PIXELS_PER_BYTE)) as picture:
        # Pillow calls some JPEG files MPO.
        most_per_byte = _PIXELS_PER_BYTE.get(picture.format or "", _PIXELS_PER_BYTE["JPEG"])
        if picture.width * picture.height > most_per_byte * path.stat().st_size:
            raise ReadError(f"'{path}' is damaged: its header promises more pixels than the file can hold.")
        deep = _is_deep_colour_png(path)
        return Frames(
            load=partial(_load, path, deep),
            length=1,
            shape=(picture.height, picture.width),
            dtype=np.dtype("uint16" if deep else _DTYPES.get(picture.mode, "uint8")),
            metadata={"format": picture.format, "mode": picture.mode, **json_like(picture.info)},
        )


def _load(path: Path, deep: bool, frame: int) -> np.ndarray:
    if deep:
        pixels = imagecodecs.png_decode(path.read_bytes())
        return pixels[..., 0] if pixels.shape[2] == 2 else to_grey(pixels)
    with open_any_size(path, tuple(_PIXELS_PER_BYTE)) as picture:
        if picture.mode in ("L", *_DTYPES):
            return np.array(picture)
        if picture.mode in ("LA", "1"):
            return np.array(picture.convert("L"))
        has_palette_or_print_colours = picture.mode not in ("RGB", "RGBA")
        return to_grey(np.asarray(picture.convert("RGB") if has_palette_or_print_colours else picture))


def open_any_size(path: Path, formats: Sequence[str]) -> Image.Image:
    """Open a picture with Pillow, however many pixels it has.

    ``Image.open`` refuses what could be a decompression bomb, which a mosaic of 16k x 16k is not; its limit belongs to
    the whole process and is left alone here.

    Parameters
    ----------
    path : Path
    formats : sequence of str
        Pillow's names of those that may be opened.

    Raises
    ------
    UnidentifiedImageError
        When it is in none of the formats, or its header is damaged.
    """
    Image.init()
    with path.open("rb") as file:
        head = file.read(16)
    for factory, accepts in (Image.OPEN[name] for name in formats):
        if accepts is None or accepts(head) is True:
            try:
                return factory(str(path), None)  # type: ignore[arg-type]  # given a path, it closes the file itself
            except SyntaxError as error:
                raise UnidentifiedImageError(f"cannot identify image file '{path}'") from error
    raise UnidentifiedImageError(f"cannot identify image file '{path}'")


def _is_deep_colour_png(path: Path) -> bool:
    """Whether it is a PNG with 16 bits in each of several channels, which Pillow would cut to 8."""
    with path.open("rb") as file:
        head = file.read(26)
    return head[1:4] == b"PNG" and head[24] == 16 and head[25] in (2, 4, 6)
