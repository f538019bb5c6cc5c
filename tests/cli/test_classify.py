"""``emscout classify``, ``find-similar``, ``evaluate classes`` and ``train classifier`` as a user meets them."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emscout.synthetic.specimens import make_specimen, write_specimens


def emscout(*words, cwd=None):
    command = [sys.executable, "-m", "emscout", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def specimens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("specimens")
    write_specimens(folder, 10, side_px=80)
    return folder


def test_from_labelled_pictures_to_the_categories_of_new_ones(specimens, tmp_path):
    done = emscout("train", "classifier", specimens, "-o", tmp_path / "kinds-v1")
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    (tmp_path / "new").mkdir()
    for kind in ("pores", "fibres"):
        Image.fromarray(make_specimen(kind, 80, seed=50)).save(tmp_path / "new" / f"{kind}.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "new" / "zero.png")
    model = tmp_path / "kinds-v1" / "model.onnx"
    done = emscout("classify", tmp_path / "new", "-o", tmp_path / "out", "--model", model)
    assert done.returncode == 1
    assert "zero.png" in done.stdout and "single grey value" in done.stdout
    classes = pd.read_csv(tmp_path / "out" / "classes.csv").set_index("image")
    probabilities = classes.loc[["fibres", "pores"], ["p_fibres", "p_particles", "p_pores"]]
    assert probabilities.idxmax(axis=1).tolist() == ["p_fibres", "p_pores"]

    done = emscout("evaluate", "classes", specimens, "--model", model, "-o", tmp_path / "scores")
    assert done.returncode == 0, done.stderr
    assert "Accuracy" in done.stdout and "Macro-F1" in done.stdout and "called none of these" in done.stdout
    again = emscout("evaluate", "classes", tmp_path / "new", "--model", model, "-o", tmp_path / "scores")
    assert again.returncode == 1 and "--overwrite" in again.stderr
    assert (tmp_path / "scores" / "confusion.png").stat().st_size > 0

    done = emscout("classify", tmp_path / "new", "-o", tmp_path / "out", "--model", model, "--min-probability", "0.99")
    assert done.returncode == 1 and "--overwrite" in done.stderr


def test_a_linear_head_needs_no_torch(specimens, tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    command = [sys.executable, "-m", "emscout", "train", "classifier", str(specimens), "-o", str(tmp_path / "run")]
    hidden = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=hidden, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [*command[:-1], str(tmp_path / "other"), "--network", "simple"],
        capture_output=True,
        text=True,
        env=hidden,
        check=False,
    )
    assert done.returncode == 1 and "pip install -c constraints/runtime.txt -e '.[train]'" in done.stderr


def test_find_similar_writes_what_it_found(specimens, tmp_path):
    asked = specimens / "pores" / "pores_03.png"
    done = emscout("find-similar", asked, specimens, "-o", tmp_path / "out", "--count", "5")
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(tmp_path / "out" / "similar.csv")
    assert len(found) == 5 and all("pores" in path for path in found["path"])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 6
    done = emscout("find-similar", specimens / "fibres" / "fibres_01.png", specimens, "-o", tmp_path / "out")
    assert done.returncode == 1 and "--overwrite" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["classify", "nowhere.png", "-o", "out"], 2, "does not exist"),
        (["classify", "DATA/pores", "-o", "out", "--model", "particles-v2"], 1, "classifies pictures"),
        (["classify", "DATA/pores", "-o", "out", "--min-probability", "3"], 2, "--min-probability"),
        (["find-similar", "DATA/pores/pores_01.png", "nowhere", "-o", "out"], 2, "not a folder"),
        (["evaluate", "classes", "DATA"], 2, "fluorescence"),
        (["train", "classifier", "-o", "out"], 2, "--dataset nffa"),
        (["train", "classifier", "-o", "out", "--resume"], 2, "needs the pictures too"),
        (["find-similar", "DATA", "DATA", "-o", "out"], 2, "name one picture"),
        (["classify", "DATA", "-o", "out"], 2, "subfolders"),
        (["train", "classifier", "nowhere", "-o", "out"], 2, "does not exist"),
        (["train", "classifier", "DATA", "-o", "out", "--resume"], 2, "holds no training run"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_wrong_usage_is_a_sentence(words, code, sentence, specimens, tmp_path):
    done = emscout(*(word.replace("DATA", str(specimens)) for word in words), cwd=tmp_path)
    assert done.returncode == code
    assert sentence in done.stderr
    assert not (tmp_path / "out").exists()
