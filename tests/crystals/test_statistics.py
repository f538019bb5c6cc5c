import numpy as np
import pytest
import tifffile
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops

from emscout.crystals.tiles.grid import Lattice, cut_grid, cut_tiles
from emscout.crystals.tiles.statistics import STATISTICS, Levels, calculate_statistics, choose_levels
from emscout.errors import UsageError

SHAPE = (96, 110)
LATTICES = {
    "grid": cut_grid(SHAPE, 6, 7),
    "every pixel": cut_tiles(SHAPE, 17, 1),
    "with a step": cut_tiles(SHAPE, 24, 9),
    "with gaps": cut_tiles(SHAPE, 8, 20),
    "tiles down, overlapping by a pixel across": Lattice(cut_grid(SHAPE, 6, 7).rows, cut_tiles(SHAPE, 17, 16).cols),
}
lattices = pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES)


def scene():
    """Flat film with a soft gradient, some crystals and noise; about 0 to 1."""
    rng = np.random.default_rng(3)
    spots = ndimage.gaussian_filter(rng.random(SHAPE) > 0.995, 3.0, output=float) * 30
    light = np.linspace(0.5, 0.8, SHAPE[1])
    return np.clip(light - 0.5 * spots + rng.normal(0, 0.03, SHAPE), 0, 1)


IMAGES = {
    "8 bit": (scene() * 255).astype(np.uint8),
    "16 bit": (scene() * 65535).astype(np.uint16),
    "16 bit, large offset, little contrast": (65000 + scene() * 300).astype(np.uint16),
    "signed 32 bit": (scene() * 1e6 - 5e5).astype(np.int32),
    "float": scene().astype(np.float32),
    "float, large offset": scene() + 1e6,
}
images = pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)


def plain_moments(patch):
    patch = patch[np.isfinite(patch)].astype(float)
    steps = {
        "mean": patch.mean(),
        "standard_deviation": patch.std(),
        "relative_standard_deviation": patch.std() / abs(patch.mean()),
        "range": np.ptp(patch),
    }
    standard = (patch - patch.mean()) / patch.std()  # as scipy warns of large offsets
    return steps | {"skewness": stats.skew(standard), "kurtosis": stats.kurtosis(standard)}


def plain_gradient(patch):
    patch = patch.astype(float)
    return {"gradient_energy": np.nanmean(np.diff(patch, axis=0) ** 2) + np.nanmean(np.diff(patch, axis=1) ** 2)}


def plain_texture(patch):
    """skimage's matrix of each direction, added up."""
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    counts = graycomatrix(patch, [1], angles, levels=16, symmetric=True).sum(axis=3, keepdims=True)
    names = ("contrast", "homogeneity", "energy", "correlation")
    return {f"haralick_{name}": graycoprops(counts.astype(float) / counts.sum(), name)[0, 0] for name in names}


def compare(image, lattice, plain, rtol, **options):
    names = list(plain(image[:8, :8]))
    found = calculate_statistics(image, lattice, names, **options)
    for r, (a, b) in list(enumerate(lattice.rows))[::5]:
        for c, (left, right) in list(enumerate(lattice.cols))[::5]:
            expected = plain(image[a:b, left:right])
            np.testing.assert_allclose(found[r, c], [expected[name] for name in names], rtol=rtol, atol=rtol)


@lattices
@images
def test_moments_and_gradients_are_those_of_each_patch(image, lattice):
    compare(image, lattice, plain_moments, 1e-6)
    compare(image, lattice, plain_gradient, 1e-6)


@pytest.mark.parametrize("contrast", [1e-3, 1e-5, 1e-7])
def test_faint_contrast_beside_strong_is_not_lost_in_running_sums(contrast):
    image = scene() * contrast
    image[:, 55:] += 1
    compare(image, LATTICES["with a step"], plain_moments, 1e-4)
    compare(image, LATTICES["grid"], plain_moments, 1e-4)


