import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.measure import regionprops

from emscout import Calibration, Micrograph, Segmentation
from emscout.errors import UsageError
from emscout.particles.measure import measure_particles

COLUMNS = [
    "label",
    "row_px",
    "col_px",
    "area_px2",
    "equivalent_circular_diameter_px",
    "min_feret_px",
    "max_feret_px",
    "aspect_ratio",
    "perimeter_px",
    "circularity",
    "solidity",
    "orientation_deg",
    "mean_intensity",
    "contrast",
    "touches_border",
    "nearest_neighbour_px",
    "aggregate",
    "shape",
    "shape_score",
]


def measure(labels, image=None, **options):
    labels = np.asarray(labels, dtype=np.int32)
    image = np.zeros(labels.shape, dtype=np.uint8) if image is None else image
    return measure_particles(Segmentation(labels, score=options.get("score")), Micrograph(image, options.get("cal")))


def coordinates(side, centre, angle_deg):
    """Along and across the long axis of something turned anticlockwise, for every pixel of a square."""
    r, c = np.mgrid[:side, :side].astype(float)
    up, right = centre[0] - r, c - centre[1]
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return right * cos + up * sin, up * cos - right * sin


def ellipse(length, width, angle_deg=0.0, offset=(0.0, 0.0)):
    side = int(length) + 12
    along, across = coordinates(side, (side / 2 + offset[0], side / 2 + offset[1]), angle_deg)
    return (along / length) ** 2 + (across / width) ** 2 <= 0.25


def rectangle(length, width, angle_deg=0.0, offset=(0.0, 0.0)):
    side = int(np.hypot(length, width)) + 12
    along, across = coordinates(side, (side / 2 + offset[0], side / 2 + offset[1]), angle_deg)
    return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)


def mean_over_positions(draw, column, n=12):
    offsets = np.random.default_rng(0).random((n, 2))
    return np.mean([measure(draw(offset))[column].iloc[0] for offset in offsets])


ANGLES = (0, 10, 26.6, 45, 60, 77, 90, 120, 135, 161)


# One pixel, and the table as such


def test_a_pixel_and_its_place():
    row = measure([[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]).iloc[0]
    assert (row["row_px"], row["col_px"], row["area_px2"]) == (1, 2, 1)
    assert (row["min_feret_px"], row["max_feret_px"], row["aspect_ratio"]) == (1, 1, 1)
    assert (row["circularity"], row["solidity"], row["orientation_deg"]) == (1, 1, 0)
    assert row["equivalent_circular_diameter_px"] == pytest.approx(2 / np.sqrt(np.pi))
    assert row["perimeter_px"] == pytest.approx(2 * np.sqrt(np.pi))
    assert (row["shape"], row["shape_score"]) == ("irregular", 0)


@pytest.mark.parametrize(
    "pixels",
    [
        [[1, 1]],
        [[1], [1]],
        [[1, 0], [0, 1]],
        [[1, 1, 1]],
        [[1, 1], [0, 1]],
        [[1, 1], [1, 1]],
        [[1, 1, 1, 1]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 1, 0], [1, 1, 1]],
        [[1, 0, 1]],
    ],
)
def test_a_few_pixels_have_sensible_values(pixels):
    row = measure(np.pad(pixels, 6)).iloc[0]
    numbers = row[[name for name in COLUMNS if name not in ("shape", "nearest_neighbour_px", "aggregate")]].astype(
        float
    )
    assert np.isfinite(numbers).all()
    assert 0 < row["min_feret_px"] <= row["max_feret_px"]
    assert row["aspect_ratio"] >= 1
    assert 0 < row["circularity"] <= 1
    assert 0 < row["solidity"] <= 1
    assert -90 < row["orientation_deg"] <= 90


@pytest.mark.parametrize("cal", [None, Calibration(0.5, "user")])
def test_no_particles_give_an_empty_table_with_the_same_columns(cal):
    empty = measure(np.zeros((9, 9)), cal=cal)
    full = measure(np.pad(np.ones((4, 4)), 3), cal=cal)
    assert len(empty) == 0
    assert list(empty.columns) == list(full.columns)
    assert (empty.dtypes == full.dtypes).all()


def test_columns_in_pixels_stand_alone_without_calibration():
    assert list(measure(np.pad(np.ones((4, 4)), 3)).columns) == COLUMNS


