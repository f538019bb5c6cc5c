"""The scores of a classification against numbers worked out by hand and by scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from emscout.evaluate.classification import (
    commonly_confused,
    confusion_matrix,
    coverage_curve,
    expected_calibration_error,
    score_categories,
    score_each_category,
)

CATEGORIES = ["a", "b", "c"]


def drawn(n=200, seed=0):
    generator = np.random.default_rng(seed)
    probability = generator.dirichlet([1, 1, 1], n)
    truth = [CATEGORIES[generator.choice(3, p=row)] for row in probability]
    return truth, probability


def test_scores_are_those_of_scikit_learn():
    truth, probability = drawn()
    named = np.array(CATEGORIES)[probability.argmax(axis=1)]
    scores = score_categories(truth, probability, CATEGORIES)
    assert scores["accuracy"] == np.mean(named == truth)
    assert scores["macro_f1"] == pytest.approx(f1_score(truth, named, average="macro"))
    each = score_each_category(truth, probability, CATEGORIES)
    np.testing.assert_allclose(each["precision"], precision_score(truth, named, average=None))
    np.testing.assert_allclose(each["recall"], recall_score(truth, named, average=None))


def test_a_category_without_pictures_does_not_pull_macro_f1_down():
    probability = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    assert score_categories(["a", "b"], probability, CATEGORIES)["macro_f1"] == 1.0
    each = score_each_category(["a", "b"], probability, CATEGORIES)
    assert np.isnan(each["recall"].iloc[2]) and np.isnan(each["precision"].iloc[2])


def test_calibration_error_by_hand():
    """Two bins: 0.7 said and 0.5 right, 0.95 said and all right; half of the pictures each."""
    confidence = np.array([0.7, 0.7, 0.95, 0.95])
    right = np.array([True, False, True, True])
    assert expected_calibration_error(confidence, right) == pytest.approx(0.5 * 0.2 + 0.5 * 0.05)
    assert expected_calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


def test_true_probabilities_are_calibrated_and_sharpened_ones_are_not():
    truth, probability = drawn(20000)
    assert score_categories(truth, probability, CATEGORIES)["ece"] < 0.02
    sharp = probability**4 / (probability**4).sum(axis=1, keepdims=True)
    assert score_categories(truth, sharp, CATEGORIES)["ece"] > 0.1


def test_confusions_are_counted_and_ranked():
    probability = np.eye(3)[[1, 1, 0, 2, 2, 0]]
    truth = ["a", "a", "a", "b", "c", "b"]
    matrix = confusion_matrix(truth, probability, CATEGORIES)
    assert matrix.loc["a", "b"] == 2 and matrix.loc["b", "c"] == 1 and matrix.to_numpy().sum() == 6
    confused = commonly_confused(matrix)
    assert confused.iloc[0].to_dict() == {
        "category": "a",
        "confused_for": "b",
        "count": 2,
        "percent": pytest.approx(100 / 3),
    }
    assert len(confused) == 3


def test_abstaining_where_the_doubt_is_gains_accuracy():
    curve = coverage_curve(np.array([0.5, 0.9, 0.7, 0.6]), np.array([False, True, True, False]))
    expected = pd.DataFrame({"coverage": [0.25, 0.5, 0.75, 1.0], "accuracy": [1, 1, 2 / 3, 0.5]})
    pd.testing.assert_frame_equal(curve[["coverage", "accuracy"]], expected)
