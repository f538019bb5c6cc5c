"""What validation settles: which particles are probable, and which doubt is too much."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("onnx")

from emscout.particles.segmenters.instances import FEATURES
from emscout.training.validation import (
    Validation,
    calibrate,
    choose_max_uncertainty,
    doubt_calibration,
    save_pictures,
)


def validation(matched, n_true, **features):
    """Ten images with as many particles each; features that are not given are noise."""
    generator = np.random.default_rng(0)
    columns = [features.get(name, generator.normal(size=len(matched))) for name in FEATURES]
    image = np.repeat(np.arange(10), len(matched) // 10)
    doubt = features.get("mean_information_nats", np.zeros(len(matched)))
    return Validation({}, [], np.stack(columns, 1), doubt, matched, image, np.full(10, n_true))


def test_a_doubtful_particle_is_never_the_more_probable_for_it():
    generator = np.random.default_rng(1)
    matched = generator.random(400) < 0.7
    seed = 0.7 + 0.1 * matched + 0.05 * generator.normal(size=400)
    doubt = 0.02 + 0.01 * matched
    calibration, _ = calibrate(validation(matched, 40, mean_seed=seed, mean_information_nats=doubt), range(10))
    assert calibration["weights"]["mean_seed"] > 0
    assert "mean_information_nats" not in calibration["weights"]


def test_the_probability_holds_for_other_sources():
    generator = np.random.default_rng(2)
    seed = generator.uniform(0.5, 1, 2000)
    matched = generator.random(2000) < 2 * seed - 1
    calibration, error = calibrate(validation(matched, 200, mean_seed=seed), [f"paper {i // 2}" for i in range(10)])
    assert set(calibration["weights"]) <= {"mean_seed", "mean_gaussian", "mean_information_nats"}
    assert error < 0.06


@pytest.mark.parametrize("share", [0, 1])
def test_a_network_that_is_always_or_never_right_is_nearly_sure(share):
    calibration, error = calibrate(validation(np.full(100, bool(share)), 10), range(10))
    probability = 1 / (1 + np.exp(-calibration["intercept"]))
    assert probability == pytest.approx(share, abs=0.02)
    assert np.isnan(error)


def test_what_is_doubtful_and_wrong_is_dropped_and_what_is_right_is_kept():
    matched = np.tile([True] * 8 + [False] * 2, 10)
    doubt = np.where(matched, 0.05, 0.12)
    assert 0.05 <= choose_max_uncertainty(validation(matched, 8, mean_information_nats=doubt)) < 0.12


def test_doubt_that_says_nothing_drops_nothing():
    matched = np.tile([True] * 8 + [False] * 2, 10)
    doubt = np.where(matched, 0.12, 0.05)
    assert choose_max_uncertainty(validation(matched, 8, mean_information_nats=doubt)) >= 0.12


def test_a_probability_that_rests_on_too_little_says_so():
    all_right = validation(np.full(40, True), 4)
    assert "are all right" in doubt_calibration(all_right, *calibrate(all_right, range(10)))
    assert "0.976" in doubt_calibration(all_right, *calibrate(all_right, range(10)))
    generator = np.random.default_rng(0)
    seed = generator.uniform(0.5, 1, 2000)
    matched = generator.random(2000) < 2 * seed - 1
    many = validation(matched, 200, mean_seed=seed)
    assert doubt_calibration(many, *calibrate(many, range(10))) == ""
    assert "10 validation images" in doubt_calibration(many, *calibrate(many, ["one paper"] * 10))


def test_a_sheet_of_pictures_has_no_black_filler(tmp_path):
    pictures = [Image.new("RGB", size, "blue") for size in ((300, 60), (100, 90), (240, 40))]
    save_pictures(pictures, tmp_path / "sheet.png", columns=2)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert (sheet == 0).all(axis=2).sum() == 0
    assert (sheet == (0, 0, 255)).all(axis=2).sum() == 300 * 60 + 100 * 90 + 240 * 40
