"""Colour, pixel sizes, folders, and what bad input gets."""

import io as stdio
import logging
import os
import struct
import subprocess
import sys
import threading
import zipfile
from contextlib import suppress

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.io.written import write_berkeley, write_dm3, write_emi, write_mrc, write_ser, write_velox

from emscout.errors import CalibrationError, EmscoutError, NonSquarePixelsError, NotOneImageError, ReadError
from emscout.io import inspect, read, read_series
from emscout.io.colour import read_colours

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 255, (20, 24), dtype=np.uint8)
FRAMES = RNG.integers(0, 2**16, (3, 20, 24), dtype=np.uint16)


def saved(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


# Pictures


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_grey_pictures(tmp_path, suffix):
    np.testing.assert_array_equal(read(saved(tmp_path / f"a.{suffix}", GREY)).image, GREY)


def test_jpeg(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    image = read(saved(tmp_path / "a.JPG", ramp, format="JPEG", quality=95)).image
    np.testing.assert_allclose(image.astype(int), ramp.astype(int), atol=3)


def test_a_grey_picture_stored_in_colour_keeps_its_grey_values(tmp_path):
    rgba = np.dstack([GREY, GREY, GREY, RNG.integers(0, 255, GREY.shape, dtype=np.uint8)])
    np.testing.assert_array_equal(read(saved(tmp_path / "a.png", rgba)).image, GREY)


def test_a_palette_picture(tmp_path):
    Image.fromarray(GREY // 16 * 16).convert("RGB").quantize(16).save(tmp_path / "a.png")
    np.testing.assert_allclose(read(tmp_path / "a.png").image, GREY // 16 * 16)


def test_16_bits_a_channel_are_not_cut_to_8(tmp_path):
    import imagecodecs

    deep = np.repeat(FRAMES[0][..., None], 3, axis=2)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(deep))
    image = read(tmp_path / "a.png").image
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, FRAMES[0])


def test_a_mosaic_is_not_a_decompression_bomb_and_the_limit_for_other_code_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = saved(tmp_path / "a.png", GREY)
    limits, ended = set(), threading.Event()

    def watch():
        while not ended.is_set():
            limits.add(Image.MAX_IMAGE_PIXELS)

    other = threading.Thread(target=watch)
    other.start()
    try:
        for _ in range(200):
            assert read(path).image.shape == GREY.shape
            assert read_colours(path).shape == GREY.shape
    finally:
        ended.set()
        other.join()
    assert limits == {10}


def test_what_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    path = write_mrc(tmp_path / "huge.mrc", np.zeros((1, 20, 30), np.uint16), 1.0)
    with path.open("r+b") as file:
        file.write(struct.pack("<2i", 50_000, 60_000))
        file.truncate(1024 + 2 * 50_000 * 60_000)  # takes no place on the disk
    with pytest.raises(ReadError, match=r"'.*huge.mrc' is 50000 x 60000 px, more than .*: crop it or bin it"):
        read(path)
    assert read_series(path).shape == (60_000, 50_000)


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8)), np.full((8, 8), np.nan), np.full((1, 1), 7.0)], ids=["0", "nan", "1x1"]
)
def test_images_without_contrast_read_as_they_are(tmp_path, image):
    tifffile.imwrite(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(read(tmp_path / "a.tif").image, image)


# Pixel sizes


@pytest.mark.parametrize("given", [0, -1, float("nan"), float("inf")])
def test_a_given_pixel_size_must_be_one(tmp_path, given):
    with pytest.raises(CalibrationError):
        read(saved(tmp_path / "a.png", GREY), pixel_size_nm=given)


def test_an_mrc_without_a_cell_is_uncalibrated(tmp_path):
    assert read(write_mrc(tmp_path / "a.mrc", FRAMES[:1], None)).calibration is None


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f4"])
def test_mrc_of_any_byte_order_and_mode(tmp_path, order, dtype):
    frames = (FRAMES % 251).astype(dtype)
    micrograph = read(write_mrc(tmp_path / "a.mrc", frames, 0.5, order=order, signature=bytes(4)), frame=2)
    np.testing.assert_array_equal(micrograph.image, frames[2])
    assert micrograph.image.dtype == np.dtype(dtype)
    assert micrograph.nm_per_px == pytest.approx(0.5)


def test_old_mrc_bytes_are_unsigned(tmp_path):
    frames = GREY[None].view(np.int8)
    np.testing.assert_array_equal(read(write_mrc(tmp_path / "a.mrc", frames, 1, version=0)).image, GREY)


@pytest.mark.parametrize(("unit", "nm"), [("µm", 500), ("nm", 0.5), ("1/nm", None), ("", None)])
def test_units_of_gatan(tmp_path, unit, nm):
    assert read(write_dm3(tmp_path / "a.dm3", FRAMES[0], 0.5, unit)).nm_per_px == (nm and pytest.approx(nm))


@pytest.mark.parametrize(("unit", "nm"), [("n_m", 0.5), ("[n_m]", 0.5), ("[u_m]", 500), ("Å", 0.05), ("n_m^-1", None)])
def test_units_of_berkeley_emd(tmp_path, unit, nm):
    micrograph = read(write_berkeley(tmp_path / "a.emd", FRAMES[0], 0.5, "YX", unit))
    assert micrograph.nm_per_px == (nm and pytest.approx(nm))


def test_berkeley_axes_go_by_their_names(tmp_path):
    np.testing.assert_array_equal(read(write_berkeley(tmp_path / "a.emd", FRAMES[0], 1, "yx")).image, FRAMES[0])
    np.testing.assert_array_equal(read(write_berkeley(tmp_path / "b.emd", FRAMES[0], 1, "xy")).image, FRAMES[0].T)
    np.testing.assert_array_equal(read(write_berkeley(tmp_path / "c.emd", FRAMES[0], 1, "ab")).image, FRAMES[0])


def test_the_haadf_image_of_a_velox_file_is_taken(tmp_path):
    path = write_velox(tmp_path / "a.emd", {"": FRAMES[:1], "BF": FRAMES[1:2], "HAADF": FRAMES[2:]}, 0.5)
    micrograph = read(path)
    np.testing.assert_array_equal(micrograph.image, FRAMES[2])
    assert micrograph.metadata["images_in_file"] == ["", "BF", "HAADF"]
    assert micrograph.metadata["Stage"]["Position"]["x"] == "1e-6"


def test_velox_spectra_do_not_hinder_the_image_beside_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sparse", None)  # as where it is not installed: RosettaSciIO reads spectra with it
    path = write_velox(tmp_path / "a.emd", {"HAADF": FRAMES}, 0.5, has_spectra=True)
    np.testing.assert_array_equal([micrograph.image for micrograph in read_series(path)], FRAMES)


def test_a_velox_camera_has_the_frame_time_of_its_exposure(tmp_path):
    path = write_velox(tmp_path / "a.emd", {"BM-Ceta": FRAMES}, 0.5, frame_time_s=20, exposure_time_s=0.25)
    np.testing.assert_allclose(read_series(path).times_s, [0, 0.25, 0.5])


@pytest.mark.parametrize("frame_time_s", [1e-4, 0.04, 2000])
def test_velox_times_of_any_length(tmp_path, frame_time_s):
    path = write_velox(tmp_path / "a.emd", {"HAADF": FRAMES}, 0.5, frame_time_s=frame_time_s)
    np.testing.assert_allclose(read_series(path).times_s, np.arange(3) * frame_time_s)


@pytest.mark.parametrize("image", [FRAMES, FRAMES.astype(np.complex64)], ids=["image", "complex"])
def test_no_file_stays_open(tmp_path, image):
    path = write_berkeley(tmp_path / "a.emd", image[0], 0.5, "YX")
    with suppress(ReadError):
        read(path)
    with h5py.File(path, "r+") as file:  # refused for a file that is open for reading
        assert "data" in file


def test_a_file_written_anew_is_read_anew(tmp_path):
    for frame in FRAMES:
        np.testing.assert_array_equal(read(write_mrc(tmp_path / "a.mrc", frame[None], 0.5)).image, frame)
        os.utime(tmp_path / "a.mrc", ns=(0, int(frame[0, 0])))


@pytest.mark.parametrize(("mode", "calibrated"), [("TEM uP SA Zoom Image", True), ("TEM Diffraction", False)])
def test_a_diffraction_pattern_of_tia_has_no_pixel_size(tmp_path, mode, calibrated):
    write_emi(tmp_path / "a.emi", mode)
    path = write_ser(tmp_path / "a_1.ser", FRAMES[:1], 0.5)
    assert (read(path).calibration is not None) == calibrated


def test_tia_times_below_its_one_second_are_unknown(tmp_path):
    assert read_series(write_ser(tmp_path / "a_1.ser", FRAMES, 0.5, times=[0, 0, 1])).times_s is None


def test_a_tia_series_of_several_shapes_is_refused(tmp_path):
    path = write_ser(tmp_path / "a_1.ser", FRAMES, 0.5)
    content = bytearray(path.read_bytes())
    second = content.index(FRAMES[1, ::-1].tobytes())
    content[second - 8 : second] = struct.pack("<II", *FRAMES.shape[1:])
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"a_1\.ser.*more than one shape"):
        read_series(path)


