"""DM3/DM4, SER/EMI, EMD, HSPY and MRC, as RosettaSciIO reads them: opened lazily, one frame at a time.

What is here besides handing over are guards for what it gets wrong (version 0.15), each with the defect beside it.
"""

from __future__ import annotations

import logging
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import h5py
import numpy as np

from emscout.errors import ReadError
from emscout.io.axes import frame_of_array, frames_of_array, grey_of_fields, image_axes
from emscout.io.emi import is_diffraction, microscope_state, series_of_emi
from emscout.io.frames import CUT_OFF, Frames, json_like
from emscout.io.ser import read_ser

__all__ = ["open_gatan", "open_hdf5", "open_mrc", "open_tia"]

# What RosettaSciIO says of an image: data (an array, or a lazy one), axes, metadata, original_metadata.
Signal = dict[str, Any]

_MRC_BYTES_PER_PIXEL = {0: 1, 1: 2, 2: 4, 4: 8, 6: 2, 12: 2}
_MRC_WITH_SIGNED_BYTES = (20140, 20141)
_IMOD = 1146047817


def open_gatan(path: Path) -> Frames:
    """Open a DM3 or DM4 file: the first of its images, thumbnails aside."""
    return _open(path, _read_gatan)


def open_hdf5(path: Path) -> Frames:
    """Open a Velox EMD, Berkeley EMD or HSPY file: the first image in it.

    Of a Velox file with several detectors that is the HAADF image where there is one.
    """
    return _open(path, _read_hdf5)


def open_mrc(path: Path) -> Frames:
    """Open an MRC file; one whose header names no cell is uncalibrated."""
    return _open(path, _read_mrc)


def open_tia(path: Path) -> Frames:
    """Open a .ser file, or the only .ser file of an .emi file; a diffraction pattern is uncalibrated."""
    if path.suffix.lower() == ".emi":
        found = series_of_emi(path)
        if not found:
            raise ReadError(f"'{path}' holds no pixels: put its .ser file ({path.stem}_1.ser) beside it.")
        if len(found) > 1:
            raise ReadError(f"'{path}' belongs to {len(found)} images: give one of them, such as '{found[0].name}'.")
        path = found[0]
    frames, state = _open(path, _read_ser), microscope_state(path)
    size = None if is_diffraction(state) else frames.pixel_size_nm
    return replace(frames, pixel_size_nm=size, metadata=frames.metadata | state)


def _open(path: Path, read: Callable[[Path], Signal]) -> Frames:
    with _opened(path, read) as signal:
        data, axes = signal["data"], signal["axes"]
        picked = image_axes(path, axes, data.shape, data.dtype)
        metadata = json_like(signal["original_metadata"])
        frames = frames_of_array(data, axes, picked, partial(_load, path, read, picked), metadata)
        # Frames that a cut-off file speaks of and does not have are missed one by one.
        return replace(frames, length=signal.get("announced", frames.length))


def _load(path: Path, read: Callable[[Path], Signal], picked: tuple[int, ...], frame: int) -> np.ndarray:
    with _opened(path, read) as signal:
        if "announced" in signal and frame >= len(signal["data"]):
            raise ReadError(CUT_OFF)
        pixels = frame_of_array(signal["data"], picked, frame)
        if not isinstance(pixels, np.ndarray):
            # In one thread, because worker processes call this too.
            pixels = pixels.compute(scheduler="synchronous")
        # Copied, so that neither a mapping of the file nor a whole series lives on in a frame.
        return grey_of_fields(np.array(pixels))


@contextmanager
def _opened(path: Path, read: Callable[[Path], Signal]) -> Iterator[Signal]:
    if read is not _read_hdf5:
        stat = path.stat()
        yield _signal_as_of(path, read, stat.st_mtime_ns, stat.st_size)
        return
    signal = read(path)
    try:
        yield signal
    finally:
        from rsciio.utils.file import get_file_handle

        # A lazy signal keeps its file open, and on Windows nobody could move or delete it.
        if (file := get_file_handle(signal["data"], warn=False)) is not None:
            file.close()


