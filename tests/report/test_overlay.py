import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from emscout.report.overlay import draw_overlay, draw_uncertainty, load_font, write_png

from .conftest import disc_labels, particle_table

GREY = 128  # that an even image gets


def coloured(rgb):
    """Pixels that are not grey."""
    return np.ptp(rgb.astype(int), axis=2) > 20


def height_of_image(rgb, labels):
    """Rows of the picture that show the image; the strip with the scale bar is below."""
    return round(rgb.shape[1] * labels.shape[0] / labels.shape[1])


def trim(mask):
    """What is not empty of a mask."""
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    return mask[boxes[0]] if boxes else mask[:0]


def is_text(mask, text):
    """Whether these pixels are the inside of the letters of a text, in any size that can be read."""
    for font_px in range(12, 48):
        page = Image.new("L", (30 * len(text), 60))
        ImageDraw.Draw(page).text((9, 9), text, fill=255, font=load_font(font_px), anchor="lt")
        if np.array_equal(trim(np.asarray(page) == 255), trim(mask)):
            return True
    return False


def enlarge(labels, rgb):
    """Labels of the pixels of a picture, without those of the strip with the scale bar."""
    scale = rgb.shape[1] // labels.shape[1]
    return np.kron(labels, np.ones((scale, scale), labels.dtype))


def outline_colours(rgb, labels):
    """Colour of each of many like particles on even grey, in which nothing else may be seen than their outlines."""
    shown, colours, lengths = enlarge(labels, rgb), {}, set()
    for label, part in enumerate(ndimage.find_objects(shown), start=1):
        if part is not None:
            seen, counts = np.unique(rgb[part][shown[part] == label], axis=0, return_counts=True)
            assert len(seen) == 2
            (colours[label],) = (tuple(one) for one in seen.tolist() if one != [GREY] * 3)
            lengths.add(counts.min())
    assert len(lengths) == 1
    return colours


def read_numbers(rgb, labels):
    """What is written around particles on even grey: by the nearest particle, whether it is that particle's number."""
    shown, colours = enlarge(labels, rgb), outline_colours(rgb, labels)
    away, nearest = ndimage.distance_transform_edt(shown == 0, return_indices=True)
    picture = rgb[: len(shown)]
    written = (picture != GREY).any(axis=2) & (shown == 0)
    texts, _ = ndimage.label(ndimage.binary_dilation(written, iterations=3))  # digits of a number need not touch
    numbers = {}
    for text, part in enumerate(ndimage.find_objects(texts), start=1):
        ink = (texts[part] == text) & written[part]
        closest = away[part][ink].argmin()
        assert away[part][ink][closest] < 8 * rgb.shape[1] / labels.shape[1]
        label = shown[tuple(nearest[:, *part][:, ink][:, closest])].item()
        assert label not in numbers
        numbers[label] = is_text(ink & (picture[part] == colours[label]).all(axis=2), str(label))
    return numbers


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64", "bool"])
def test_every_dtype_becomes_a_picture_with_full_contrast(dtype, labels):
    image = (labels > 0).astype(dtype) * (1 if dtype == "bool" else 90)
    rgb = draw_overlay(image, labels, particle_table(labels))
    assert rgb.dtype == np.uint8
    assert rgb.shape[2] == 3
    grey = rgb[: height_of_image(rgb, labels)][~coloured(rgb[: height_of_image(rgb, labels)])]
    assert grey.min() == 0
    assert grey.max() == 255


def test_pixels_without_a_value_are_black_and_do_not_spoil_the_contrast(image, labels):
    broken = image.astype(float)
    broken[:5] = np.nan
    broken[5:8] = np.inf
    rgb = draw_overlay(broken, labels, particle_table(labels)).astype(int)
    whole = draw_overlay(image, labels, particle_table(labels)).astype(int)
    scale = rgb.shape[1] // labels.shape[1]
    assert (rgb[2] == 0).all(axis=-1).mean() > 0.8
    assert np.abs(rgb[8 * scale :] - whole[8 * scale :]).max() <= 3


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_a_constant_image_without_particles_is_drawn(value):
    labels = np.zeros((50, 60), np.int32)
    rgb = draw_overlay(np.full((50, 60), value, float), labels, particle_table(disc_labels([(20, 20)])).head(0))
    assert not coloured(rgb).any()


