"""The linear head: learns, says how sure it is, knows what it does not know."""

import numpy as np
import pytest

from emscout.specimens import heads
from emscout.specimens.head_settings import CHOICES, choose_settings, cross_predict, split_folds
from emscout.specimens.heads import HeadSettings, fit_head, fit_temperature, probabilities, set_threshold
from emscout.specimens.novelty import fit_novelty, fit_out_of_distribution


def clouds(n=60, n_categories=3, dimensions=30, distance=4.0, seed=0):
    """Features in clouds around centres that are the same for every seed; names and sources."""
    centres = np.random.default_rng(1).standard_normal((n_categories, dimensions))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    generator = np.random.default_rng(seed)
    which = np.arange(n) % n_categories
    features = centres[which] + generator.standard_normal((n, dimensions))
    return features, np.array(list("abcdef"))[which], np.array([f"source {i // 6}" for i in range(n)])


@pytest.mark.parametrize("n_categories", [2, 3])
def test_a_head_names_what_it_was_taught(n_categories):
    head = fit_head(*clouds(n_categories=n_categories), 0, HeadSettings(0.03))
    features, names, _ = clouds(n_categories=n_categories, seed=5)
    logits, _ = head.predict(features)
    assert logits.shape == (60, n_categories)
    assert (np.array(head.categories)[logits.argmax(axis=1)] == names).mean() > 0.9


def test_more_pictures_than_features_are_the_same_regression():
    features, names, sources = clouds(n=200, dimensions=12)
    wide = np.hstack([features, np.zeros((200, 300))])  # features that say nothing
    one = fit_head(features, names, sources, 0, HeadSettings(0.1)).predict(features)[0]
    other = fit_head(wide, names, sources, 0, HeadSettings(0.1)).predict(wide)[0]
    np.testing.assert_allclose(one, other, atol=0.02)


def test_a_source_of_many_pictures_does_not_drown_the_others():
    """Forty copies of a wrongly labelled picture, all of one source, against few of many sources."""
    features, names, sources = clouds(n=30, n_categories=2, distance=5.0)
    wrong = np.repeat(features[:1], 40, axis=0)
    head = fit_head(
        np.vstack([features, wrong]),
        np.append(names, ["b"] * 40),
        np.append(sources, ["one paper"] * 40),
        0,
        HeadSettings(0.003),
    )
    fresh, truth, _ = clouds(n=60, n_categories=2, distance=5.0, seed=3)
    assert (np.array(head.categories)[head.predict(fresh)[0].argmax(axis=1)] == truth).mean() > 0.85


def test_cross_predictions_never_come_from_the_same_source():
    """Where all there is to learn is the source itself, held-out predictions are no better than chance."""
    generator = np.random.default_rng(0)
    sources = np.repeat([f"s{i}" for i in range(20)], 6)
    marks = generator.standard_normal((20, 40)).repeat(6, axis=0) * 5
    names = np.array(["a", "b"])[generator.permutation(20) % 2].repeat(6)
    logits, _ = cross_predict(marks, names, sources, 0)
    assert (np.array(["a", "b"])[logits.argmax(axis=1)] == names).mean() < 0.75
    by_picture, _ = cross_predict(marks, names, np.arange(120).astype(str), 0)
    assert (np.array(["a", "b"])[by_picture.argmax(axis=1)] == names).mean() > 0.95


def test_the_strongest_penalty_wins_among_equals():
    assert choose_settings(*clouds(distance=12.0), 0) == CHOICES[0]


def test_what_is_far_from_the_training_pictures_is_novel():
    features, names, sources = clouds(n=120)
    head = fit_novelty(fit_head(features, names, sources, 0), features)
    held, truth, _ = clouds(n=120, seed=7)
    logits, novelty = head.predict(held)
    head = set_threshold(head, novelty, logits, np.searchsorted(head.categories, truth))
    assert (head.predict(held)[1] <= 1).mean() == pytest.approx(heads.KNOWN_SHARE, abs=0.01)
    strange = held + 6 * np.random.default_rng(0).standard_normal(held.shape)
    assert (head.predict(strange)[1] > 1).mean() > 0.9


def test_pictures_that_are_not_micrographs_are_recognised_unless_they_are_a_category():
    features, names, sources = clouds(n=120, distance=6.0)
    foreign, fresh = (clouds(n=60, n_categories=1, distance=0.0, seed=seed)[0] - 3.0 for seed in (11, 12))
    head, held = fit_out_of_distribution(fit_head(features, names, sources, 0), features, sources, foreign)
    assert held.mean() < 0.05
    head = fit_novelty(head, features)
    head = set_threshold(head, np.full(10, 1e9), np.zeros((10, 3)), np.zeros(10, int))  # by distance nothing is novel
    assert (head.predict(fresh)[1] > 1).mean() > 0.9
    assert (head.predict(clouds(n=120, distance=6.0, seed=4)[0])[1] > 1).mean() < 0.1
    plots = np.vstack([features[:60], fresh])
    names, sources = np.repeat(["a", "plot"], 60), np.array([f"source {i // 6}" for i in range(120)])
    before = fit_head(plots, names, sources, 0)
    assert fit_out_of_distribution(before, plots, sources, foreign)[0] is before


def test_the_temperature_of_overconfident_logits_is_found():
    generator = np.random.default_rng(0)
    true = generator.standard_normal((4000, 3)) * 2
    chance = probabilities(true, 1.0)
    truth = np.array([generator.choice(3, p=row) for row in chance])
    assert fit_temperature(5 * true, truth) == pytest.approx(5, rel=0.1)


@pytest.mark.parametrize(("n", "most"), [(2, 0.8), (6, 0.9), (200, 0.999)])
def test_few_pictures_that_are_all_right_make_nobody_sure(n, most):
    truth = np.arange(n) % 2
    logits = 3.0 * np.stack([1 - truth, truth], axis=1)
    sure = probabilities(logits, fit_temperature(logits, truth)).max(axis=1)
    np.testing.assert_allclose(sure, (n + 1) / (n + 2), atol=0.01)
    assert sure.max() < most


def test_more_folds_than_pictures_of_a_category_are_fewer():
    _, names, _ = clouds(n=12)
    parts = split_folds(names, np.arange(12).astype(str), 40, 0)
    assert len(parts) == 4
    assert sorted(row for _, held in parts for row in held) == list(range(12))
