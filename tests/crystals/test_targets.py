"""Target tiles become crystals: where they are, how large, what is near."""

import numpy as np
import pandas as pd
import pytest

from emscout.crystals.navigation.targets import TARGET_COLUMNS, cells_of, edge_pixels, merge_targets
from emscout.crystals.tiles.grid import cut_grid, cut_tiles


def table(lattice, scores, image="a"):
    """Tiles of one image; those with a score of a half or more are targets."""
    scores = np.asarray(scores, float)
    row, col = (index.ravel() for index in np.indices(lattice.shape))
    return pd.DataFrame(
        {"image": image, "row": row, "col": col, "score": scores.ravel(), "target": scores.ravel() >= 0.5}
    )


def test_touching_tiles_are_one_target_and_others_are_not():
    lattice = cut_grid((40, 60), 4, 6)
    scores = np.zeros((4, 6))
    scores[0, 0] = scores[1, 1] = 0.8  # across a corner
    scores[3, 5] = 0.9
    targets, ranks = merge_targets(table(lattice, scores), {"a": lattice}, {})
    assert tuple(targets.columns) == TARGET_COLUMNS
    assert targets["n_tiles"].tolist() == [1, 2]
    assert targets["score"].tolist() == [0.9, 0.8]
    assert targets["rank"].tolist() == [1, 2]
    assert ranks.reshape(4, 6)[[0, 1, 3], [0, 1, 5]].tolist() == [2, 2, 1]
    assert (ranks > 0).sum() == 3


def test_position_and_size_count_from_the_first_pixel():
    lattice = cut_grid((40, 60), 4, 6)
    scores = np.zeros((4, 6))
    scores[1:3, 2:5] = 1
    (one,) = merge_targets(table(lattice, scores), {"a": lattice}, {})[0].to_dict("records")
    assert (one["top_px"], one["left_px"], one["height_px"], one["width_px"]) == (10, 20, 20, 30)
    assert one["area_px2"] == 600
    # The centre of the first pixel is (0, 0), so that rows 10 to 29 have their middle at 19.5.
    assert (one["row_px"], one["col_px"]) == (pytest.approx(19.5), pytest.approx(34.5))


def test_the_centre_leans_towards_the_better_tiles():
    lattice = cut_grid((10, 40), 1, 4)
    targets, _ = merge_targets(table(lattice, [[0.5, 0.5, 1.0, 0]]), {"a": lattice}, {})
    assert targets["col_px"][0] == pytest.approx((4.5 * 0.5 + 14.5 * 0.5 + 24.5) / 2)


def test_the_centre_of_a_bent_crystal_lies_on_it():
    lattice = cut_grid((70, 70), 7, 7)
    ring = np.ones((7, 7))
    ring[1:-1, 1:-1] = 0
    (one,) = merge_targets(table(lattice, ring), {"a": lattice}, {})[0].to_dict("records")
    assert ring[int(one["row_px"] // 10), int(one["col_px"] // 10)] == 1


def test_distances_to_the_bar_and_to_the_next_crystal():
    lattice = cut_grid((100, 100), 10, 10)
    scores = np.zeros((10, 10))
    scores[5, 2] = scores[5, 8] = 1
    bar = np.zeros((100, 100), bool)
    bar[:, :6] = True
    targets, _ = merge_targets(table(lattice, scores), {"a": lattice}, {"a": edge_pixels(bar)})
    assert sorted(targets["bar_distance_px"]) == [pytest.approx(19.5, abs=0.6), pytest.approx(79.5, abs=0.6)]
    assert targets["next_crystal_px"].tolist() == [60, 60]
    alone, _ = merge_targets(table(lattice, np.eye(10)[:, :]), {"a": lattice}, {})
    assert alone["bar_distance_px"].isna().all()
    assert alone["next_crystal_px"].isna().all()


def test_targets_of_several_images_share_one_ranking_but_no_neighbours():
    lattice = cut_grid((20, 20), 2, 2)
    tiles = pd.concat(
        [table(lattice, [[0.6, 0], [0, 0]], "a"), table(lattice, [[0.9, 0], [0, 0]], "b")], ignore_index=True
    )
    targets, ranks = merge_targets(tiles, {"a": lattice, "b": lattice}, {})
    assert targets["image"].tolist() == ["b", "a"]
    assert targets["next_crystal_px"].isna().all()
    assert ranks[[0, 4]].tolist() == [2, 1]


def test_of_equal_scores_the_larger_goes_first():
    lattice = cut_grid((50, 50), 5, 5)
    scores = np.zeros((5, 5))
    scores[0, 0] = 1
    scores[2:4, 2:4] = 1
    targets, _ = merge_targets(table(lattice, scores), {"a": lattice}, {})
    assert targets["n_tiles"].tolist() == [4, 1]


def test_no_target_gives_an_empty_table_with_its_columns():
    lattice = cut_grid((20, 20), 2, 2)
    targets, ranks = merge_targets(table(lattice, np.zeros((2, 2))), {"a": lattice}, {})
    assert targets.empty
    assert tuple(targets.columns) == TARGET_COLUMNS
    assert not ranks.any()


def test_tiles_of_a_grid_keep_their_pixels_and_sliding_ones_share_them_out():
    lattice = cut_grid((23, 31), 4, 5)
    assert np.array_equal(cells_of(lattice).rows, lattice.rows)
    sliding = cut_tiles((40, 40), 16, 4)
    cells = cells_of(sliding)
    assert cells.shape == sliding.shape
    assert (cells.rows[1:, 0] == cells.rows[:-1, 1]).all()
    assert (cells.rows[0, 0], cells.rows[-1, 1]) == (0, 40)
    middle = sliding.rows.mean(axis=1)
    assert ((cells.rows[:, 0] <= middle) & (middle <= cells.rows[:, 1])).all()
    assert cells.areas.sum() == 1600
