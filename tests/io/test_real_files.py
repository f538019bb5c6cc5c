"""Files of real instruments, where they are at hand."""

import csv
import warnings

import h5py
import numpy as np
import pytest

import emscout.io as io
from emscout.errors import NonSquarePixelsError, NotOneImageError, ReadError


@pytest.fixture(scope="session")
def expected(data):
    with (data / "vendor" / "expected.csv").open() as file:
        return [row | {"path": data / "vendor" / row["file"]} for row in csv.DictReader(file)]


def test_frames_shapes_and_pixel_sizes_are_as_expected(expected):
    wrong = []
    for row in expected:
        facts = io.inspect(row["path"])
        if row["frames"] and facts["frames"] != int(row["frames"]):
            wrong.append((row["file"], "frames", facts["frames"]))
        if row["shape"] and row["shape"] != f"{facts['height_px']}x{facts['width_px']}":
            wrong.append((row["file"], "shape", facts["height_px"], facts["width_px"]))
        if row["nm_per_px"] and facts["nm_per_px"] != pytest.approx(float(row["nm_per_px"]), rel=0.005):
            wrong.append((row["file"], "nm_per_px", facts["nm_per_px"]))
        if "uncalibrated" in row["expect"] and "unless" not in row["expect"] and facts["nm_per_px"] is not None:
            wrong.append((row["file"], "calibrated", facts["nm_per_px"]))
        if "stack" in row["expect"] and (facts["frames"] or 0) < 2:
            wrong.append((row["file"], "no stack", facts["frames"]))
    assert not wrong


def test_every_frame_reads_as_announced_or_says_why_not(expected, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for row in expected:
            facts = io.inspect(row["path"])
            try:
                series = io.read_series(row["path"])
            except ReadError as error:
                assert str(error) == facts["error"]
                assert row["file"] in str(error)
                continue
            assert facts["error"] is None
            for micrograph in series:
                assert micrograph.image.shape == (facts["height_px"], facts["width_px"])
                assert str(micrograph.image.dtype) == facts["dtype"]
                assert micrograph.nm_per_px == facts["nm_per_px"]
    assert capfd.readouterr() == ("", "")


def tagged(data, name):
    return io.read(data / "vendor" / name).nm_per_px


@pytest.mark.parametrize(
    ("name", "banner", "bar_nm", "within"),
    [("Zeiss_1.tif", slice(705, 760), 1000, 0.02), ("Tescan_1.TIF", slice(1150, 1240), 2000, 0.01)],
)
def test_the_tag_agrees_with_the_printed_bar(data, name, banner, bar_nm, within):
    micrograph = io.read(data / "vendor" / name)
    rows = micrograph.image[banner, 1:-1]
    is_white = rows > 0.9 * np.iinfo(rows.dtype).max
    bar_px = max(len(run) for row in is_white for run in "".join(" x"[white] for white in row.astype(int)).split())
    assert micrograph.nm_per_px == pytest.approx(bar_nm / bar_px, rel=within)


@pytest.mark.parametrize(("name", "is_upside_down"), [("03_Scanning Preview_1.ser", True), ("temp.mrc", False)])
def test_the_pixels_are_those_in_the_file(data, name, is_upside_down):
    content = (data / "vendor" / name).read_bytes()
    places = [
        content.find((micrograph.image[::-1] if is_upside_down else micrograph.image).tobytes())
        for micrograph in io.read_series(data / "vendor" / name)
    ]
    assert places[0] > 0
    assert (np.diff(places) > 0).all()


@pytest.mark.parametrize("name", ["test_dm_image_um_unit.dm3", "test_loading_image_saved_with_imageJ.tif"])
def test_micrometres_are_a_thousand_nanometres(data, name):
    assert tagged(data, name) == pytest.approx(168.67, rel=0.005)


@pytest.mark.parametrize("suffix", ["dm3", "dm4"])
def test_pixels_that_are_not_square(data, suffix):
    path = data / "vendor" / f"dmTest_float32_nonSquare_diffPixelSize.{suffix}"
    with pytest.raises(NonSquarePixelsError, match=r"`resample.*`pixel_size"):
        io.read(path)
    squared = io.read(path, resample=True)
    assert squared.image.shape == (64, 640)
    assert squared.nm_per_px == pytest.approx(0.2)
    given = io.read(path, pixel_size_nm=1)
    assert given.image.shape == (64, 128)


def test_a_velox_stack_has_times(data):
    path = data / "vendor" / "fei_example_tem_stack.emd"
    np.testing.assert_allclose(io.read_series(path).times_s, [0, 0.8])
    with pytest.raises(NotOneImageError, match=r"2 frames.*read_series"):
        io.read(path)


def test_a_berkeley_image_is_not_transposed(data):
    path = data / "vendor" / "Acquisition_18.emd"
    with h5py.File(path) as file:  # dim1 is Y, dim2 is X
        stored = file["data/single/data"][:]
    np.testing.assert_array_equal(io.read(path).image, stored)


def test_a_velox_image_is_not_transposed(data):
    path = data / "vendor" / "Camera Ceta Imaging Micro.emd"
    with h5py.File(path) as file:
        (group,) = file["Data/Image"].values()
        stored = group["Data"][:, :, 0]
    np.testing.assert_array_equal(io.read(path).image, stored)


def test_a_folder_of_frames_is_a_series(data):
    series = io.read_series(data / "in_situ_gold" / "frames")
    assert len(series) == 91
    assert series.shape == (369, 369)
    assert series[0].image.dtype == np.uint8
    assert 10 < len(np.unique(series[0].image)) < 30


def test_16_bit_tiles_keep_their_grey_values(data):
    tile = io.read(next((data / "micro_crystals" / "graphite_high").glob("*.tif")))
    assert tile.image.dtype == np.uint16
    assert tile.image.max() > 255
    assert tile.calibration is None
