"""Crystals on micrographs in memory: the same as from files, taught without another survey, with warnings as data."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

import emscout as em
from emscout.crystals.options import CrystalOptions
from emscout.errors import OutputError, UsageError
from emscout.synthetic.overview import make_overview
from emscout.synthetic.scale import print_scale

GRID = "10x10"


@pytest.fixture(scope="module")
def overview():
    return make_overview((1, 2), (240, 240), n_crystals=6, diameter_px=(36, 5), seed=2)


@pytest.fixture(scope="module")
def micrographs(overview):
    return [replace(one, path=None) for one in overview.images.values()]


@pytest.fixture(scope="module")
def found(micrographs):
    return em.find_crystals(micrographs, grid=GRID)


def test_micrographs_give_the_tables_that_their_files_give(overview, tmp_path):
    for name, one in overview.images.items():
        tifffile.imwrite(
            tmp_path / f"{name}.tif", one.image, imagej=True, resolution=(0.2, 0.2), metadata={"unit": "nm"}
        )
    paths = sorted(tmp_path.glob("*.tif"))
    options = CrystalOptions(grid=GRID, clusters=4)
    from_files = em.locate(paths, tmp_path / "out", options).tables
    found = em.find_crystals([em.read(path) for path in paths], options)
    for name in ("tiles", "targets", "clusters"):
        pd.testing.assert_frame_equal(getattr(found, name), from_files[name])
    assert len(found.targets) and found.targets["area_nm2"].notna().all()
    pd.testing.assert_frame_equal(found.images, from_files["images"].drop(columns=["path", "frame", "sha256"]))


def test_frames_of_a_stack_are_named_as_in_its_file(overview, tmp_path):
    stack = np.stack([one.image for one in overview.images.values()])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    found = em.find_crystals(list(em.read_series(tmp_path / "stack.tif")), grid=GRID)
    saved = em.locate([tmp_path / "stack.tif"], tmp_path / "out", CrystalOptions(grid=GRID)).tables["tiles"]
    pd.testing.assert_frame_equal(found.tiles, saved)


def test_one_micrograph_is_a_set_too(micrographs):
    found = em.find_crystals(micrographs[1], grid=GRID)
    assert set(found.tiles["image"]) == {"image_1"}
    assert found.how.startswith("Targets are")


def test_labels_change_the_result_without_another_survey(found):
    image, row, col = found.question.partition(":")[0], *map(int, found.question.partition(":")[2].split(","))
    taught = found.teach(crystal=[(image, row, col)])
    assert taught.survey is found.survey
    at = taught.tiles.set_index(["image", "row", "col"]).loc[(image, row, col)]
    assert at["target"] and at["score"] == 1
    assert "1 example" in taught.how and taught.question != found.question
    assert found.options.like is None and "similarity" not in found.tiles
    changed = taught.teach(not_crystal=[found.question])
    assert (changed.options.like, changed.options.unlike) == (None, [found.question])
    assert not changed.tiles.set_index(["image", "row", "col"]).loc[(image, row, col), "target"]


def test_labels_decide_where_a_cluster_was_named(micrographs):
    found = em.find_crystals(micrographs, grid=GRID, target=2)
    assert "cluster 2, as requested" in found.how
    assert found.teach(crystal=[found.question]).options.target is None


def test_labels_are_saved_for_the_next_grid(found, micrographs, tmp_path):
    with pytest.raises(UsageError, match="Nothing is labelled"):
        found.save_labels(tmp_path / "labels.json")
    taught = found.teach(crystal=[found.question])
    taught.save_labels(tmp_path / "new" / "labels.json")
    again = em.find_crystals(micrographs, grid=GRID, knowledge=str(tmp_path / "new" / "labels.json"))
    others = taught.tiles["score"].drop(found.decision.question)
    assert again.tiles["score"].corr(others) > 0.99
    with pytest.raises(OutputError, match="cannot be written"):
        taught.save_labels(tmp_path / "new" / "labels.json" / "below_a_file.json")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"crystal": ["image_1:99,0"]}, "not a tile"),
        ({"crystal": [("image_1", 0, 0)]}, "is black"),
        ({"crystal": ["image_1:5,5"], "not_crystal": ["image_1:5,5"]}, "at once"),
    ],
)
def test_a_label_that_makes_no_sense_is_refused(wrong, sentence, found):
    with pytest.raises(UsageError, match=sentence):
        found.teach(**wrong)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"options": CrystalOptions(), "grid": GRID}, "not both"),
        ({"like": ["image_1:1,1"], "save_knowledge": "k.json"}, "save_labels"),
        ({"grids": GRID}, "no option `grids`"),
        ({"linkage": "ward", "metric": "cosine"}, "euclidean"),
    ],
)
def test_options_that_make_no_sense_are_refused(fields, sentence, micrographs):
    with pytest.raises(UsageError, match=sentence):
        em.find_crystals(micrographs, **fields)


def test_no_micrograph_is_refused():
    with pytest.raises(UsageError, match="no image"):
        em.find_crystals([])


def test_empty_film_is_a_warning():
    film = make_overview((1, 2), (200, 200), n_crystals=0, bars=False, seed=3)
    found = em.find_crystals(list(film.images.values()), grid=GRID)
    (notice,) = found.warnings
    assert (notice.code, notice.image) == ("empty", "")
    assert found.images["warnings"].str.startswith("[empty] No tile stands out").all()


def test_an_image_of_nothing_but_bar_is_a_warning():
    image = np.random.default_rng(0).integers(500, 520, (200, 200)).astype(np.uint16)
    image[:, 150:] = 9000
    bar, edge = (em.Micrograph(part) for part in (image[:, :150], image))
    found = em.find_crystals([bar, edge], grid="8x8", clusters=1)
    assert next((notice.code, notice.image) for notice in found.warnings) == ("black", "image_1")
    assert "keep_black" in found.images["warnings"][0] and "[black]" not in found.images["warnings"][1]


@pytest.fixture(scope="module")
def printed(overview):
    """An image with a scale bar of 100 px for 500 nm, which its file contradicts."""
    image = next(iter(overview.images.values())).image
    grey = (image / image.max() * 255).astype(np.uint8)
    drawn = print_scale("500 nm", "box", length_px=100, ground="plate", ink=0, font_px=16, image=grey)[0]
    return em.Micrograph(np.asarray(drawn), em.Calibration(2.5, "metadata"))


def test_a_pixel_size_that_is_contradicted_is_a_warning(printed):
    found = em.find_crystals(printed, grid="6x6")
    assert [notice.code for notice in found.warnings] == ["pixel-size"]
    assert found.images["warnings"][0] == f"[pixel-size] {found.images['calibration_note'][0]}"
    assert "area_nm2" not in found.targets


def test_what_calibrate_decided_holds(printed):
    trusted = em.find_crystals(em.calibrate(printed, trust="bar"), grid="6x6")
    assert trusted.images["calibration_source"][0] == "scale-bar"
    assert not trusted.warnings
    given = em.find_crystals(em.calibrate(printed, trust="bar"), grid="6x6", pixel_size="3nm")
    assert given.images["nm_per_px"][0] == 3


def test_a_survey_keeps_no_whole_images():
    overview = make_overview((1, 1), (800, 800), n_crystals=4, seed=2)
    found = em.find_crystals(list(overview.images.values()), grid=GRID)
    kept = replace(found.survey, pictures={}, tiles=None, features=None)
    assert found.targets["bar_distance_px"].notna().any()
    assert len(pickle.dumps(kept)) < 0.1 * 800 * 800
