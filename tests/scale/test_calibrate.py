import numpy as np
import pytest

from emscout.micrograph import Calibration, Micrograph
from emscout.scale import NoScale, annotation_mask, choose_calibration, read_scale_bar
from emscout.synthetic.scale import print_scale


@pytest.fixture(scope="module")
def printed():
    image, scale = print_scale("100 nm", "box", length_px=200, ground="plate", ink=0, seed=11)
    return image, scale, read_scale_bar(image)


def micrograph(image, nm_per_px=None, source="metadata"):
    return Micrograph(image, None if nm_per_px is None else Calibration(nm_per_px, source))


def test_without_metadata_the_bar_counts(printed):
    image, scale, reading = printed
    calibration, message = choose_calibration(micrograph(image), reading=reading)
    assert calibration.source == "scale-bar"
    assert calibration.nm_per_px == pytest.approx(100 / scale.length_px, rel=0.01)
    assert calibration.relative_error == reading.relative_error
    assert message == ""


def test_agreeing_metadata_counts(printed):
    image, _, reading = printed
    calibration, message = choose_calibration(micrograph(image, 0.505), reading=reading)
    assert (calibration.nm_per_px, calibration.source, message) == (0.505, "metadata", "")


def test_binned_exports_get_no_scale_until_the_user_says(printed):
    image, _, reading = printed
    binned = micrograph(image, 0.25)
    calibration, message = choose_calibration(binned, reading=reading)
    assert calibration is None
    assert "`trust=bar`" in message
    assert "`pixel_size" in message
    assert choose_calibration(binned, trust="metadata", reading=reading)[0].nm_per_px == 0.25
    assert choose_calibration(binned, trust="bar", reading=reading)[0].source == "scale-bar"
    assert choose_calibration(binned, pixel_size_nm=3.0, reading=reading)[0] == Calibration(3.0, "user")


def test_caps_may_be_counted_to_their_outer_edges():
    image, scale = print_scale("100 nm", "caps", length_px=120, ground="plate", ink=0, font_px=60, seed=14)
    reading = read_scale_bar(image)
    assert reading.bar.length_px == pytest.approx(scale.length_px, abs=1)
    outer_px = scale.length_px + 0.7 * 0.14 * 60
    assert outer_px > 1.04 * scale.length_px
    assert choose_calibration(micrograph(image, 100 / outer_px), reading=reading)[0].source == "metadata"
    inner_px = 2 * scale.length_px - outer_px
    assert choose_calibration(micrograph(image, 100 / inner_px), reading=reading)[0] is None


def test_what_the_user_says_stands(printed):
    image, _, reading = printed
    calibration, message = choose_calibration(micrograph(image, 7.0, "user"), reading=reading)
    assert (calibration.nm_per_px, message) == (7.0, "")


def test_a_trusted_bar_that_is_not_there_is_no_scale(printed):
    image = printed[0]
    calibration, message = choose_calibration(
        micrograph(image, 1.0), trust="bar", reading=NoScale("No scale bar is printed.")
    )
    assert calibration is None
    assert "No scale bar" in message


def test_the_mask_covers_what_is_printed_and_little_else(printed):
    image, scale, reading = printed
    mask = annotation_mask(image, reading)
    top, bottom, left, right = (round(edge) for edge in scale.box)
    assert mask[top + 1 : bottom - 1, left + 1 : right - 1].mean() > 0.97
    outside = np.ones(mask.shape, bool)
    outside[max(0, top - 8) : bottom + 8, max(0, left - 8) : right + 8] = False
    assert not mask[outside].any()


def test_the_banner_is_masked():
    image, scale = print_scale("100 nm", "box", length_px=200, ground="banner", side="below", seed=12)
    mask = annotation_mask(image, read_scale_bar(image))
    assert mask[-scale.banner_px + 2 :].all()
    assert not mask[: -scale.banner_px - 4].any()


def test_a_black_banner_below_black_specimen_is_known_by_the_line_above_it():
    image, scale = print_scale("100 nm", "box", length_px=200, ground="banner", side="below", seed=12)
    top = len(image) - scale.banner_px
    image[:top] = 0
    assert not annotation_mask(image, None).any()
    image[top] = 255
    mask = annotation_mask(image, None)
    assert mask[top:].all()
    assert not mask[:top].any()


def test_a_micrograph_with_nothing_printed_is_all_specimen():
    image, _ = print_scale("", length_px=0, seed=13)
    assert not annotation_mask(image, read_scale_bar(image)).any()
