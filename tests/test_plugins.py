"""Segmenters and readers of other packages, found by their entry points."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from emscout.io import READERS, Frames
from emscout.micrograph import Micrograph, Segmentation
from emscout.particles import SEGMENTERS
from emscout.synthetic.particles import make_micrograph

PACKAGE = Path(__file__).parent / "plugin_package"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A function that runs Python where the package is installed, as pip would, without the network."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    shutil.copy(PACKAGE / "emscout_example.py", site)
    about = site / "emscout_example-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (about / "entry_points.txt").write_text("\n".join(groups))
    paths = [str(site), str(Path(__file__).parents[1] / "src")]

    def run(*arguments):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A folder with a file of the reader's format."""
    folder = tmp_path_factory.mktemp("raw")
    micrograph, *_ = make_micrograph((150, 170), n_particles=8, diameter_px=(24, 3), seed=2)
    header = b"EMRAW 1 150 170 0.25\n"
    (folder / "scan.raw").write_bytes(header + (micrograph.image.astype("<u2") * 16).tobytes())
    return folder


def test_python_finds_both(python, raw):
    program = f"""
import json
import emscout as em
m = em.read({str(raw / "scan.raw")!r})
found = em.find_particles(m, model="dark-spots")
print(json.dumps([m.image.shape, str(m.image.dtype), m.nm_per_px, len(found.table), list(found.table.columns)]))
"""
    finished = python("-c", program)
    assert finished.returncode == 0, finished.stderr
    shape, dtype, nm_per_px, count, columns = json.loads(finished.stdout)
    assert (shape, dtype, nm_per_px) == ([150, 170], "uint16", 0.25)
    assert count > 3 and "equivalent_circular_diameter_nm" in columns


def test_the_command_line_finds_both_in_worker_processes_too(python, raw, tmp_path):
    shutil.copy(raw / "scan.raw", raw / "again.raw")
    for model in ("dark-spots", "emscout_example:find_dark_spots"):
        out = tmp_path / model.partition(":")[0]
        finished = python("-m", "emscout", "analyze", raw, "-o", out, "--model", model, "--workers", 2)
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert (out / "particles.csv").read_text().count("scan") > 3


def test_a_model_that_nobody_brings_names_those_there_are(python, raw, tmp_path):
    finished = python("-m", "emscout", "analyze", raw, "-o", tmp_path / "out", "--model", "cellpose")
    assert finished.returncode == 2
    assert "dark-spots" in finished.stderr and "watershed" in finished.stderr


def test_a_broken_package_takes_no_other_reader_with_it(python, raw, tmp_path):
    broken = tmp_path / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[emscout.readers]\nbroken = not_there:READER\n")
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r}); import emscout as em; em.read({str(raw / 'scan.raw')!r})"
    )
    finished = python("-c", program)
    assert finished.returncode == 0
    assert "'broken' cannot be loaded" in finished.stderr


@pytest.mark.parametrize("name", READERS)
def test_contract_of_a_reader(name):
    reader = READERS[name]
    assert reader.suffixes and all(suffix == suffix.lower() and suffix[0] == "." for suffix in reader.suffixes)
    assert reader.signatures or reader.matches
    assert all(reader.recognises(signature + bytes(512), "") for signature in reader.signatures)
    assert not reader.recognises(b"some text " * 52, ".txt")


@pytest.mark.parametrize("name", SEGMENTERS)
def test_contract_of_a_segmenter(name):
    micrograph, *_ = make_micrograph((150, 170), n_particles=8, diameter_px=(24, 3), seed=2)
    before = micrograph.image.copy()
    found = SEGMENTERS[name](Micrograph(micrograph.image))
    labels = found.labels if isinstance(found, Segmentation) else found
    assert labels.shape == micrograph.image.shape and labels.dtype.kind in "iub" and labels.max() > 0
    np.testing.assert_array_equal(micrograph.image, before)


def test_a_reader_added_in_python_opens_its_files(tmp_path, monkeypatch):
    import emscout.io as io

    square = io.Reader(
        lambda path: Frames(lambda frame: np.zeros((4, 5), np.uint8), 1, (4, 5), np.dtype("uint8")),
        suffixes=(".zero",),
        matches=lambda head, suffix: suffix == ".zero",
    )
    monkeypatch.setitem(io.READERS, "zeros", square)
    (tmp_path / "a.zero").write_text("0")
    (path,) = io.find_images([tmp_path])
    assert io.read(path).image.shape == (4, 5)
