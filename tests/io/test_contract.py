"""One contract for every reader."""

import json
import pickle
from pathlib import Path

import imageio
import numpy as np
import pytest
import tifffile
from PIL import Image
from rsciio.hspy import file_writer as write_hspy
from tests.io.written import write_berkeley, write_dm3, write_emi, write_mrc, write_ser, write_velox

import emscout.io as io
from emscout.io.families import READERS, family_of

NM_PER_PX = 0.5
FRAMES = np.arange(3 * 7 * 9, dtype=np.uint16).reshape(3, 7, 9) * 100


def hspy(path: Path, frames: np.ndarray) -> Path:
    axes = [
        {"name": name, "size": n, "scale": scale, "units": units, "offset": 0.0, "navigate": name == "time"}
        for name, n, scale, units in zip(
            ("time", "y", "x"), frames.shape, (2.0, NM_PER_PX, NM_PER_PX), ("s", "nm", "nm"), strict=True
        )
    ]
    signal = {
        "data": frames,
        "axes": axes,
        "metadata": {"General": {"title": "written"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "attributes": {"_lazy": False},
        "tmp_parameters": {},
        "learning_results": {},
        "models": {},
        "package_info": {"package": "hyperspy", "package_version": "2.0"},
    }
    write_hspy(str(path), signal)
    return path


def imagej(path: Path, frames: np.ndarray) -> Path:
    metadata = {"unit": "um", "axes": "TYX", "finterval": 2.0}
    tifffile.imwrite(path, frames, imagej=True, resolution=(1000 / NM_PER_PX,) * 2, metadata=metadata)
    return path


def png(path: Path, frames: np.ndarray) -> Path:
    Image.fromarray(frames[0]).save(path, dpi=(300, 300))
    return path


def avi(path: Path, frames: np.ndarray) -> Path:
    settings = {"fps": 4, "codec": "rawvideo", "pixelformat": "gray", "macro_block_size": 1}
    with imageio.get_writer(path, format="FFMPEG", mode="I", **settings) as writer:
        for frame in frames:
            writer.append_data(np.stack([frame] * 3, axis=-1))
    return path


# Reader, file name, writer, frames the format can hold, whether it can hold a pixel size.
WRITTEN = {
    "png": ("picture", "a.png", png, 1, False),
    "tiff": ("tiff", "a.tif", imagej, 3, True),
    "dm3": ("gatan", "a.dm3", lambda p, f: write_dm3(p, f, NM_PER_PX), 3, True),
    "ser": ("tia", "a_1.ser", lambda p, f: write_ser(p, f, NM_PER_PX), 3, True),
    "velox": ("hdf5", "a.emd", lambda p, f: write_velox(p, {"HAADF": f}, NM_PER_PX), 3, True),
    "berkeley": ("hdf5", "b.emd", lambda p, f: write_berkeley(p, f[0], NM_PER_PX, "YX"), 1, True),
    "hspy": ("hdf5", "a.hspy", hspy, 3, True),
    "mrc": ("mrc", "a.mrc", lambda p, f: write_mrc(p, f, NM_PER_PX), 3, True),
    "avi": ("video", "a.avi", avi, 3, False),
}
# What the format can hold: a video has 8 bits.
FRAMES_OF = {name: (FRAMES // 100).astype(np.uint8) if name == "avi" else FRAMES for name in WRITTEN}


def test_every_reader_is_under_contract():
    assert {family for family, *_ in WRITTEN.values()} == set(READERS)


@pytest.fixture(params=WRITTEN)
def written(request, tmp_path):
    if request.param == "avi":
        pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    family, name, write, length, has_size = WRITTEN[request.param]
    return family, write(tmp_path / name, FRAMES_OF[request.param]), length, has_size


@pytest.fixture
def frames(request):
    """What was written into the file."""
    return FRAMES_OF[request.node.callspec.params["written"]]


def test_a_file_goes_to_its_reader(written):
    family, path, *_ = written
    assert family_of(path) == family
    assert path.suffix in READERS[family].suffixes


def test_pixels_come_out_as_they_went_in(written, frames):
    _, path, length, _ = written
    series = io.read_series(path)
    assert len(series) == length
    for i, micrograph in enumerate(series):
        np.testing.assert_array_equal(micrograph.image, frames[i])
        assert micrograph.image.dtype == frames.dtype == series.dtype
        assert micrograph.image.flags.c_contiguous
        assert micrograph.image.flags.writeable
        assert micrograph.path == path


def test_inspect_agrees_with_read(written, frames):
    _, path, length, has_size = written
    micrograph = io.read(path, frame=0)
    facts = io.inspect(path)
    assert facts == {
        "path": str(path),
        "frames": length,
        "height_px": 7,
        "width_px": 9,
        "dtype": str(frames.dtype),
        "nm_per_px": micrograph.nm_per_px,
        "calibration_source": "metadata" if has_size else None,
        "error": None,
    }
    json.dumps(facts)


def test_the_pixel_size_is_the_files_or_none(written):
    _, path, _, has_size = written
    assert io.read(path, frame=0).nm_per_px == (pytest.approx(NM_PER_PX, rel=1e-4) if has_size else None)


def test_a_given_pixel_size_wins(written):
    _, path, *_ = written
    calibration = io.read(path, frame=0, pixel_size_nm=3).calibration
    assert (calibration.nm_per_px, calibration.source) == (3, "user")


def test_metadata_is_json(written):
    _, path, *_ = written
    metadata = io.read(path, frame=0).metadata
    assert json.loads(json.dumps(metadata)) == metadata


def test_a_series_pickles_without_pixels(written, frames):
    _, path, length, _ = written
    pickled = pickle.dumps(io.read_series(path))
    assert len(pickled) < 20_000
    np.testing.assert_array_equal(pickle.loads(pickled)[length - 1].image, frames[length - 1])


def test_a_cut_off_file_is_an_error_that_names_it(written):
    _, path, *_ = written
    content = path.read_bytes()
    for keep in (1, 10, len(content) // 3, len(content) // 2):
        path.write_bytes(content[:keep])
        with pytest.raises(io.reading.ReadError, match=path.name):
            for _ in io.read_series(path):
                pass


@pytest.mark.parametrize(("name", "step_s"), [("tiff", 2), ("dm3", 2), ("ser", 1), ("velox", 0.5), ("hspy", 2)])
def test_times_of_frames(name, step_s, tmp_path):
    _, file_name, write, length, _ = WRITTEN[name]
    series = io.read_series(write(tmp_path / file_name, FRAMES))
    np.testing.assert_allclose(series.times_s, np.arange(length) * step_s)


def test_an_emi_stands_for_its_ser(tmp_path):
    write_ser(tmp_path / "a_1.ser", FRAMES[:1], NM_PER_PX)
    micrograph = io.read(write_emi(tmp_path / "a.emi"))
    np.testing.assert_array_equal(micrograph.image, FRAMES[0])
    assert micrograph.metadata["ExperimentalDescription"]["Mode"] == "TEM uP SA Zoom Image"


def test_the_whole_frames_of_an_mrc_that_was_cut_off_are_there(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, NM_PER_PX)
    path.write_bytes(path.read_bytes()[:-5])
    series = io.read_series(path)
    assert len(series) == 3
    assert series.calibration.nm_per_px == pytest.approx(NM_PER_PX, rel=1e-4)
    np.testing.assert_array_equal(series[1].image, FRAMES[1])
    with pytest.raises(io.reading.ReadError, match=r"frame 2 of .*a\.mrc.*cut off"):
        series[2]


def test_the_whole_frames_of_a_ser_that_was_cut_off_are_there(tmp_path):
    path = write_ser(tmp_path / "a_1.ser", FRAMES, NM_PER_PX)
    path.write_bytes(path.read_bytes()[:-50])
    series = io.read_series(path)
    assert len(series) == len(FRAMES)
    assert series.calibration.nm_per_px == pytest.approx(NM_PER_PX, rel=1e-4)
    np.testing.assert_array_equal(series[1].image, FRAMES[1])
    with pytest.raises(io.reading.ReadError, match=r"frame 2 of .*a_1\.ser.*cut off"):
        series[2]


def test_a_ser_that_was_cut_off_in_its_first_frame_is_refused(tmp_path):
    path = write_ser(tmp_path / "a_1.ser", FRAMES, NM_PER_PX)
    path.write_bytes(path.read_bytes()[: 30 + 38 + 8 * len(FRAMES) + 100])
    with pytest.raises(io.reading.ReadError, match=r"a_1\.ser"):
        io.read_series(path)