@lattices
def test_histograms_of_8_bit_images_are_exact(lattice):
    image = IMAGES["8 bit"]

    def plain(patch):
        counts = np.bincount(patch.ravel(), minlength=256)
        q05, q25, q50, q75, q95 = np.quantile(patch, [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf")
        quantiles = {"quantile_05": q05, "quantile_25": q25, "median": q50, "quantile_75": q75, "quantile_95": q95}
        spread = {"interquartile_range": float(q75) - float(q25), "entropy": stats.entropy(counts, base=2)}
        return {"mode": counts.argmax(), **quantiles, **spread}

    compare(image, lattice, plain, 1e-12)


@pytest.mark.parametrize("name", [name for name in IMAGES if name != "8 bit"])
def test_quantiles_of_other_images_are_right_to_half_a_level(name):
    image, lattice = IMAGES[name], LATTICES["grid"]
    levels = choose_levels([image])
    found = calculate_statistics(image, lattice, ["quantile_05", "median", "quantile_95"])
    tolerance = (0.5 + 1e-3) * levels.step
    for r, (a, b) in enumerate(lattice.rows):
        for c, (left, right) in enumerate(lattice.cols):
            patch = np.clip(image[a:b, left:right], levels.lowest, levels.lowest + 255 * levels.step)
            expected = np.quantile(patch, [0.05, 0.5, 0.95], method="inverted_cdf")
            assert np.abs(found[r, c] - expected).max() <= tolerance


@lattices
@images
def test_the_mode_of_1024_bins_is_that_of_each_patch(image, lattice):
    def plain(patch):
        counts, edges = np.histogram(patch.astype(float), 1024)
        return {"mode_1024": edges[counts.argmax()] + np.ptp(edges) / 2048}

    compare(image, lattice, plain, 1e-9)


@lattices
@images
def test_texture_is_that_of_scikit_image_on_the_same_grey_levels(image, lattice):
    levels = choose_levels([image])
    greys = levels.of(image) // 16
    # On 16 greys as an 8-bit image of its own, the levels are the image's.
    compare(greys, lattice, plain_texture, 1e-9, levels=Levels(0, 1 / 16))
    names = list(plain_texture(greys))
    np.testing.assert_allclose(
        calculate_statistics(image, lattice, names),
        calculate_statistics(greys, lattice, names, levels=Levels(0, 1 / 16)),
    )


@lattices
def test_what_is_not_finite_is_missing(lattice):
    image = scene()
    rng = np.random.default_rng(5)
    image[rng.random(SHAPE) < 0.1] = np.nan
    image[rng.random(SHAPE) < 0.02] = np.inf
    image[rng.random(SHAPE) < 0.02] = -np.inf
    missing = np.where(np.isfinite(image), image, np.nan)
    compare(missing, lattice, plain_moments, 1e-6)
    compare(missing, lattice, plain_gradient, 1e-6)
    names = list(STATISTICS)
    found = calculate_statistics(image, lattice, names)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, calculate_statistics(missing, lattice, names))
    sorted_names = ["quantile_05", "quantile_25", "median", "quantile_75", "quantile_95"]
    assert (np.diff(calculate_statistics(image, lattice, sorted_names), axis=2) >= 0).all()


def test_a_window_without_a_finite_pixel_has_no_statistics():
    image = scene()
    lattice = LATTICES["grid"]
    image[: lattice.rows[1, 1], : lattice.cols[0, 1]] = np.nan
    found = calculate_statistics(image, lattice, list(STATISTICS))
    assert np.isnan(found[:2, 0]).all()
    assert np.isfinite(found[2:]).all() and np.isfinite(found[:, 1:]).all()
    assert np.isnan(calculate_statistics(np.full(SHAPE, np.nan), lattice, list(STATISTICS))).all()


@lattices
@pytest.mark.parametrize("value", [np.uint8(0), np.uint8(255), np.uint16(51234), np.float32(0.1), np.float64(-1e7 / 3)])
def test_constant_tiles_have_defined_statistics(value, lattice):
    image = np.full(SHAPE, value)
    image[50:, :] = value - 1 if value else 1
    found = dict(
        zip(STATISTICS, np.moveaxis(calculate_statistics(image, lattice, list(STATISTICS)), 2, 0), strict=True)
    )
    flat = lattice.rows[:, 1] <= 50
    assert flat.any()
    for name in ("mean", "median", "mode", "mode_1024", "quantile_05", "quantile_95"):
        np.testing.assert_allclose(found[name][flat], float(value), rtol=1e-6)
    nothing = ("standard_deviation", "relative_standard_deviation", "skewness", "kurtosis", "range", "entropy")
    for name in (*nothing, "interquartile_range", "gradient_energy", "haralick_contrast"):
        np.testing.assert_array_equal(found[name][flat], 0)
    for name in ("haralick_homogeneity", "haralick_energy", "haralick_correlation"):
        np.testing.assert_allclose(found[name][flat], 1)


@pytest.mark.parametrize("name", STATISTICS)
def test_every_statistic_keeps_the_contract(name):
    for image in IMAGES.values():
        before = image.copy()
        for lattice in LATTICES.values():
            found = calculate_statistics(image, lattice, [name])
            assert found.shape == (*lattice.shape, 1) and found.dtype == np.float64
            assert np.isfinite(found).all() and np.ptp(found) > 0
            np.testing.assert_array_equal(found, calculate_statistics(image, lattice, [name]))
        np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", STATISTICS)
def test_windows_at_the_same_place_agree_whether_tiled_or_sliding(name):
    image = IMAGES["16 bit"]
    tiles = calculate_statistics(image, cut_tiles(SHAPE, 8, 8), [name])
    sliding = calculate_statistics(image, cut_tiles(SHAPE, 8, 1), [name])[::8, ::8]
    np.testing.assert_allclose(tiles, sliding, rtol=1e-7, atol=1e-7)


def test_levels_suit_all_images_of_a_set():
    dim, bright = IMAGES["16 bit"] // 4, IMAGES["16 bit"]
    levels = choose_levels([dim, bright])
    assert levels.lowest <= np.percentile(dim, 1) and levels.lowest + 255 * levels.step >= np.percentile(bright, 99)
    film = np.full(SHAPE, 30000, np.uint16) + np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint16)
    own, common = (
        calculate_statistics(film, LATTICES["grid"], ["entropy"], levels=chosen).mean() for chosen in (None, levels)
    )
    assert own > 5 and common < 2


def test_hot_pixels_do_not_stretch_the_levels():
    image = IMAGES["16 bit"].copy() // 16
    calm = choose_levels([image])
    image[3, 4], image[60, 70] = 65535, 0
    assert choose_levels([image]).step == pytest.approx(calm.step, rel=0.05)


def test_unknown_statistics_are_named():
    with pytest.raises(UsageError, match=r"'sharpness'.*kurtosis.*haralick_energy"):
        calculate_statistics(scene(), LATTICES["grid"], ["mean", "sharpness"])


def test_crystals_of_a_real_grid_stand_out(data):
    path = data / "micro_crystals" / "graphite_high" / "Tile_001-002-000_0-000.tif"
    found = calculate_statistics(tifffile.imread(path), cut_grid((1000, 1000), 4, 4), ["standard_deviation", "entropy"])
    # The cluster fills the left of the second and third row; the upper row is empty film.
    assert found[1:3, 0].min(axis=0)[0] > 3 * found[0, 1:].max(axis=0)[0]
    assert (found[1:3, 0, 1] > found[0, 1:, 1].max()).all()
