"""Scores of the locator against hand-made cases."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from emscout.evaluate.crystals import recall_of_first, score_clusters, score_target


def test_target_scores_are_those_of_the_book():
    target, positive = np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 0, 1, 0], bool)
    scores = score_target(target, positive)
    assert (scores["n_positive"], scores["n_target"]) == (3, 3)
    assert scores["precision"] == scores["recall"] == scores["f1"] == pytest.approx(2 / 3)


def test_what_cannot_be_scored_is_not_a_number():
    nothing, all_true = np.zeros(4, bool), np.ones(4, bool)
    assert np.isnan(score_target(nothing, nothing)["f1"])
    assert np.isnan(score_target(nothing, all_true)["precision"])
    assert score_target(nothing, all_true)["f1"] == 0
    assert score_target(all_true, nothing)["precision"] == 0


def test_cluster_scores_do_not_care_about_names():
    labels = np.array(["A", "A", "B", "C", "C", "C"])
    scores = score_clusters(np.array([3, 3, 1, 2, 2, 2]), labels)
    assert all(value == pytest.approx(1) for value in scores.values())
    mixed = np.array([1, 2, 1, 2, 1, 2])
    assert score_clusters(mixed, labels)["adjusted_rand"] == pytest.approx(adjusted_rand_score(labels, mixed))


def test_a_finer_clustering_is_homogeneous_but_not_complete():
    scores = score_clusters(np.array([1, 2, 3, 3]), np.array(["A", "A", "B", "B"]))
    assert scores["homogeneity"] == pytest.approx(1)
    assert scores["completeness"] < 0.8


@pytest.fixture
def tiles():
    """Two images of 4 × 4 tiles of 10 px; three crystals, of 3, 1 and 1 tiles."""
    row, col = (index.ravel() for index in np.indices((4, 4)))
    parts = []
    for image in ("a", "b"):
        part = pd.DataFrame({"image": image, "row": row, "col": col, "top_px": 10 * row, "left_px": 10 * col})
        parts.append(part.assign(height_px=10, width_px=10, positive=False, target_rank=pd.NA))
    table = pd.concat(parts, ignore_index=True)
    for image, places in {"a": [(0, 0), (1, 1), (1, 2), (3, 3)], "b": [(2, 0)]}.items():
        for row, col in places:
            table.loc[(table["image"] == image) & (table["row"] == row) & (table["col"] == col), "positive"] = True
    return table


def with_targets(tiles, **targets):
    """Targets of one tile each, ``rank_N=(image, row, col)``, in the middle of their tile."""
    table = tiles.copy()
    rows = []
    for name, (image, row, col) in targets.items():
        rank = int(name.removeprefix("rank_"))
        table.loc[(table["image"] == image) & (table["row"] == row) & (table["col"] == col), "target_rank"] = rank
        rows.append({"rank": rank, "image": image, "row_px": 10 * row + 4.5, "col_px": 10 * col + 4.5})
    return table, pd.DataFrame(rows, columns=["rank", "image", "row_px", "col_px"])


def test_recall_counts_crystals_and_tiles_by_rank(tiles):
    table, targets = with_targets(
        tiles, rank_10=("a", 1, 1), rank_11=("b", 0, 0), rank_20=("b", 2, 0), rank_50=("a", 0, 0)
    )
    scores = recall_of_first(table, targets)
    assert [scores[f"recall_{n}"] for n in (10, 20, 50)] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert [scores[f"tile_recall_{n}"] for n in (10, 20, 50)] == pytest.approx([1 / 5, 2 / 5, 3 / 5])


def test_the_same_place_in_another_image_is_another_place(tiles):
    table, targets = with_targets(tiles, rank_1=("b", 3, 3))
    assert recall_of_first(table, targets)["recall_10"] == 0


def test_no_target_and_no_crystal(tiles):
    table, targets = with_targets(tiles)
    assert recall_of_first(table, targets) == {
        f"{kind}_{n}": 0 for kind in ("recall", "tile_recall") for n in (10, 20, 50)
    }
    assert all(np.isnan(value) for value in recall_of_first(table.assign(positive=False), targets).values())