def test_lengths_and_areas_follow_the_pixel_size():
    table = measure(np.pad(np.ones((4, 6)), 3), cal=Calibration(0.5, "user"))
    assert table["area_nm2"].iloc[0] == 24 * 0.25
    assert table["max_feret_nm"].iloc[0] == table["max_feret_px"].iloc[0] / 2
    in_px = {name for name in table if name.endswith(("_px", "_px2"))}
    assert {name.replace("_px", "_nm") for name in in_px} <= set(table)
    assert table["aspect_ratio"].iloc[0] == 1.5


def test_probability_of_the_segmentation_goes_with_its_label():
    labels = np.zeros((9, 20))
    labels[4, 3], labels[4, 9], labels[4, 15] = 1, 2, 3
    assert measure(labels, score=np.array([0.1, 0.2, 0.3]))["probability"].tolist() == [0.1, 0.2, 0.3]
    assert "probability" not in measure(labels)
    assert measure(np.zeros((9, 9)), score=np.empty(0))["probability"].dtype == float


def test_labels_of_another_image_are_refused():
    with pytest.raises(UsageError, match=r"5×6.*7×8"):
        measure(np.zeros((5, 6)), np.zeros((7, 8)))


def test_label_numbers_do_not_matter():
    labels, image = scattered_discs()
    shuffled = np.concatenate([[0], np.random.default_rng(3).permutation(labels.max()) + 1])
    before, after = measure(labels, image), measure(shuffled[labels], image)
    after["label"] = np.argsort(shuffled)[after["label"]]
    pd.testing.assert_frame_equal(before, after.sort_values("label", ignore_index=True))


def test_rows_are_sorted_by_label_and_skip_missing_numbers():
    labels = np.zeros((9, 20))
    labels[4, 3], labels[4, 9], labels[4, 15] = 7, 2, 4
    assert measure(labels)["label"].tolist() == [2, 4, 7]


def test_the_same_particle_measures_the_same_anywhere():
    particle = ellipse(23, 14, 31)
    here, there = np.zeros((2, 80, 90))
    here[3 : 3 + len(particle), 5 : 5 + len(particle)] = particle
    there[40 : 40 + len(particle), 50 : 50 + len(particle)] = particle
    a, b = measure(here).iloc[0], measure(there).iloc[0]
    assert b["row_px"] - a["row_px"] == pytest.approx(37)
    assert b["col_px"] - a["col_px"] == pytest.approx(45)
    pd.testing.assert_series_equal(a.drop(["row_px", "col_px"]), b.drop(["row_px", "col_px"]))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_change_only_the_orientation(turns):
    particle = ellipse(25, 11, 20)
    a, b = measure(particle).iloc[0], measure(np.rot90(particle, turns)).iloc[0]
    assert (b["orientation_deg"] - a["orientation_deg"] - 90 * turns) % 180 == pytest.approx(0, abs=1e-6)
    same = ["area_px2", "min_feret_px", "max_feret_px", "aspect_ratio", "perimeter_px", "solidity", "shape"]
    for name in same:
        assert b[name] == pytest.approx(a[name]) if name != "shape" else b[name] == a[name]


# Discs, ellipses, rectangles: what geometry says


disc_sizes = pytest.mark.parametrize("diameter", [10, 14, 20, 33, 50, 100])


@disc_sizes
def test_diameter_of_discs(diameter):
    found = mean_over_positions(lambda at: ellipse(diameter, diameter, 0, at), "equivalent_circular_diameter_px")
    assert found == pytest.approx(diameter, rel=0.01)


@disc_sizes
def test_perimeter_of_discs_within_one_percent(diameter):
    found = mean_over_positions(lambda at: ellipse(diameter, diameter, 0, at), "perimeter_px")
    assert found == pytest.approx(np.pi * diameter, rel=0.01)


@disc_sizes
def test_circularity_of_discs(diameter):
    found = mean_over_positions(lambda at: ellipse(diameter, diameter, 0, at), "circularity")
    assert 0.98 < found <= 1


