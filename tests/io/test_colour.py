"""Colours are kept where a file has them; everything else is read as grey, as ever."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from emscout.errors import ReadError
from emscout.io import read
from emscout.io.colour import read_colours

COLOURS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_red_green_and_blue_come_as_they_are(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, COLOURS, photometric="rgb")
    else:
        Image.fromarray(COLOURS).save(path)
    assert (read_colours(path) == COLOURS).all()


def test_alpha_and_palettes_become_colours(tmp_path):
    Image.fromarray(np.dstack([COLOURS, np.full((20, 30), 255, np.uint8)])).save(tmp_path / "alpha.png")
    assert (read_colours(tmp_path / "alpha.png") == COLOURS).all()
    Image.fromarray(COLOURS).quantize(8).save(tmp_path / "palette.png")
    assert read_colours(tmp_path / "palette.png").shape == (20, 30, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_stays_grey_in_its_dtype(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "grey.tif", COLOURS[..., 0].astype(dtype))
    grey = read_colours(tmp_path / "grey.tif")
    assert grey.dtype == dtype and (grey == read(tmp_path / "grey.tif").image).all()


def test_three_equal_channels_are_grey(tmp_path):
    Image.fromarray(np.repeat(COLOURS[..., :1], 3, axis=2)).save(tmp_path / "equal.png")
    assert read_colours(tmp_path / "equal.png").ndim == 2


def test_a_frame_of_a_stack(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([COLOURS[..., 0], COLOURS[..., 1]]))
    assert (read_colours(tmp_path / "stack.tif", frame=1) == COLOURS[..., 1]).all()


def test_what_is_no_image_is_a_sentence(tmp_path):
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(ReadError, match=r"text\.png"):
        read_colours(tmp_path / "text.png")


def test_what_is_transparent_is_white(tmp_path):
    clear = np.dstack([COLOURS, np.zeros((20, 30), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert (read_colours(tmp_path / "clear.png") == 255).all()
