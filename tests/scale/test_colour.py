"""Scales printed in a colour."""

import numpy as np
import pytest
from PIL import Image

from emscout.io import read
from emscout.scale import NoScale, ScaleReading, read_scale, read_scale_bar
from emscout.synthetic.scale import print_scale


@pytest.fixture(params=[(230, 20, 20), (20, 40, 250)])
def printed(request):
    """A picture in grey as bright as the coloured scale that is printed on it, and that scale."""
    ink = np.array(request.param)
    print_, truth = print_scale(
        "100 nm", "box", length_px=150, font_px=26, image=np.zeros((384, 512), np.uint8), seed=1
    )
    specimen = np.random.default_rng(0).normal(ink @ (0.299, 0.587, 0.114), 4, print_.shape)
    cover = (print_ / 255)[..., None]
    return np.clip(specimen[..., None] * (1 - cover) + ink * cover, 0, 255).astype(np.uint8), truth


def test_a_scale_in_colour_is_read_where_grey_shows_none(printed, tmp_path):
    colours, truth = printed
    Image.fromarray(colours).save(tmp_path / "figure.png")
    micrograph = read(tmp_path / "figure.png")
    assert isinstance(read_scale_bar(micrograph.image), NoScale)
    for reading in (read_scale_bar(colours), read_scale(micrograph)):
        assert isinstance(reading, ScaleReading), reading.reason
        assert reading.nm_per_px == pytest.approx(100 / (truth.x1_px - truth.x0_px), rel=0.02)


def test_a_tinted_picture_has_no_print_in_colour():
    grey, _ = print_scale("", "box", length_px=0, seed=2)
    tinted = np.stack([grey, grey * 0.9, grey * 0.8], -1).astype(np.uint8)
    assert isinstance(read_scale_bar(tinted), NoScale)