def stretched(tmp_path, dtype=np.uint8):
    """An image of 2 nm x 1 nm pixels."""
    pixels = np.repeat(np.arange(10, 20, dtype=dtype)[:, None] * 10, 16, axis=1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, resolution=(1, 0.5), metadata={"unit": "nm"})
    return tmp_path / "a.tif"


def test_pixels_that_are_not_square_are_refused_with_the_way_out(tmp_path):
    path = stretched(tmp_path)
    for call in (read, read_series):
        with pytest.raises(NonSquarePixelsError, match=r"a\.tif.*2 nm high, 1 nm wide.*`resample.*`pixel_size"):
            call(path)
    facts = inspect(path)
    assert "not square" in facts["error"]
    assert (facts["frames"], facts["height_px"], facts["nm_per_px"]) == (1, 10, None)


def test_resampling_makes_them_square(tmp_path):
    micrograph = read(stretched(tmp_path), resample=True)
    assert micrograph.nm_per_px == 1
    assert micrograph.image.dtype == np.uint8
    assert micrograph.image.shape == (20, 16) == read_series(tmp_path / "a.tif", resample=True).shape
    np.testing.assert_array_equal(micrograph.image[:, 3], micrograph.image[:, 9])
    assert micrograph.image[:, 0].mean() == pytest.approx(145)
    assert (np.diff(micrograph.image[:, 0].astype(int)) >= 0).all()


