import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

import emscout.io as io
from emscout.errors import ReadError

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 255, (40, 48), dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (40, 48, 3), dtype=np.uint8)
LUMINANCE = np.rint(COLOUR @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def write(path, image, **options):
    tifffile.imwrite(path, image, **options)
    return path


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_dtype_is_that_of_the_file(tmp_path, dtype, order):
    path = write(tmp_path / "a.tif", GREY.astype(dtype), byteorder=order)
    micrograph = io.read(path)
    assert micrograph.image.dtype == np.dtype(dtype)
    assert micrograph.image.dtype.isnative
    np.testing.assert_array_equal(micrograph.image, GREY.astype(dtype))


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "zlib", "predictor": True},
        {"compression": "packbits"},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "deflate"},
        {"rowsperstrip": 7},
        {"bigtiff": True},
        {"ome": True},
    ],
    ids=str,
)
def test_layouts(tmp_path, options):
    np.testing.assert_array_equal(io.read(write(tmp_path / "a.tif", GREY, **options)).image, GREY)


def test_jpeg_compressed_colour(tmp_path):
    smooth = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    path = write(tmp_path / "a.tif", smooth, compression="jpeg", photometric="rgb")
    np.testing.assert_allclose(io.read(path).image.astype(int), smooth[..., 0].astype(int), atol=4)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colour_becomes_luminance(tmp_path, planar):
    pixels = COLOUR if planar == "contig" else np.moveaxis(COLOUR, -1, 0)
    path = write(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(io.read(path).image, LUMINANCE)


def test_equal_channels_are_that_channel_and_alpha_does_not_count(tmp_path):
    deep = np.repeat(GREY[..., None].astype(np.uint16) * 257, 4, axis=2)
    deep[..., 3] = RNG.integers(0, 2**16, GREY.shape)
    path = write(tmp_path / "a.tif", deep, photometric="rgb", extrasamples=["unassalpha"])
    image = io.read(path).image
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, deep[..., 0])


def test_grey_with_alpha(tmp_path):
    pixels = np.stack([GREY, 255 - GREY], axis=-1)
    path = write(
        tmp_path / "a.tif", pixels, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"
    )
    np.testing.assert_array_equal(io.read(path).image, GREY)


def test_a_palette_of_greys_and_of_colours(tmp_path):
    ramp = np.arange(256, dtype=np.uint16) * 257
    grey_map, red_map = np.stack([ramp] * 3), np.stack([ramp, ramp * 0, ramp * 0])
    upside_down = write(tmp_path / "a.tif", GREY, photometric="palette", colormap=grey_map[:, ::-1])
    np.testing.assert_array_equal(io.read(upside_down).image, 255 - GREY)
    red = write(tmp_path / "b.tif", GREY, photometric="palette", colormap=red_map)
    np.testing.assert_array_equal(io.read(red).image, np.rint(GREY * 0.299).astype(np.uint8))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_min_is_white_is_turned_round(tmp_path, dtype):
    path = write(tmp_path / "a.tif", GREY.astype(dtype), photometric="miniswhite")
    np.testing.assert_array_equal(io.read(path).image, np.iinfo(dtype).max - GREY.astype(dtype))


def test_one_bit_a_pixel(tmp_path):
    Image.fromarray(GREY > 100).save(tmp_path / "a.tif")
    micrograph = io.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(micrograph.image, np.where(GREY > 100, 255, 0).astype(np.uint8))
    assert io.inspect(tmp_path / "a.tif")["dtype"] == "uint8"


@pytest.mark.parametrize(
    "options", [{}, {"imagej": True}, {"ome": True}, {"compression": "zlib"}, {"byteorder": ">"}], ids=str
)
def test_pages_are_frames(tmp_path, options):
    frames = RNG.integers(0, 2**16, (5, 12, 10), dtype=np.uint16)
    series = io.read_series(write(tmp_path / "a.tif", frames, **options))
    assert len(series) == 5
    for i in (4, 0, 2):
        np.testing.assert_array_equal(series[i].image, frames[i])


def test_colour_pages_are_frames(tmp_path):
    path = write(tmp_path / "a.tif", np.stack([COLOUR, COLOUR[::-1]]), photometric="rgb")
    np.testing.assert_array_equal(io.read(path, frame=1).image, LUMINANCE[::-1])


def write_first_of_imagej_stack(path, image, length):
    description = f"ImageJ=1.54f\nimages={length}\nslices={length}\n"
    write(path, image, byteorder=">", metadata=None, description=description)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages[0].dataoffsets[0] + image.nbytes == path.stat().st_size, "the pixels must be last"
    return path


def test_frames_without_pages_of_their_own(tmp_path):
    """As ImageJ stores stacks above 4 GB: one page, the other frames behind its pixels."""
    frames = RNG.integers(0, 2**16, (4, 12, 10)).astype(">u2")
    path = write_first_of_imagej_stack(tmp_path / "a.tif", frames[0], 4)
    path.write_bytes(path.read_bytes() + frames[1:].tobytes())
    series = io.read_series(path)
    assert len(series) == 4
    np.testing.assert_array_equal(series[3].image, frames[3])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReadError, match=r"frame 3 of .*a\.tif.*cut off"):
        series[3]
    np.testing.assert_array_equal(series[2].image, frames[2])


