import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import polygon2mask

from emscout.particles.shapes import SHAPES, name_shape
from emscout.synthetic.particles import OUTLINES

POSITIONS = [(0.0, 0.0), (0.3, 0.7), (0.5, 0.5)]


def polygon(n_sides, diameter, turn_deg=0.0, at=(0.0, 0.0), stretch=1.0):
    """Mask of a regular polygon of the area of a disc of that diameter; a circle for many sides."""
    apothem = np.sqrt(np.pi * (diameter / 2) ** 2 / (n_sides * np.tan(np.pi / n_sides)))
    side = int(2.5 * diameter * stretch) + 9
    r, c = np.mgrid[:side, :side] - side / 2
    r, c = r - at[0], c - at[1]
    turn = np.radians(turn_deg)
    u = (c * np.cos(turn) + r * np.sin(turn)) / np.sqrt(stretch)
    v = (r * np.cos(turn) - c * np.sin(turn)) * np.sqrt(stretch)
    normals = 2 * np.pi * np.arange(n_sides) / n_sides
    mask = np.all([u * np.cos(a) + v * np.sin(a) <= apothem for a in normals], axis=0)
    return mask[ndimage.find_objects(mask.astype(int))[0]]


def noisy(mask, rng, sd=0.2):
    """The mask as a threshold would find it on a noisy micrograph."""
    picture = ndimage.gaussian_filter(np.pad(mask, 4).astype(float), 0.7)
    picture += ndimage.gaussian_filter(rng.normal(0, sd, picture.shape), 0.7)
    labels, n = ndimage.label(picture > 0.5)
    largest = labels == 1 + np.argmax(ndimage.sum(labels > 0, labels, range(1, n + 1)))
    filled = ndimage.binary_fill_holes(largest)
    return filled[ndimage.find_objects(filled.astype(int))[0]]


def drawn(name, diameter, rng):
    """Mask of one of the outlines that synthetic micrographs are made of."""
    outline = OUTLINES[name](rng)
    turn = rng.uniform(0, 2 * np.pi)
    outline = outline @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    nxt = np.roll(outline, -1, axis=0)
    area = abs((outline[:, 0] * nxt[:, 1] - outline[:, 1] * nxt[:, 0]).sum()) / 2
    outline = outline * diameter / 2 * np.sqrt(np.pi / area)
    size = int(np.abs(outline).max()) + 3
    mask = polygon2mask((2 * size, 2 * size), outline + size + rng.random(2))
    return mask[ndimage.find_objects(mask.astype(int))[0]]


SIDES = {"triangle": 3, "cube": 4, "hexagon": 6, "sphere": 60}


@pytest.mark.parametrize("turn", range(0, 120, 12))
@pytest.mark.parametrize("diameter", [14, 25, 60, 150])
@pytest.mark.parametrize("name", SIDES)
def test_ideal_shapes_at_any_angle(name, diameter, turn):
    assert {name_shape(polygon(SIDES[name], diameter, turn, at))[0] for at in POSITIONS} == {name}


@pytest.mark.parametrize("turn", range(0, 180, 20))
@pytest.mark.parametrize("stretch", [1.7, 2.5, 5, 12])
@pytest.mark.parametrize("n_sides", [4, 60])
def test_long_rectangles_and_ellipses_are_rods(n_sides, stretch, turn):
    assert name_shape(polygon(n_sides, 30, turn, stretch=stretch))[0] == "rod"


@pytest.mark.parametrize("turn", [0, 20, 45, 70])
@pytest.mark.parametrize("stretch", [1.1, 1.2])
def test_slightly_long_rectangles_are_cubes(stretch, turn):
    assert name_shape(polygon(4, 30, turn, stretch=stretch))[0] == "cube"


@pytest.mark.parametrize("turn", [0, 20, 45, 70])
@pytest.mark.parametrize("stretch", [1.05, 1.15])
def test_slightly_long_ellipses_are_spheres(stretch, turn):
    assert name_shape(polygon(60, 30, turn, stretch=stretch))[0] == "sphere"


def test_between_sphere_and_rod_the_score_is_low():
    assert name_shape(polygon(60, 40, 20, stretch=1.35))[1] < 0.7
    assert name_shape(polygon(60, 40, 20, stretch=1.1))[1] > 0.9
    assert name_shape(polygon(60, 40, 20, stretch=1.7))[1] > 0.9


