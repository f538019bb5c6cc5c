"""A set of images in one picture: places from names, or a list."""

import numpy as np
import pytest

from emscout.crystals.report.mosaic import draw_mosaic, read_layout


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["Tile_001-002-000000_0-000", "Tile_002-001-000000_0-000"], [(0, 1), (1, 0)]),
        (["Tile_003-001", "Tile_003-002", "Tile_003-003"], [(0, 0), (0, 1), (0, 2)]),
        (["scan_r01_c02", "scan_r02_c02"], [(0, 0), (1, 0)]),
        (["Row1Col1", "Row1Col2"], [(0, 0), (0, 1)]),
        (["map 2x3", "map 3x2"], [(0, 1), (1, 0)]),
    ],
    ids=lambda value: value[0] if isinstance(value[0], str) else "",
)
def test_names_give_row_and_column(names, places):
    assert read_layout(names) == dict(zip(names, places, strict=True))


@pytest.mark.parametrize(
    "names",
    [
        ["img1", "img10", "img11"],
        ["Tile_001-002", "overview"],
        ["a_001-002", "b_001-002"],
        ["scan_001-001", "scan_400-900"],
        ["Tile_001-001"],
        [],
    ],
    ids=lambda names: " ".join(names) or "none",
)
def test_other_names_give_no_layout(names):
    assert read_layout(names) is None


def test_pictures_lie_where_their_names_say():
    pictures = {"Tile_001-001": np.full((40, 50), 50, np.uint8), "Tile_002-002": np.full((40, 50), 200, np.uint8)}
    mosaic = draw_mosaic(pictures, read_layout(list(pictures)))
    height, width = (side // 2 for side in mosaic.shape[:2])
    assert mosaic[10, 10].tolist() == [50] * 3
    assert mosaic[height + 10, width + 10].tolist() == [200] * 3
    assert mosaic[10, width + 10].tolist() == mosaic[height + 10, 10].tolist() == [255] * 3


def test_a_list_shows_all_pictures_and_room_for_their_names():
    pictures = {f"img{number}": np.full((60, 60), 20 * number, np.uint8) for number in (1, 3, 10)}
    mosaic = draw_mosaic(pictures, None)
    for grey in (20, 60, 200):
        assert (mosaic == grey).all(axis=2).sum() >= 60 * 60
    below_first = mosaic[60:76, :60]
    assert (below_first < 128).any()
    assert (below_first > 200).any()


def test_pictures_of_several_sizes_and_kinds_fit_the_asked_size():
    pictures = {"a": np.zeros((3000, 1800), np.uint8), "b": np.zeros((600, 4200, 3), np.uint8)}
    assert max(draw_mosaic(pictures, None).shape) <= 2400
