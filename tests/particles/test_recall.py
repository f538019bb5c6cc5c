import numpy as np
import pytest

from emscout.particles.recall import estimate_count

COEFFICIENTS = {"weights": [1.0, 0.6, 1.0], "spread": [0.02, 0.5, 0.5]}


def test_certain_particles_are_their_own_number():
    estimate = estimate_count(np.ones(100), np.zeros(0), COEFFICIENTS)
    assert estimate.expected == pytest.approx(100)
    assert estimate.low < 100 < estimate.high < 112


def test_doubtful_outlines_add_to_the_number_and_widen_the_interval():
    sure = estimate_count(np.full(50, 0.95), np.zeros(0), COEFFICIENTS)
    unsure = estimate_count(np.full(50, 0.6), np.full(40, 0.3), COEFFICIENTS)
    assert unsure.expected == pytest.approx(50 * 0.6 + 0.6 * 50 * 0.4 + 40 * 0.3)
    assert unsure.high / unsure.low > sure.high / sure.low


def test_noise_says_nothing_about_the_number():
    with_noise = estimate_count(np.full(50, 0.9), np.full(1000, 0.03), COEFFICIENTS)
    assert with_noise == estimate_count(np.full(50, 0.9), np.zeros(0), COEFFICIENTS)


def test_nothing_found_is_an_interval_from_none():
    estimate = estimate_count(np.zeros(0), np.zeros(0), COEFFICIENTS)
    assert (estimate.expected, estimate.low) == (0, 0)
    assert estimate.high > 0
