import numpy as np
import pytest

from emscout.crystals.tiles.grid import Lattice, cut_grid, cut_tiles
from emscout.crystals.tiles.windows import window_counts, window_extremes, window_sums
from emscout.errors import UsageError

LATTICES = {
    "grid": cut_grid((103, 91), 7, 5),
    "tiles": cut_tiles((103, 91), 17.3),
    "every pixel": cut_tiles((103, 91), 9, 1),
    "with a step": cut_tiles((103, 91), 16, 5),
    "with gaps": cut_tiles((103, 91), 8, 20),
    "one window": cut_grid((103, 91), 1, 1),
    "sliding down, tiles across": Lattice(cut_tiles((103, 91), 12, 3).rows, cut_grid((103, 91), 4, 6).cols),
}
lattices = pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES)


def by_window(function, image, lattice):
    return np.array([[function(image[a:b, c:d]) for c, d in lattice.cols] for a, b in lattice.rows])


@pytest.mark.parametrize(("shape", "n_rows", "n_cols"), [((1000, 1000), 20, 20), ((103, 91), 7, 5), ((37, 41), 9, 10)])
def test_a_grid_covers_every_pixel_once_with_tiles_of_one_size(shape, n_rows, n_cols):
    lattice = cut_grid(shape, n_rows, n_cols)
    assert lattice.shape == (n_rows, n_cols)
    covered = np.zeros(shape, int)
    for a, b in lattice.rows:
        for c, d in lattice.cols:
            covered[a:b, c:d] += 1
    assert (covered == 1).all()
    for spans in (lattice.rows, lattice.cols):
        assert np.ptp(spans[:, 1] - spans[:, 0]) <= 1


@pytest.mark.parametrize("side", [4, 10, 49.5, 90])
def test_tiles_of_a_side_cover_the_image_and_come_near_that_side(side):
    lattice = cut_tiles((103, 91), side)
    for spans, length in ((lattice.rows, 103), (lattice.cols, 91)):
        assert (spans[1:, 0] == spans[:-1, 1]).all() and spans[0, 0] == 0 and spans[-1, 1] == length
        assert (
            0.6 * side - 1 <= (spans[:, 1] - spans[:, 0]).min() <= (spans[:, 1] - spans[:, 0]).max() <= 1.5 * side + 1
        )


@pytest.mark.parametrize("step", [1, 3, 50])
def test_sliding_windows_lie_wholly_inside_the_image(step):
    lattice = cut_tiles((103, 91), 20, step)
    assert lattice.shape == ((103 - 20) // step + 1, (91 - 20) // step + 1)
    for spans, length in ((lattice.rows, 103), (lattice.cols, 91)):
        assert (np.diff(spans, axis=1) == 20).all() and spans[0, 0] == 0 and spans[-1, 1] <= length
        assert (np.diff(spans[:, 0]) == step).all()


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (lambda: cut_grid((100, 60), 20, 20), "25x15 or fewer"),
        (lambda: cut_grid((3, 60), 1, 1), "too small for a tile"),
        (lambda: cut_grid((100, 100), 0, 5), "no tile"),
        (lambda: cut_tiles((100, 100), 3), "at least 4 px"),
        (lambda: cut_tiles((100, 100), float("nan")), "at least 4 px"),
        (lambda: cut_tiles((100, 60), 61), "does not fit"),
        (lambda: cut_tiles((100, 60), 10, 0.5), "at least 1 px"),
    ],
)
def test_what_cannot_be_cut_is_said(cut, said):
    with pytest.raises(UsageError, match=said):
        cut()


@lattices
@pytest.mark.parametrize("kind", [bool, np.uint8, np.uint16, np.int32, np.float32])
def test_sums_are_those_of_each_window(lattice, kind):
    image = (np.random.default_rng(0).random((103, 91)) * 250).astype(kind) > 99
    image = image if kind is bool else (np.random.default_rng(0).random((103, 91)) * 250).astype(kind)
    expected = by_window(lambda window: window.sum(dtype=float), image, lattice)
    np.testing.assert_allclose(window_sums(image, lattice), expected, rtol=1e-12)


@lattices
def test_counts_are_the_sums_of_a_mask(lattice):
    mask = np.random.default_rng(0).random((103, 91)) < 0.9
    np.testing.assert_array_equal(window_counts(mask, lattice), window_sums(mask, lattice))
    np.testing.assert_array_equal(window_counts(np.ones_like(mask), lattice), lattice.areas)


@lattices
def test_extremes_are_those_of_each_window(lattice):
    image = np.random.default_rng(1).normal(size=(103, 91))
    smallest, largest = window_extremes(image, lattice)
    np.testing.assert_array_equal(smallest, by_window(np.min, image, lattice))
    np.testing.assert_array_equal(largest, by_window(np.max, image, lattice))


@pytest.mark.parametrize("shape", [(300, 2500), (1100, 64)])
@pytest.mark.parametrize("cut", [lambda shape: cut_grid(shape, 9, 13), lambda shape: cut_tiles(shape, 60, 7)])
def test_blocks_hold_every_window_once_where_it_is(shape, cut):
    lattice = cut(shape)
    image = np.arange(np.prod(shape)).reshape(shape)
    corners = np.full((*lattice.shape, 2), -1)
    for (r, c), pixels, part in lattice.blocks():
        assert (corners[r, c] == -1).all()
        block = image[pixels]
        corners[r, c, 0] = block[np.ix_(part.rows[:, 0], part.cols[:, 0])]
        corners[r, c, 1] = block[np.ix_(part.rows[:, 1] - 1, part.cols[:, 1] - 1)]
    np.testing.assert_array_equal(corners[..., 0], image[np.ix_(lattice.rows[:, 0], lattice.cols[:, 0])])
    np.testing.assert_array_equal(corners[..., 1], image[np.ix_(lattice.rows[:, 1] - 1, lattice.cols[:, 1] - 1)])
