"""The command line as a user meets it: exit codes, help, no traceback."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from emscout.synthetic.particles import make_micrograph


def emscout(*words, cwd=None):
    command = [sys.executable, "-m", "emscout", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "scan [1].tif"
    image = make_micrograph((128, 160), n_particles=6, seed=0)[0].image
    tifffile.imwrite(path, image, imagej=True, resolution=(2, 2), metadata={"unit": "nm"})
    return path


def test_help_teaches():
    for words in (["--help"], ["analyze", "--help"], ["info", "--help"]):
        done = emscout(*words)
        assert done.returncode == 0
        assert "micrographs" in done.stdout or "files" in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["analyze", "--help"], ["train", "classifier", "--help"]], ids=" ".join)
def test_help_is_no_list_of_types(words):
    done = emscout(*words)
    assert done.returncode == 0
    for word in ("bool", "list[", "str]", "None"):
        assert word not in done.stdout


def test_a_misspelt_command_is_guessed():
    done = emscout("analise", "x.tif")
    assert done.returncode == 2
    assert "'analyze'" in done.stderr


def test_a_command_loads_no_other_and_no_plots():
    code = (
        "import sys, emscout.cli; sys.argv = ['emscout', {}]\n"
        "try: emscout.cli.main()\n"
        "except SystemExit: print(*sys.modules)"
    )
    for words, foreign in (
        ("'--version'", {"pandas", "skimage", "emscout.particles"}),
        ("'analyze', '--help'", {"matplotlib", "sklearn", "onnxruntime", "emscout.crystals", "emscout.movies"}),
    ):
        done = subprocess.run([sys.executable, "-c", code.format(words)], capture_output=True, text=True, check=True)
        loaded = set(done.stdout.split())
        assert "emscout.cli" in loaded
        assert not foreign & loaded


def test_version():
    assert emscout("--version").stdout.startswith("emscout 0.")


def test_info_as_json_has_the_agreed_keys(scan):
    done = emscout("info", scan, "--json")
    assert done.returncode == 0
    (row,) = json.loads(done.stdout)
    assert list(row) == [
        "path",
        "frames",
        "height_px",
        "width_px",
        "dtype",
        "nm_per_px",
        "calibration_source",
        "error",
    ]
    assert (row["height_px"], row["width_px"], row["nm_per_px"], row["error"]) == (128, 160, 0.5, None)


def test_info_as_a_table_shows_the_size(scan):
    done = emscout("info", scan)
    assert "128 × 160" in done.stdout


def test_info_on_a_bad_file_exits_1_with_the_reason(tmp_path):
    (tmp_path / "bad.tif").write_text("no image")
    done = emscout("info", tmp_path / "bad.tif", "--json")
    assert done.returncode == 1
    assert "bad.tif" in json.loads(done.stdout)[0]["error"]


def test_analyze_writes_results_and_says_where(scan, tmp_path):
    done = emscout("analyze", scan, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    assert (tmp_path / "out" / "particles.csv").exists()


def test_analyze_with_a_bad_file_among_good_ones_exits_1_and_names_it(scan, tmp_path):
    (tmp_path / "bad.tif").write_text("no image")
    done = emscout("analyze", scan, tmp_path / "bad.tif", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "bad.tif" in done.stdout
    assert "ok" in (tmp_path / "out" / "images.csv").read_text()


def test_analyze_with_bad_files_alone_exits_1_with_the_reason(tmp_path):
    (tmp_path / "bad.tif").write_text("no image")
    done = emscout("analyze", tmp_path / "bad.tif", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "bad.tif" in done.stdout and "fault" not in done.stderr
    assert (tmp_path / "out" / "report.html").exists()


def test_analyze_a_flat_image_exits_0_and_says_there_is_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "flat.tif", np.zeros((32, 32), np.uint8))
    done = emscout("analyze", tmp_path / "flat.tif", "-o", tmp_path / "out")
    assert done.returncode == 0
    assert "flat.tif" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["analyze"],
        ["analyze", "x.tif"],
        ["analyze", "missing.tif", "-o", "out"],
        ["analyze", "missing_*.tif", "-o", "out"],
        ["info", "missing.tif"],
        ["analyze", "x.tif", "-o", "out", "--min-diameter", "5"],
        ["analyze", "x.tif", "-o", "out", "--polarity", "green"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_2_with_a_sentence(words, tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((8, 8), np.uint8))
    done = emscout(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert not (tmp_path / "out").exists()


def test_results_that_cannot_be_written_exit_1_with_a_sentence(scan, tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = emscout("analyze", scan, "-o", tmp_path / "file")
    assert done.returncode == 1
    assert "file" in done.stderr


def test_importing_emscout_stays_light():
    heavy = ["matplotlib", "pandas", "skimage", "sklearn", "rsciio", "pyarrow", "scipy", "dask", "torch", "onnxruntime"]
    code = f"import sys, emscout; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_internal_error_leaves_its_record_in_a_file_of_the_users_own(tmp_path):
    code = (
        "import sys, emscout.io, emscout.cli\n"
        "emscout.io.find_images = lambda paths: 1 / 0\n"
        "sys.argv = ['emscout', 'info', 'x.tif']\n"
        "emscout.cli.main()"
    )
    for _ in range(2):
        environment = os.environ | {"TMPDIR": str(tmp_path), "TEMP": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr and "please report" in done.stderr
    records = list(tmp_path.glob("*.txt"))
    assert len(records) == 2
    assert all(str(record.name) in done.stderr or "ZeroDivisionError" in record.read_text() for record in records)
    if os.name == "posix":
        assert all(record.stat().st_mode & 0o077 == 0 for record in records)
