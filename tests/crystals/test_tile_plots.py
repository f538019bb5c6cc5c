"""Plots of tiles: the same tiles give the same picture, and odd sets do not break them."""

import numpy as np
import pandas as pd
import pytest
from scipy.cluster.hierarchy import linkage

from emscout.crystals.report.tile_plots import choose_spread_points, plot_advice, plot_dendrogram, plot_scatter


@pytest.fixture
def tiles():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(6, 1, (20, 2))])
    pictures = [rng.integers(0, 255, (12, 15)).astype(np.uint8) for _ in points]
    return points, np.repeat([1, 2], [80, 20]), pictures


def test_scatter_and_dendrogram_are_the_same_each_time(tiles):
    points, clusters, pictures = tiles
    chosen = choose_spread_points(points)
    shown = [pictures[i] for i in chosen]
    first, again = (plot_scatter(points, clusters, clusters == 2, shown, chosen, ("x", "y")) for _ in range(2))
    assert np.array_equal(first, again)
    tree = linkage(points, "average")
    first, again = (plot_dendrogram(tree, clusters, pictures, 2, distance="d") for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape[2] == 3


def test_pictures_are_of_tiles_that_lie_apart(tiles):
    points = tiles[0]
    chosen = choose_spread_points(np.repeat(points, 50, axis=0))
    assert len(chosen) == len(set(chosen)) < 110
    shown = np.repeat(points, 50, axis=0)[chosen]
    assert np.ptp(shown, axis=0) == pytest.approx(np.ptp(points, axis=0), rel=0.3)


def test_few_tiles_have_a_dendrogram_too():
    points = np.array([[0.0, 0], [1, 0], [5, 0]])
    pictures = [np.zeros((4, 4), np.uint8)] * 3
    assert plot_dendrogram(linkage(points), np.array([1, 1, 2]), pictures, 3, distance="d").size


def test_advice_marks_the_number_used():
    advice = pd.DataFrame({"n_clusters": [2, 3, 4], "silhouette": [0.5, np.nan, -0.2], "stability": [0.9, 0.8, 0.7]})
    assert not np.array_equal(plot_advice(advice, 2), plot_advice(advice, 4))
