"""Small files of every family, written byte by byte or by the libraries that own the format."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def write_ser(path: Path, frames: np.ndarray, nm_per_px: float, *, times: Sequence[int] | None = None) -> Path:
    """A TIA series of uint16 images, with the time tags of a camera."""
    length, height, width = frames.shape
    dimension = struct.pack("<IddII6sI", length, 0, 1, 0, 6, b"Number", 0)
    head_bytes, array_bytes = 30 + len(dimension), 8 * length
    element = struct.Struct("<ddiddiHII")
    body, offsets, tags = b"", [], []
    start = head_bytes + array_bytes
    for i, frame in enumerate(frames):
        offsets.append(start + len(body))
        size_m = nm_per_px * 1e-9
        body += element.pack(0, size_m, 0, 0, size_m, 0, 2, width, height) + frame[::-1].astype("<u2").tobytes()
        tags.append(start + len(body))
        body += struct.pack("<HHI", 0x4152, 0, 1_500_000_000 + (times[i] if times else i))
    head = struct.pack("<HHHIIIIII", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, length, length, head_bytes, 1)
    path.write_bytes(head + dimension + struct.pack(f"<{2 * length}I", *offsets, *tags) + body)
    return path


def write_emi(path: Path, mode: str = "TEM uP SA Zoom Image") -> Path:
    data = f"<Data><Label>Mode</Label><Value>{mode}</Value><Unit></Unit></Data>"
    description = f"<ExperimentalDescription><Root>{data}</Root></ExperimentalDescription>"
    path.write_bytes(b"JK\0\2 binary \xff\xfe" + f"<ObjectInfo>{description}</ObjectInfo>".encode() + b"\0tail")
    return path


def write_mrc(
    path: Path,
    frames: np.ndarray,
    nm_per_px: float | None,
    *,
    order: str = "<",
    signature: bytes = b"MAP ",
    version: int = 20140,
) -> Path:
    """An MRC stack; without a pixel size the header names no cell."""
    modes = {"i1": 0, "i2": 1, "f4": 2, "c8": 4, "u2": 6}
    length, height, width = frames.shape
    cell = [10 * nm_per_px * n for n in (width, height, length)] if nm_per_px else [0.0] * 3
    grid = [width, height, length] if nm_per_px else [0] * 3
    head = bytearray(1024)
    struct.pack_into(order + "4i", head, 0, width, height, length, modes[frames.dtype.str[1:]])
    struct.pack_into(order + "3i3f", head, 28, *grid, *cell)
    struct.pack_into(order + "i", head, 108, version)
    head[208:212] = signature
    path.write_bytes(bytes(head) + frames.astype(frames.dtype.newbyteorder(order)).tobytes())
    return path


def write_velox(
    path: Path,
    images: dict[str, np.ndarray],
    nm_per_px: float,
    *,
    frame_time_s: float = 0.5,
    exposure_time_s: float | None = None,
    has_spectra: bool = False,
) -> Path:
    """A Velox EMD with an image a detector, each (frames, height, width); an exposure time makes it a camera's."""
    with h5py.File(path, "w") as file:
        file["Version"] = [json.dumps({"format": "Velox", "version": "8"})]
        if has_spectra:
            file.create_group("Data/SpectrumImage")
            file.create_group("Presentation/Displays/ImageDisplay")
        for number, (detector, frames) in enumerate(images.items()):
            group = file.create_group(f"Data/Image/{number:032x}")
            group.create_dataset("Data", data=np.moveaxis(frames, 0, -1), chunks=(*frames.shape[1:], 1))
            size = {"width": str(nm_per_px * 1e-9), "height": str(nm_per_px * 1e-9)}
            metadata: dict[str, Any] = {
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1500000000"}},
                "BinaryResult": {"PixelSize": size, "PixelUnitX": "m", "PixelUnitY": "m", "Detector": detector},
                "Scan": {"FrameTime": str(frame_time_s)},
                "Stage": {"Position": {"x": "1e-6", "y": "-2e-6"}},
            }
            if exposure_time_s is not None:
                metadata["BinaryResult"]["DetectorIndex"] = "0"
                camera = {"DetectorType": "ImagingDetector", "DetectorName": detector}
                metadata["Detectors"] = {"Detector-0": {**camera, "ExposureTime": str(exposure_time_s)}}
            text = json.dumps(metadata).encode().ljust(2000, b"\0")
            group["Metadata"] = np.repeat(np.frombuffer(text, np.uint8)[:, None], len(frames), axis=1)
    return path


def write_berkeley(path: Path, image: np.ndarray, nm_per_px: float, names: Sequence[str], unit: str = "[n_m]") -> Path:
    """A Berkeley EMD whose axes are called ``names``."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"version_major": 0, "version_minor": 2})
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = image
        for i, (name, n) in enumerate(zip(names, image.shape, strict=True)):
            group[f"dim{i + 1}"] = np.arange(n) * nm_per_px
            group[f"dim{i + 1}"].attrs.update({"name": name, "units": unit})
    return path


def write_dm3(path: Path, frames: np.ndarray, nm_per_px: float, unit: str = "nm") -> Path:
    """A DM3 stack of uint16 images (or float32, complex64), with the tags that matter."""
    codes = {"u2": (10, 4), "f4": (2, 6), "c8": (3, 0)}
    data_type, element_type = codes[frames.dtype.str[1:]]
    shape = [n for n in frames.shape[::-1] if n > 1] if frames.ndim > 2 else list(frames.shape[::-1])
    calibration = {"Origin": 0.0, "Scale": nm_per_px, "Units": unit}
    frame_axis = {"Origin": 0.0, "Scale": 2.0, "Units": "s"}
    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": [calibration, calibration, frame_axis][: len(shape)],
            },
            "Data": (element_type, frames),
            "DataType": data_type,
            "Dimensions": shape,
            "PixelDepth": frames.itemsize,
        },
        "ImageTags": {"Microscope Info": {"Voltage": 200_000.0}},
        "Name": "written",
    }
    tags = {"DocumentObjectList": [], "ImageList": [image], "Thumbnails": []}
    body = _dm_group(tags)
    path.write_bytes(struct.pack(">3I", 3, len(body), 1) + body + bytes(8))
    return path


def _dm_group(tags: dict[str, Any] | list[Any]) -> bytes:
    items = list(tags.items()) if isinstance(tags, dict) else [("", item) for item in tags]
    entries = b""
    for name, value in items:
        is_group = isinstance(value, dict | list)
        entries += struct.pack(">BH", 20 if is_group else 21, len(name)) + name.encode("latin-1")
        entries += _dm_group(value) if is_group else _dm_value(value)
    return struct.pack(">BBI", 1, 0, len(items)) + entries


def _dm_value(value: Any) -> bytes:
    if isinstance(value, tuple):
        element_type, array = value
        info, data = [20, element_type, array.size], array.tobytes()
    elif isinstance(value, str):
        info, data = [20, 4, len(value)], value.encode("utf-16-le")
    elif isinstance(value, int):
        info, data = [5], struct.pack("<I", value)
    else:
        info, data = [6], struct.pack("<f", value)
    return b"%%%%" + struct.pack(f">I{len(info)}I", len(info), *info) + data
