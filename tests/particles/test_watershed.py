import numpy as np
import pytest
from scipy import ndimage
from skimage import draw, io, measure

from emscout.errors import NothingToFindError
from emscout.evaluate import score_matched
from emscout.particles.segmenters.multiscale import segment_component_tree


def discs(places, radius=20, shape=(256, 256), background=100.0, particle=200.0, noise=8.0, seed=0):
    """A micrograph of discs at (row, col) and its labels."""
    labels = np.zeros(shape, np.int32)
    for number, place in enumerate(places, 1):
        labels[draw.disk(place, radius, shape=shape)] = number
    image = np.where(labels > 0, particle, background)
    image = ndimage.gaussian_filter(image, 1) + np.random.default_rng(seed).normal(0, noise, shape)
    return image, labels


GRID = [(row, col) for row in (45, 125, 205) for col in (50, 130, 210)]


def f1(true, labels, iou="50"):
    return score_matched(true, labels)[f"f1_{iou}"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_every_dtype_gives_the_same_particles(dtype):
    image, true = discs(GRID)
    labels, polarity = segment_component_tree(np.clip(image, 0, 255).astype(dtype))
    assert labels.dtype == np.int32
    assert polarity == "bright"
    assert f1(true, labels, "75") == 1


@pytest.mark.parametrize("radius", [4, 8, 20, 60, 120])
def test_particles_of_any_size_are_found_with_their_area(radius):
    side = max(256, 6 * radius)
    places = [(side // 4, side // 4), (3 * side // 4, 3 * side // 4), (side // 4, 3 * side // 4)]
    image, true = discs(places, radius, (side, side))
    labels, _ = segment_component_tree(image)
    assert f1(true, labels) == 1
    assert (labels > 0).sum() == pytest.approx((true > 0).sum(), rel=0.05 if radius > 10 else 0.25)


@pytest.mark.parametrize(("particle", "expected"), [(200.0, "bright"), (30.0, "dark")])
def test_polarity_is_decided_from_the_image(particle, expected):
    image, true = discs(GRID, particle=particle)
    labels, polarity = segment_component_tree(image)
    assert polarity == expected
    assert f1(true, labels, "75") == 1


def test_polarity_is_right_when_particles_cover_most_of_the_image():
    places = [(row, col) for row in range(22, 256, 43) for col in range(22, 256, 43)]
    image, true = discs(places, 20)
    labels, polarity = segment_component_tree(image)
    assert polarity == "bright"
    assert f1(true, labels) > 0.95


def test_the_other_polarity_can_be_asked_for():
    image, _ = discs(GRID[:4])
    image[draw.disk((205, 205), 20)] = 20
    labels, polarity = segment_component_tree(image, polarity="dark")
    assert polarity == "dark"
    assert labels.max() == 1
    assert labels[205, 205] == 1


def test_touching_particles_are_split_or_left_joined_as_asked():
    image, true = discs([(128, 100), (128, 139), (60, 180)])
    assert f1(true, segment_component_tree(image)[0]) == 1
    assert segment_component_tree(image, split=False)[0].max() == 2


def test_a_rod_is_one_particle():
    true = np.zeros((256, 256), np.int32)
    true[draw.polygon([40, 50, 200, 190], [60, 45, 190, 205])] = 1
    image = ndimage.gaussian_filter(np.where(true, 40.0, 150.0), 1) + np.random.default_rng(0).normal(0, 8, true.shape)
    assert f1(true, segment_component_tree(image)[0]) == 1


def test_a_hollow_particle_is_filled():
    image, true = discs(GRID, radius=30)
    inner, _ = discs(GRID, radius=24)
    image[inner > 150] = 120
    labels, _ = segment_component_tree(image)
    assert f1(true, labels, "75") == 1


def test_an_uneven_background_hides_nothing():
    image, true = discs(GRID, background=60, particle=110, noise=4)
    slope = np.linspace(0, 150, 256)[:, None]
    labels, _ = segment_component_tree(image + slope)
    assert f1(true, labels, "75") == 1


def test_most_faint_particles_in_noise_as_strong_as_themselves_are_found():
    image, true = discs(GRID, radius=25, particle=115, noise=20)
    assert f1(true, segment_component_tree(image)[0]) >= 0.75


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(256, 256), (200, 500), (800, 800)])
@pytest.mark.parametrize(
    "noise",
    [
        lambda rng, shape: rng.normal(100, 10, shape),
        lambda rng, shape: rng.poisson(20, shape).astype(np.uint8),
        lambda rng, shape: ndimage.gaussian_filter(rng.normal(0, 1, shape), 1),
    ],
    ids=["gauss", "poisson", "correlated"],
)
def test_noise_alone_yields_nothing(noise, shape, seed):
    assert segment_component_tree(noise(np.random.default_rng(seed), shape))[0].max() == 0


@pytest.mark.parametrize("noise", [0, 5])
@pytest.mark.parametrize("kind", ["slope", "vignette", "dark centre"])
def test_a_smooth_field_yields_nothing(kind, noise):
    row, col = np.mgrid[:300, :400]
    hill = 180 * np.exp(-((row - 150) ** 2 + (col - 200) ** 2) / (2 * 250**2))
    field = {"slope": 0.3 * row + 0.2 * col, "vignette": hill, "dark centre": 200 - hill}[kind]
    field = field + np.random.default_rng(0).normal(0, noise, field.shape) if noise else field
    assert segment_component_tree(field.astype(np.float32))[0].max() == 0
    assert segment_component_tree(np.clip(field, 0, 255).astype(np.uint8))[0].max() == 0


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 50), (50, 1), (3, 3), (7, 200)])
def test_tiny_images_are_answered(shape):
    labels, _ = segment_component_tree(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))
    assert labels.shape == shape
    assert labels.max() == 0


