"""``emscout scale`` and ``emscout evaluate scale`` as a user meets them."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emscout.synthetic.scale import print_scale


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """A bar, a bar cut off, no bar, and a file that is no image; scales.csv with what is true."""
    folder = tmp_path_factory.mktemp("figures")
    image, printed = print_scale("100 nm", "box", length_px=160, ground="plate", ink=0, seed=1)
    Image.fromarray(image).save(folder / "bar.png")
    cut, cut_scale = print_scale("50 nm", "box", length_px=200, ground="banner", seed=2)
    Image.fromarray(cut[:, : round(cut_scale.x1_px) - 20]).save(folder / "cut.png")
    Image.fromarray(print_scale("", length_px=0, seed=3)[0]).save(folder / "none.png")
    (folder / "scales.csv").write_text(
        f"name,value,unit,nm_per_px\nbar,100,nm,{100 / printed.length_px}\ncut,,,\nnone,,,\n"
    )
    return folder, printed


def emscout(*words):
    command = [sys.executable, "-m", "emscout", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def run(figures, tmp_path_factory):
    folder, printed = figures
    broken = tmp_path_factory.mktemp("broken") / "broken.png"
    broken.write_bytes(b"no image")
    out = tmp_path_factory.mktemp("run") / "scales"
    done = emscout("scale", folder, broken, "-o", out)
    return done, pd.read_csv(out / "scales.csv").set_index("image"), out, printed


def test_the_table_says_what_was_read_and_why_not(run):
    done, scales, _, printed = run
    assert done.returncode == 1
    assert list(scales.columns) == [
        *("value", "unit", "x0_px", "x1_px", "row_px", "length_px", "nm_per_px", "relative_error", "confidence"),
        *("style", "reason"),
    ]
    bar = scales.loc["bar"]
    assert (bar["value"], bar["unit"]) == (100, "nm")
    assert bar["nm_per_px"] == pytest.approx(100 / printed.length_px, rel=0.01)
    assert pd.isna(bar["reason"])
    assert scales.drop(index="bar")["value"].isna().all()
    assert "cut" in scales.loc["cut", "reason"]
    assert "No scale bar" in scales.loc["none", "reason"]
    assert "broken.png" in scales.loc["broken", "reason"]
    assert "broken.png" in done.stdout


def test_there_is_a_picture_of_every_reading(run):
    _, _, out, _ = run
    assert {path.stem for path in (out / "pictures").iterdir()} == {"bar", "cut", "none"}
    shown = np.asarray(Image.open(out / "pictures" / "bar.png"))
    assert (shown == (255, 120, 0)).all(axis=-1).sum() > 100
    assert Image.open(out / "contact_sheet.png").width >= 400


def test_finished_images_are_not_read_again(tmp_path):
    for name in ("one", "other"):
        Image.fromarray(print_scale("100 nm", "box", ground="plate", ink=0, seed=1)[0]).save(tmp_path / f"{name}.png")
    assert emscout("scale", tmp_path / "one.png", "-o", tmp_path / "out").returncode == 0
    written = (tmp_path / "out" / "pictures" / "one.png").stat().st_mtime_ns
    done = emscout("scale", tmp_path / "one.png", tmp_path / "other.png", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "pictures" / "one.png").stat().st_mtime_ns == written
    scales = pd.read_csv(tmp_path / "out" / "scales.csv")
    assert scales["image"].tolist() == ["one", "other"] and scales["value"].tolist() == [100, 100]


def test_results_of_other_images_are_not_replaced_unasked(run, figures):
    _, _, out, _ = run
    done = emscout("scale", figures[0] / "bar.png", "-o", out)
    assert done.returncode == 1
    assert "--overwrite" in done.stderr


def test_evaluate_counts_what_is_right(figures, tmp_path):
    done = emscout("evaluate", "scale", figures[0], "-o", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    scores = pd.read_csv(tmp_path / "scores" / "scores.csv").iloc[0]
    assert (scores["n_images"], scores["n_readable"], scores["n_false"]) == (3, 1, 0)
    assert scores["value_right"] == scores["length_2"] == 1


def test_evaluate_says_what_the_table_lacks(figures, tmp_path):
    (tmp_path / "bad.csv").write_text("name,length\nbar,3\n")
    done = emscout("evaluate", "scale", figures[0], "--truth", tmp_path / "bad.csv")
    assert done.returncode == 1
    assert "nm_per_px" in done.stderr


def test_a_folder_without_the_truth_is_wrong_usage(tmp_path):
    done = emscout("evaluate", "scale", tmp_path)
    assert done.returncode == 2
    assert "no table of true scales" in done.stderr and "--truth" in done.stderr
