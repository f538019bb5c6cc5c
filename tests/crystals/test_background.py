import numpy as np
import pytest
import tifffile
from scipy import ndimage

from emscout.crystals.tiles.background import (
    black_share,
    bright_level,
    correct_illumination,
    find_grid_bars,
    find_stripes,
)
from emscout.crystals.tiles.grid import cut_grid, cut_tiles

SIDE = 500
ROW, COL = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
EVEN = np.zeros((SIDE, SIDE), bool)
VIGNETTE = 1 - 0.12 * ROW**2 - 0.1 * COL**2 + 0.08 * COL
CRYSTALS = {
    "small": (ROW - 0.3) ** 2 + (COL + 0.2) ** 2 < 0.02,
    "a fifth of the image": ROW**2 + COL**2 < 0.25,
    "at a corner": (ROW + 0.8) ** 2 + (COL + 0.8) ** 2 < 0.8,
    "nearly half the image": COL < -0.1,
    "two": ((COL + 0.5) ** 2 + ROW**2 < 0.15) | ((COL - 0.5) ** 2 + ROW**2 < 0.15),
}
BARS = {
    "a bar along the edge": COL > 0.6,
    "a slanted bar": np.abs(ROW - 0.3 * COL) < 0.15,
    "a mesh": (np.abs((ROW + 0.2 * COL) % 1.0 - 0.5) < 0.15) | (np.abs((COL - 0.2 * ROW) % 1.0 - 0.5) < 0.15),
    "an aperture": (ROW - 0.1) ** 2 + (COL + 0.1) ** 2 > 0.64,
    "a corner": ROW + 0.8 * COL < -0.9,
}


