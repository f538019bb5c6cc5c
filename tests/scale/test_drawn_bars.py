"""Bars that are arrows, black and white by turns, or rows of ticks on a specimen."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from emscout.scale import ScaleReading, read_scale_bar
from emscout.scale.bars.find import find_bars
from emscout.scale.bars.parts import join_fields
from emscout.scale.bars.ticks import find_ticks
from emscout.synthetic.scale import print_scale

FINE = 8  # everything is drawn this many times larger, and shrunk


def blend(image, draw, ink):
    mask = Image.new("L", (image.shape[1] * FINE, image.shape[0] * FINE), 0)
    draw(ImageDraw.Draw(mask))
    cover = np.asarray(mask.resize(image.shape[::-1], Image.Resampling.BOX), float) / 255
    return np.round(image * (1 - cover) + ink * cover).astype(np.uint8)


def fine(*edges):
    return [(edge + 0.5) * FINE for edge in edges]


def with_arrow(image, x0, x1, row, thickness, head_px, width_px, ink):
    def draw(on):
        on.rectangle(
            fine(x0 + head_px / 2, row - thickness / 2, x1 - head_px / 2, row + thickness / 2),
            fill=255,
        )
        for tip, step in ((x0, 1), (x1, -1)):
            barb = tip + step * head_px
            corners = [(tip, row), (barb, row - width_px / 2), (barb, row + width_px / 2)]
            on.polygon([tuple(fine(*corner)) for corner in corners], fill=255)

    return blend(image, draw, ink)


@pytest.mark.parametrize(("thickness", "head_px", "width_px"), [(3, 12, 10), (4, 14, 14), (3, 9, 12), (5, 20, 16)])
@pytest.mark.parametrize("ink", [0, 255])
def test_an_arrow_is_as_long_as_from_tip_to_tip(thickness, head_px, width_px, ink):
    grey = (128 + np.random.default_rng(1).normal(0, 10, (120, 400))).astype(np.uint8)
    image = with_arrow(grey, 80.3, 290.6, 60, thickness, head_px, width_px, ink).astype(np.float32)
    bar = min(find_bars(image, 40, (10, 35)), key=lambda bar: abs(bar.x0 - 80.3) + abs(bar.x1 - 290.6))
    assert bar.style == "arrow"
    assert bar.length_px == pytest.approx(210.3, rel=0.01)


@pytest.mark.parametrize("style", ["line", "box", "caps"])
def test_other_bars_are_no_arrows(style):
    image, _ = print_scale("", style, length_px=180, ground="plate", ink=0, seed=3)
    assert all(bar.style != "arrow" for bar in find_bars(image.astype(np.float32), 60, (12,)))


def test_the_scale_of_an_arrow():
    grey = (60 + np.random.default_rng(1).normal(0, 10, (384, 512))).astype(np.uint8)
    image, printed = print_scale("100 nm", "line", length_px=0, font_px=24, image=grey, seed=5)
    x0, x1 = printed.box[2] - 20.3, printed.box[3] + 25.4
    reading = read_scale_bar(with_arrow(image, x0, x1, printed.box[1] + 8, 3, 12, 10, 255))
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.nm_per_px == pytest.approx(100 / (x1 - x0), rel=0.015)


def checkered(image, x0, x1, row, half_px, n_fields):
    edges = np.linspace(x0, x1, n_fields + 1)
    for i, (left, right) in enumerate(pairwise(edges)):
        box = fine(left, row - half_px, right, row + half_px)
        image = blend(
            image, lambda on, box=box: on.rectangle([*box[:2], box[2] - 1, box[3] - 1], fill=255), 255 * (i % 2)
        )
    return image


@pytest.mark.parametrize("n_fields", [3, 4, 5, 8])
def test_fields_of_black_and_white_are_one_bar(n_fields):
    grey = (128 + np.random.default_rng(2).normal(0, 12, (100, 420))).astype(np.uint8)
    image = checkered(grey, 60.2, 300.6, 50, 4, n_fields).astype(np.float32)
    (bar,) = join_fields(find_bars(image, 20, (10,)))
    assert (bar.x0, bar.x1) == pytest.approx((60.2, 300.6), abs=0.5)
    assert bar.style == "checkered"


def test_the_scale_of_a_checkered_bar():
    image, printed = print_scale("500 nm", "line", length_px=0, ground="plate", ink=0, font_px=24, seed=4)
    x0, x1 = printed.box[2] - 40.2, printed.box[3] + 39.7
    row = printed.box[0] - 14
    image[round(row) - 9 : round(row) + 10] = 150
    reading = read_scale_bar(checkered(image, x0, x1, row, 4, 5))
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.nm_per_px == pytest.approx(500 / (x1 - x0), rel=0.01)
    assert reading.bar.style == "checkered"


def dotted(n_ticks, hidden=(), seed=0):
    """Ticks of a few pixels over bright grains, as Hitachi's microscopes print them on the image."""
    generator = np.random.default_rng(seed)
    grains = ndimage.gaussian_filter(generator.normal(0, 1, (80, 420)), 8)
    image = np.clip(90 + 40 * grains / grains.std() + generator.normal(0, 6, grains.shape), 0, 190)
    centres = 60.0 + 26.0 * np.arange(n_ticks)
    for i, centre in enumerate(centres):
        if i not in hidden:
            image[40:44, round(centre) - 1 : round(centre) + 2] = 240
    return image.astype(np.float32), centres