@disc_sizes
def test_feret_diameters_of_discs(diameter):
    least = mean_over_positions(lambda at: ellipse(diameter, diameter, 0, at), "min_feret_px")
    greatest = mean_over_positions(lambda at: ellipse(diameter, diameter, 0, at), "max_feret_px")
    assert least == pytest.approx(diameter, abs=0.5)
    assert greatest == pytest.approx(diameter, abs=1.0)


@disc_sizes
def test_discs_are_round_and_convex(diameter):
    row = measure(ellipse(diameter, diameter, 0, (0.3, 0.1))).iloc[0]
    assert row["aspect_ratio"] == pytest.approx(1, abs=0.06)
    assert row["solidity"] == 1


def long_shapes(test):
    """Run a test on ellipses and rectangles, 40 px long and 20 px wide, at all angles."""
    return pytest.mark.parametrize("angle", ANGLES)(pytest.mark.parametrize("draw", [ellipse, rectangle])(test))


@long_shapes
def test_least_feret_diameter_is_the_width(draw, angle):
    found = mean_over_positions(lambda at: draw(40, 20, angle, at), "min_feret_px")
    assert found == pytest.approx(20, abs=0.6)


@long_shapes
def test_greatest_feret_diameter(draw, angle):
    found = mean_over_positions(lambda at: draw(40, 20, angle, at), "max_feret_px")
    assert found == pytest.approx(40 if draw is ellipse else np.hypot(40, 20), abs=1)


@long_shapes
def test_aspect_ratio(draw, angle):
    assert mean_over_positions(lambda at: draw(40, 20, angle, at), "aspect_ratio") == pytest.approx(2, rel=0.03)


@long_shapes
def test_orientation(draw, angle):
    found = measure(draw(40, 20, angle, (0.2, 0.4))).iloc[0]["orientation_deg"]
    assert (found - angle + 90) % 180 - 90 == pytest.approx(0, abs=1)
    assert -90 < found <= 90


@long_shapes
def test_solidity_of_a_convex_outline(draw, angle):
    assert measure(draw(40, 20, angle, (0.2, 0.4))).iloc[0]["solidity"] == 1


@long_shapes
def test_perimeter_of_long_shapes(draw, angle):
    truth = 96.88 if draw is ellipse else 120  # Ramanujan
    found = mean_over_positions(lambda at: draw(40, 20, angle, at), "perimeter_px")
    assert found == pytest.approx(truth, rel=0.03)


@pytest.mark.parametrize("angle", [0, 8, 22.5, 30, 45])
@pytest.mark.parametrize(("side", "tolerance"), [(20, 0.065), (40, 0.045), (100, 0.035)])
def test_circularity_of_squares(side, tolerance, angle):
    found = mean_over_positions(lambda at: rectangle(side, side, angle, at), "circularity")
    assert found == pytest.approx(np.pi / 4, abs=tolerance)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (9, 1), (5, 5), (12, 30), (31, 8)])
def test_upright_rectangles_are_exact(height, width):
    row = measure(np.pad(np.ones((height, width)), 5)).iloc[0]
    assert row["min_feret_px"] == min(height, width)
    assert row["aspect_ratio"] == pytest.approx(max(height, width) / min(height, width))
    assert row["solidity"] == 1
    assert row["orientation_deg"] == (0 if width >= height else 90)


@pytest.mark.parametrize("length", [30, 60, 120])
def test_aspect_ratio_does_not_depend_on_size(length):
    found = mean_over_positions(lambda at: rectangle(length, length / 3, 33, at), "aspect_ratio", 6)
    assert found == pytest.approx(3, rel=0.02)


def test_magnified_particle_keeps_its_ratios():
    small = ellipse(31, 17, 25)
    large = np.kron(small, np.ones((4, 4)))
    a, b = measure(small).iloc[0], measure(large).iloc[0]
    assert b["area_px2"] == 16 * a["area_px2"]
    assert b["aspect_ratio"] == pytest.approx(a["aspect_ratio"], rel=0.03)
    assert b["orientation_deg"] == pytest.approx(a["orientation_deg"], abs=0.1)


def test_solidity_of_a_notched_square():
    square = np.ones((20, 20))
    square[:, 8:12] = 0
    square[0, 8:12] = 1
    row = measure(np.pad(square, 3)).iloc[0]
    assert row["solidity"] == pytest.approx(row["area_px2"] / 400)