def test_outlines_lie_on_the_particles(image, labels):
    rgb = draw_overlay(image, labels, particle_table(labels))
    scale = rgb.shape[1] // labels.shape[1]
    row, col = np.nonzero(coloured(rgb))
    assert (labels[row // scale, col // scale] > 0).all()
    assert set(np.unique(labels[row // scale, col // scale])) == {1, 2, 3, 4, 5}


def test_neighbours_differ_in_colour_and_cut_ones_differ_from_all():
    rows, cols = np.mgrid[12:200:26, 26:290:26]
    centres = list(zip(rows.ravel(), cols.ravel(), strict=True))
    labels = disc_labels([*centres[:-1], (100, 0)])
    table = particle_table(labels)
    rgb = draw_overlay(np.zeros(labels.shape), labels, table)
    scale = rgb.shape[1] // labels.shape[1]

    def colour(label):
        small = rgb[: labels.shape[0] * scale : scale, ::scale]
        return tuple(np.unique(small[(labels == label) & coloured(small)], axis=0)[0].tolist())

    cut = table.loc[table["touches_border"], "label"]
    whole = table.loc[~table["touches_border"]]
    assert not {colour(label) for label in cut} & {colour(label) for label in whole["label"]}
    for a, b in zip(whole.iloc[:-1].itertuples(), whole.iloc[1:].itertuples(), strict=True):
        if abs(a.row_px - b.row_px) < 1:
            assert colour(a.label) != colour(b.label)


def test_every_particle_has_its_number_where_there_is_room():
    rows, cols = np.mgrid[40:400:40, 40:400:40]
    labels = disc_labels(list(zip(rows.ravel(), cols.ravel(), strict=True)), radius=4, shape=(440, 440))
    rgb = draw_overlay(np.zeros(labels.shape), labels, particle_table(labels))
    assert read_numbers(rgb, labels) == dict.fromkeys(range(1, 82), True)


def test_in_a_crowd_no_number_hides_a_particle_or_another_number():
    rows, cols = np.mgrid[206:400:11, 6:400:11]
    labels = disc_labels(list(zip(rows.ravel(), cols.ravel(), strict=True)), radius=4, shape=(400, 400))
    table = particle_table(labels)
    # Numbers so long that even those of the outer row have no room side by side.
    labels, table["label"] = np.where(labels, labels + 999, 0), table["label"] + 999
    numbers = read_numbers(draw_overlay(np.zeros(labels.shape), labels, table), labels)
    assert 0 < len(numbers) < len(table)
    assert all(numbers.values())


def read_scale_bar(rgb, text):
    """Length of the bar in pixels of the picture, and whether this is the text beside it, from the strip of both."""
    ink = (rgb == 0).all(axis=2)
    parts = ndimage.find_objects(ndimage.label(ink)[0])
    bar = max((cols for _, cols in parts), key=lambda cols: cols.stop - cols.start)
    return bar.stop - bar.start, is_text(ink[:, bar.stop :], text)


@pytest.mark.parametrize(
    ("nm_per_px", "side", "text"),
    [(0.5, 512, "50 nm"), (2.0, 512, "200 nm"), (37.0, 1000, "5 µm"), (0.013, 300, "0.5 nm")],
)
def test_the_scale_bar_is_as_long_as_it_says(nm_per_px, side, text):
    rgb = draw_overlay(np.zeros((side, side)), np.zeros((side, side), np.int32), NOTHING, nm_per_px=nm_per_px)
    bar_px, says = read_scale_bar(rgb[rgb.shape[1] :], text)
    number, unit = text.split()
    length_nm = float(number) * {"nm": 1, "µm": 1000}[unit]
    assert bar_px * nm_per_px * side / rgb.shape[1] == pytest.approx(length_nm, rel=0.01)
    assert says


def test_without_calibration_the_bar_is_in_pixels_and_says_so(image, labels):
    rgb = draw_overlay(image, labels, particle_table(labels))
    bar_px, says = read_scale_bar(rgb[height_of_image(rgb, labels) :], "50 px (uncalibrated)")
    assert bar_px * labels.shape[1] / rgb.shape[1] == 50
    assert says


def test_a_large_image_is_made_smaller_and_loses_no_particle():
    labels = disc_labels([(300, 300), (700, 1500)], radius=20, shape=(1000, 2000))
    labels[501, 333] = 3
    rgb = draw_overlay(np.zeros(labels.shape, np.uint8), labels, particle_table(labels), max_side_px=300)
    assert rgb.shape[1] <= 300
    lone = coloured(rgb)[501 // 7 - 1 : 501 // 7 + 2, 333 // 7 - 1 : 333 // 7 + 2]
    assert lone.sum() == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_odd_shapes_are_drawn(shape):
    labels = np.zeros(shape, np.int32)
    labels[0, 0] = 1
    rgb = draw_overlay(np.zeros(shape), labels, particle_table(labels), max_side_px=1000)
    assert max(rgb.shape[1], 1) <= 1000


def test_the_same_picture_gives_the_same_bytes(tmp_path, image, labels):
    for name in ("a", "b"):
        write_png(tmp_path / name, draw_overlay(image, labels, particle_table(labels), nm_per_px=0.5))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with Image.open(tmp_path / "a") as picture:
        assert picture.format == "PNG"
        assert np.array_equal(np.asarray(picture), draw_overlay(image, labels, particle_table(labels), nm_per_px=0.5))


NOTHING = particle_table(disc_labels([(20, 20)])).head(0)


def test_what_is_dropped_is_dashed_red_and_changes_nothing_else():
    labels, none = np.zeros((60, 60), np.int32), np.zeros((60, 60), np.int32)
    dropped = none.copy()
    dropped[20:40, 20:40] = 1
    table = NOTHING
    plain = draw_overlay(labels, labels, table)
    dashed = draw_overlay(labels, labels, table, dropped=dropped)
    changed = (plain != dashed).any(axis=2)
    assert (dashed[changed] == (255, 60, 60)).all()
    whole_outline = 4 * 20 * (plain.shape[1] // 60)
    assert 0.3 * whole_outline < changed.sum() < 0.7 * whole_outline


def test_uncertainty_is_drawn_brighter_where_it_is_larger():
    drawn = draw_uncertainty(np.array([[0.0, 0.02, 0.2, 0.69]], np.float32)).sum(axis=2)
    assert (np.diff(drawn[0].astype(int)) > 0).all()
