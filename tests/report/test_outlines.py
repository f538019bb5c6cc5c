import numpy as np
import pytest

from emscout.report.outlines import trace_outlines


def area_px2(outline):
    row, col = outline[:, 0], outline[:, 1]
    return 0.5 * np.sum(col * np.roll(row, -1) - np.roll(col, -1) * row)


def disc(radius):
    r, c = np.mgrid[: 2 * radius + 3, : 2 * radius + 3] - radius - 1
    return r**2 + c**2 <= radius**2


@pytest.mark.parametrize("radius", [1, 2, 5, 30])
def test_the_polygon_has_the_area_of_the_pixels(radius):
    mask = disc(radius)
    (outline,) = trace_outlines(mask)
    assert area_px2(outline) == mask.sum()


def test_a_pixel_is_a_unit_square_without_superfluous_corners():
    mask = np.zeros((3, 4), bool)
    mask[1, 1:3] = True
    (outline,) = trace_outlines(mask)
    assert sorted(map(tuple, outline.tolist())) == [(1, 1), (1, 3), (2, 1), (2, 3)]


def test_the_edge_of_the_image_closes_the_outline():
    (outline,) = trace_outlines(np.ones((4, 5), bool))
    assert area_px2(outline) == 20
    assert outline.min(axis=0).tolist() == [0, 0]
    assert outline.max(axis=0).tolist() == [4, 5]


def test_holes_are_ignored():
    mask = np.ones((6, 6), bool)
    mask[2, 2] = mask[3, 3] = False
    (outline,) = trace_outlines(mask)
    assert area_px2(outline) == 36


def test_pixels_that_meet_at_a_corner_are_one_outline():
    (outline,) = trace_outlines(np.eye(4, dtype=bool))
    assert area_px2(outline) == 4


def test_pieces_come_largest_first():
    mask = np.zeros((9, 9), bool)
    mask[0:2, 0:2] = True
    mask[4:9, 4:9] = True
    assert [area_px2(outline) for outline in trace_outlines(mask)] == [25, 4]


def test_random_masks_keep_the_area_of_what_they_surround():
    from scipy.ndimage import binary_fill_holes

    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((12, 15)) < 0.6
        # A hole that meets the outside at a corner only is not part of the outside: pixels there belong together.
        filled = binary_fill_holes(mask)
        assert sum(area_px2(outline) for outline in trace_outlines(mask)) == filled.sum()


def test_nothing_has_no_outline():
    assert trace_outlines(np.zeros((3, 3), bool)) == []
