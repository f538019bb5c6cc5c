"""Composite figures of known layout."""

import numpy as np

from emscout.synthetic.figure import DRAWN, make_figure


def test_the_same_seed_gives_the_same_bytes():
    one, other = (make_figure((2, 1), kinds=("micrograph", "plot", "drawing"), seed=7) for _ in range(2))
    assert np.array_equal(one.image, other.image)
    assert one.panels.equals(other.panels)
    assert not np.array_equal(one.image, make_figure((2, 1), kinds=("micrograph", "plot", "drawing"), seed=8).image)


def test_boxes_tile_the_figure_up_to_gutters():
    figure = make_figure((1, 3), gutter_px=8, gutter="black", letters="none", scale_bar=False)
    covered = np.zeros(figure.image.shape[:2], int)
    for row in figure.panels.itertuples():
        covered[row.top_px : row.top_px + row.height_px, row.left_px : row.left_px + row.width_px] += 1
    assert covered.max() == 1
    assert (figure.image[covered == 0] == 0).all()
    assert figure.image[covered == 1].mean() > 20


def test_every_kind_is_drawn_and_lettered():
    figure = make_figure((2, 2), kinds=tuple(DRAWN), gutter_px=10)
    assert list(figure.panels["kind"]) == list(DRAWN)
    assert list(figure.panels["letter"]) == list("abcd")
    assert figure.panels["count"].notna().sum() == 1
