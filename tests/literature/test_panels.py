"""Composite figures → panels, on figures whose layout is known."""

import hashlib
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from emscout.literature.accuracy import count_found
from emscout.literature.kinds import kind_of_panel
from emscout.literature.panels.boxes import Box
from emscout.literature.panels.grouping import group_ink
from emscout.literature.panels.split import split_figure
from emscout.synthetic.figure import LAYOUTS, make_figure

MIXED = LAYOUTS["white, 12 px"]["kinds"]


def boxes(figure):
    return [Box(*sides) for sides in figure.boxes]


@pytest.fixture(scope="module")
def scores():
    """Matches, true and found panels of three figures of each layout."""
    result = {}
    for name, layout in LAYOUTS.items():
        counts = np.zeros(3, int)
        for number, rows in enumerate([(2, 2), (1, 3), (3, 1, 2)]):
            quality = (None, 90, 75)[number]
            figure = make_figure(rows, **layout, width_px=700, jpeg_quality=quality, seed=100 + number)
            truth, found = boxes(figure), split_figure(figure.image)
            counts += count_found(truth, found), len(truth), len(found)
        result[name] = counts
    return result


def f1(counts):
    matched, true, found = counts
    return 2 * matched / (true + found)


@pytest.mark.slow
def test_f1_over_all_layouts(scores):
    assert f1(sum(scores.values())) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "touching"])
def test_gutters_of_any_kind(scores, layout):
    assert f1(scores[layout]) >= 0.9


def test_micrographs_are_distinguished_from_the_rest():
    figure = make_figure((3, 3), kinds=("micrograph", "plot", "drawing", "photograph"), width_px=900, seed=5)
    kinds = [kind_of_panel(figure.image[box.slices]) for box in boxes(figure)]
    assert kinds == list(figure.panels["kind"])


def test_a_single_micrograph_is_one_panel():
    figure = make_figure((1,), seed=2)
    (box,) = split_figure(figure.image)
    assert box == Box(0, 0, *figure.image.shape[:2])


def test_a_tinted_scan_and_coloured_arrows_stay_a_micrograph():
    panel = make_figure((1,), seed=1).image.astype(float)
    tinted = (panel * (1.0, 0.95, 0.85)).astype(np.uint8)
    tinted[40:44, 30:120] = (255, 0, 0)
    assert kind_of_panel(tinted) == "micrograph"
    assert kind_of_panel((panel * (0.05, 1, 0.1)).astype(np.uint8)) == "photograph"


