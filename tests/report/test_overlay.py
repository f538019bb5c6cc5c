import numpy as np
import pytest
from PIL import Image, ImageDraw

from emscout.report.overlay import draw_overlay, draw_uncertainty, write_png

from .conftest import disc_labels, particle_table


def coloured(rgb):
    """Pixels that are not grey."""
    return np.ptp(rgb.astype(int), axis=2) > 20


def height_of_image(rgb, labels):
    """Rows of the picture that show the image; the strip with the scale bar is below."""
    return round(rgb.shape[1] * labels.shape[0] / labels.shape[1])


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


def test_every_particle_has_its_number_where_there_is_room(monkeypatch):
    rows, cols = np.mgrid[40:400:40, 40:400:40]
    labels = disc_labels(list(zip(rows.ravel(), cols.ravel(), strict=True)), radius=4, shape=(440, 440))
    table = particle_table(labels)
    said = {}
    draw = ImageDraw.ImageDraw
    with monkeypatch.context() as patch:
        patch.setattr(draw, "text", lambda self, place, text, **_: said.update({text: place}))
        without = draw_overlay(labels, labels, table)
    rgb = draw_overlay(labels, labels, table)
    assert set(said) >= set(table["label"].astype(str))
    scale = rgb.shape[1] // labels.shape[1]
    for row in table.itertuples():
        col_px, row_px = said[str(row.label)]
        assert np.hypot(row_px - row.row_px * scale, col_px - row.col_px * scale) < 12 * scale
    shown = np.kron(labels, np.ones((scale, scale), int)) > 0
    assert (rgb[: shown.shape[0]][shown] == without[: shown.shape[0]][shown]).all()


def test_in_a_crowd_no_number_hides_a_particle_or_another_number(monkeypatch):
    rows, cols = np.mgrid[206:400:11, 6:400:11]
    labels = disc_labels(list(zip(rows.ravel(), cols.ravel(), strict=True)), radius=4, shape=(400, 400))
    table = particle_table(labels)
    drawn = []
    draw = ImageDraw.ImageDraw
    real = draw.textlength

    def remember(self, place, text, **how):
        width = real(self, text, how["font"])
        drawn.append((*place, width) if how.get("anchor") == "lt" else None)

    monkeypatch.setattr(draw, "text", remember)
    rgb = draw_overlay(labels, labels, table)
    scale = rgb.shape[1] // 400
    beside = [one for one in drawn if one is not None]
    assert beside
    shown = np.kron(labels, np.ones((scale, scale), int)) > 0
    for col, row, width in beside:
        assert not shown[row : row + 8, col : col + int(width)].any()
        shown[row : row + 8, col : col + int(width)] = True


@pytest.mark.parametrize(("nm_per_px", "side"), [(0.5, 512), (2.0, 512), (37.0, 1000), (0.013, 300)])
def test_the_scale_bar_is_as_long_as_it_says(nm_per_px, side, monkeypatch):
    said = []
    draw = ImageDraw.ImageDraw

    def remember(self, place, text, **options):
        said.append(text)

    monkeypatch.setattr(draw, "text", remember)
    rgb = draw_overlay(np.zeros((side, side)), np.zeros((side, side), np.int32), NOTHING, nm_per_px=nm_per_px)
    strip = rgb[rgb.shape[1] :]
    bar_px = (strip == 0).all(axis=2).sum(axis=1).max()
    number, unit = said[-1].split()
    length_nm = float(number) * {"nm": 1, "µm": 1000}[unit]
    assert bar_px * nm_per_px * side / rgb.shape[1] == pytest.approx(length_nm, rel=0.01)
    assert number.strip("0.")[:1] in ("1", "2", "5")


def test_without_calibration_the_bar_is_in_pixels_and_says_so(image, labels, monkeypatch):
    said = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, place, text, **_: said.append(text))
    draw_overlay(image, labels, particle_table(labels))
    assert said[-1].endswith("px (uncalibrated)")


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
