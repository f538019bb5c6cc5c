"""``emscout locate`` and ``emscout evaluate locate`` as a user meets them."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile

from emscout.synthetic.overview import make_overview


def emscout(*words, cwd=None):
    command = [sys.executable, "-m", "emscout", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A folder of overview images, one of masks, one of labels."""
    folder = tmp_path_factory.mktemp("grid")
    overview = make_overview((1, 2), (240, 240), n_crystals=6, diameter_px=(36, 5), seed=2)
    for name in ("overview", "masks"):
        (folder / name).mkdir()
    for name, micrograph in overview.images.items():
        tifffile.imwrite(
            folder / "overview" / f"{name}.tif",
            micrograph.image,
            imagej=True,
            resolution=(1 / 5, 1 / 5),
            metadata={"unit": "nm"},
        )
        tifffile.imwrite(folder / "masks" / f"{name}.tif", overview.crystals[name].astype(np.uint8) * 255)
    return folder


@pytest.fixture(scope="module")
def found(grid):
    done = emscout("locate", "overview", "-o", "found", "--grid", "12x12", cwd=grid)
    assert done.returncode == 0, done.stderr
    return done, grid


def test_locate_says_where_to_go_and_what_it_doubts(found):
    done, grid = found
    targets = pd.read_csv(grid / "found" / "targets.csv")
    assert f"{targets['row_px'][0]:.0f}, {targets['col_px'][0]:.0f}" in done.stdout
    for words in ("Proposed: cluster", "Most uncertain tile: Tile_", "report.html"):
        assert words in done.stdout


def test_help_teaches():
    done = emscout("locate", "--help")
    assert done.returncode == 0
    for word in ("--like", "--sliding", "--knowledge", "--preset", "overview"):
        assert word in done.stdout


def test_several_examples_may_be_given(found):
    _, grid = found
    tiles = pd.read_csv(grid / "found" / "tiles.csv")
    tiles = tiles[~tiles["black"]].sort_values("score")
    addresses = [f"{row.image}:{row.row},{row.col}" for row in tiles.iloc[[0, 1, -1]].itertuples()]
    words = ["--unlike", addresses[0], "--unlike", addresses[1], "--like", addresses[2]]
    done = emscout("locate", "overview", "-o", "taught", "--grid", "12x12", *words, cwd=grid)
    assert done.returncode == 0, done.stderr
    assert "3 examples" in done.stdout


def test_results_are_not_overwritten_unasked(found):
    _, grid = found
    done = emscout("locate", "overview", "-o", "found", "--grid", "8x8", cwd=grid)
    assert done.returncode == 1
    assert "--overwrite" in done.stderr


def test_a_bad_image_among_good_ones_exits_1_and_is_named(grid, tmp_path):
    (tmp_path / "bad.tif").write_text("no image")
    done = emscout("locate", grid / "overview", tmp_path / "bad.tif", "-o", tmp_path / "out", "--grid", "8x8")
    assert done.returncode == 1
    assert "bad.tif" in done.stdout
    assert (tmp_path / "out" / "targets.csv").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["locate"],
        ["locate", "overview"],
        ["locate", "missing", "-o", "out"],
        ["locate", "overview", "-o", "out", "--grid", "12"],
        ["locate", "overview", "-o", "out", "--tile", "2px"],
        ["locate", "overview", "-o", "out", "--reduce", "magic"],
        ["locate", "overview", "-o", "out", "--clusters", "many"],
        ["locate", "overview", "-o", "out", "--like", "Tile_001-001"],
        ["evaluate", "locate", "overview", "masks"],
        ["evaluate", "locate", "found", "missing.csv"],
        ["evaluate", "locate", "found", "overview/.."],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_with_a_sentence(words, found):
    _, grid = found
    done = emscout(*words, cwd=grid)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert not (grid / "out").exists()


def test_masks_score_the_targets(found):
    _, grid = found
    done = emscout("evaluate", "locate", "found", "masks", "-o", "scores", cwd=grid)
    assert done.returncode == 0, done.stderr
    assert "F1" in done.stdout
    scores = pd.read_csv(grid / "scores" / "scores.csv").set_index("over")
    assert scores.loc["pooled", "recall"] > 0.8
    assert scores.loc["pooled", "recall_50"] > 0.8
    assert scores.loc["pooled", "n_tiles"] == 288
    images = pd.read_csv(grid / "scores" / "images.csv")
    assert scores.loc["mean of images", "f1"] == pytest.approx(images["f1"].mean(), abs=1e-5)
    tiles = pd.read_csv(grid / "found" / "tiles.csv")
    mask = tifffile.imread(grid / "masks" / "Tile_001-002.tif") > 0
    expected = sum(
        mask[t.top_px : t.top_px + t.height_px, t.left_px : t.left_px + t.width_px].mean() > 0.2
        for t in tiles[tiles["image"] == "Tile_001-002"].itertuples()
    )
    assert images.set_index("image").loc["Tile_001-002", "n_positive"] == expected
    # A count has no mean that says anything.
    assert scores.loc["mean of images", ["n_tiles", "n_positive", "n_target"]].isna().all()


def test_scores_never_replace_the_result_that_is_scored(found):
    _, grid = found
    before = (grid / "found" / "images.csv").read_bytes()
    done = emscout("evaluate", "locate", "found", "masks", "-o", "found", "--overwrite", cwd=grid)
    assert done.returncode == 1
    assert "holds the results of emscout locate" in done.stderr
    assert (grid / "found" / "images.csv").read_bytes() == before


def test_labels_score_clusters_and_with_a_positive_one_the_targets(found, tmp_path):
    _, grid = found
    tiles = pd.read_csv(grid / "found" / "tiles.csv")
    labels = tiles[["image", "row", "col"]].assign(label=np.where(tiles["target"], "C", "A")).iloc[:200]
    labels["image"] += ".tif"
    labels.to_csv(tmp_path / "labels.csv", index=False)
    done = emscout("evaluate", "locate", grid / "found", tmp_path / "labels.csv")
    assert done.returncode == 0, done.stderr
    assert "--positive" in done.stdout
    done = emscout(
        "evaluate", "locate", grid / "found", tmp_path / "labels.csv", "--positive", "C", "-o", tmp_path / "scores"
    )
    scores = pd.read_csv(tmp_path / "scores" / "scores.csv").set_index("over").loc["pooled"]
    assert scores["n_tiles"] == 200
    assert scores[["precision", "recall", "f1"]].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("image,row,col,label\nother,0,0,1\n", "not in this result"),
        ("image,row,col,label\nTile_001-001,99,0,1\n", "another grid"),
        ("image,row,col,label\nTile_001-001,0,0,1\nTile_001-001,0,0,0\n", "twice"),
        ("name,x\n1,2\n", "image, row, col, label"),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(rows, sentence, found, tmp_path):
    _, grid = found
    (tmp_path / "labels.csv").write_text(rows)
    done = emscout("evaluate", "locate", grid / "found", tmp_path / "labels.csv")
    assert done.returncode in (1, 2)
    assert sentence in done.stderr.replace("\n", " ")
