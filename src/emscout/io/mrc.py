"""MRC images and stacks (MRC2014, IMOD and older).

Read here and not with RosettaSciIO, which takes a missing cell for 1 nm, signed bytes for unsigned ones, and the byte
order of old workstations for damage.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emscout.errors import ReadError
from emscout.io.frames import CUT_OFF, Frames, json_like, length_nm, read_pixels

__all__ = ["open_mrc"]

_DTYPES = {0: "u1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_COMPLEX = (3, 4)
_IMOD = 1146047817
_IMOD_SIGNED = 1
_OLD_FEI_HEADER = 1024 * 128
_HEADER_BYTES = 1024
_Order = Literal["<", ">"]
_FIELDS = {
    "columns": (0, "i4"),
    "rows": (4, "i4"),
    "sections": (8, "i4"),
    "mode": (12, "i4"),
    "grid": (28, "3i4"),
    "cell_angstrom": (40, "3f4"),
    "minimum_maximum_mean": (76, "3f4"),
    "extended_header_bytes": (92, "i4"),
    "extended_header_type": (104, "S4"),
    "version": (108, "i4"),
    "imod_stamp": (152, "i4"),
    "imod_flags": (156, "i4"),
    "origin_angstrom": (196, "3f4"),
    "signature": (208, "S4"),
    "labels": (224, "10S80"),
}


def open_mrc(path: Path) -> Frames:
    """Open an MRC file; one whose header names no cell is uncalibrated."""
    with path.open("rb") as file:
        raw, extended = file.read(_HEADER_BYTES), file.read(48)
    if len(raw) < _HEADER_BYTES:
        raise ReadError(f"'{path}': {CUT_OFF}")
    # Sizes and mode are small numbers; read in the wrong byte order they are huge ones.
    orders: tuple[_Order, _Order] = ("<", ">")
    order = min(orders, key=lambda order: np.frombuffer(raw[:16], order + "u4").max())
    header = _header(raw, order)
    mode, offset = header["mode"], _HEADER_BYTES + header["extended_header_bytes"]
    shape = (header["rows"], header["columns"])
    if mode in _COMPLEX:
        raise ReadError(
            f"'{path}' holds complex numbers (a Fourier transform or a wave): save its modulus as an image."
        )
    if mode not in _DTYPES or min(*shape, header["sections"]) < 1 or offset < _HEADER_BYTES:
        raise ReadError(f"'{path}' has no header of an MRC file emscout knows: save it anew, or as TIFF.")
    dtype = np.dtype(order + ("i1" if mode == 0 and _has_signed_bytes(header) else _DTYPES[mode]))
    is_old_fei = header["extended_header_bytes"] == _OLD_FEI_HEADER and len(extended) == 48
    size = _old_fei_pixel_size(extended, order) if is_old_fei else _cell_pixel_size(header)
    return Frames(
        load=partial(_load, path, offset, dtype, shape),
        length=header["sections"],
        shape=shape,
        dtype=dtype,
        pixel_size_nm=size,
        metadata=json_like(header),
    )


def _header(raw: bytes, order: _Order) -> dict[str, Any]:
    names, offsets, formats = list(_FIELDS), [o for o, _ in _FIELDS.values()], [f for _, f in _FIELDS.values()]
    layout = np.dtype({"names": names, "offsets": offsets, "formats": formats, "itemsize": _HEADER_BYTES})
    record = np.frombuffer(raw, layout.newbyteorder(order))[0]
    return {name: record[name].tolist() for name in names}


def _has_signed_bytes(header: dict[str, Any]) -> bool:
    if header["imod_stamp"] == _IMOD:
        return bool(header["imod_flags"] & _IMOD_SIGNED)
    return header["version"] in (20140, 20141)


def _cell_pixel_size(header: dict[str, Any]) -> tuple[float, float] | None:
    (columns, rows, _), (width, height, _) = header["grid"], header["cell_angstrom"]
    if columns < 1 or rows < 1:
        return None
    sizes = length_nm(height / rows, "Å"), length_nm(width / columns, "Å")
    return None if None in sizes else sizes  # type: ignore[return-value]


def _old_fei_pixel_size(extended: bytes, order: _Order) -> tuple[float, float] | None:
    """Metres a pixel, the twelfth number for the first frame; such files have no cell."""
    size = length_nm(np.frombuffer(extended, order + "f4")[11], "m")
    return None if size is None else (size, size)


def _load(path: Path, offset: int, dtype: np.dtype, shape: tuple[int, int], frame: int) -> np.ndarray:
    return read_pixels(path, offset + frame * math.prod(shape) * dtype.itemsize, dtype, shape)