def test_lines_across_a_gutter_do_not_tie_panels():
    figure = make_figure((2,), gutter_px=12, letters="none", seed=4)
    image = figure.image.copy()
    for start in (30, 90):
        for step in range(60):
            image[start + step // 3, 280 + step : 283 + step] = (220, 0, 0)
    assert count_found(boxes(figure), split_figure(image)) == 2


@pytest.mark.parametrize(("rows", "quality", "seed"), [((1, 3), 90, 301), ((3, 1, 2), 75, 311)])
def test_letters_above_panels_do_not_hide_the_gutter(rows, quality, seed):
    layout = LAYOUTS["white, 24 px, letters above"]
    figure = make_figure(rows, **layout, width_px=700, jpeg_quality=quality, seed=seed)
    found = split_figure(figure.image)
    assert len(found) == sum(rows)
    assert count_found(boxes(figure), found) >= sum(rows) - 1


def test_the_low_end_of_a_plot_is_no_gutter():
    figure = make_figure((1, 3), kinds=MIXED, gutter_px=12, width_px=700, jpeg_quality=90, seed=5001)
    assert count_found(boxes(figure), split_figure(figure.image)) == 4


def grained(grey, seed):
    """Grey values with noise that is three times as strong right of column 180, as a colour image."""
    noise = np.random.default_rng(seed).normal(size=grey.shape)
    noise *= np.where(np.arange(grey.shape[1]) < 180, 3, 9)
    return np.repeat(np.rint(grey + noise).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_panels_that_touch_are_parted_by_their_grain():
    left, right = split_figure(grained(np.where(np.arange(400) < 180, 100.0, 106.0) * np.ones((240, 1)), seed=1))
    assert left == Box(0, 0, 240, left.right) and right == Box(0, left.right, 240, 400)
    assert abs(left.right - 180) <= 3


@pytest.mark.parametrize(("blur_px", "n_panels"), [(5, 1), (0.1, 2)])
def test_a_blurred_edge_parts_nothing(blur_px, n_panels):
    edge = 60 + 120 / (1 + np.exp(np.clip((np.arange(400) - 179.5) / blur_px, -50, 50)))
    noise = np.random.default_rng(2).normal(size=(240, 400)) * 10
    image = np.repeat((edge + noise).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    assert len(split_figure(image)) == n_panels


def test_an_inset_belongs_to_its_panel():
    figure = make_figure((2,), gutter_px=10, letters="none", scale_bar=False, seed=6)
    first = boxes(figure)[0]
    inset = make_figure((1,), width_px=90, row_px=(70, 70), letters="none", scale_bar=False, seed=9).image
    figure.image[5 : 5 + inset.shape[0], first.right - 95 : first.right - 5] = inset
    assert len(split_figure(figure.image)) == 2


def test_a_poster_is_looked_at_in_bounded_size():
    figure = make_figure((2, 2), gutter_px=12, letters="none", seed=8)
    large = np.repeat(np.repeat(figure.image, 4, axis=0), 4, axis=1)
    found = [box.scaled(1 / 4) for box in split_figure(large)]
    assert count_found(boxes(figure), found) == 4


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_an_empty_figure_has_no_plots_in_it(colour):
    found = split_figure(np.full((300, 400, 3), colour, np.uint8))
    assert len(found) <= 1


def test_real_micrographs_are_not_cut_up(data):
    files = sorted((data / "emps" / "images").iterdir())
    # Half of them; the rules were made on the other half.
    files = [file for file in files if hashlib.md5(file.name.encode()).digest()[0] % 2][::4]
    whole = [len(split_figure(np.asarray(Image.open(file).convert("RGB")))) == 1 for file in files]
    assert np.mean(whole) >= 0.95


def nearest_groups(cores, others, reach_px):
    """Kruskal's forest over all pairs, one core a tree: what `group_ink` does, in the plain way."""
    all_boxes, tree = [*cores, *others], list(range(len(cores) + len(others)))

    def gap(one, other):
        rows = max(one.top, other.top) - min(one.bottom, other.bottom)
        cols = max(one.left, other.left) - min(one.right, other.right)
        return np.hypot(max(rows, 0), max(cols, 0))

    pairs = [(gap(all_boxes[i], all_boxes[j]), i, j) for j in range(len(tree)) for i in range(j)]
    for distance, i, j in sorted(pairs):
        low, high = sorted((tree[i], tree[j]))
        if distance <= reach_px and low != high and high >= len(cores):
            tree = [low if root == high else root for root in tree]
    groups = list(cores)
    for root, box in zip(tree, all_boxes, strict=True):
        if root < len(cores):
            groups[root] = groups[root].joined(box)
    return groups


def frames_and_dots(side, share, seed):
    """Two plots' frames among dots, as booleans."""
    ink = np.random.default_rng(seed).random((side, side)) < share
    for first in (side // 20, 11 * side // 20):
        last = first + 8 * side // 20
        ink[first, first:last] = ink[last, first : last + 1] = ink[first:last, first] = ink[first:last, last] = True
    return ink


@pytest.mark.parametrize("seed", range(4))
def test_strokes_join_the_nearest_plot_in_steps(seed):
    ink = frames_and_dots(200, 0.004, seed)
    labels, _ = ndimage.label(ink, np.ones((3, 3)))
    parts = [Box(rows.start, cols.start, rows.stop, cols.stop) for rows, cols in ndimage.find_objects(labels)]
    cores = [box for box in parts if min(box.height, box.width) >= 40]
    free = [box for box in parts if box not in cores and not any(core.overlap(box) for core in cores)]
    assert len(cores) == 2 and len(free) > 40
    assert sorted(group_ink(ink, 40)) == sorted(nearest_groups(cores, free, 40))


def test_a_speckled_figure_takes_little_memory():
    ink = frames_and_dots(2000, 0.003, 0)
    tracemalloc.start()
    found = group_ink(ink, 140)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 2
    assert peak < 200e6
