"""Pictures in a panel."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

import emscout as em
from emscout.literature.mine import LiteratureOptions, mine
from emscout.literature.panels.boxes import Box
from emscout.literature.panels.insets import find_insets
from emscout.synthetic.figure import make_figure

WHITE, RED = (255, 255, 255), (230, 20, 20)


def panel(seed):
    return make_figure((1,), width_px=420, row_px=(320, 320), letters="none", seed=seed).image.copy()


def framed(image, place, colour, frame_px=2):
    """A frame drawn around a part of the image."""
    content = image[place.slices].copy()
    outer = Box(place.top - frame_px, place.left - frame_px, place.bottom + frame_px, place.right + frame_px)
    image[outer.slices] = colour
    image[place.slices] = content
    return image


@pytest.fixture(scope="module")
def with_inset():
    """A micrograph of 0.5 nm a pixel with another one, shrunk, in its upper right corner."""
    image, place = panel(3), Box(8, 270, 118, 412)
    other = Image.fromarray(panel(12)).resize((place.width, place.height))
    image[place.slices] = np.asarray(other)
    return framed(image, place, WHITE), place


def test_a_framed_picture_is_found(with_inset):
    image, place = with_inset
    (inset,) = find_insets(image)
    assert np.abs(np.subtract(inset.picture, place)).max() <= 2
    assert inset.framed.overlap(place) == place.area


def stored(image, quality=85):
    """As journals keep it."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


@pytest.mark.parametrize("place", [Box(0, 0, 110, 150), Box(210, 270, 320, 420)])
def test_a_picture_in_a_corner_needs_no_frame(place):
    image = panel(3)
    image[place.slices] = np.asarray(Image.fromarray(panel(12)).resize((place.width, place.height)))
    (inset,) = find_insets(stored(image))
    assert np.abs(np.subtract(inset.picture, place)).max() <= 2


@pytest.mark.parametrize("frame_px", [1, 3])
@pytest.mark.parametrize("colour", [WHITE, (0, 0, 0), RED])
def test_frames_of_any_colour_and_width(colour, frame_px):
    image, place = panel(4), Box(12, 12, 122, 160)
    image[place.slices] = np.asarray(Image.fromarray(panel(12)).resize((place.width, place.height)))
    (inset,) = find_insets(stored(framed(image, place, colour, frame_px)))
    # JPEG smears a red frame over some pixels.
    assert np.abs(np.subtract(inset.picture, place)).max() <= 6


def test_the_letter_on_a_plate_is_no_inset():
    image = panel(3)
    plate = Image.fromarray(image)
    draw = ImageDraw.Draw(plate)
    draw.rectangle((0, 0, 95, 79), fill="white")
    draw.text((18, 4), "(a)", fill="black", font=ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 48))
    assert find_insets(stored(np.asarray(plate))) == []


@pytest.mark.parametrize("blur_px", [0.6, 1.5])
def test_cubes_are_no_insets(blur_px):
    rng = np.random.default_rng(5)
    grey = np.full((320, 420), 60.0)
    for row, col in ((40, 60), (60, 240), (190, 130)):
        grey[row : row + 90, col : col + 90] = 140
    grey = ndimage.gaussian_filter(grey, blur_px) + 4 * rng.standard_normal(grey.shape)
    image = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    assert find_insets(stored(image)) == []


@pytest.mark.parametrize("colour", [WHITE, RED])
def test_a_frame_that_marks_a_part_of_the_picture_is_none(colour):
    assert find_insets(framed(panel(3), Box(60, 90, 180, 240), colour)) == []


def test_a_plain_panel_has_none():
    assert find_insets(panel(3)) == []


def test_an_inset_is_a_panel_of_its_own_and_its_place_is_left_out(with_inset, tmp_path):
    image, place = with_inset
    plain = panel(3)
    for name, pixels in (("inset", image), ("plain", plain)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    table = mine(
        [tmp_path / "inset.png", tmp_path / "plain.png"], tmp_path / "out", LiteratureOptions("watershed")
    ).tables["figures"]
    assert list(table["panel"]) == ["", "inset", ""]
    whole, inset, alone = table.to_dict("records")
    assert inset["kind"] == "micrograph"
    found = Box(inset["top_px"], inset["left_px"], 0, 0)._replace(
        bottom=inset["top_px"] + inset["height_px"], right=inset["left_px"] + inset["width_px"]
    )
    assert np.abs(np.subtract(found, place)).max() <= 2
    # The bar of the panel still counts for the panel.
    assert whole["nm_per_px"] == pytest.approx(alone["nm_per_px"])
    particles = pd.read_csv(tmp_path / "out" / "measured" / "inset" / "particles.csv")
    own = particles[particles["image"] == whole["image"]]
    hidden = own["row_px"].between(place.top, place.bottom) & own["col_px"].between(place.left, place.right)
    assert len(own) and not hidden.any()
    images = pd.read_csv(tmp_path / "out" / "measured" / "inset" / "images.csv").set_index("image")
    before = pd.read_csv(tmp_path / "out" / "measured" / "plain" / "images.csv")["number_density_per_px2"][0]
    assert images.loc[whole["image"], "number_density_per_px2"] == pytest.approx(before, rel=0.3)
    assert images["coverage_high"].max() <= 1


def test_particles_cut_by_an_inset_count_as_cut_and_coverage_is_of_what_is_seen(with_inset):
    image, place = with_inset
    (found,) = em.find_panels(image).panels
    assert [inset.letter for inset in found.insets] == ["inset"]
    assert found.hidden[place.slices].all() and not found.hidden[place.bottom + 20 :].any()

    def squares(micrograph):
        labels = np.zeros(micrograph.image.shape, int)
        for number, row in enumerate(range(20, 300, 40), 1):
            labels[row : row + 20, place.left - 40 : place.left - 20] = 2 * number  # beside the inset
            labels[row : row + 20, place.left - 15 : place.left + 20] = 2 * number + 1  # up to it, where it reaches
        return np.where(found.hidden, 0, labels)

    result = em.find_particles(found.micrograph, segmenter=squares, hidden=found.hidden)
    cut = result.table[result.table["touches_border"]]
    expected = {row for row in range(20, 300, 40) if row < place.bottom + 4}
    assert {int(round(row - 9.5)) for row in cut["row_px"]} == expected and len(cut) < len(result.table)
    covered = result.segmentation.labels.astype(bool).sum()
    seen = image.shape[0] * image.shape[1] - (result.annotations | found.hidden).sum()
    assert result.summary["coverage"] == pytest.approx(covered / seen)


def test_a_panel_that_is_full_of_particles_is_covered_by_no_more_than_all():
    grey = np.full((320, 420), 200, np.uint8)
    grey[::40] = grey[:, ::40] = 60
    hidden = np.zeros(grey.shape, bool)
    hidden[:160] = True
    labels = np.zeros(grey.shape, np.int32)
    for number, (row, col) in enumerate([(row, col) for row in range(160, 320, 40) for col in range(0, 400, 40)], 1):
        labels[row + 1 : row + 40, col + 1 : col + 40] = number
    result = em.find_particles(em.Micrograph(grey), segmenter=lambda micrograph: labels, hidden=hidden)
    assert 0.5 < result.summary["coverage"] <= result.summary["coverage_high"] <= 1
