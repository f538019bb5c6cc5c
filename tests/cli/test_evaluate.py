"""``emscout evaluate`` as a user meets it: scores that are right, with and without the filter, and saved."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile

from emscout.evaluate.split import SPLIT_SEED, VALIDATION_SHARE, split_images
from emscout.synthetic.particles import make_micrograph


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Five micrographs of two sources; one has as many particles as a distribution takes."""
    folder = tmp_path_factory.mktemp("labelled")
    for name in ("images", "segmaps"):
        (folder / name).mkdir()
    rows = ["name,doi,figure"]
    for seed in range(5):
        side, count = (320, 36) if seed == 0 else (128, 8)
        micrograph, labels, _ = make_micrograph((side, side), n_particles=count, diameter_px=(24, 3), seed=seed)
        tifffile.imwrite(folder / "images" / f"scan_{seed}.tif", micrograph.image)
        tifffile.imwrite(folder / "segmaps" / f"scan_{seed}.tif", labels)
        rows.append(f"scan_{seed},paper {min(seed, 3)},gr1")
    (folder / "sources.csv").write_text("\n".join(rows) + "\n")
    return folder


def emscout(*words):
    done = subprocess.run(
        [sys.executable, "-m", "emscout", "evaluate", "particles", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_watershed_is_scored_without_doubts(labelled, tmp_path):
    done = emscout(labelled, "--model", "watershed", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("the paper's protocol", "precision at IoU 0.5", "recall at IoU 0.5", "cosine distance"):
        assert word in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.csv", "kinds.csv", "run.json", "scores.csv"]
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores[["particles", "over"]].to_numpy().tolist() == [["all", "mean"], ["all", "pooled"]]
    assert scores["f1_50"].min() > 0.9
    images = pd.read_csv(tmp_path / "images.csv").set_index("image")
    assert len(images) == 5
    assert scores["paper_ap50"][0] == pytest.approx(images["paper_ap50"].mean(), abs=1e-5)
    assert images["area_distance"].notna().tolist() == [True, False, False, False, False]
    assert scores["area_distance"][0] < 0.3


@pytest.fixture(scope="module")
def doubted(labelled, tmp_path_factory):
    out = tmp_path_factory.mktemp("doubted")
    done = emscout(labelled, "--samples", 4, "--max-uncertainty", 0.02, "-o", out)
    assert done.returncode == 0, done.stderr
    return done.stdout, out


def test_the_network_is_scored_with_and_without_the_filter(doubted):
    text, out = doubted
    scores = pd.read_csv(out / "scores.csv")
    assert scores["particles"].tolist() == ["all", "all", "filtered", "filtered"]
    assert scores["max_uncertainty_nats"].tolist()[2:] == [0.02, 0.02]
    assert scores["n_predicted"][2] <= scores["n_predicted"][0]
    assert scores["recall_50"][2] <= scores["recall_50"][0]
    assert "at most 0.02 nats" in text
    assert "calibration error" in text


def test_each_kind_of_image_has_its_own_scores(doubted, labelled, tmp_path):
    text, out = doubted
    kinds, scores = pd.read_csv(out / "kinds.csv"), pd.read_csv(out / "scores.csv")
    assert "By kind of image" in text
    assert kinds["images"].sum() == 5
    assert kinds["n_true"].sum() == scores["n_true"][0]
    assert kinds[["precision_50", "recall_50", "f1_50", "ece"]].apply(lambda c: c.between(0, 1)).all(axis=None)
    (tmp_path / "kinds.csv").write_text("name,kind\nscan_0,raft\nscan_1,raft\n")
    done = emscout(labelled, "--model", "watershed", "--kinds", tmp_path / "kinds.csv", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    given = pd.read_csv(tmp_path / "out" / "kinds.csv").set_index("kind")
    assert given["images"]["raft"] == 2
    images = pd.read_csv(tmp_path / "out" / "images.csv").set_index("image")
    assert images["kind"][["scan_0", "scan_1"]].tolist() == ["raft", "raft"]


def test_the_sweep_ends_where_nothing_is_dropped(doubted):
    _, out = doubted
    sweep = pd.read_csv(out / "sweep.csv")
    assert np.isinf(sweep["max_uncertainty_nats"].iloc[-1])
    assert (sweep["recall_50"].diff().dropna() >= 0).all()
    assert sweep["f1_50"].iloc[-1] == pytest.approx(pd.read_csv(out / "scores.csv")["f1_50"][0], abs=1e-5)
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_the_calibration_counts_every_particle(doubted):
    _, out = doubted
    calibration = pd.read_csv(out / "calibration.csv")
    assert calibration["particles"].sum() == pd.read_csv(out / "scores.csv")["n_predicted"][0]
    gaps = calibration["particles"] * (calibration["probability"] - calibration["matched"]).abs()
    assert calibration["ece"][0] == pytest.approx(gaps.sum() / calibration["particles"].sum(), abs=1e-5)


def test_the_splits_are_those_of_training(labelled, tmp_path):
    names = [f"scan_{i}" for i in range(5)]
    split = split_images(labelled, names, VALIDATION_SHARE, SPLIT_SEED)
    for name, expected in zip(("train", "val"), split, strict=True):
        assert emscout(labelled, "--split", name, "--model", "watershed", "-o", tmp_path / name).returncode == 0
        assert sorted(pd.read_csv(tmp_path / name / "images.csv")["image"]) == expected


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing"], "is not a folder"),
        (["DATA", "--model", "particles-v0"], "no model 'particles-v0'"),
        (["DATA", "--split", "test"], "test"),
        (["DATA", "--samples", "0"], "samples"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_wrong_usage_is_one_sentence(words, sentence, labelled):
    done = emscout(*(labelled if word == "DATA" else word for word in words))
    assert done.returncode in (1, 2)
    assert sentence in done.stderr
