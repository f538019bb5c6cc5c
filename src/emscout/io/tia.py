"""TIA series: pixels and their size in a .ser file, the microscope's state in the .emi file beside it.

The layout is that of Boothroyd's description (https://personal.ntu.edu.sg/cbb/info/TIAformat/). RosettaSciIO reads
a whole series at once; here a frame is read when it is asked for.
"""

from __future__ import annotations

import re
import struct
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from emscout.errors import ReadError
from emscout.io.frames import Frames, length_nm, read_pixels

__all__ = ["open_tia", "series_of_emi"]

_IMAGES = 0x4122
_TIME_AND_POSITION = 0x4142
_DTYPES = {1: "u1", 2: "u2", 3: "u4", 4: "i1", 5: "i2", 6: "i4", 7: "f4", 8: "f8"}
_ELEMENT = struct.Struct("<ddiddiHII")


def open_tia(path: Path) -> Frames:
    """Open a .ser file, or the only .ser file of an .emi file."""
    if path.suffix.lower() == ".emi":
        found = series_of_emi(path)
        if not found:
            raise ReadError(f"'{path}' holds no pixels: put its .ser file ({path.stem}_1.ser) beside it.")
        if len(found) > 1:
            raise ReadError(f"'{path}' belongs to {len(found)} images: give one of them, such as '{found[0].name}'.")
        path = found[0]
    with path.open("rb") as file:
        head = file.read(34).ljust(34, b"\0")
        version, kind = struct.unpack_from("<H", head, 4)[0], struct.unpack_from("<I", head, 6)[0]
        length = struct.unpack_from("<I", head, 18)[0]
        offset_format = "<u8" if version >= 0x220 else "<u4"
        file.seek(struct.unpack_from("<Q" if version >= 0x220 else "<I", head, 22)[0])
        total = struct.unpack_from("<I", head, 14)[0]
        dimensions = struct.unpack_from("<I", head, 30 if version >= 0x220 else 26)[0]
        if kind != _IMAGES:
            raise ReadError(f"'{path}' holds spectra, not images: give it to a program for spectra.")
        if not 0 < length <= total:
            raise ReadError(f"'{path}' holds no finished image: its acquisition was stopped before the first.")
        if dimensions > 1:
            raise ReadError(
                f"'{path}' is a scan with an image at each point (4-D): save a line of it as its own series."
            )
        size = path.stat().st_size
        if total * 2 * np.dtype(offset_format).itemsize > size:
            raise ReadError(f"'{path}' is damaged: it names more frames than it can hold.")
        offsets = np.fromfile(file, offset_format, total)[:length]
        tag_offsets = np.fromfile(file, offset_format, total)[:length]
        file.seek(int(offsets[0]))
        _, column_size_m, _, _, row_size_m, _, code, width, height = _ELEMENT.unpack(file.read(_ELEMENT.size))
    dtype = np.dtype("<" + _DTYPES[code])
    metadata = _emi_metadata(path)
    rows, columns = length_nm(row_size_m, "m"), length_nm(column_size_m, "m")
    return Frames(
        load=partial(_load, path, [int(offset) for offset in offsets], (height, width), dtype),
        length=length,
        shape=(height, width),
        dtype=dtype,
        pixel_size_nm=None if _is_diffraction(metadata) or rows is None or columns is None else (rows, columns),
        times_s=_times_s(path, tag_offsets),
        metadata=metadata,
    )


def series_of_emi(path: Path) -> list[Path]:
    """The .ser files that belong to an .emi file: ``name_1.ser``, ``name_2.ser`` and so on."""
    pattern = re.compile(re.escape(path.stem) + r"_(\d+)\.ser", re.IGNORECASE)
    found = [(match, file) for file in path.parent.iterdir() if (match := pattern.fullmatch(file.name))]
    return [file for _, file in sorted(found, key=lambda pair: int(pair[0].group(1)))]


def _load(path: Path, offsets: list[int], shape: tuple[int, int], dtype: np.dtype, frame: int) -> np.ndarray:
    with path.open("rb") as file:
        file.seek(offsets[frame])
        *_, code, width, height = _ELEMENT.unpack(file.read(_ELEMENT.size))
    if (height, width) != shape or np.dtype("<" + _DTYPES[code]) != dtype:
        raise ReadError("its shape or dtype is not that of the first frame; split the series into files of one shape.")
    # Rows are stored from the bottom up.
    return read_pixels(path, offsets[frame] + _ELEMENT.size, dtype, shape)[::-1].copy()


def _is_diffraction(metadata: dict[str, Any]) -> bool:
    """Whether the pixels are steps of 1/m; the .ser file itself never says."""
    mode = metadata.get("ExperimentalDescription", {}).get("Mode", "")
    if "STEM" in mode:  # the projector always diffracts in STEM; only a camera sees that
        return "CameraNamePath" in metadata.get("AcquireInfo", {})
    return "Diffraction" in mode


def _times_s(path: Path, tag_offsets: np.ndarray) -> np.ndarray | None:
    """Seconds since the first frame; TIA writes whole seconds, so a fast series has no times."""
    times = []
    with path.open("rb") as file:
        for offset in tag_offsets:
            file.seek(int(offset))
            tag = file.read(8)
            if len(tag) < 8 or tag[:2] not in (b"\x42\x41", b"\x52\x41"):
                return None
            times.append(struct.unpack_from("<I", tag, 4)[0])
    seconds = np.array(times, dtype=float) - times[0]
    return seconds if len(seconds) > 1 and (np.diff(seconds) > 0).all() else None


def _emi_metadata(path: Path) -> dict[str, Any]:
    """What the .emi beside ``name_2.ser`` says of the second object; empty without one."""
    match = re.fullmatch(r"(.*)_(\d+)", path.stem)
    if match is None:
        return {}
    candidates = [path.with_name(match.group(1) + suffix) for suffix in (".emi", ".EMI")]
    emi = next((file for file in candidates if file.is_file()), None)
    if emi is None:
        return {}
    objects = re.findall(rb"<ObjectInfo>.*?</ObjectInfo>", emi.read_bytes(), re.DOTALL)
    number = int(match.group(2))
    if not 1 <= number <= len(objects):
        return {}
    try:
        return _xml_dict(ET.fromstring(objects[number - 1]))
    except ET.ParseError:
        return {}


def _xml_dict(node: ET.Element) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for child in node:
        if child.tag == "ExperimentalDescription":
            entries[child.tag] = {
                (item.findtext("Label") or ""): " ".join(filter(None, (item.findtext("Value"), item.findtext("Unit"))))
                for item in child.iter("Data")
            }
        else:
            entries[child.tag] = _xml_dict(child) if len(child) else child.text
    return entries