@pytest.mark.parametrize("hidden", [(), (4,), (9,)])
def test_ticks_on_the_specimen_of_which_one_is_hidden(hidden):
    image, centres = dotted(11, hidden)
    bars = find_ticks(image, 100)
    assert [(bar.x0, bar.x1) for bar in bars] == [pytest.approx((centres[0], centres[-1]), abs=0.5)]


@pytest.mark.parametrize(("n_ticks", "hidden"), [(11, (0,)), (11, (10,)), (11, (3, 6)), (9, ()), (13, ())])
def test_too_few_and_too_many_ticks_are_no_scale(n_ticks, hidden):
    assert find_ticks(dotted(n_ticks, hidden)[0], 100) == []


def with_caps(image, x0, x1, row, half_px, cap_half_px, wide_px, ink=255):
    """A bar whose caps, so wide and high, stand with their middles at its ends."""

    def draw(on):
        on.rectangle(fine(x0, row - half_px, x1, row + half_px), fill=255)
        for end in (x0, x1):
            on.rectangle(fine(end - wide_px / 2, row - cap_half_px, end + wide_px / 2, row + cap_half_px), fill=255)

    return blend(image, draw, ink)


@pytest.mark.parametrize("length_px", [36.4, 104.6])
@pytest.mark.parametrize("cap_half_px", [3.0, 4.5, 9.0])
def test_a_bracket_counts_between_the_middles_of_its_caps_however_low_they_are(length_px, cap_half_px):
    image = with_caps(np.zeros((60, 200), np.uint8), 40.3, 40.3 + length_px, 30, 1, cap_half_px, 2.4)
    image = ndimage.gaussian_filter(image.astype(np.float32), 0.6)
    bar = max(find_bars(image, 12, (6,)), key=lambda bar: bar.length_px)
    assert bar.style == "caps"
    assert bar.length_px == pytest.approx(length_px, abs=0.5)


def test_knobs_at_the_ends_of_a_bar_with_its_text_in_the_middle_count_from_their_middles():
    black = np.zeros((384, 512), np.uint8)
    black[:300] = 120 + np.random.default_rng(1).normal(0, 10, (300, 512))
    image, printed = print_scale("500 um", "line", length_px=0, font_px=20, image=black, seed=5)
    top, bottom, left, right = printed.box
    row, x0, x1 = (top + bottom) / 2, left - 70.4, right + 69.8
    for ends in ((x0, left - 6), (right + 6, x1)):
        image = blend(
            image, lambda on, ends=ends: on.rectangle(fine(ends[0], row - 1, ends[1], row + 1), fill=255), 255
        )
    for end in (x0, x1):
        knob = fine(end - 2, row - 2, end + 2, row + 2)
        image = blend(image, lambda on, knob=knob: on.rectangle(knob, fill=255), 255)
    reading = read_scale_bar(image)
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.bar.style == "split"
    assert reading.bar.length_px == pytest.approx(x1 - x0, abs=1.0)
