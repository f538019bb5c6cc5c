"""Particles by the Bayesian network: any image, the same bytes, no seams, doubts that can be acted on."""

import numpy as np
import pytest
from scipy import ndimage

from emscout.errors import NothingToFindError, UsageError
from emscout.evaluate import score_matched
from emscout.particles.segmenters.bayesian import (
    segment_bayesian,
)
from emscout.synthetic.particles import make_micrograph


@pytest.fixture(scope="module")
def scene():
    micrograph, truth, _ = make_micrograph((256, 320), n_particles=18, diameter_px=(36.0, 5.0), noise=0.03, seed=4)
    return micrograph.image, truth


@pytest.fixture(scope="module")
def found(scene):
    return segment_bayesian(scene[0], samples=8)


def test_plain_particles_are_found(scene, found):
    scores = score_matched(scene[1], found.labels)
    assert scores["f1_50"] > 0.9


def test_the_segmentation_is_complete(scene, found):
    assert found.labels.shape == found.uncertainty.shape == scene[0].shape
    count = found.labels.max()
    assert sorted(np.unique(found.labels)) == list(range(count + 1))
    assert found.uncertainty.dtype == np.float32
    assert 0 <= found.uncertainty.min() <= found.uncertainty.max() <= np.log(2)
    assert found.score.shape == (count,)
    assert ((found.score >= 0) & (found.score <= 1)).all()


def test_each_particle_is_in_one_piece(found):
    for label in range(1, found.labels.max() + 1):
        assert ndimage.label(found.labels == label)[1] == 1


def test_the_same_seed_gives_the_same_bytes(scene, found):
    again = segment_bayesian(scene[0], samples=8)
    assert again.labels.tobytes() == found.labels.tobytes()
    assert again.uncertainty.tobytes() == found.uncertainty.tobytes()
    assert again.score.tobytes() == found.score.tobytes()


def test_another_seed_gives_other_samples(scene, found):
    assert not np.array_equal(segment_bayesian(scene[0], samples=8, seed=1).uncertainty, found.uncertainty)


def test_one_sample_has_no_uncertainty(scene):
    assert segment_bayesian(scene[0], samples=1).uncertainty.max() < 1e-5


def test_a_given_diameter_is_heeded(scene):
    assert score_matched(scene[1], segment_bayesian(scene[0], samples=2, diameter_px=36).labels)["f1_50"] > 0.9
    # Other diameters are other zooms, and other outlines.
    given, other = (segment_bayesian(scene[0], samples=2, diameter_px=diameter).labels for diameter in (36, 60))
    assert not np.array_equal(given, other)


@pytest.mark.parametrize("diameter_px", [12.0, 36.0, 108.0])
def test_the_size_of_particles_is_estimated(diameter_px):
    side = int(max(256, 5 * diameter_px))
    truth = make_micrograph(
        (side, side), n_particles=14, diameter_px=(diameter_px, diameter_px / 8), noise=0.03, seed=4
    )
    given = segment_bayesian(truth[0].image, samples=2, diameter_px=diameter_px)
    found = segment_bayesian(truth[0].image, samples=2)
    assert score_matched(truth[1], found.labels)["f1_75"] > score_matched(truth[1], given.labels)["f1_75"] - 0.03


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (2, 3), (33, 31), (7, 500), (300, 20)])
def test_any_size_and_shape(shape):
    found = segment_bayesian(np.random.default_rng(0).random(shape), samples=2)
    assert found.labels.shape == found.uncertainty.shape == shape


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint64", "float16", "float32", "float64"])
def test_any_dtype_gives_the_same_particles(scene, found, dtype):
    image = (scene[0] / scene[0].max() * 200).round().astype(dtype)
    assert score_matched(found.labels, segment_bayesian(image, samples=2).labels)["f1_50"] > 0.85


def test_an_image_of_two_values():
    image = np.zeros((120, 120), bool)
    image[40:80, 30:70] = True
    assert segment_bayesian(image, samples=2).labels.shape == image.shape


def test_grey_values_may_be_huge_or_tiny(scene, found):
    for scale, offset in ((1e-20, 0.0), (1e30, 0.0), (1.0, 1e9)):
        image = scene[0].astype(float) * scale + offset
        assert score_matched(found.labels, segment_bayesian(image, samples=2).labels)["f1_50"] > 0.85


def test_pixels_that_are_not_finite_are_no_image(scene):
    image = scene[0].astype(float)
    image[:, :60] = np.nan
    image[:5] = np.inf
    found = segment_bayesian(image, samples=2)
    assert np.isfinite(found.uncertainty).all()
    assert np.isfinite(found.score).all()


@pytest.mark.parametrize("image", [np.zeros((1, 1)), np.full((90, 70), 7), np.full((9, 9), np.nan)])
def test_nothing_to_find(image):
    with pytest.raises(NothingToFindError):
        segment_bayesian(image)


@pytest.mark.parametrize("options", [{"samples": 0}, {"diameter_px": 0}, {"diameter_px": np.nan}])
def test_options_that_make_no_sense(scene, options):
    with pytest.raises(UsageError):
        segment_bayesian(scene[0], **options)


def test_an_unknown_model(scene):
    with pytest.raises(UsageError, match="particles-v0"):
        segment_bayesian(scene[0], model="particles-v0")


def test_tiles_leave_no_seams():
    micrograph = make_micrograph((448, 704), n_particles=60, diameter_px=(24.0, 4.0), noise=0.03, seed=2)[0]
    whole = segment_bayesian(micrograph.image, samples=2, diameter_px=20)
    # Enlarged to the network's preferred size the image is several tiles, which lie elsewhere on a part of it.
    part = segment_bayesian(micrograph.image[60:, 90:], samples=2, diameter_px=20)
    scores = score_matched(whole.labels[70:, 100:], part.labels[10:, 10:])
    assert scores["f1_50"] > 0.97
    assert scores["f1_75"] > 0.95
