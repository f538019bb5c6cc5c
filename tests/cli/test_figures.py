"""``emscout figures`` as a user meets it."""

import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image

from emscout.synthetic.figure import make_figure


def emscout(*words, cwd=None):
    command = [sys.executable, "-m", "emscout", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    figure = make_figure((2,), kinds=("micrograph", "plot"), gutter_px=10, seed=2)
    Image.fromarray(figure.image).save(folder / "figure.png")
    return folder


def test_a_figure_becomes_measured_panels(folder):
    done = emscout("figures", "figure.png", "-o", "out", "--model", "watershed", cwd=folder)
    assert done.returncode == 0, done.stderr
    for words in ("figure_a", "1 micrograph", "1 plot", "reports"):
        assert words in done.stdout
    assert list(pd.read_csv(folder / "out" / "figures.csv")["kind"]) == ["micrograph", "plot"]
    again = emscout("figures", "figure.png", "-o", "out", "--model", "watershed", "--seed", "3", cwd=folder)
    assert again.returncode == 1
    assert "--overwrite" in again.stderr


def test_a_segmenter_of_your_own_measures_the_panels(folder):
    (folder / "mine.py").write_text(
        "def bright(micrograph):\n    import numpy as np\n    labels = np.zeros(micrograph.image.shape, int)\n"
        "    labels[20:40, 30:50] = 1\n    return labels\n"
    )
    done = emscout("figures", "figure.png", "-o", "own", "--model", "mine:bright", cwd=folder)
    assert done.returncode == 0, done.stderr
    figures = pd.read_csv(folder / "own" / "figures.csv")
    assert figures["count"].tolist()[0] == 1 and figures["kind"][0] == "micrograph"


def test_a_bad_document_among_good_ones_exits_1_and_is_named(folder):
    (folder / "bad.pdf").write_text("no PDF")
    done = emscout("figures", "figure.png", "bad.pdf", "-o", "mixed", "--model", "watershed", cwd=folder)
    assert done.returncode == 1
    assert "bad.pdf" in done.stdout
    assert len(pd.read_csv(folder / "mixed" / "figures.csv")) == 3


@pytest.mark.parametrize(
    "words",
    [
        ["figures"],
        ["figures", "figure.png"],
        ["figures", "missing.pdf", "-o", "none"],
        ["figures", "figure.png", "-o", "none", "--samples", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_with_a_sentence(words, folder):
    done = emscout(*words, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert not (folder / "none").exists()


def test_help_teaches():
    done = emscout("figures", "--help")
    assert done.returncode == 0
    for word in ("figures.csv", "panels", "JATS", "Example"):
        assert word in done.stdout
