"""Outlines drawn anew at the image's resolution."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import regionprops

from emscout.particles.segmenters.outlines import HALF_HEIGHT, refine_outlines
from emscout.synthetic.particles import make_micrograph


@pytest.fixture(scope="module", params=["dark", "bright"])
def scene(request):
    micrograph, truth, _ = make_micrograph(
        (256, 256), n_particles=8, diameter_px=(50, 4), polarity=request.param, noise=0.02, seed=3
    )
    return micrograph.image.astype(np.float32) / 255, truth


def test_outlines_too_far_out_come_back(scene):
    grey, truth = scene
    wide = np.where(
        truth == 0,
        ndimage.grey_dilation(truth, footprint=ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), 3)),
        truth,
    ).astype(np.int32)
    refined = refine_outlines(wide, grey)
    wrong = [(each > 0) != (truth > 0) for each in (wide, refined)]
    assert wrong[1].sum() < 0.4 * wrong[0].sum()


def test_right_outlines_stay_nearly_as_they_are(scene):
    grey, truth = scene
    refined = refine_outlines(truth, grey)
    for label in range(1, truth.max() + 1):
        both = ((truth == label) & (refined == label)).sum()
        assert both / ((truth == label) | (refined == label)).sum() > 0.9


def test_every_particle_stays_in_one_piece_also_where_they_touch():
    micrograph, truth, _ = make_micrograph((256, 256), n_particles=60, diameter_px=(24, 8), touching=True, seed=5)
    refined = refine_outlines(truth, micrograph.image.astype(np.float32) / 255)
    assert set(np.unique(refined)) == set(range(truth.max() + 1))
    for label in range(1, truth.max() + 1):
        assert ndimage.label(refined == label)[1] == 1


def test_what_does_not_stand_out_is_left_alone():
    truth = np.zeros((40, 60), np.int32)
    truth[5:30, 8:40], truth[33:35, 50:52] = 1, 2
    noise = np.random.default_rng(0).random(truth.shape, np.float32)
    np.testing.assert_array_equal(refine_outlines(truth, noise), truth)
    np.testing.assert_array_equal(refine_outlines(np.zeros_like(truth), noise), 0)


@pytest.mark.parametrize("radius_px", [4.0, 6.0, 10.0])
def test_at_half_height_the_area_of_a_blurred_disc_is_right(radius_px):
    row, col = np.mgrid[:400, :400] / 10.0
    disc = np.hypot(row - 20, col - 20) < radius_px
    fine = ndimage.gaussian_filter(disc.astype(np.float32), 9)
    grey = fine.reshape(40, 10, 40, 10).mean(axis=(1, 3))
    wide = (grey > 0.12).astype(np.int32)
    area = np.pi * radius_px**2
    assert wide.sum() > 1.15 * area
    assert refine_outlines(wide, grey, HALF_HEIGHT).sum() == pytest.approx(area, rel=0.08)


def test_outlines_in_coarse_noise_are_neither_frayed_nor_too_wide():
    rng = np.random.default_rng(3)
    row, col = np.mgrid[:160, :160]
    disc = np.hypot(row - 80, col - 80) < 40
    noise = ndimage.gaussian_filter(rng.normal(size=disc.shape), 1.2)
    grey = (0.7 - 0.3 * ndimage.gaussian_filter(disc.astype(float), 1) + 0.08 * noise / noise.std()).astype(np.float32)
    wide = ndimage.binary_dilation(disc, iterations=4).astype(np.int32)
    (found,) = regionprops(refine_outlines(wide, grey))
    assert 4 * np.pi * found.area / found.perimeter_crofton**2 > 0.85
    assert found.area == pytest.approx(disc.sum(), rel=0.05)
    assert wide.sum() > 1.15 * disc.sum()