def test_a_hole_counts_as_outline_and_not_as_area():
    full = np.pad(np.ones((20, 20)), 3)
    ring = full.copy()
    ring[8:18, 8:18] = 0
    a, b = measure(full).iloc[0], measure(ring).iloc[0]
    assert b["area_px2"] == 300
    assert b["perimeter_px"] == pytest.approx(a["perimeter_px"] * 1.5, rel=0.03)
    assert b["solidity"] == 0.75
    assert b["max_feret_px"] == a["max_feret_px"]


def test_centroid_is_subpixel():
    rng = np.random.default_rng(1)
    errors = []
    for _ in range(40):
        at = rng.random(2)
        mask = ellipse(15, 15, 0, at)
        row = measure(mask).iloc[0]
        errors.append((row["row_px"] - len(mask) / 2 - at[0], row["col_px"] - len(mask) / 2 - at[1]))
    assert np.sqrt(np.mean(np.square(errors))) < 0.1
    assert np.abs(np.mean(errors)) < 0.03


@pytest.mark.parametrize("seed", range(5))
def test_blobs_agree_with_scikit_image(seed):
    noise = np.random.default_rng(seed).random((40, 40))
    labels = ndimage.label(ndimage.gaussian_filter(noise, 2) > 0.52)[0]
    table = measure(labels)
    theirs = regionprops(labels)
    assert table["area_px2"].tolist() == [p.area for p in theirs]
    assert np.allclose(table[["row_px", "col_px"]], [p.centroid for p in theirs])
    for row, p in zip(table.itertuples(), theirs, strict=True):
        if p.axis_minor_length < 0.95 * p.axis_major_length:
            # Theirs is counted from the row axis, in radians.
            assert (row.orientation_deg - np.degrees(p.orientation)) % 180 == pytest.approx(90, abs=1e-6)


# Grey values


def scattered_discs():
    labels = np.zeros((120, 120), dtype=np.int32)
    r, c = np.mgrid[:120, :120]
    for i, (row, col) in enumerate([(20, 20), (20, 70), (60, 40), (95, 95), (90, 30)]):
        labels[(r - row) ** 2 + (c - col) ** 2 <= (6 + i) ** 2] = i + 1
    image = np.full(labels.shape, 200, dtype=np.uint8)
    image[labels > 0] = 30 * labels[labels > 0]
    return labels, image


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float16", "float32", "float64"])
def test_grey_values_in_any_dtype(dtype):
    labels, image = scattered_discs()
    table = measure(labels, image.astype(dtype))
    assert table["mean_intensity"].tolist() == [30, 60, 90, 120, 150]
    assert table["contrast"].tolist() == [-170, -140, -110, -80, -50]


def test_sixteen_bit_sums_do_not_overflow():
    labels = np.pad(np.ones((60, 60)), 8)
    image = np.where(labels == 1, 65000, 100).astype(np.uint16)
    row = measure(labels, image).iloc[0]
    assert (row["mean_intensity"], row["contrast"]) == (65000, 64900)


def test_negative_grey_values():
    labels, image = scattered_discs()
    table = measure(labels, image.astype(np.float32) - 1000)
    assert table["mean_intensity"].iloc[0] == -970
    assert table["contrast"].iloc[0] == -170


def test_boolean_images_have_means():
    labels, image = scattered_discs()
    assert measure(labels, image > 40)["mean_intensity"].tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_pixels_that_were_not_recorded_do_not_count(missing):
    labels, image = scattered_discs()
    clean = measure(labels, image)
    image = image.astype(float)
    image[20, 15:26] = missing
    image[12, 15:26] = missing
    pd.testing.assert_frame_equal(measure(labels, image), clean)


def test_a_particle_without_a_recorded_pixel_has_no_grey_value():
    labels, image = scattered_discs()
    image = image.astype(float)
    image[labels == 2] = np.nan
    table = measure(labels, image)
    assert table["mean_intensity"].isna().tolist() == [False, True, False, False, False]
    assert table["contrast"].isna().tolist() == [False, True, False, False, False]


def test_contrast_leaves_out_the_neighbour():
    labels = np.zeros((40, 60))
    labels[10:30, 10:30], labels[10:30, 32:52] = 1, 2
    image = np.select([labels == 1, labels == 2], [50, 0], 100)
    assert measure(labels, image)["contrast"].tolist() == [-50, -100]