@pytest.mark.parametrize(
    "image", [np.full((40, 40), 7, np.uint8), np.full((9, 9), np.nan), np.zeros((1, 1)), np.full((5, 5), np.inf)]
)
def test_without_contrast_there_is_nothing_to_find(image):
    with pytest.raises(NothingToFindError, match="no contrast"):
        segment_component_tree(image)


def test_what_is_not_finite_belongs_to_no_particle():
    image, true = discs(GRID)
    image[:80] = np.nan
    image[125, 130] = np.inf
    labels, _ = segment_component_tree(image)
    assert not labels[:80].any()
    assert labels[125, 130] == 0
    assert f1(np.where(true > 3, true, 0), labels) == 1


def test_values_near_the_limits_of_float64_do_no_harm():
    image, true = discs(GRID)
    assert f1(true, segment_component_tree(image * 1e300)[0]) == 1


def test_a_hot_pixel_does_not_hide_the_particles():
    image, true = discs(GRID, shape=(300, 300))
    image[3, 3] = 1e6
    assert f1(true, segment_component_tree(image)[0]) == 1


def test_diameter_limits_are_kept():
    image, true = discs(GRID[:4], radius=25)
    small, true_small = discs(GRID[5:], radius=8)
    image, true = np.maximum(image, small), np.where(true_small > 0, true_small + 4, true)
    assert segment_component_tree(image, min_diameter_px=10)[0].max() == 8
    assert segment_component_tree(image, min_diameter_px=30)[0].max() == 4
    assert segment_component_tree(image, max_diameter_px=30)[0].max() == 4


def test_labels_have_no_gaps_and_repeat_exactly():
    image, _ = discs(GRID)
    labels, _ = segment_component_tree(image)
    assert set(np.unique(labels)) == set(range(labels.max() + 1))
    assert np.array_equal(labels, segment_component_tree(image)[0])


def annotated(colour):
    """Grey particles with an info banner, a scale bar with text and a panel letter on a plate."""
    image, true = discs(GRID[1:8], particle=140, shape=(300, 256))
    image = np.clip(image, 0, 255).astype(np.uint8)
    text = [np.s_[5:13, 3:6], np.s_[5:7, 6:10], np.s_[11:13, 6:10]]  # a letter C
    image[270:] = 255 - colour
    for offset in range(10, 220, 14):
        for stroke in text:
            image[270:][:, offset:][stroke] = colour
    image[246:251, 180:240] = colour
    for offset in (195, 209):
        for stroke in text:
            image[228:][:, offset:][stroke] = colour
    image[4:28, 4:28] = 255 - colour
    image[8:24, 10:14] = colour
    return image, true


@pytest.mark.parametrize("colour", [0, 255])
def test_banner_scale_bar_and_letters_are_not_particles(colour):
    image, true = annotated(colour)
    labels, polarity = segment_component_tree(image)
    assert polarity == "bright"
    drawn_only = np.isin(image, (0, 255)) & (true == 0)
    assert not any((drawn_only[labels == n]).mean() > 0.5 for n in range(1, labels.max() + 1))
    assert score_matched(true, labels)["precision_50"] == 1
    assert f1(true, labels) > 0.9


@pytest.fixture(scope="module")
def wide_field():
    """Particles of 24 px on a field that is cut into windows."""
    rng = np.random.default_rng(2)
    places = [
        (r + rng.integers(-6, 7), c + rng.integers(-6, 7)) for r in range(25, 1100, 45) for c in range(25, 1100, 45)
    ]
    return discs(places, 12, (1120, 1120))


def test_no_seam_shows_between_windows(wide_field):
    image, true = wide_field
    whole, _ = segment_component_tree(image)
    # A part of the image is done in windows that lie elsewhere on the specimen.
    part, _ = segment_component_tree(image[97:, 131:])
    assert f1(true, whole) > 0.99
    assert f1(true[97:, 131:], part) > 0.99
    assert f1(whole[125:, 160:], part[28:, 29:], "75") > 0.99


def test_small_particles_of_a_large_image_are_seen_though_a_first_glance_misses_them():
    places = [(row, col) for row in range(20, 1500, 40) for col in range(20, 1500, 40)]
    image, true = discs(places, 6, (1500, 1500))
    assert f1(true, segment_component_tree(image)[0]) > 0.99


def grey(path):
    image = io.imread(path)
    return image if image.ndim == 2 else image[..., 0]


@pytest.mark.parametrize("frame", [20, 77])
def test_gold_particles_of_six_pixels(data, frame):
    (mask,) = (data / "in_situ_gold" / "masks").glob(f"*{frame}*")
    true = measure.label(grey(mask) > 0)
    labels, polarity = segment_component_tree(grey(data / "in_situ_gold" / "frames" / f"frame_{frame:03d}.png"))
    assert polarity == "dark"
    assert f1(true, labels) > 0.9


@pytest.mark.parametrize("field", [3, 11, 19])
def test_noisy_tem_fields(data, field):
    true = measure.label(grey(data / "tem_masks" / "labels" / f"label_{field}.png") > 0)
    labels, polarity = segment_component_tree(grey(data / "tem_masks" / "images" / f"image_{field}.png"))
    assert polarity == "dark"
    assert score_matched(true, labels)["precision_50"] > 0.9
    assert f1(true, labels) > 0.85
