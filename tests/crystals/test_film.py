"""What is far darker than the film where bars are in view: thin fibres on holey film, and no bar's edge."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage
from skimage.draw import line

from emscout.crystals.choice.film import DEEP, measure_depth
from emscout.crystals.locate import CrystalOptions, locate
from emscout.crystals.tiles.background import black_share
from emscout.crystals.tiles.grid import cut_grid

SIDE = 500


def holey_film(rng):
    """Film with bright holes, and a black bar with a soft edge along two sides."""
    light, places = np.ones((SIDE, SIDE)), rng.integers(0, SIDE, (700, 2))
    holes = np.ones((SIDE, SIDE))
    holes[tuple(places.T)] = 0
    light[ndimage.distance_transform_edt(holes) < 5] = 1.2
    bar = np.zeros((SIDE, SIDE), bool)
    bar[:100], bar[:, :100] = True, True
    light = ndimage.gaussian_filter(light, 0.7) * (1 - ndimage.gaussian_filter(bar.astype(float), 2))
    return light + 0.02 * bar, bar


@pytest.fixture(scope="module")
def fibres(tmp_path_factory):
    """Two images of thin fibres on such film: their folder, where the fibres are, and where the bar is."""
    folder, rng, held, bars = tmp_path_factory.mktemp("fibres"), np.random.default_rng(5), {}, {}
    for name in ("Tile_001-001", "Tile_001-002"):
        light, bar = holey_film(rng)
        drawn = np.zeros((SIDE, SIDE), bool)
        for _ in range(5):
            (top, left), angle = rng.integers(140, 420, 2), rng.uniform(0, np.pi)
            drawn[line(top, left, int(top + 60 * np.sin(angle)), int(left + 60 * np.cos(angle)))] = True
        drawn = ndimage.binary_dilation(drawn)
        grey = np.where(drawn, 0.5, 1) * light + rng.normal(0, 0.02, light.shape)
        tifffile.imwrite(folder / f"{name}.tif", np.clip(8000 * grey, 0, 65535).astype(np.uint16))
        held[name], bars[name] = drawn, bar
    return folder, held, bars


def share_of(masks, lattice):
    return np.concatenate([black_share(masks[name], lattice).ravel() for name in sorted(masks)])


@pytest.fixture(scope="module")
def found(fibres, tmp_path_factory):
    return locate([fibres[0]], tmp_path_factory.mktemp("out") / "found")


def test_thin_fibres_are_found_and_neither_holes_nor_the_bar(found, fibres):
    tiles, lattice = found.tables["tiles"].sort_values(["image", "row", "col"]), cut_grid((SIDE, SIDE), 20, 20)
    target, seen = tiles["target"].to_numpy(bool), ~tiles["black"].to_numpy(bool)
    fibre = share_of(fibres[1], lattice)
    assert target[seen & (fibre > 0.05)].mean() > 0.9
    assert not target[fibre == 0].any()
    assert not target[share_of(fibres[2], lattice) > 0].any()


def test_the_score_and_the_words_say_what_decided(found):
    tiles = found.tables["tiles"]
    assert (tiles["target"] == (tiles["score"] >= 0.5)).all()
    assert "far darker than the film" in found.provenance["found"]["how"]


def test_answers_count_beside_the_depth(found, fibres, tmp_path):
    tiles = found.tables["tiles"]
    address = "{image}:{row},{col}".format
    best = tiles.sort_values("score", ascending=False).iloc[0]
    film = tiles[~tiles["black"]].sort_values("score").iloc[0]
    options = CrystalOptions(like=[address(**film)], unlike=[address(**best)])
    after = locate([fibres[0]], tmp_path, options).tables["tiles"]
    assert after["target"][film.name] and not after["target"][best.name]
    others = after.drop([best.name, film.name])
    assert (others["target"] == tiles["target"].drop([best.name, film.name])).mean() > 0.9


def make_tiles(**changed):
    """100 tiles, 20 of them black, 5 with something dark in them."""
    rng, number = np.random.default_rng(0), np.arange(100)
    columns = {
        "black": number < 20,
        "mean": 1 + 0.01 * rng.standard_normal(100),
        "standard_deviation": rng.uniform(0.05, 0.15, 100),
        "quantile_01": 0.9 + 0.01 * rng.standard_normal(100) - 0.4 * (number >= 95),
        "height_px": 20,
        "width_px": 20,
    }
    tiles = pd.DataFrame(columns | changed)
    return tiles.assign(cluster=pd.Series(1, index=tiles.index, dtype="Int64").mask(tiles["black"]))


def test_depth_counts_in_spreads_of_the_film():
    depth = measure_depth(make_tiles())
    assert np.isnan(depth[:20]).all()
    assert (depth[20:95] < DEEP).all() and (depth[95:] > 4 * DEEP).all()


@pytest.mark.parametrize(
    "changed",
    [
        {"black": np.arange(100) < 5},
        {"mean": np.linspace(0.5, 1.5, 100)},
        {"quantile_01": 0.9 + 0.01 * np.sin(np.arange(100))},
        {"quantile_01": 0.9 - 0.03 * (np.arange(100) >= 95)},
        {"standard_deviation": 0.02 + 0.0005 * np.sin(np.arange(100))},
    ],
    ids=["no bars", "no even film", "nothing dark", "hardly darker than smooth film", "film of noise"],
)
def test_depth_says_nothing(changed):
    assert measure_depth(make_tiles(**changed)) is None
