"""HDF5 families: Velox EMD, Berkeley (NCEM) EMD and HSPY.

Read with h5py itself: a frame is one slice of one dataset, nothing in the file is ever executed, and no handle stays
open.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from emscout.errors import ReadError
from emscout.io.axes import Axis, frame_of_array, frames_of_array, grey_of_fields, image_axes
from emscout.io.frames import Frames, json_like

__all__ = ["open_hdf5"]


def open_hdf5(path: Path) -> Frames:
    """Open a Velox EMD, Berkeley EMD or HSPY file: the first image in it.

    Of a Velox file with several detectors that is the HAADF image where there is one.
    """
    with h5py.File(path, "r") as file:
        if "Data/Image" in file:
            return _open_velox(path, file)
        if "Experiments" in file:
            return _open_hspy(path, file)
        if "Data" in file:
            raise ReadError(f"'{path}' is a Velox file without an image: export the image you mean from Velox.")
        return _open_berkeley(path, file)


def _open_velox(path: Path, file: h5py.File) -> Frames:
    found = {name: _velox_metadata(group) for name, group in file["Data/Image"].items() if "Data" in group}
    # Fourier transforms and phase images of Velox have a compound dtype.
    real = [name for name in found if file[f"Data/Image/{name}/Data"].dtype.names is None]
    if not real:
        raise ReadError(f"'{path}' holds no image of grey values: export the image you mean from Velox.")
    detectors = {name: str(found[name].get("BinaryResult", {}).get("Detector", "")) for name in real}
    name = min(real, key=lambda name: (detectors[name] != "HAADF", not detectors[name]))
    metadata = found[name]
    data = file[f"Data/Image/{name}/Data"]
    result = metadata.get("BinaryResult", {})
    size = result.get("PixelSize", {})
    step = {"name": "Time", "scale": _velox_frame_time(metadata), "units": "s", "navigate": True}
    axes = [
        {"name": "y", "scale": size.get("height"), "units": result.get("PixelUnitY")},
        {"name": "x", "scale": size.get("width"), "units": result.get("PixelUnitX")},
        step,
    ]
    metadata = {**metadata, "images_in_file": [detectors[name] for name in real]}
    return _frames(path, data, axes, metadata)


def _velox_metadata(group: h5py.Group) -> dict[str, Any]:
    if "Metadata" not in group:
        return {}
    text = group["Metadata"][:, 0].tobytes().split(b"\0")[0]
    return json.loads(text) if text else {}


def _velox_frame_time(metadata: dict[str, Any]) -> float | None:
    """Seconds a frame: of the scan, or the exposure of the camera."""
    number = metadata.get("BinaryResult", {}).get("DetectorIndex")
    detector = metadata.get("Detectors", {}).get(f"Detector-{number}", {})
    is_camera = detector.get("DetectorType") == "ImagingDetector"
    time_s = detector.get("ExposureTime") if is_camera else metadata.get("Scan", {}).get("FrameTime")
    return None if time_s is None else float(time_s)


def _open_berkeley(path: Path, file: h5py.File) -> Frames:
    groups: list[h5py.Group] = []
    file.visititems(lambda _, item: groups.append(item) if "emd_group_type" in item.attrs else None)
    datasets = [
        dataset
        for group in groups
        if isinstance(group, h5py.Group)
        for name, dataset in group.items()
        if isinstance(dataset, h5py.Dataset) and not name.startswith("dim") and dataset.ndim > 0
    ]
    if not datasets:
        raise ReadError(f"'{path}' is an HDF5 file without an image emscout knows: save it as TIFF or HSPY.")
    data = next((dataset for dataset in datasets if dataset.ndim in (2, 3)), datasets[0])
    first = 0 if "dim0" in data.parent else 1
    axes = [_berkeley_axis(data.parent.get(f"dim{i + first}")) for i in range(data.ndim)]
    stores = ("microscope", "sample", "user", "comments", "stage")
    metadata = {name: dict(file[name].attrs) for name in stores if name in file}
    return _frames(path, data, axes, json_like({**metadata, "images_in_file": [item.name for item in datasets]}))


def _berkeley_axis(dimension: h5py.Dataset | None) -> Axis:
    if dimension is None:
        return {}
    positions = np.asarray(dimension, dtype=float)
    # Single precision: the whole length is more exact than the first step.
    scale = (positions[-1] - positions[0]) / (len(positions) - 1) if len(positions) > 1 else None
    name, units = (dimension.attrs.get(key) for key in ("name", "units"))
    as_text = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in (name, units)]
    return {"name": as_text[0], "units": as_text[1], "scale": scale}


def _open_hspy(path: Path, file: h5py.File) -> Frames:
    signals = [group for group in file["Experiments"].values() if isinstance(group, h5py.Group) and "data" in group]
    if not signals:
        raise ReadError(f"'{path}' holds no signal: save it again from HyperSpy.")
    signal = next((group for group in signals if group["data"].ndim in (2, 3)), signals[0])
    data = signal["data"]
    axes = [_attributes(signal.get(f"axis-{i}")) for i in range(data.ndim)]
    metadata = {name: _attributes(signal[name]) for name in ("metadata", "original_metadata") if name in signal}
    names = [group.name.rsplit("/", 1)[1] for group in signals]
    return _frames(path, data, axes, json_like({**metadata, "images_in_file": names}))


def _attributes(group: h5py.Group | None) -> dict[str, Any]:
    """A tree of groups with attributes as nested dicts; arrays kept in datasets are passed over."""
    if group is None:
        return {}
    entries = {key: value.item() if isinstance(value, np.generic) else value for key, value in group.attrs.items()}
    children = {key: _attributes(item) for key, item in group.items() if isinstance(item, h5py.Group)}
    return {**entries, **children}


def _frames(path: Path, data: h5py.Dataset, axes: list[Axis], metadata: dict[str, Any]) -> Frames:
    picked = image_axes(path, axes, data.shape, data.dtype)
    return frames_of_array(data, axes, picked, partial(_load, path, data.name, picked), metadata)


def _load(path: Path, dataset: str, picked: tuple[int, ...], frame: int) -> np.ndarray:
    with h5py.File(path, "r") as file:
        return grey_of_fields(frame_of_array(file[dataset], picked, frame))
