"""Letters that are blurred, of a few pixels, or in the colour of the specimen."""

import numpy as np
import pytest
from scipy import ndimage

from emscout.scale import NoScale, ScaleReading, read_scale_bar
from emscout.scale.letters import lines_beside, read_enlarged
from emscout.scale.views import find_likely_bars, read_single_lines
from emscout.synthetic.scale import print_scale


def blurred(label, sigma_px, seed=3):
    image, printed = print_scale(label, "line", length_px=110, ink=0, font_px=15, ground="plate", seed=seed)
    return ndimage.gaussian_filter(image.astype(np.float32), sigma_px).astype(np.uint8), printed


@pytest.mark.parametrize(("label", "nm"), [("0.5 µm", 500), ("200 nm", 200)])
def test_blurred_letters_are_cut_out_and_read(label, nm):
    image, printed = blurred(label, 1.4)
    reading = read_scale_bar(image)
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.length_nm == nm
    assert reading.nm_per_px == pytest.approx(nm / printed.length_px, rel=0.03)


def test_what_is_blurred_away_is_not_guessed():
    reading = read_scale_bar(blurred("200 nm", 4.0)[0])
    assert isinstance(reading, NoScale)


def test_white_letters_over_a_bright_particle():
    rows, cols = np.mgrid[:384, :512]
    grey = np.full((384, 512), 30.0)
    for row, col in ((330, 210), (320, 330)):
        grey[(rows - row) ** 2 + (cols - col) ** 2 < 70**2] = 205
    grey += np.random.default_rng(3).normal(0, 8, grey.shape)
    image, printed = print_scale("3 µm", "box", length_px=240, image=np.clip(grey, 0, 255).astype(np.uint8), seed=3)
    reading = read_scale_bar(image)
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.nm_per_px == pytest.approx(3000 / printed.length_px, rel=0.02)


def test_lines_beside_a_bar_are_found_by_their_ink():
    image, printed = print_scale("100 nm", "box", length_px=140, ink=255, seed=6)
    bar = min(find_likely_bars(image), key=lambda bar: abs(bar.x0 - printed.x0_px))
    line = lines_beside(image, bar)[0]
    top, _, left, right = printed.box
    assert line.top == pytest.approx(top, abs=8)
    assert (line.left + line.right) / 2 == pytest.approx((left + right) / 2, abs=8)
    assert {read.text.replace(" ", "") for read in read_enlarged(image, line, bar)} == {"100nm"}


def test_a_bar_on_a_specimen_without_letters_says_nothing():
    image, _ = print_scale("", "box", length_px=140, ink=255, seed=6)
    assert read_single_lines(image, find_likely_bars(image), []) == []