# Opening parses all tags, and the frames of a stack are mostly asked for one after the other. The state of the file is
# part of the key, so that a file written anew is read anew.
@lru_cache(maxsize=1)
def _signal_as_of(path: Path, read: Callable[[Path], Signal], mtime_ns: int, size: int) -> Signal:
    return read(path)


def _file_reader(name: str) -> Callable[..., list[Signal]]:
    is_first_use = "rsciio" not in sys.modules
    reader = import_module(f"rsciio.{name}").file_reader  # here, because it loads dask, which takes a second
    if is_first_use:
        # On being imported it makes its log go to the screen.
        logging.getLogger("rsciio").handlers = [logging.NullHandler()]
    return reader


def _first_image(signals: Sequence[Signal], names: Sequence[str] | None = None) -> Signal:
    first = next((signal for signal in signals if signal["data"].ndim in (2, 3)), signals[0])
    names = names or [str(signal["metadata"].get("General", {}).get("title", "")) for signal in signals]
    return first | {"original_metadata": {**first["original_metadata"], "images_in_file": names}}


def _read_gatan(path: Path) -> Signal:
    reader = _file_reader("digitalmicrograph")
    try:
        signals = reader(str(path), lazy=True, chunks=-1)
    except ValueError as error:
        if "RGBA" not in str(error):
            raise
        signals = reader(str(path))
    if not signals:
        raise ReadError(f"'{path}' holds no image: open it in DigitalMicrograph and save one.")
    return _first_image(signals)


def _read_ser(path: Path) -> Signal:
    return read_ser(path, lambda path: _file_reader("tia")(str(path))[0])


def _read_mrc(path: Path) -> Signal:
    with path.open("rb") as file:
        head = file.read(1024)
    if len(head) < 1024:
        raise ReadError(f"'{path}': {CUT_OFF}")
    # Sizes and mode are small numbers; read in the wrong byte order they are huge ones.
    order = min("<>", key=lambda order: max(struct.unpack_from(f"{order}4I", head)))
    *shape, mode = struct.unpack_from(f"{order}4i", head)
    (extended_header,), (version,) = (struct.unpack_from(f"{order}i", head, place) for place in (92, 108))
    if mode not in _MRC_BYTES_PER_PIXEL or min(shape) < 1 or extended_header < 0:
        raise ReadError(f"'{path}' has no MRC header that emscout knows: save it again, or as TIFF.")
    columns, rows, length = shape
    there = (path.stat().st_size - 1024 - extended_header) // (rows * columns * _MRC_BYTES_PER_PIXEL[mode])
    if there < 1:
        raise ReadError(f"'{path}': {CUT_OFF}")
    if there < length:
        return _read_whole_frames_of_mrc(path, head, order, there)
    options = {"lazy": True, "chunks": -1, "endianness": order, "metadata_file": None}
    (signal,) = _file_reader("mrc")(str(path), **options)
    # RosettaSciIO minds the byte order in the header only, and takes all bytes for unsigned.
    stamp, flags = struct.unpack_from(f"{order}2i", head, 152)
    has_signed_bytes = flags & 1 if stamp == _IMOD else version in _MRC_WITH_SIGNED_BYTES
    dtype = np.dtype("i1") if mode == 0 and has_signed_bytes else signal["data"].dtype.newbyteorder(order)
    signal["data"] = signal["data"].view(dtype)
    # RosettaSciIO answers 1 nm where there is no cell.
    header = signal["original_metadata"]["std_header"]
    if "fei_header" not in signal["original_metadata"] and 0 in (header["MX"], header["MY"]):
        for axis in signal["axes"]:
            axis["units"] = None
    return signal