def film(light=VIGNETTE, crystal=EVEN, depth=0.0, bar=EVEN, *, bright=10_000, dark=500, edge_px=2.0, seed=0):
    """16-bit micrograph of film, a crystal that lets 1 - depth through, and black bars with a soft edge."""
    rng = np.random.default_rng(seed)
    open_share = 1 - ndimage.gaussian_filter(bar.astype(float), edge_px)
    electrons = light * (1 - depth * crystal) * open_share
    noise = rng.normal(0, 1, bar.shape) * (0.03 * bright * np.sqrt(electrons) + 0.002 * bright)
    return np.clip(dark + (bright - dark) * electrons + noise, 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("depth", [0.15, 0.4])
@pytest.mark.parametrize("crystal", CRYSTALS.values(), ids=CRYSTALS)
def test_uneven_light_goes_and_crystals_however_large_stay(crystal, depth):
    flat = correct_illumination(film(crystal=crystal, depth=depth, dark=0))
    smooth = ndimage.uniform_filter(flat, 25)
    away = ~ndimage.binary_dilation(crystal, iterations=15)
    inside = ndimage.binary_erosion(crystal, iterations=15)
    assert flat.dtype == np.float32
    assert np.ptp(smooth[away]) < 0.06 < np.ptp(VIGNETTE[away])
    assert np.median(flat[away]) == pytest.approx(1, abs=0.02)
    assert np.median(flat[inside]) == pytest.approx(1 - depth, abs=0.03)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_all_bit_depths_and_exposures_come_to_one_scale(kind):
    reference = correct_illumination(film(dark=0))
    image = film(dark=0).astype(float) / 10_000 * {np.uint8: 200, np.uint16: 50_000}.get(kind, 1234.5)
    flat = correct_illumination(image.astype(kind))
    assert np.abs(ndimage.uniform_filter(flat - reference, 9)).max() < 0.02


@pytest.mark.parametrize("bar", BARS.values(), ids=BARS)
@pytest.mark.parametrize("edge_px", [1.0, 5.0])
def test_bars_are_found_with_their_soft_edge_and_nothing_else(bar, edge_px):
    image = film(bar=bar, edge_px=edge_px)
    black = find_grid_bars(image)
    assert black[bar].mean() > 0.999
    assert not black[ndimage.distance_transform_edt(~bar) > 15].any()
    flat = correct_illumination(image, black)
    assert np.abs(flat[ndimage.binary_erosion(bar, iterations=20)]).max() < 0.05
    # What is left beside the bar is film: no tile shows the bar's edge.
    assert ndimage.uniform_filter(flat, 5)[~black].min() > 0.5
    assert np.median(flat[~black]) == pytest.approx(1, abs=0.02)


def test_a_sliver_of_bar_at_the_border_is_found_and_a_dark_crystal_there_is_not():
    sliver = (COL < -1 + 0.06 * (ROW + 0.2)) & (ROW > -0.2)
    assert find_grid_bars(film(bar=sliver))[sliver & (COL < -0.99)].mean() > 0.9
    for centre in ((0.0, -1.0), (0.9, 0.3), (-1.0, 1.0), (0.0, -1.2)):
        crystal = (ROW - centre[0]) ** 2 + (COL - centre[1]) ** 2 < 0.09
        assert not find_grid_bars(film(crystal=crystal, depth=0.97)).any()


@pytest.mark.parametrize("crystal", CRYSTALS.values(), ids=CRYSTALS)
def test_crystals_that_let_something_through_are_never_black(crystal):
    assert not find_grid_bars(film(crystal=crystal, depth=0.8)).any()


def test_particles_on_a_dark_background_are_no_openings_between_bars():
    particles = np.zeros((SIDE, SIDE))
    for row, col in np.random.default_rng(2).uniform(-0.9, 0.9, (30, 2)):
        particles += np.exp(-((ROW - row) ** 2 + (COL - col) ** 2) / 0.004)
    image = np.clip(8 + 200 * particles + np.random.default_rng(3).normal(0, 3, particles.shape), 0, 255)
    assert not find_grid_bars(image.astype(np.uint8)).any()


def test_an_image_of_nothing_but_bar_is_known_by_the_others():
    images = [film(), film(bar=np.ones_like(EVEN))]
    bright = max(bright_level(image) for image in images)
    assert find_grid_bars(images[1], bright).all()
    assert not find_grid_bars(images[0], bright).any()
    assert np.isfinite(correct_illumination(images[1], find_grid_bars(images[1], bright))).all()


@pytest.mark.parametrize("value", [0, 500, 65535])
def test_a_constant_image_is_flattened_without_harm(value):
    flat = correct_illumination(np.full((120, 100), value, np.uint16))
    assert np.isfinite(flat).all() and np.ptp(flat) == 0


def test_what_is_not_finite_is_black_and_stays_missing():
    image = film().astype(np.float32)
    image[100:140, 60:90] = np.nan
    image[7, 8] = np.inf
    missing = ~np.isfinite(image)
    np.testing.assert_array_equal(find_grid_bars(image), missing)
    flat = correct_illumination(image)
    np.testing.assert_array_equal(~np.isfinite(flat), missing)
    assert np.median(flat[~missing]) == pytest.approx(1, abs=0.02)
    assert find_grid_bars(np.full((60, 60), np.nan)).all() and bright_level(np.full((60, 60), np.nan)) == 0


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("bar", [EVEN, BARS["a slanted bar"]], ids=["film", "bar"])
def test_blended_rows_near_an_edge_are_found(turn, bar):
    image = film(bar=bar)
    striped = np.zeros_like(EVEN)
    for col in range(SIDE):  # as cameras do: a slightly slanted band in which neighbouring rows are blended
        first = 470 + col // 60
        image[first : first + 16, col] = np.linspace(image[first - 1, col], image[first + 16, col], 16)
        striped[first : first + 16, col] = True
    found = np.rot90(find_stripes(np.rot90(image, turn)), -turn)
    assert (found & striped).sum() / striped.sum() > 0.95
    assert not found[~ndimage.binary_dilation(striped, iterations=5)].any()


def test_constant_rows_at_an_edge_are_found():
    image = film()
    image[:9] = 321
    assert find_stripes(image)[:7].mean() > 0.95 and not find_stripes(image)[15:].any()


@pytest.mark.parametrize("image", [film(), film(bar=BARS["a mesh"]), film(light=1 - 0.5 * (COL > 0) * (ROW > 0))])
def test_nothing_is_striped_where_all_rows_were_recorded(image):
    assert not find_stripes(image).any()
    lines = image + np.random.default_rng(1).normal(0, 2000, (SIDE, 1))  # as SEM scans do
    assert not find_stripes(np.clip(lines, 0, 65535).astype(np.uint16)).any()
    assert not find_stripes(np.zeros((300, 300), np.uint8)).any()


@pytest.mark.parametrize("lattice", [cut_grid((SIDE, SIDE), 9, 11), cut_tiles((SIDE, SIDE), 40, 13)])
def test_black_share_counts_the_black_pixels_of_each_tile(lattice):
    share = black_share(BARS["an aperture"], lattice)
    expected = [[BARS["an aperture"][a:b, c:d].mean() for c, d in lattice.cols] for a, b in lattice.rows]
    np.testing.assert_allclose(share, expected)


# Parts of the images that people see as bar or aperture; None for no bar at all.
REAL_BARS = {
    "asbestos_low_bars/Tile_001-001-000000_0-000.tif": (0.5, 0.65),
    "asbestos_medium/Tile_001-001-000000_0-000.tif": (0.6, 0.7),
    "asbestos_medium/Tile_002-002-000000_0-000.tif": None,
    "graphite_high/Tile_001-002-000_0-000.tif": None,
    "graphite_medium/Tile_002-002-000_0-000.tif": None,
    "graphite_medium_bars/Tile_001-001.tif": (0.85, 0.92),
    "graphite_medium_bars/Tile_002-004.tif": (0.3, 0.38),
    "polymers_low_bars/Tile_003-001-000000_0-000.tif": (0.4, 0.5),
    "polymers_cutouts/img1.tif": None,
}


@pytest.mark.parametrize("name", REAL_BARS)
def test_bars_and_stripes_of_real_images(data, name):
    image = tifffile.imread(data / "micro_crystals" / name)
    low, high = REAL_BARS[name] or (0, 0)
    black = find_grid_bars(image)
    assert low <= black.mean() <= high
    striped = find_stripes(image)
    if name.startswith("graphite"):  # a band of some 33 rows
        assert 0.02 < striped.mean() < 0.04 and not striped[:900].any()
    else:
        assert not striped.any()
    assert np.median(correct_illumination(image, black)[~black]) == pytest.approx(1, abs=0.1)


def test_the_corner_of_another_bar_is_black_too():
    second = (ROW - COL > 1.82) & (ROW > 0.9)
    image = film(bar=(np.abs(ROW + 0.8) < 0.12) | second)
    assert find_grid_bars(image)[second].mean() > 0.9
    alone = film(crystal=second, depth=0.7, bar=np.abs(ROW + 0.8) < 0.12)
    assert not find_grid_bars(alone)[second].any()
