"""What a network is shown: the same picture whatever its format, without the microscope's banner."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from emscout.errors import NothingToFindError
from emscout.specimens.views import crop_banner, view_picture
from emscout.synthetic.particles import make_micrograph
from emscout.synthetic.specimens import make_specimen


def banner_picture(shape, low, high, dark, bright, dtype):
    """A micrograph above a banner with letters; and how many rows the banner has."""
    height, width = shape
    rows = height // 10
    grey = make_micrograph(shape, n_particles=30, seed=1)[0].image.astype(float)
    grey = low + (grey - grey.min()) / np.ptp(grey) * (high - low)
    banner = Image.new("L", (width, rows), 0)
    ImageDraw.Draw(banner).text((8, rows // 4), "15.0 kV  WD 8.2 mm  x20,000   500 nm", fill=255, font_size=rows // 2)
    grey[-rows:] = dark + np.asarray(banner, float) / 255 * (bright - dark)
    return grey.astype(dtype), rows


def test_a_view_is_a_square_of_three_equal_channels_for_grey():
    view = view_picture(make_specimen("pores", 90)[:60], 224)
    assert view.shape == (224, 224, 3) and view.dtype == np.uint8
    assert (view == view[..., :1]).all()


def test_colours_are_kept():
    picture = np.zeros((40, 50, 3), np.uint8)
    picture[:, 25:] = (200, 10, 30)
    view = view_picture(picture, 64, mask_banner=False)
    assert view[32, 60].tolist() == [200, 10, 30]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_deeper_grey_looks_like_eight_bits(dtype):
    grey = make_specimen("particles", 100)
    deep = grey.astype(dtype) * dtype(7) + dtype(1000)
    difference = np.abs(view_picture(deep, 64).astype(int) - view_picture(grey, 64).astype(int))
    assert np.median(difference) <= 3


def test_not_a_number_is_no_obstacle():
    grey = make_specimen("fibres", 64).astype(np.float32)
    grey[:5] = np.nan
    assert np.ptp(view_picture(grey, 64)) > 100


@pytest.mark.parametrize("values", [np.full((20, 20), 7, np.uint8), np.zeros((9, 9)), np.full((9, 9), np.nan)])
def test_a_single_grey_value_is_a_sentence(values):
    with pytest.raises(NothingToFindError, match="single grey value"):
        view_picture(values)


@pytest.mark.parametrize(
    "greys",
    [(40, 220, 0, 255, np.uint8), (1000, 3000, 0, 65535, np.uint16)],
    ids=["8 bits", "16 bits, the specimen far darker than the letters"],
)
def test_the_banner_is_cut_off(greys):
    picture, rows = banner_picture((400, 480), *greys)
    assert abs(len(picture) - len(crop_banner(picture)) - rows) <= 2
    assert len(crop_banner(picture[:-rows])) == len(picture) - rows