def _read_whole_frames_of_mrc(path: Path, head: bytes, order: str, there: int) -> Signal:
    """What is left of a stack that was cut off; RosettaSciIO would take forever to plan the reading of what is missing.

    It is read from a copy of the header that speaks of no more frames than are there.
    """
    (extended_header,) = struct.unpack_from(f"{order}i", head, 92)
    columns, rows, length, mode = struct.unpack_from(f"{order}4i", head)
    with NamedTemporaryFile(suffix=".mrc", delete=False) as short:
        short.write(head[:8] + struct.pack(f"{order}i", 1) + head[12:])
        with path.open("rb") as file:
            file.seek(1024)
            short.write(file.read(extended_header + rows * columns * _MRC_BYTES_PER_PIXEL[mode]))
    try:
        signal = _read_mrc(Path(short.name))
        dtype = signal["data"].dtype
    finally:
        with suppress(OSError):
            Path(short.name).unlink()
    signal["data"] = np.memmap(path, dtype, "r", 1024 + extended_header, (there, rows, columns))
    signal["axes"] = [{"name": "z", "navigate": True}, *signal["axes"][-2:]]
    return signal | {"announced": length}


def _read_hdf5(path: Path) -> Signal:
    with h5py.File(path) as file:
        is_velox, is_hspy = "Data" in file, "Experiments" in file
        counts_from_0 = file.visit(lambda name: name.endswith("/dim0") or None)
    if is_velox:
        return _read_velox(path)
    if is_hspy:
        signals = [signal for signal in _file_reader("hspy")(str(path), lazy=True) if "data" in signal]
        first = _first_image(signals)
        return first | {"original_metadata": {"metadata": first["metadata"], **first["original_metadata"]}}
    return _read_berkeley(path, is_reversed=not counts_from_0)


def _read_velox(path: Path) -> Signal:
    _file_reader("emd")  # for what it does to the log
    from rsciio.emd._emd_velox import FeiEMDReader

    # Of a file with spectra the file_reader of RosettaSciIO wants the package sparse even when it is asked for the
    # images alone; by then it has read them.
    reader = FeiEMDReader(lazy=True, select_type="images", load_SI_image_stack=True)
    with suppress(ModuleNotFoundError):
        reader.read_file(h5py.File(path))
    # Fourier transforms and phase images of Velox are complex.
    images = [signal for signal in reader.dictionaries if signal["data"].dtype.kind != "c"]
    if not images:
        raise ReadError(f"'{path}' is a Velox file without a grey-value image: export one from Velox.")
    names = [str(signal["original_metadata"]["BinaryResult"].get("Detector", "")) for signal in images]
    best = min(range(len(images)), key=lambda i: (names[i] != "HAADF", not names[i]))
    signal = _first_image([images[best]], names)
    # RosettaSciIO gives a series of a camera the frame time of the scan, where the file has one.
    number = signal["original_metadata"]["BinaryResult"].get("DetectorIndex")
    detector = signal["original_metadata"].get("Detectors", {}).get(f"Detector-{number}", {})
    if detector.get("DetectorType") == "ImagingDetector" and "ExposureTime" in detector:
        signal["axes"][0] |= {} if len(signal["axes"]) < 3 else {"scale": detector["ExposureTime"], "units": "s"}
    return signal


def _read_berkeley(path: Path, *, is_reversed: bool) -> Signal:
    try:
        signals = _file_reader("emd")(str(path), lazy=True, stack_group=False)
    except OSError as error:
        if "not a supported EMD file" not in str(error):
            raise
        signals = []
    if not signals:
        raise ReadError(f"'{path}' is an HDF5 file without an image emscout knows: save it as TIFF or HSPY.")
    signal = _first_image(signals)
    if is_reversed:
        # RosettaSciIO turns all axes round, as they are in the files it writes itself; those of others have rows first.
        signal |= {"data": signal["data"].T, "axes": signal["axes"][::-1]}
    return signal