@pytest.mark.parametrize("turn", range(0, 360, 45))
def test_long_lozenges_are_no_rods(turn):
    r, c = np.mgrid[-40:41, -40:41]
    t = np.radians(turn)
    u, v = c * np.cos(t) + r * np.sin(t), r * np.cos(t) - c * np.sin(t)
    assert name_shape(np.abs(u) / 36 + np.abs(v) / 15 <= 1)[0] == "irregular"


def test_other_outlines_are_irregular():
    r, c = np.mgrid[-30:31, -30:31]
    disc = r**2 + c**2 <= 25**2
    angle = np.arctan2(r, c)
    shapes = {
        "crescent": disc & ((r - 12) ** 2 + c**2 > 22**2),
        "star": np.hypot(r, c) <= 20 * (1 + 0.3 * np.cos(5 * angle)),
        "L": (np.abs(r) < 25) & (np.abs(c) < 25) & ~((r < 5) & (c > -5)),
        "half disc": disc & (r > 0),
        "cross": ((np.abs(r) < 7) | (np.abs(c) < 7)) & disc,
        "two discs": ((r - 15) ** 2 + c**2 < 14**2) | ((r + 13) ** 2 + c**2 < 14**2),
    }
    assert {name: name_shape(mask)[0] for name, mask in shapes.items()} == dict.fromkeys(shapes, "irregular")


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("diameter", "right"), [(10, 0.6), (16, 0.85), (30, 0.9), (60, 0.9)])
def test_rough_outlines_keep_their_names(name, diameter, right):
    rng = np.random.default_rng(SHAPES.index(name))
    names = [name_shape(noisy(drawn(name, diameter, rng), rng))[0] for _ in range(40)]
    assert names.count(name) / len(names) >= right


@pytest.mark.parametrize("name", SIDES)
def test_score_grows_with_size(name):
    scores = [
        np.mean([name_shape(polygon(SIDES[name], diameter, turn))[1] for turn in range(0, 60, 7)])
        for diameter in (8, 14, 25, 50)
    ]
    assert scores == sorted(scores)
    assert scores[0] < 0.9 < 0.98 < scores[-1]


def test_score_says_how_often_the_name_is_right():
    rng = np.random.default_rng(7)
    scores, right = [], []
    for diameter in (7, 9, 12, 18, 30):
        for name in SHAPES:
            for _ in range(12):
                found, score = name_shape(noisy(drawn(name, diameter, rng), rng))
                scores.append(score)
                right.append(found == name)
    scores, right = np.array(scores), np.array(right)
    unsure, sure = scores < 0.5, scores > 0.85
    assert right[unsure].mean() < 0.75 < 0.95 < right[sure].mean()
    # Never more confident than it may be: real outlines are rougher than drawn ones.
    assert scores.mean() < right.mean() + 0.02


@pytest.mark.parametrize("pixels", range(1, 9))
def test_too_few_pixels_have_no_shape(pixels):
    assert name_shape(np.ones((1, pixels), dtype=bool)) == ("irregular", 0.0)


@pytest.mark.parametrize("shape", [(3, 3), (1, 9), (9, 1), (2, 5), (1, 300), (4, 4)])
def test_small_and_thin_outlines_have_an_answer(shape):
    name, score = name_shape(np.ones(shape, dtype=bool))
    assert name in SHAPES
    assert 0 < score <= 1


@pytest.mark.parametrize("name", SIDES)
def test_mirrored_and_turned_masks_have_the_same_name(name):
    mask = polygon(SIDES[name], 31, 17, (0.2, 0.4))
    expected = name_shape(mask)
    for other in (mask[::-1], mask[:, ::-1], mask.T, np.rot90(mask)):
        found = name_shape(other)
        assert found[0] == expected[0]
        assert found[1] == pytest.approx(expected[1], abs=0.05)


@pytest.mark.parametrize("name", SIDES)
def test_empty_margin_does_not_matter(name):
    mask = polygon(SIDES[name], 20, 17)
    assert name_shape(np.pad(mask, [(3, 9), (0, 14)])) == (name, pytest.approx(name_shape(mask)[1]))


def test_huge_outlines_have_names():
    r, c = np.ogrid[-1500:1501, -1500:1501]
    assert name_shape(r**2 + c**2 <= 1500**2)[0] == "sphere"
