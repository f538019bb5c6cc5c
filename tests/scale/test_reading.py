"""From the picture to nanometres a pixel, in all styles; and what bad input gets."""

import numpy as np
import pytest

from emscout.scale import NoScale, ScaleReading, read_scale_bar
from emscout.synthetic.scale import BAR_STYLES, print_scale

LENGTHS = {"100 nm": 100, "0.5 µm": 500, "1.00um": 1000, "200nm": 200, "20 nm": 20, "2 µm": 2000}


@pytest.mark.parametrize(
    ("style", "ground"),
    [(style, ground) for style in BAR_STYLES for ground in ("plate", "banner")]
    + [(style, "overlay") for style in ("line", "box", "caps", "outline")],
)
def test_every_style_on_every_ground(style, ground):
    label = list(LENGTHS)[(BAR_STYLES.index(style) + len(ground)) % len(LENGTHS)]
    image, printed = print_scale(
        label,
        style,
        length_px=220.0,
        ground=ground,
        side="below" if ground == "banner" else "above",
        ink=255 if ground == "banner" else 0,
        seed=10 + BAR_STYLES.index(style),
    )
    reading = read_scale_bar(image)
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.length_nm == pytest.approx(LENGTHS[label])
    assert reading.nm_per_px == pytest.approx(LENGTHS[label] / printed.length_px, rel=0.01)
    assert reading.bar.x0 == pytest.approx(printed.x0_px, abs=1)
    assert 0 < reading.relative_error < 0.02
    assert 0 < reading.confidence <= 1


@pytest.mark.parametrize("side", ["above", "below", "left", "right"])
def test_the_text_may_stand_on_any_side(side):
    image, printed = print_scale("50 nm", "box", side=side, ground="plate", ink=0, seed=7)
    reading = read_scale_bar(image)
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.nm_per_px == pytest.approx(50 / printed.length_px, rel=0.01)


@pytest.mark.parametrize("dtype", ["uint16", "float32", "colour"])
def test_any_kind_of_pixel(dtype):
    image, printed = print_scale("50 nm", "box", ground="plate", ink=0, seed=8)
    shown = (
        np.stack([image] * 3, axis=-1)
        if dtype == "colour"
        else image.astype(dtype) * (257 if dtype == "uint16" else 0.001)
    )
    reading = read_scale_bar(shown)
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.nm_per_px == pytest.approx(50 / printed.length_px, rel=0.01)


def test_a_plate_with_an_edge_is_no_second_bar():
    image, printed = print_scale("2 µm", "box", length_px=110, ground="plate", ink=0, seed=3)
    top, bottom, left, right = (round(edge) for edge in printed.box)
    image[[top - 1, bottom + 1], left - 1 : right + 2] = 40
    image[top - 1 : bottom + 2, [left - 1, right + 1]] = 40
    reading = read_scale_bar(image)
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.nm_per_px == pytest.approx(2000 / printed.length_px, rel=0.01)


def test_letters_in_noise_are_read_in_the_ink_of_their_bar():
    generator = np.random.default_rng(2)
    noise = generator.normal(0, 25, (384, 1)) + generator.normal(0, 60, (384, 512))
    image, printed = print_scale("5 µm", "box", image=np.clip(130 + noise, 0, 235).astype(np.uint8), seed=2)
    reading = read_scale_bar(image)
    assert isinstance(reading, ScaleReading), reading.reason
    assert reading.nm_per_px == pytest.approx(5000 / printed.length_px, rel=0.02)


def no_scale(image):
    reading = read_scale_bar(image)
    assert isinstance(reading, NoScale)
    assert reading.reason.endswith(".")
    return reading.reason


def test_nothing_printed():
    assert "No scale bar" in no_scale(print_scale("", length_px=0, seed=1)[0])


@pytest.mark.parametrize(
    ("style", "ground", "font_px", "side_px"),
    [
        ("box", "plate", 22, 512),
        ("line", "plate", 12, 512),
        ("line", "overlay", 12, 512),
        ("line", "overlay", 12, 1900),
    ],
)
def test_a_bar_without_a_label(style, ground, font_px, side_px):
    """It is no scale, but a caption may say its length: thin ones are found in large images, too."""
    generator = np.random.default_rng(0)
    grey = (120 + generator.normal(0, 8, (side_px, side_px))).astype(np.uint8)
    length_px = 0.16 * side_px
    image, printed = print_scale(
        "", style, length_px=length_px, ground=ground, ink=0, font_px=font_px, image=grey, seed=1
    )
    assert "no length" in no_scale(image)
    bar = read_scale_bar(image).bar
    assert (bar.x0, bar.x1) == pytest.approx((printed.x0_px, printed.x1_px), abs=1.5)


def test_of_two_bars_without_labels_none_is_the_scale():
    grey = np.full((256, 512), 128, np.uint8)
    parts = [print_scale("", "box", length_px=px, ink=255, image=grey, seed=5)[0] for px in (60, 130)]
    assert "no length" in no_scale(np.vstack(parts))
    assert read_scale_bar(np.vstack(parts)).bar is None


def test_a_label_without_a_bar():
    assert "no bar" in no_scale(print_scale("100 nm", length_px=0, ground="plate", ink=0, seed=3)[0])


@pytest.mark.parametrize("grey", [230, 237])
def test_a_point_that_only_one_look_sees(grey):
    image, _ = print_scale("1.0 µm", "box", length_px=160, ground="plate", ink=0, seed=9)
    point = image[338:343, 191:196]
    assert point.min() == 0
    point[:] = np.maximum(point, grey)  # nearly as white as the plate; at 237 most looks read "10 µm"
    assert "Repeated readings" in no_scale(image)


def test_a_bar_cut_by_the_border():
    image, printed = print_scale("100 nm", "box", length_px=200, ground="banner", seed=4)
    assert "cut" in no_scale(image[:, : round(printed.x1_px) - 15])


def test_two_bars_that_disagree():
    grey = np.full((192, 512), 128, np.uint8)
    labels = ("100 nm", "200 nm")
    parts = [print_scale(label, "box", ground="plate", ink=0, image=grey, seed=5)[0] for label in labels]
    assert "disagree" in no_scale(np.vstack(parts))


def test_a_length_no_microscope_has():
    assert "no electron microscope" in no_scale(print_scale("3000 mm", "box", ground="plate", ink=0, seed=6)[0])


@pytest.mark.parametrize("label", ["100 nm²", "5 1/nm"])
def test_areas_and_inverse_lengths_are_no_scale(label):
    no_scale(print_scale(label, "box", ground="plate", ink=0, font_px=26, seed=7)[0])


def test_text_that_is_turned():
    image, _ = print_scale("100 nm", "box", ground="plate", ink=0, seed=8)
    no_scale(np.rot90(image).copy())


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.full((64, 64), np.nan, np.float32), np.eye(4)])
def test_nothing_to_see(image):
    assert "nothing to read" in no_scale(image)


@pytest.mark.parametrize(
    ("text", "font_px"), [("z = 505 µm", 22), ("5-10 nm", 14), ("3.1 ± 1.2 nm", 22), ("d = 5 nm", 28)]
)
def test_a_length_that_was_measured_is_no_scale_also_where_a_bar_is_drawn(text, font_px):
    grey = np.clip(120 + 6 * np.random.default_rng(1).normal(size=(384, 512)), 0, 255).astype(np.uint8)
    ink, style = (0, "box") if text.startswith("5-") else (255, "line")
    image, _ = print_scale(text, style, length_px=140, font_px=font_px, image=grey, seed=4, ink=ink)
    assert isinstance(read_scale_bar(image), NoScale)
