"""Panels cut out of figures: everything is small, scaled down, packed in JPEG, and often on a tight plate."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from emscout.scale import NoScale, ScaleReading, read_scale_bar
from emscout.scale.text.labels import find_labels
from emscout.synthetic.scale import print_scale

TIMES = 3.0  # all is printed so many times larger, and scaled down


def panel(label, style, length_px, font_px, *, ground_grey=None, seed=3, quality=88, **kwargs):
    """A panel of some 300 pixels, and where its bar's ends are in it."""
    shape = (660, 930)
    if ground_grey is None:
        ground_grey = 128 + 8 * np.random.default_rng(seed).normal(size=shape)
    image, printed = print_scale(
        label,
        style,
        length_px=length_px * TIMES,
        font_px=round(font_px * TIMES),
        image=np.clip(ground_grey, 0, 255).astype(np.uint8),
        seed=seed,
        **kwargs,
    )
    size = round(shape[1] / TIMES), round(shape[0] / TIMES)
    stream = io.BytesIO()
    Image.fromarray(image).resize(size, Image.Resampling.BOX).save(stream, "JPEG", quality=quality)
    small = np.asarray(Image.open(stream))
    return small, *((end + 0.5) / TIMES - 0.5 for end in (printed.x0_px, printed.x1_px))


def the_scale(image):
    reading = read_scale_bar(image)
    assert isinstance(reading, ScaleReading), reading.reason
    return reading


@pytest.mark.parametrize("style", ["line", "box", "caps"])
@pytest.mark.parametrize(("length_px", "font_px"), [(41.3, 10), (77.6, 9)])
@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("around", [20, 128, 235])
def test_a_tight_plate_does_not_lend_its_margin_to_the_bar(style, length_px, font_px, ink, around):
    grey = around + 8 * np.random.default_rng(1).normal(size=(660, 930))
    image, x0, x1 = panel("50 nm", style, length_px, font_px, ground_grey=grey, ground="plate", ink=ink)
    reading = the_scale(image)
    assert reading.length_nm == 50
    assert reading.bar.length_px == pytest.approx(x1 - x0, abs=0.02 * length_px)


@pytest.mark.parametrize("style", ["line", "box", "caps"])
@pytest.mark.parametrize("ink", [0, 255])
def test_ends_lie_at_half_height_without_a_bias(style, ink):
    errors = []
    for seed, length_px in enumerate((38.2, 44.9, 51.5, 60.7, 83.3)):
        image, x0, x1 = panel("2 µm", style, length_px, 11, seed=seed, ink=ink)
        errors.append(the_scale(image).bar.length_px - (x1 - x0))
    assert abs(np.mean(errors)) < 0.4
    assert np.abs(errors).max() < 0.9


def test_an_outline_in_the_ink_of_the_letters_counts_not_what_it_encloses():
    image, x0, x1 = panel("100 nm", "outline", 80, 14, ground="plate", ink=0)
    assert the_scale(image).bar.length_px == pytest.approx(x1 - x0, abs=2.0)


def test_particles_beside_a_text_are_no_bar_that_it_parts():
    rows, cols = np.mgrid[:384, :512]
    grey = 170 + 4 * np.random.default_rng(2).normal(size=(384, 512))
    image, printed = print_scale("2 µm", "box", length_px=70, font_px=14, image=grey.astype(np.uint8), seed=4)
    middle, row = (printed.x0_px + printed.x1_px) / 2, printed.box[0] + 7
    for col in (middle - 52, middle + 52):
        image[(rows - row) ** 2 + (cols - col) ** 2 < 13**2] = 40
    assert the_scale(image).bar.length_px == pytest.approx(70, abs=1)


def test_a_frame_around_a_part_of_the_image_is_no_rival():
    generator = np.random.default_rng(5)
    image, printed = print_scale("5 nm", "box", length_px=110, font_px=24, seed=6, side="above", ink=255)
    image = np.where(image == 255, 255, np.clip(image + generator.normal(0, 12, image.shape), 0, 220)).astype(np.uint8)
    shown = Image.fromarray(image)
    bottom = printed.box[0] - 14
    ImageDraw.Draw(shown).rectangle([60, 60, 420, bottom], outline=255, width=3)
    assert the_scale(np.asarray(shown)).bar.length_px == pytest.approx(110, abs=2)


def test_a_bar_that_ends_on_a_bright_particle_does_not_reach_through_it():
    rows, cols = np.mgrid[:384, :512]
    grey = np.full((384, 512), 90.0)
    image, printed = print_scale("20 nm", "box", length_px=120, font_px=20, image=grey.astype(np.uint8), seed=3)
    disc = (rows - printed.row_px) ** 2 + (cols - printed.x1_px - 14) ** 2 < 20**2
    image = np.where(disc & (image < 230), 205, image).astype(np.float32)
    reading = read_scale_bar(ndimage.gaussian_filter(image, 0.6))
    assert isinstance(reading, NoScale) or reading.bar.length_px == pytest.approx(120, rel=0.02)


def test_half_of_a_bar_that_another_text_parts_is_none():
    image, printed = print_scale("10 µm", "line", length_px=0, font_px=22, ground="plate", ink=0, seed=5)
    row, (left, right) = round(printed.box[1]) + 14, (round(edge) for edge in printed.box[2:])
    image[row - 12 : row + 12] = 0
    for x0, x1 in ((left, right), (left - 160, left - 160 + right - left)):
        image[row - 1 : row + 2, max(4, x0) : x1] = 255
    assert isinstance(read_scale_bar(image), NoScale)


def test_letters_of_four_pixels_are_not_guessed():
    image, _, _ = panel("30 µm", "line", 49, 3.6, ink=255, ground_grey=np.full((660, 930), 8.0), quality=80)
    assert isinstance(read_scale_bar(image), NoScale)


@pytest.mark.parametrize("text", ["I500nm", "l200 nm", "i50 nm"])
def test_a_stroke_before_a_number_may_be_an_end_of_the_bar(text):
    assert find_labels(text) == []


@pytest.mark.parametrize("times", [1.4, 2.0])
def test_what_enlarging_leaves_along_a_plate_is_no_bar(times):
    grey = np.full((384, 512), 28, np.uint8)
    image, _ = print_scale("20 nm", "line", length_px=0, font_px=26, image=grey, ground="plate", ink=0, seed=3)
    size = round(image.shape[1] * times), round(image.shape[0] * times)
    enlarged = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    assert isinstance(read_scale_bar(np.asarray(enlarged)), NoScale)
