"""Pictures of tiles: colours where tiles are, targets that can be seen, a legend that says what is what."""

import numpy as np
import pytest

from emscout.crystals.report.heat_map import (
    TARGET_COLOUR,
    TilePicture,
    cluster_colour,
    colour_tiles,
    draw_contact_sheet,
    draw_heat_map,
)


@pytest.fixture
def picture():
    """Two rows and three columns of tiles of 40 × 50 px, at half their size."""
    return TilePicture(
        grey=np.full((40, 75), 128, np.uint8),
        shrink=2,
        rows=np.array([[0, 40], [40, 80]]),
        cols=np.array([[0, 50], [50, 100], [100, 150]]),
        cluster=np.array([[1, 2, 2], [2, 2, 0]]),
        target=np.array([[True, False, False], [False, False, False]]),
        commonest=2,
    )


def test_values_are_painted_where_their_tiles_are(picture):
    painted = picture.paint(np.arange(6).reshape(2, 3))
    assert painted.shape == (40, 75)
    assert [painted[y, x] for y, x in ((0, 0), (19, 24), (20, 25), (39, 74))] == [0, 0, 4, 5]


def test_pixels_of_no_tile_are_left_alone():
    narrow = TilePicture(
        np.zeros((20, 20), np.uint8),
        1,
        np.array([[5, 15]]),
        np.array([[0, 10]]),
        np.ones((1, 1), int),
        np.ones((1, 1), bool),
        1,
    )
    painted = narrow.paint(np.array([[7]]), outside=-1)
    assert (painted[5:15, :10] == 7).all()
    assert (painted == 7).sum() == 100


def test_clusters_have_their_colours_and_targets_an_outline(picture):
    rgb = colour_tiles(picture)
    rare, common = rgb[10, 12].astype(int), rgb[10, 60].astype(int)
    # The commonest is faint, so that the specimen is seen.
    assert np.abs(rare - 128).sum() > 2 * np.abs(common - 128).sum() > 0
    toward = np.array(cluster_colour(1)) - 128
    assert (np.sign(rare - 128) == np.sign(toward)).all()
    assert rgb[0, 0].tolist() == list(TARGET_COLOUR)
    assert rgb[1, 10].tolist() == [255, 255, 255]
    assert not (rgb[:, 40:] == TARGET_COLOUR).all(axis=2).any()


def test_black_tiles_are_hatched_and_have_no_colour(picture):
    black = colour_tiles(picture)[22:38, 52:73]
    assert (black == black[..., :1]).all()
    assert len(np.unique(black)) == 2


def test_a_heat_map_has_scale_and_legend_below(picture):
    drawn = draw_heat_map(
        picture, {1: "cluster 1", 2: "cluster 2", 0: "black, left out"}, [(1, 19.5, 24.5)], nm_per_px=2.0
    )
    enlarged = drawn.shape[1] // 75
    assert enlarged >= 2
    below = drawn[40 * enlarged :]
    assert (below == 255).mean() > 0.5
    assert (below == TARGET_COLOUR).all(axis=2).any()
    unscaled = draw_heat_map(picture, {1: "cluster 1"}, [])
    assert not np.array_equal(drawn[: unscaled.shape[0]], unscaled[: drawn.shape[0]])


def test_a_contact_sheet_holds_all_panels():
    panels = [(f"panel {grey}", np.full((60, 90, 3), grey, np.uint8)) for grey in (10, 90, 170)]
    sheet = draw_contact_sheet(panels)
    for grey in (10, 90, 170):
        assert (sheet == grey).all(axis=2).sum() >= 60 * 90


def test_colours_can_be_distinguished():
    colours = np.array([cluster_colour(number) for number in range(1, 7)] + [TARGET_COLOUR], float)
    distances = np.linalg.norm(colours[:, None] - colours, axis=2) + 1e3 * np.eye(7)
    assert distances.min() > 60
