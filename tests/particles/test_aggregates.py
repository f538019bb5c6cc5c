import numpy as np
import pytest

import emscout as em
from emscout.particles.aggregates import find_aggregates, measure_aggregates


def _discs(places, radius, shape=(400, 400)):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, np.int32)
    for number, (row, col) in enumerate(places, 1):
        labels[np.hypot(rows - row, cols - col) <= radius] = number
    return labels


def _measured(labels, nm_per_px=None):
    calibration = None if nm_per_px is None else em.Calibration(nm_per_px, "user")
    table = em.measure_particles(em.Segmentation(labels), em.Micrograph(labels.astype(float), calibration))
    return table, measure_aggregates(table, labels, nm_per_px)


def test_particles_that_touch_are_one_aggregate():
    labels = _discs([(50, 50), (50, 89), (200, 200), (300, 60), (300, 99), (339, 60)], 20)
    assert find_aggregates(labels).tolist() == [1, 1, 0, 2, 2, 2]


@pytest.mark.parametrize(("gap_px", "together"), [(0, True), (1, True), (2, False), (5, False)])
def test_a_gap_of_more_than_a_pixel_parts_them(gap_px, together):
    labels = np.zeros((40, 60), np.int32)
    labels[10:30, 10:20], labels[10:30, 20 + gap_px : 40] = 1, 2
    assert (find_aggregates(labels) > 0).tolist() == [together] * 2


def test_aggregates_that_meet_on_a_seam_of_strips_are_one():
    labels = np.zeros((1100, 30), np.int32)
    labels[480:512, 5:20], labels[512:560, 5:20], labels[1000:1024, 5:20], labels[1025:1050, 5:20] = 1, 2, 3, 4
    assert find_aggregates(labels).tolist() == [1, 1, 2, 2]


def test_the_table_says_which_aggregate_a_particle_belongs_to():
    table, aggregates = _measured(_discs([(200, 200), (50, 50), (50, 89)], 20))
    assert table["aggregate"].isna().tolist() == [True, False, False]
    assert table["aggregate"].dropna().tolist() == [1, 1]
    assert aggregates["n_particles"].tolist() == [2]


def test_radius_of_gyration_of_a_disc_cut_in_two():
    # Of a disc it is its radius over the square root of 2.
    labels = _discs([(200, 200)], 100)
    labels[:, 201:][labels[:, 201:] == 1] = 2
    _, aggregates = _measured(labels, nm_per_px=0.5)
    assert aggregates["radius_of_gyration_px"].item() == pytest.approx(100 / np.sqrt(2), rel=0.01)
    assert aggregates["radius_of_gyration_nm"].item() == pytest.approx(50 / np.sqrt(2), rel=0.01)
    assert aggregates["equivalent_circular_diameter_px"].item() == pytest.approx(200, rel=0.01)
    assert aggregates[["row_px", "col_px"]].to_numpy() == pytest.approx(200, abs=0.01)


def test_radius_of_gyration_of_a_chain():
    places = [(200, 30 + 20 * k) for k in range(16)]
    _, aggregates = _measured(_discs(places, 10))
    assert aggregates["n_particles"].tolist() == [16]
    centres = 20 * np.sqrt((16**2 - 1) / 12)
    assert aggregates["radius_of_gyration_px"].item() == pytest.approx(np.hypot(centres, 10 / np.sqrt(2)), rel=0.01)


@pytest.mark.parametrize("labels", [np.zeros((30, 30), np.int32), _discs([(30, 30)], 10, (60, 60))])
def test_no_aggregates_are_an_empty_table(labels):
    table, aggregates = _measured(labels)
    assert len(aggregates) == 0
    assert table["aggregate"].isna().all()
    assert "radius_of_gyration_px" in aggregates


def test_an_aggregate_is_cut_with_its_particles():
    _, aggregates = _measured(_discs([(5, 60), (5, 99), (200, 200), (200, 239)], 20))
    assert aggregates["touches_border"].tolist() == [True, False]