@pytest.mark.parametrize("resolution", [(2, 2), (2, 2.01)])
def test_resampling_leaves_square_pixels_alone(tmp_path, resolution):
    np.testing.assert_array_equal(read(saved(tmp_path / "a.png", GREY), resample=True).image, GREY)
    tifffile.imwrite(tmp_path / "a.tif", GREY, imagej=True, resolution=resolution, metadata={"unit": "nm"})
    for resample in (False, True):
        micrograph = read(tmp_path / "a.tif", resample=resample)
        np.testing.assert_array_equal(micrograph.image, GREY)
        assert micrograph.nm_per_px == pytest.approx(0.5, rel=0.005)


# Stacks and folders


def test_a_stack_is_not_one_image(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, 1)
    with pytest.raises(NotOneImageError, match=r"3 frames.*read_series"):
        read(path)
    np.testing.assert_array_equal(read(path, frame=-1).image, FRAMES[2])
    for frame in (3, -4):
        with pytest.raises(ReadError, match="3 frame"):
            read(path, frame=frame)


def test_a_folder_is_a_series_in_natural_order(tmp_path):
    for i in (10, 9, 1):
        saved(tmp_path / f"f{i}.png", GREY // 2 + np.uint8(i))
    (tmp_path / "notes.txt").write_text("not a frame")
    series = read_series(tmp_path, pixel_size_nm=2)
    assert [int(m.image[0, 0]) for m in series] == [int(GREY[0, 0]) // 2 + i for i in (1, 9, 10)]
    assert series.calibration.nm_per_px == 2
    with pytest.raises(ReadError, match="read_series"):
        read(tmp_path)


@pytest.mark.parametrize("odd", [GREY[:-1], GREY.astype(np.uint16), np.stack([GREY, GREY, GREY, GREY, GREY])])
def test_frames_of_a_folder_must_go_together(tmp_path, odd):
    tifffile.imwrite(tmp_path / "1.tif", GREY)
    tifffile.imwrite(tmp_path / "2.tif", odd, photometric="minisblack")
    with pytest.raises(ReadError, match=r"2\.tif"):
        read_series(tmp_path)


def test_frames_of_a_folder_must_have_one_pixel_size(tmp_path):
    write_mrc(tmp_path / "1.mrc", FRAMES[:1], 0.5)
    write_mrc(tmp_path / "2.mrc", FRAMES[:1], 0.7)
    with pytest.raises(ReadError, match="different pixel size"):
        read_series(tmp_path)
    assert read_series(tmp_path, pixel_size_nm=0.6)[1].nm_per_px == 0.6


def test_an_empty_folder(tmp_path):
    with pytest.raises(ReadError, match="no image"):
        read_series(tmp_path)


# Bad input


def hdf5(write):
    def fill(path):
        with h5py.File(path, "w") as file:
            write(file)

    return fill


def hspy_signal(shape, navigate, units, dtype="f4"):
    def write(file):
        file.attrs["file_format_version"] = "3.3"
        group = file.create_group("Experiments/signal")
        group.create_dataset("data", data=np.zeros(shape, dtype), chunks=True)
        group.create_group("metadata")
        group.create_group("original_metadata")
        for i, (is_navigation, unit) in enumerate(zip(navigate, units, strict=True)):
            group.create_group(f"axis-{i}").attrs.update({"navigate": is_navigation, "units": unit, "scale": 1.0})

    return hdf5(write)


def locked_zip(path):
    buffer = stdio.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.tif", b"secret")
    content = bytearray(buffer.getvalue())
    content[6] |= 1
    path.write_bytes(content)


def content(raw):
    return lambda path: path.write_bytes(raw)


BAD = {
    "empty.tif": (content(b""), "empty"),
    "text.tif": (content(b"Date: 2020\nOperator: me\n"), "text file"),
    "table.png": (content("größe;µm\n1;2\n".encode() * 60), "text file"),
    "zip.tif": (locked_zip, "ZIP archive protected by a password"),
    "gzip.tif": (content(b"\x1f\x8b\x08\0" + bytes(100)), "gzip archive"),
    "pdf.tif": (content(b"%PDF-1.7\n/Encrypt"), "PDF"),
    "noise.tif": (content(bytes(range(128, 256)) * 8), "not in an image format"),
    "short.dm3": (content(b"\0\0\0\x03\0\0"), "damaged"),
    "short.mrc": (content(b"\0" * 500), "cut off"),
    "zeros.mrc": (content(bytes(4096)), "no MRC header"),
    "short.png": (content(b"\x89PNG\r\n\x1a\n\0\0"), "damaged"),
    "short.ser": (content(b"II\x97\x01"), "a"),
    "lonely.emi": (write_emi, "beside it"),
    "plain.emd": (hdf5(lambda file: file.create_dataset("x", data=[1])), "without an image"),
    "broken.hspy": (content(b"\x89HDF\r\n\x1a\n" + bytes(300)), "damaged"),
    "spectrum.hspy": (hspy_signal((64,), [False], ["eV"]), "spectr"),
    "profile.hspy": (hspy_signal((64,), [False], ["nm"]), "one-dimensional"),
    "spectra.hspy": (hspy_signal((4, 5, 64), [True, True, False], ["nm", "nm", "keV"]), "spectra"),
    "profiles.hspy": (hspy_signal((4, 5, 64), [True, True, False], ["nm", "nm", ""]), "at each point"),
    "4d.hspy": (hspy_signal((2, 3, 4, 5), [True, True, False, False], ["nm"] * 4), "4 dimensions"),
    "complex.hspy": (hspy_signal((4, 5), [False] * 2, ["nm"] * 2, "c8"), "complex"),
    "complex.mrc": (lambda path: write_mrc(path, FRAMES.astype(np.complex64), 1), "complex"),
    "complex.dm3": (lambda path: write_dm3(path, FRAMES[0].astype(np.complex64), 1), "complex"),
    "line.dm3": (lambda path: write_dm3(path, FRAMES[0, 0].astype(np.float32), 1), "one-dimensional"),
    "missing.tif": (lambda path: None, "does not exist"),
    "folder.tif": (lambda path: path.mkdir(), "folder"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence_that_names_it(tmp_path, capfd, name):
    write, says = BAD[name]
    write(tmp_path / name)
    for call in (read, read_series):
        with pytest.raises(ReadError) as caught:
            call(tmp_path / name)
        message = str(caught.value)
        assert name in message
        assert says in message
        assert "\n" not in message
        assert message.endswith(".")
    facts = inspect(tmp_path / name)
    assert facts["error"]
    assert facts["nm_per_px"] is None
    assert capfd.readouterr() == ("", "")


def test_a_wrong_suffix_does_not_matter(tmp_path):
    saved(tmp_path / "a.png", GREY).rename(tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").image, GREY)


@pytest.mark.parametrize("seed", range(12))
def test_damage_anywhere_is_an_emscout_error_or_a_fine_read(tmp_path, capfd, seed):
    rng = np.random.default_rng(seed)
    write_ser(tmp_path / "a_1.ser", FRAMES, 0.5)
    write_mrc(tmp_path / "a.mrc", FRAMES, 0.5)
    write_dm3(tmp_path / "a.dm3", FRAMES, 0.5)
    write_velox(tmp_path / "a.emd", {"HAADF": FRAMES}, 0.5)
    saved(tmp_path / "a.png", GREY)
    saved(tmp_path / "a.jpg", GREY)
    saved(tmp_path / "a.bmp", GREY)
    tifffile.imwrite(tmp_path / "a.tif", FRAMES, compression="lzw", photometric="minisblack")
    for path in sorted(tmp_path.iterdir()):
        pristine = path.read_bytes()
        for _ in range(6):
            damaged = bytearray(pristine)
            for place in rng.integers(0, min(len(damaged), 600), 4):
                damaged[place] = rng.integers(256)
            path.write_bytes(damaged[: rng.integers(len(damaged) // 2, len(damaged) + 1)])
            facts = inspect(path)
            try:
                for micrograph in read_series(path, resample=True):
                    assert micrograph.image.ndim == 2
            except EmscoutError as error:
                assert path.name in str(error)
            else:
                assert facts["frames"] is not None
    assert capfd.readouterr() == ("", "")


def test_a_message_names_the_file_once(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", FRAMES, 0.5)
    series = read_series(path)
    path.unlink()
    for call in (lambda: series[0], lambda: read(path)):
        with pytest.raises(ReadError) as caught:
            call()
        assert str(caught.value).count(path.name) == 1


def test_what_the_libraries_log_does_not_reach_the_screen(tmp_path):
    write_dm3(tmp_path / "a.dm3", FRAMES[0], 0.5)
    code = "import logging, emscout.io as io; io.read('a.dm3'); logging.getLogger('rsciio.emd').warning('odd')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_logging_of_the_libraries_is_left_to_the_user():
    assert logging.getLogger("tifffile").isEnabledFor(logging.WARNING)
