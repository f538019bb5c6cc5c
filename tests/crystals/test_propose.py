import json

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from skimage import draw
from sklearn.metrics import roc_auc_score

from emscout.crystals.choice import propose
from emscout.crystals.choice.propose import compute_predictors, propose_target, read_tile_model, score_tiles
from emscout.crystals.tiles.grid import cut_grid, cut_tiles
from emscout.crystals.tiles.tile_features import FEATURES, measure_contrast, measure_features, sample_grey
from emscout.crystals.tiles.windows import window_sums
from emscout.errors import ModelError, NothingToFindError

GRID = (12, 12)


def overview(polarity=1, shape=(480, 480), n=14, radius=34, seed=0):
    """A film with discs, grey 1 on average, and where the discs are."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    for place in rng.uniform(radius, np.array(shape) - radius, (n, 2)):
        mask[draw.disk(place, radius * rng.uniform(0.6, 1.2), shape=shape)] = True
    soft = ndimage.gaussian_filter(mask.astype(float), 1.5)
    return (1 + polarity * 0.4 * soft + rng.normal(0, 0.05, shape)).astype(np.float32), mask


def scored(images, lattice):
    contrast = measure_contrast([sample_grey(image, len(images)) for image in images])
    features = np.concatenate(
        [measure_features(image, lattice, contrast).reshape(-1, len(FEATURES)) for image in images]
    )
    return score_tiles(compute_predictors(features)).reshape(len(images), *lattice.shape)


def f1(truth, found):
    return 2 * (truth & found).sum() / (truth.sum() + found.sum())


@pytest.mark.parametrize("polarity", [-1, 1])
@pytest.mark.parametrize("seed", range(3))
def test_tiles_with_discs_score_above_a_half_whether_dark_or_bright(polarity, seed):
    image, mask = overview(polarity, seed=seed)
    lattice = cut_grid(image.shape, *GRID)
    truth = window_sums(mask, lattice) / lattice.areas > 0.2
    assert f1(truth, scored([image], lattice)[0] >= 0.5) > 0.8


def test_the_scale_of_grey_and_the_resolution_do_not_matter():
    image, _ = overview()
    lattice = cut_grid(image.shape, *GRID)
    expected = scored([image], lattice)
    assert scored([image * 5000 + 300], lattice) == pytest.approx(expected, abs=0.01)
    doubled = np.kron(image, np.ones((2, 2), np.float32))
    assert ((scored([doubled], cut_grid(doubled.shape, *GRID)) >= 0.5) == (expected >= 0.5)).mean() > 0.9


def test_an_empty_image_in_a_set_stays_empty():
    image, mask = overview()
    lattice = cut_grid(image.shape, *GRID)
    empty = np.random.default_rng(5).normal(1, 0.05, image.shape).astype(np.float32)
    scores = scored([image, empty], lattice)
    truth = window_sums(mask, lattice) / lattice.areas > 0.2
    assert (scores[1] >= 0.5).mean() < 0.02
    assert roc_auc_score(truth.ravel(), scores[0].ravel()) > 0.9


def test_missing_pixels_say_nothing():
    image, _ = overview()
    image[:40] = np.nan
    features = measure_features(image, cut_grid(image.shape, *GRID), measure_contrast([sample_grey(image, 1)]))
    assert np.isfinite(features).all()
    assert np.isfinite(
        measure_features(np.full_like(image, np.nan), cut_grid(image.shape, 4, 4), measure_contrast([]))
    ).all()


def test_a_sliding_window_scores_as_the_tile_it_stands_on():
    image, _ = overview()
    lattice, sliding = cut_tiles(image.shape, 40), cut_tiles(image.shape, 40, 10)
    contrast = measure_contrast([sample_grey(image, 1)])
    assert measure_features(image, sliding, contrast)[::4, ::4] == pytest.approx(
        measure_features(image, lattice, contrast), abs=1e-5
    )


def test_a_window_moved_by_single_pixels_scores_about_the_same():
    image, _ = overview(shape=(240, 240), n=4)
    fine, coarse = cut_tiles(image.shape, 48, 1), cut_tiles(image.shape, 48, 6)
    contrast = measure_contrast([sample_grey(image, 1)])
    features = measure_features(image, fine, contrast)
    assert features.shape == (193, 193, len(FEATURES))
    assert features[::6, ::6] == pytest.approx(measure_features(image, coarse, contrast), abs=1e-5)
    between = measure_features(image, cut_tiles(image.shape, 48, 7), contrast)
    assert np.abs(features[::7, ::7] - between).mean() < 0.05 * features.std(axis=(0, 1)).mean()


def test_no_tiles_have_no_signs():
    assert score_tiles(compute_predictors(np.empty((0, len(FEATURES)), np.float32))).shape == (0,)


def test_many_windows_are_scored_as_few():
    image, _ = overview()
    lattice = cut_grid(image.shape, 11, 11)  # of 121 tiles the quantiles stay what they are when all are repeated
    features = measure_features(image, lattice, measure_contrast([sample_grey(image, 1)])).reshape(-1, len(FEATURES))
    many = compute_predictors(np.tile(features, (420, 1)))
    expected = compute_predictors(features)
    np.testing.assert_allclose(many.reshape(420, *expected.shape), np.broadcast_to(expected, (420, *expected.shape)))


def test_a_damaged_or_foreign_model_is_refused(tmp_path):
    path = tmp_path / "model.json"
    with pytest.raises(ModelError, match="install emscout again"):
        read_tile_model(path)
    path.write_text("{")
    with pytest.raises(ModelError, match="not a readable tile model"):
        read_tile_model(path)
    content = json.loads(propose.SHIPPED_MODEL.read_text())
    path.write_text(json.dumps(content | {"features": ["grey@1"]}))
    with pytest.raises(ModelError, match="other features"):
        read_tile_model(path)


def table(cluster, score, black, deviation=None):
    """Tiles of one image, from arrays of its grid."""
    row, col = (index.ravel() for index in np.indices(np.shape(cluster)))
    tiles = pd.DataFrame({"image": "a", "row": row, "col": col, "black": np.ravel(black)})
    tiles["cluster"] = pd.Series(np.ravel(cluster), dtype="Int64").mask(np.ravel(black))
    tiles["score"] = np.where(np.ravel(black), np.nan, np.ravel(score))
    tiles["mean"], tiles["standard_deviation"] = 1.0, np.ravel(score if deviation is None else deviation) + 0.1
    return tiles


def test_the_cluster_whose_tiles_look_like_crystals_is_proposed():
    cluster = np.ones((8, 8), int)
    cluster[2:4, 2:4], cluster[6:, 6:] = 2, 3
    score = np.choose(cluster - 1, [0.05, 0.4, 0.9])
    proposal = propose_target(table(cluster, score, np.zeros((8, 8), bool)))
    assert proposal.cluster == 3
    assert 0.3 < proposal.confidence <= 1
    assert proposal.scores["cluster"].tolist() == [1, 2, 3]
    assert proposal.scores["share"].sum() == pytest.approx(1)


def test_the_edge_of_a_bar_is_not_proposed_though_it_has_more_contrast():
    cluster, black = np.ones((8, 8), int), np.zeros((8, 8), bool)
    black[:, 0], cluster[:, 1] = True, 2
    cluster[5, 5:7] = 3
    score = np.choose(cluster - 1, [0.05, 0.9, 0.7])
    proposal = propose_target(table(cluster, score, black))
    assert proposal.cluster == 3
    assert proposal.scores.set_index("cluster").loc[2, "near_black"] == 1


def test_what_fills_the_set_is_not_proposed():
    cluster = np.ones((8, 8), int)
    cluster[4, 4] = 2
    score = np.choose(cluster - 1, [0.6, 0.5])
    assert propose_target(table(cluster, score, np.zeros((8, 8), bool))).cluster == 2


def test_a_toss_up_has_no_confidence():
    cluster = np.repeat([[1, 2]], 8, axis=0).repeat(4, axis=1)
    proposal = propose_target(table(cluster, np.full((8, 8), 0.5), np.zeros((8, 8), bool)))
    assert proposal.confidence == pytest.approx(0)


def test_a_set_that_is_all_black_has_no_target():
    with pytest.raises(NothingToFindError, match="All tiles are black"):
        propose_target(table(np.ones((4, 4), int), np.zeros((4, 4)), np.ones((4, 4), bool)))
