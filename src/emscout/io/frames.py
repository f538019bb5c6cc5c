"""What a reader returns: frames that are still on disk, and what the file says about them."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from emscout.errors import ReadError
from emscout.units import nm_per_unit

__all__ = ["CUT_OFF", "Frames", "json_like", "length_nm", "quiet", "read_pixels", "to_grey"]

CUT_OFF = "the file is cut off and some of its pixels are missing; copy it again from the microscope."

# Rec. 601, what "convert to greyscale" means in most image programs.
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_ROWS_AT_ONCE = 256
# Outside of this a "pixel size" is a diffraction pattern in 1/m or an empty field, not a micrograph.
_PLAUSIBLE_NM = (1e-4, 1e6)
_LONGEST_ARRAY = 1000
_LONGEST_BYTES = 10_000

# A logger without any handler writes to the screen; one with this is silent unless the user sets up logging.
for _library in ("tifffile", "rsciio", "PIL", "h5py"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Frames:
    """Images of one shape in one file, read one at a time.

    Parameters
    ----------
    load : callable
        ``load(i) -> ndarray (H, W)``, grey; picklable.
    length : int
        Number of frames.
    shape : (int, int)
        Height and width in pixels.
    dtype : numpy dtype
        Of the grey values.
    pixel_size_nm : (float, float) or None
        Along rows (height) and columns (width); ``None`` where the file does not say.
    times_s : ndarray, shape (length,), or None
        Start of each frame, counted from the first.
    metadata : dict
        What the file says of itself; JSON-like.
    """

    load: Callable[[int], np.ndarray]
    length: int
    shape: tuple[int, int]
    dtype: np.dtype
    pixel_size_nm: tuple[float, float] | None = None
    times_s: np.ndarray | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def read_pixels(path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Read an uncompressed image at an offset in a file.

    Raises
    ------
    ReadError
        When the file ends before the image does.
    """
    # Checked before, because the memory is taken before the file turns out to be short.
    if offset + math.prod(shape) * dtype.itemsize > path.stat().st_size:
        raise ReadError(CUT_OFF)
    return np.fromfile(path, dtype, math.prod(shape), offset=offset).reshape(shape)


def to_grey(image: np.ndarray) -> np.ndarray:
    """Luminance of a colour image in its own dtype; alpha is ignored.

    Where the three channels are equal the result is that channel exactly.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3) or (H, W, 4)

    Returns
    -------
    ndarray, shape (H, W)
    """
    grey = np.empty(image.shape[:2], image.dtype)
    # By blocks of rows, because a float copy of a whole mosaic would take several times its memory.
    for start in range(0, len(image), _ROWS_AT_ONCE):
        rgb = image[start : start + _ROWS_AT_ONCE, :, :3]
        block = grey[start : start + _ROWS_AT_ONCE]
        if (rgb == rgb[..., :1]).all():
            block[...] = rgb[..., 0]
            continue
        luminance = rgb @ _LUMINANCE
        block[...] = luminance if image.dtype.kind == "f" else np.rint(luminance)
    return grey


def length_nm(value: Any, unit: Any) -> float | None:
    """A pixel size in nm, or ``None`` when it is not a plausible length.

    Parameters
    ----------
    value : float or str
        The number as the file has it; its sign (the direction of an axis) does not matter.
    unit : str or bytes or None
        Any spelling; without a unit there is no length.
    """
    factor = nm_per_unit(_text(unit)) if isinstance(unit, str | bytes) else None
    if factor is None:
        return None
    try:
        nm = abs(float(value)) * factor
    except (TypeError, ValueError):
        return None
    return nm if _PLAUSIBLE_NM[0] <= nm <= _PLAUSIBLE_NM[1] else None


def _text(unit: str | bytes) -> str:
    """A unit with its encoding repaired: ``µm`` as bytes, or as UTF-8 that was taken for Latin-1 (``Âµm``)."""
    text = unit.decode("latin-1") if isinstance(unit, bytes) else unit
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def json_like(value: Any) -> Any:
    """Metadata as dicts, lists, strings and numbers; what is bulky, binary or not finite is ``None``."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.ndarray):
        return json_like(value.tolist()) if value.size <= _LONGEST_ARRAY else None
    if isinstance(value, np.generic):
        return json_like(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, bytes):
        text = value.rstrip(b"\0")
        return text.decode() if len(text) <= _LONGEST_BYTES and text.isascii() and b"\0" not in text else None
    if isinstance(value, Mapping):
        return {str(key): json_like(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [json_like(item) for item in value] if len(value) <= _LONGEST_ARRAY else None
    return str(value)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warnings of the reading libraries; what matters is raised as an error."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
