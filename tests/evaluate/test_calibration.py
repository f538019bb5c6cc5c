import numpy as np
import pytest

from emscout.evaluate.calibration import (
    cross_validate_calibration,
    expected_calibration_error,
    fit_calibration,
)


def _sample(n=4000):
    rng = np.random.default_rng(0)
    features = rng.normal(3, [1, 2], (n, 2))
    probability = 1 / (1 + np.exp(-(2 * (features[:, 0] - 3) - 0.5 * (features[:, 1] - 3))))
    return features, rng.random(n) < probability, probability


def test_the_coefficients_are_recovered():
    features, matched, truth = _sample()
    fit = fit_calibration(features, matched, ("a", "b"))
    assert fit["weights"]["a"] == pytest.approx(2, rel=0.15)
    assert fit["weights"]["b"] == pytest.approx(-0.5, rel=0.15)
    logit = features @ list(fit["weights"].values()) + fit["intercept"]
    assert np.abs(1 / (1 + np.exp(-logit)) - truth).max() < 0.05


def test_true_probabilities_have_next_to_no_error():
    features, matched, truth = _sample()
    assert expected_calibration_error(truth, matched) < 0.02
    images = np.arange(len(matched)) % 40
    assert expected_calibration_error(cross_validate_calibration(features, matched, images), matched) < 0.03


@pytest.mark.parametrize(
    ("probability", "matched", "error"),
    [([1.0, 1.0], [True, True], 0.0), ([0.9, 0.9], [False, False], 0.9), ([0.5, 0.5], [True, False], 0.5)],
)
def test_error_of_small_samples(probability, matched, error):
    assert expected_calibration_error(np.array(probability), np.array(matched)) == pytest.approx(error)


def test_no_particles_have_no_error():
    assert np.isnan(expected_calibration_error(np.array([]), np.array([], bool)))
