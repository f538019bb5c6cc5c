"""From the network's maps to particles, on maps made by hand."""

import numpy as np
import pytest

from emscout.evaluate import iou_pairs
from emscout.particles.segmenters.instances import FEATURES, Settings, draw_instances, find_instances

UNIT = 64.0


def _maps(shape, discs, seed=0.95):
    """Maps of a perfect network: discs (row, col, radius), each pixel pointing at its disc's centre."""
    maps = np.zeros((5, *shape), np.float32)
    maps[2] = np.log(np.log(2) * (UNIT / 3) ** 2)  # a Gaussian that is a half 3 px from the centre
    row, col = np.mgrid[: shape[0], : shape[1]]
    truth = np.zeros(shape, int)
    for index, (centre_row, centre_col, radius) in enumerate(discs):
        inside = (row - centre_row) ** 2 + (col - centre_col) ** 2 <= radius**2
        truth[inside] = index + 1
        maps[0][inside], maps[1][inside] = (centre_row - row)[inside] / UNIT, (centre_col - col)[inside] / UNIT
        maps[3][inside] = seed
    return maps, truth


def test_discs_are_found_where_they_are():
    maps, truth = _maps((100, 140), [(30, 30, 20), (30, 75, 24), (80, 120, 15), (60, 40, 8)])
    found = find_instances(maps, UNIT, Settings())
    assert iou_pairs(truth, found.labels).iou.min() > 0.99
    assert len(found.centres) == 4
    assert found.features.shape == (4, len(FEATURES))


def test_touching_particles_stay_apart():
    maps, truth = _maps((60, 100), [(30, 30, 15), (30, 60, 15)])
    labels, drawn = draw_instances(find_instances(maps, UNIT, Settings()), (60, 100), 0.45)
    assert len(drawn) == 2
    assert iou_pairs(truth, labels).iou.max() > 0.95


@pytest.mark.parametrize("diameter", [5, 6, 8])
def test_small_particles_are_found(diameter):
    maps, _ = _maps((64, 64), [(20, 20, diameter / 2), (20, 34, diameter / 2), (50, 50, diameter / 2)])
    assert len(find_instances(maps, UNIT, Settings()).centres) == 3


def test_what_the_network_hardly_believes_is_no_particle():
    maps, _ = _maps((64, 64), [(30, 30, 12)], seed=0.5)
    assert len(find_instances(maps, UNIT, Settings()).centres) == 0


def test_a_particle_whose_centre_lies_outside_the_image():
    maps, truth = _maps((64, 64), [(-6, 30, 18)])
    found = find_instances(maps, UNIT, Settings())
    np.testing.assert_array_equal(found.labels > 0, truth > 0)


def test_empty_maps():
    found = find_instances(np.zeros((5, 32, 40), np.float32), UNIT, Settings())
    labels, drawn = draw_instances(found, (64, 80), 0.45)
    assert labels.shape == (64, 80)
    assert labels.max() == 0
    assert len(drawn) == 0


@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.0, 3.7])
def test_outlines_are_smooth_at_the_images_resolution(zoom):
    maps, _ = _maps((96, 96), [(48, 48, 30)])
    side = round(96 * zoom)
    labels, _ = draw_instances(find_instances(maps, UNIT, Settings()), (side, side), 0.5)
    row, col = (np.mgrid[:side, :side] + 0.5) / zoom - 0.5
    away = np.hypot(row - 48, col - 48)
    assert np.all(labels[away < 29.0 - 0.5 / zoom] == 1)
    assert np.all(labels[away > 31.0 + 0.5 / zoom] == 0)
    np.testing.assert_allclose((labels > 0).sum() / zoom**2, np.pi * 30**2, rtol=0.03)