def test_contrast_follows_the_local_background():
    labels, image = scattered_discs()
    slope = np.linspace(0, 50, 120)[None, :]
    table = measure(labels, image.astype(float) + slope)
    assert table["contrast"].to_numpy() == pytest.approx([-170, -140, -110, -80, -50], abs=1)


def test_contrast_is_empty_where_no_background_is_near():
    labels = np.ones((30, 30))
    labels[10:20, 10:20] = 2
    table = measure(labels, np.full((30, 30), 7))
    assert table["contrast"].isna().all()
    assert table["mean_intensity"].tolist() == [7, 7]


def test_contrast_keeps_clear_of_the_blurred_edge():
    labels = np.zeros((30, 30))
    labels[10:20, 10:20] = 1
    image = np.full((30, 30), 100.0)
    image[9:21, 9:21] = 60
    image[10:20, 10:20] = 0
    corners = 4 * 60 / 100  # The four diagonal pixels of the rim lie √2 px away: a little of it is left.
    assert measure(labels, image)["contrast"].iloc[0] == pytest.approx(-100, abs=corners)


# Neighbours and borders


@pytest.mark.parametrize(
    ("place", "touches"),
    [((0, 10), True), ((19, 10), True), ((10, 0), True), ((10, 29), True), ((1, 10), False), ((18, 28), False)],
)
def test_touching_the_border(place, touches):
    labels = np.zeros((20, 30))
    labels[place] = 1
    assert measure(labels)["touches_border"].iloc[0] == touches


def test_nearest_neighbour_agrees_with_all_distances():
    rng = np.random.default_rng(0)
    labels = np.zeros((200, 200), dtype=np.int32)
    labels[tuple(rng.integers(0, 200, (2, 60)))] = 1
    labels[labels > 0] = np.arange(1, labels.sum() + 1)
    table = measure(labels)
    distances = cdist(table[["row_px", "col_px"]], table[["row_px", "col_px"]])
    np.fill_diagonal(distances, np.inf)
    assert table["nearest_neighbour_px"].to_numpy() == pytest.approx(distances.min(axis=1))


def test_a_lone_particle_has_no_neighbour():
    assert measure(np.pad(np.ones((4, 4)), 3))["nearest_neighbour_px"].isna().all()


def test_a_particle_that_fills_the_image():
    row = measure(np.ones((50, 70)), np.full((50, 70), 9)).iloc[0]
    assert row["area_px2"] == 3500
    assert row["touches_border"]
    assert np.isnan(row["contrast"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
def test_images_of_one_row(shape):
    row = measure(np.ones(shape)).iloc[0]
    assert row["area_px2"] == max(shape)
    assert row["aspect_ratio"] == max(shape)


def test_a_fragmented_label_is_one_particle():
    labels = np.zeros((30, 30))
    labels[5, 5] = labels[20, 25] = 1
    row = measure(labels).iloc[0]
    assert row["area_px2"] == 2
    assert row["max_feret_px"] == pytest.approx(np.hypot(15, 21))


def test_measuring_twice_gives_the_same_table():
    labels, image = scattered_discs()
    pd.testing.assert_frame_equal(measure(labels, image), measure(labels, image), check_exact=True)


def test_neither_image_nor_labels_are_changed():
    labels, image = scattered_discs()
    before = labels.copy(), image.copy()
    measure(labels, image)
    assert (labels == before[0]).all()
    assert (image == before[1]).all()


# Real outlines


def test_hand_drawn_particles_measure_within_bounds(data):
    for path in sorted((data / "emps" / "segmaps").glob("*.png"))[::40]:
        labels = np.asarray(Image.open(path))
        labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
        table = measure(labels)
        assert len(table) == labels.max(), path.name
        assert table["area_px2"].sum() == np.count_nonzero(labels), path.name
        assert table["circularity"].between(0, 1, inclusive="right").all(), path.name
        assert table["solidity"].between(0, 1, inclusive="right").all(), path.name
        assert (table["aspect_ratio"] >= 1).all(), path.name
        assert (table["min_feret_px"] <= table["max_feret_px"] + 1e-9).all(), path.name
        assert table["shape_score"].between(0, 1).all(), path.name
