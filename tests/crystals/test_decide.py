"""What becomes a target when nobody has said anything, and how tiles are named."""

import numpy as np
import pandas as pd
import pytest

from emscout.crystals.choice.decide import choose_target_tiles, find_tile, is_distinct
from emscout.crystals.choice.propose import Proposal
from emscout.errors import UsageError


def make_set(**changed):
    """100 tiles: 6 of cluster 1 (dark, rich in contrast), 14 of cluster 2, 80 of film, of which three score highly."""
    best = {"share": 0.06, "contrast": 12.0, "near_black": 0.0, "crystal_score": 0.6} | changed
    cluster = np.repeat([1, 2, 3], [6, 14, 80])
    rng = np.random.default_rng(0)
    tiles = pd.DataFrame(
        {
            "image": "a",
            "row": np.arange(100) // 10,
            "col": np.arange(100) % 10,
            "height_px": 20,
            "width_px": 20,
            "cluster": pd.array(cluster, dtype="Int64"),
            "mean": np.array([0.7, 0.95, 1.0])[cluster - 1] + changed.get("brighter", 0) * (cluster == 1),
            "standard_deviation": np.array([0.2, 0.06, 0.02])[cluster - 1] * rng.uniform(0.98, 1.02, 100),
            "score": np.where(np.arange(100) >= 97, 0.9, 0.2),
        }
    )
    rows = [
        {
            "cluster": 1,
            "n_tiles": 6,
            "score": 0.6,
            **{name: best[name] for name in ("share", "contrast", "near_black")},
        },
        {"cluster": 2, "n_tiles": 14, "score": 0.1, "share": 0.14, "contrast": 5.0, "near_black": 0.0},
        {"cluster": 3, "n_tiles": 80, "score": 0.1, "share": 0.8, "contrast": 1.1, "near_black": 0.0},
    ]
    scores = pd.DataFrame(rows).assign(crystal_score=[best["crystal_score"], 0.2, 0.2])
    return tiles, Proposal(1, 0.9, scores)


def test_a_cluster_that_stands_apart_is_the_target_and_nothing_else():
    tiles, proposal = make_set()
    assert is_distinct(tiles, proposal)
    assert np.flatnonzero(choose_target_tiles(tiles, proposal)).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "changed",
    [
        {"share": 0.3},
        {"contrast": 3.0},
        {"contrast": 4.5},
        {"near_black": 0.8},
        {"crystal_score": 0.21},
        {"brighter": 0.5},
    ],
    ids=str,
)
def test_a_cluster_that_lacks_anything_leaves_it_to_the_score(changed):
    tiles, proposal = make_set(**changed)
    assert not is_distinct(tiles, proposal)
    assert np.flatnonzero(choose_target_tiles(tiles, proposal)).tolist() == [97, 98, 99]


def test_the_rim_of_something_darker_does_not_stand_apart():
    tiles, proposal = make_set()
    clusters = proposal.scores.assign(cluster=[2, 1, 3])
    swapped = tiles.assign(cluster=tiles["cluster"].map({1: 2, 2: 1, 3: 3}).astype("Int64"))
    swapped.loc[swapped["cluster"] == 1, "mean"] = 0.3
    assert not is_distinct(swapped, Proposal(2, 0.9, clusters))


def test_images_of_unequal_noise_and_nothing_else_hold_no_target():
    tiles, proposal = make_set()
    rng = np.random.default_rng(1)
    noise = rng.normal(1, np.where(np.arange(100) < 50, 0.02, 0.04)[:, None], (100, 400))
    tiles["mean"], tiles["standard_deviation"] = noise.mean(axis=1), noise.std(axis=1)
    assert choose_target_tiles(tiles, proposal).any()
    tiles["image"] = np.where(np.arange(100) < 50, "a", "b")
    assert not choose_target_tiles(tiles, proposal).any()


def test_what_differs_by_no_more_than_noise_is_no_target():
    tiles, proposal = make_set()
    rng = np.random.default_rng(1)
    noise = rng.normal(1, 0.02, (100, 400))
    tiles["mean"], tiles["standard_deviation"] = noise.mean(axis=1), noise.std(axis=1)
    assert not choose_target_tiles(tiles, proposal).any()


def test_tiles_are_found_by_their_address():
    tiles = pd.DataFrame({"image": ["a:b"] * 4 + ["c"] * 4, "row": [0, 0, 1, 1] * 2, "col": [0, 1] * 4})
    assert find_tile("a:b:1,0", tiles) == 2
    assert find_tile("c:0,1", tiles) == 5


@pytest.mark.parametrize("address", ["c", "c:1", "c:1;2", "c:2,0", "d:0,0", "c:-1,0"])
def test_what_is_no_address_is_one_sentence(address):
    tiles = pd.DataFrame({"image": ["c"] * 4, "row": [0, 0, 1, 1], "col": [0, 1, 0, 1]})
    with pytest.raises(UsageError, match=address.split(":")[0]):
        find_tile(address, tiles)


def faint_set(rough):
    """100 tiles of noise, 12 of them (the first) so many times rougher, none of which looks like a crystal."""
    tiles, proposal = make_set(contrast=1.0)
    rng = np.random.default_rng(2)
    noise = rng.normal(1, 0.05 * np.where(np.arange(100) < 12, rough, 1)[:, None], (100, 400))
    tiles["mean"], tiles["standard_deviation"] = noise.mean(axis=1), noise.std(axis=1)
    tiles["cluster"] = pd.array(np.where(np.arange(100) < 12, 2, 3), dtype="Int64")
    return tiles.assign(score=0.2), proposal


def test_on_film_of_noise_alone_what_is_rougher_is_target():
    tiles, proposal = faint_set(1.6)
    assert np.flatnonzero(choose_target_tiles(tiles, proposal)).tolist() == list(range(12))


def test_on_film_of_noise_alone_the_score_decides_where_the_rest_are_rims():
    tiles, proposal = faint_set(1.6)
    tiles.loc[[2, 5, 7], "score"] = 0.9
    assert np.flatnonzero(choose_target_tiles(tiles, proposal)).tolist() == [2, 5, 7]
