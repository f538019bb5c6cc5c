"""Particles by the Bayesian network: any image, the same bytes, no seams, doubts that can be acted on."""

import numpy as np
import pytest
from scipy import ndimage

from emscout.errors import NothingToFindError, UsageError
from emscout.evaluate import score_matched
from emscout.micrograph import Segmentation
from emscout.particles.segmenters import bayesian
from emscout.particles.segmenters.bayesian import (
    default_max_uncertainty,
    filter_particles,
    mean_uncertainty,
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


def test_a_given_diameter_spares_the_first_look(scene, monkeypatch):
    monkeypatch.setattr(bayesian, "estimate_diameter", lambda *_: pytest.fail("the diameter was given"))
    assert score_matched(scene[1], segment_bayesian(scene[0], samples=2, diameter_px=36).labels)["f1_50"] > 0.9


@pytest.mark.parametrize("factor", [1 / 3, 3])
def test_a_first_look_that_errs_on_the_size_is_put_right(factor, monkeypatch):
    micrograph, truth, _ = make_micrograph((512, 512), n_particles=60, diameter_px=(36.0, 5.0), noise=0.03, seed=4)
    right = segment_bayesian(micrograph.image, samples=2, diameter_px=36)
    monkeypatch.setattr(bayesian, "estimate_diameter", lambda *_: 36 * factor)
    found = segment_bayesian(micrograph.image, samples=2)
    assert score_matched(truth, found.labels)["f1_75"] > score_matched(truth, right.labels)["f1_75"] - 0.03


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


def test_tiles_leave_no_seams(monkeypatch):
    micrograph = make_micrograph((448, 704), n_particles=60, diameter_px=(24.0, 4.0), noise=0.03, seed=2)[0]
    monkeypatch.setattr(bayesian, "TILE_PX", 1024)
    whole = segment_bayesian(micrograph.image, samples=2, diameter_px=20)
    monkeypatch.setattr(bayesian, "TILE_PX", 256)
    assert len(bayesian._cut_side(448)) > 1
    tiled = segment_bayesian(micrograph.image, samples=2, diameter_px=20)
    scores = score_matched(whole.labels, tiled.labels)
    assert scores["f1_50"] > 0.97
    assert scores["f1_75"] > 0.95


def _three() -> Segmentation:
    labels = np.zeros((4, 6), np.int32)
    labels[:, 0:2], labels[:, 2:4], labels[0, 5] = 1, 2, 3
    uncertainty = np.choose(labels, [0.5, 0.01, 0.05, 0.2]).astype(np.float32)
    return Segmentation(labels, uncertainty, np.array([0.9, 0.4, 0.8]))


def test_mean_uncertainty_of_each_particle():
    np.testing.assert_allclose(mean_uncertainty(_three()), [0.01, 0.05, 0.2], rtol=1e-6)
    assert np.isnan(mean_uncertainty(Segmentation(_three().labels))).all()


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, [1, 2, 3]),
        ({"max_uncertainty": 0.1}, [1, 2]),
        ({"min_probability": 0.5}, [1, 3]),
        ({"max_uncertainty": 0.1, "min_probability": 0.5}, [1]),
        ({"max_uncertainty": 0.0}, []),
    ],
)
def test_doubtful_particles_are_dropped(limits, kept):
    whole = _three()
    believed, doubtful = filter_particles(whole, **limits)
    assert believed.labels.max() == len(kept)
    assert doubtful.labels.max() == 3 - len(kept)
    np.testing.assert_array_equal(believed.labels > 0, np.isin(whole.labels, kept))
    np.testing.assert_array_equal((believed.labels > 0) | (doubtful.labels > 0), whole.labels > 0)
    np.testing.assert_array_equal(believed.score, whole.score[np.array(kept, int) - 1])


def test_the_shipped_model_says_which_doubt_is_too_much():
    assert 0 < default_max_uncertainty("particles-v2") < 0.7
