import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from emscout.evaluate import (
    evaluate,
    histogram_distance,
    iou_pairs,
    rms_difference,
    score_matched,
    score_paper,
    summarize,
)


def strip(*runs: tuple[int, int]) -> np.ndarray:
    """A one-row label map from (label, length) runs."""
    return np.concatenate([np.full(length, label) for label, length in runs])[None].astype(np.int32)


def random_labels(seed: int, n: int = 12, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = np.zeros((side, side), np.int32)
    for label in range(1, n + 1):
        row, col = rng.integers(0, side - 12, 2)
        labels[row : row + rng.integers(4, 12), col : col + rng.integers(4, 12)] = label
    return labels


def test_a_perfect_prediction_scores_one_whatever_its_numbers():
    true = random_labels(0)
    relabelled = np.where(true > 0, true * 7 + 3, 0)
    assert score_paper(true, relabelled) == {"ap": 1, "ap50": 1, "ap75": 1, "mean_iou": 1}
    matched = score_matched(true, relabelled)
    assert all(
        matched[f"{name}_{end}"] == 1 for name in ("f1", "ap", "precision", "recall") for end in ("50", "75", "50_95")
    )
    assert matched["pq_50"] == 1


def test_iou_of_a_hand_counted_pair():
    pairs = iou_pairs(strip((0, 2), (1, 10), (0, 2)), strip((0, 6), (5, 8)))
    assert (pairs.n_true, pairs.n_predicted) == (1, 1)
    assert pairs.iou == pytest.approx([6 / 12])


def test_labels_without_background_are_understood():
    pairs = iou_pairs(strip((1, 4), (2, 4)), strip((1, 4), (2, 4)))
    assert (pairs.n_true, pairs.n_predicted) == (2, 2)
    assert sorted(zip(pairs.true, pairs.predicted, strict=True)) == [(0, 0), (1, 1)]


def test_an_iou_equal_to_the_threshold_is_no_match():
    true, predicted = strip((1, 10), (0, 10)), strip((1, 5), (0, 15))
    assert score_paper(true, predicted)["ap50"] == 0
    assert score_paper(true, predicted)["mean_iou"] == 0
    assert score_matched(true, predicted)["f1_50"] == 0


def test_paper_protocol_by_hand_one_found_one_missed_one_invented():
    # IoU 0.8 for the first, nothing for the second, one prediction on background.
    true = strip((1, 10), (0, 5), (2, 10), (0, 10))
    predicted = strip((1, 8), (0, 22), (2, 5))
    scores = score_paper(true, predicted)
    # P = R = 1/2 for t < 0.8 and 0 above: area of a trapezoid from (0, 1/2 after making monotone) to (1/2, 1/2).
    assert scores["ap50"] == 0.5
    assert scores["ap75"] == 0.5
    assert scores["mean_iou"] == pytest.approx(0.4)
    assert scores["ap"] == pytest.approx(0.25)


def test_paper_protocol_counts_a_second_match_as_false():
    # The true particle is cut in two: IoU 0.6 and 0.4.
    true, predicted = strip((1, 10), (0, 2)), strip((1, 6), (2, 4), (0, 2))
    scores = score_paper(true, predicted)
    # t < 0.4: TP 1, both match, one duplicate: P 1/2. 0.4 <= t < 0.6: one match, one without: P 1/2. Above: 0.
    assert scores["ap50"] == 0.5
    assert scores["ap75"] == 0
    assert scores["mean_iou"] == pytest.approx(0.3)
    assert scores["ap"] == pytest.approx(0.5)


def test_paper_protocol_where_nothing_changes_with_the_threshold_is_the_precision():
    true = strip((1, 10), (0, 5), (2, 10), (0, 10))
    predicted = strip((1, 10), (0, 20), (3, 5))
    assert score_paper(true, predicted)["ap"] == 0.5


def test_without_a_prediction_everything_is_zero():
    true = random_labels(1)
    empty = np.zeros_like(true)
    assert set(score_paper(true, empty).values()) == {0}
    matched = score_matched(true, empty)
    assert matched["recall_50"] == matched["f1_50"] == matched["ap_50_95"] == 0
    assert np.isnan(matched["precision_50"])


def test_nothing_true_and_nothing_predicted_is_no_score():
    empty = np.zeros((5, 5), np.int32)
    assert np.isnan(score_matched(empty, empty)["f1_50"])


def test_matched_scores_by_hand():
    # IoU 0.9 and 0.6; one true particle missed, one invented.
    true = strip((1, 10), (0, 1), (2, 10), (0, 1), (3, 10), (0, 10))
    predicted = strip((1, 9), (0, 2), (2, 6), (0, 16), (9, 9))
    scores = score_matched(true, predicted)
    assert scores["precision_50"] == scores["recall_50"] == scores["f1_50"] == pytest.approx(2 / 3)
    assert scores["ap_50"] == pytest.approx(2 / 4)
    assert scores["f1_75"] == pytest.approx(1 / 3)
    assert scores["ap_75"] == pytest.approx(1 / 5)
    # tp is 2 at 0.50 and 0.55, 1 from 0.60 to 0.85, 0 at 0.90 and 0.95
    assert scores["ap_50_95"] == pytest.approx((2 * 2 / 4 + 6 * 1 / 5) / 10)
    assert scores["pq_50"] == pytest.approx((0.9 + 0.6) / 3)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_above_half_are_the_hungarian_matching(seed):
    true = random_labels(seed, 20)
    rng = np.random.default_rng(seed)
    predicted = np.roll(true, rng.integers(-2, 3, 2), (0, 1))
    pairs = iou_pairs(true, predicted)
    matrix = np.zeros((pairs.n_true, pairs.n_predicted))
    matrix[pairs.true, pairs.predicted] = pairs.iou
    for threshold in (0.5, 0.75):
        usable = np.where(matrix > threshold, matrix, 0)
        rows, cols = linear_sum_assignment(-usable)
        expected = int((usable[rows, cols] > 0).sum())
        scores = score_matched(true, predicted)
        assert scores[f"recall_{100 * threshold:.0f}"] == pytest.approx(expected / pairs.n_true)


def test_maps_of_different_size_are_refused():
    with pytest.raises(ValueError, match="pixels"):
        score_paper(np.zeros((4, 4), int), np.zeros((4, 5), int))


def test_pooling_weighs_particles_and_the_mean_weighs_images():
    many, one = random_labels(3, 12), strip((1, 10), (0, 10))
    table = evaluate([("found", many, many), ("missed", one, np.zeros_like(one))])
    summary = summarize(table)
    n = len(np.unique(many)) - 1
    assert summary.loc["mean", "recall_50"] == 0.5
    assert summary.loc["pooled", "recall_50"] == pytest.approx(n / (n + 1))
    assert summary.loc["mean", "paper_ap50"] == 0.5
    assert np.isnan(summary.loc["pooled", "paper_ap50"])
    assert summary.loc["pooled", "n_true"] == n + 1


def test_evaluate_of_nothing_has_its_columns():
    table = evaluate([])
    assert len(table) == 0
    assert {"image", "paper_ap", "f1_50", "tp_95"} <= set(table.columns)


def test_equal_distributions_are_at_distance_zero_and_disjoint_ones_at_one():
    rng = np.random.default_rng(0)
    values = rng.normal(100, 5, 200)
    assert histogram_distance(values, values) == pytest.approx(0)
    assert histogram_distance(values, values + 1000) == pytest.approx(1)
    assert histogram_distance(values, []) == 1
    assert 0 < histogram_distance(values, values + 5) < 1


def test_fewer_than_thirty_particles_make_no_distribution():
    assert np.isnan(histogram_distance(np.arange(29), np.arange(29)))


def test_rms_difference_leaves_out_what_is_unknown():
    assert rms_difference([1, 2, np.nan], [4, 2, 5]) == pytest.approx(np.sqrt(4.5))
    assert np.isnan(rms_difference([np.nan], [1]))