def test_thumbnails_are_no_frames(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(GREY[::4, ::4], subfiletype=1)
        tiff.write(GREY)
        tiff.write(GREY[::2, ::2])
    series = io.read_series(tmp_path / "a.tif")
    assert len(series) == 1
    np.testing.assert_array_equal(series[0].image, GREY)


def test_one_pixel(tmp_path):
    assert io.read(write(tmp_path / "a.tif", GREY[:1, :1])).image.shape == (1, 1)


@pytest.mark.parametrize(
    ("pixels", "options", "says"),
    [
        (GREY[0], {}, "one-dimensional"),
        (GREY[:1], {}, "one-dimensional"),
        (np.zeros((2, 3, 4, 8, 8), np.uint8), {"imagej": True}, "save one channel"),
        (np.zeros((3, 4, 8, 8), np.uint8), {"ome": True, "metadata": {"axes": "TCYX"}}, "4 dimensions"),
        (GREY.astype(np.complex64), {}, "complex"),
        (np.zeros((8, 8, 5), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}, "5 channels"),
        (np.zeros((8, 8, 4), np.uint8), {"photometric": "separated"}, "channels"),
    ],
    ids=["1-D", "one row", "hyperstack", "4-D OME", "complex", "spectral", "CMYK"],
)
def test_what_is_no_image_says_so(tmp_path, pixels, options, says):
    path = write(tmp_path / "a.tif", pixels, **options)
    with pytest.raises(ReadError, match=says):
        io.read_series(path)
    assert says in io.inspect(path)["error"]


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}], ids=str)
def test_missing_pixels_are_not_taken_for_black(tmp_path, options):
    path = write(tmp_path / "a.tif", GREY, **options)
    path.write_bytes(path.read_bytes()[:-30])
    assert io.inspect(path)["height_px"] == 40
    with pytest.raises(ReadError, match=r"a\.tif.*cut off"):
        io.read(path)


def test_a_damaged_frame_is_named_and_the_others_read(tmp_path):
    frames = RNG.integers(0, 255, (3, 64, 64), dtype=np.uint8)
    path = write(tmp_path / "a.tif", frames, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[1].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 200] = bytes(200)
    path.write_bytes(content)
    series = io.read_series(path)
    np.testing.assert_array_equal(series[2].image, frames[2])
    with pytest.raises(ReadError, match=r"frame 1 of .*a\.tif"):
        series[1]


def test_lost_pages_are_not_taken_for_the_end(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for _ in range(3):
            tiff.write(GREY, metadata=None)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: len(content) // 2])
    series = io.read_series(tmp_path / "a.tif")
    assert (series[0].image == GREY).all()
    with pytest.raises(ReadError, match=r"a\.tif.*page was lost"):
        series[len(series) - 1]


def test_frames_written_one_by_one_are_one_stack(tmp_path):
    frames = RNG.integers(0, 255, (5, 20, 24), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for frame in frames:
            tiff.write(frame, photometric="minisblack", contiguous=False)
    series = io.read_series(tmp_path / "a.tif")
    np.testing.assert_array_equal([one.image for one in series], frames)


def test_a_page_of_another_size_among_frames_keeps_its_number(tmp_path):
    frames = RNG.integers(0, 255, (5, 20, 24), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for i, frame in enumerate(frames):
            tiff.write(frame[:10] if i == 3 else frame, photometric="minisblack", contiguous=False)
    series = io.read_series(tmp_path / "a.tif")
    assert len(series) == 5
    np.testing.assert_array_equal(series[4].image, frames[4])
    with pytest.raises(ReadError, match=r"frame 3 of .*differs in size"):
        series[3]


def test_a_stack_that_was_cut_off_keeps_its_whole_frames(tmp_path):
    frames = RNG.integers(0, 255, (5, 20, 24), dtype=np.uint8)
    path = write(tmp_path / "a.tif", frames, photometric="minisblack")
    path.write_bytes(path.read_bytes()[:-1000])
    series = io.read_series(path)
    np.testing.assert_array_equal(series[2].image, frames[2])
    with pytest.raises(ReadError, match=r"frame 4 of .*a\.tif.*cut off"):
        series[4]


def test_a_long_stack_opens_without_its_pixels(tmp_path):
    """A sparse file of 3 GB: opening and reading its last frame takes neither the time nor the memory of 3 GB."""
    path, shape = tmp_path / "a.tif", (1024, 1024)
    write_first_of_imagej_stack(path, np.zeros(shape, ">u2"), 1500)
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.truncate(file.tell() + 1499 * 2**21)
        file.seek(-2, 2)
        file.write(struct.pack(">H", 77))
    series = io.read_series(path)
    assert len(series) == 1500
    assert series[1499].image[-1, -1] == 77
