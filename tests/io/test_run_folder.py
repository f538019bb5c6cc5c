"""The folder of results: what goes on, what is refused, and that nothing is lost unasked."""

import json

import pytest

from emscout.errors import OutputError
from emscout.io.run_folder import claim_folder, describe_run

FILES, FOLDERS = ("table.csv",), ("pictures",)


def run(command="analyze", images=("a.tif",), **options):
    return describe_run(command, [{"image": name, "path": f"/scans/{name}", "frame": None} for name in images], options)


def claim(out, described, *, overwrite=False, grows=True, **how):
    claim_folder(out, described, FILES, FOLDERS, grows=grows, overwrite=overwrite, **how)


@pytest.fixture
def out(tmp_path):
    """Results of one image."""
    claim(tmp_path / "out", run(seed=0))
    (tmp_path / "out" / "table.csv").write_text("first")
    (tmp_path / "out" / "pictures").mkdir()
    return tmp_path / "out"


def test_a_new_and_an_empty_folder_are_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("deep/new", "empty"):
        claim(tmp_path / name, run())
        assert json.loads((tmp_path / name / "run.json").read_text())["command"] == "analyze"


def test_the_same_run_and_more_images_go_on(out):
    claim(out, run(seed=0))
    claim(out, run(seed=0, images=("a.tif", "b.tif")))
    assert (out / "table.csv").read_text() == "first"


@pytest.mark.parametrize("overwrite", [False, True])
def test_own_files_under_the_names_of_results_are_refused_whatever_is_asked(tmp_path, overwrite):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "holiday.jpg").touch()
    (tmp_path / "table.csv").touch()
    with pytest.raises(OutputError, match=r"files of your own .* \(pictures, table.csv\): choose a new"):
        claim(tmp_path, run(), overwrite=overwrite)
    assert (tmp_path / "pictures" / "holiday.jpg").exists() and not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_results_of_another_command_are_refused_whatever_is_asked(out, overwrite):
    with pytest.raises(OutputError, match="the results of emscout analyze: choose a new"):
        claim(out, run("locate", seed=0), overwrite=overwrite)
    assert (out / "table.csv").exists()


@pytest.mark.parametrize(
    ("described", "sentence"),
    [
        (run(seed=1), r"other options \(`seed`\)"),
        (run(seed=0, min_diameter="5nm"), r"other options \(`min_diameter`\)"),
        (run(seed=0, images=("b.tif",)), "results of other images"),
        (run(seed=0) | {"model_sha256": "0"}, "other options:"),
        (run(seed=0) | {"emscout": "9.9"}, "results of emscout 0"),
    ],
)
def test_other_results_are_replaced_when_asked_alone_and_then_whole(out, described, sentence):
    with pytest.raises(OutputError, match=f"{sentence}.*`overwrite"):
        claim(out, described)
    assert (out / "table.csv").read_text() == "first"
    claim(out, described, overwrite=True)
    assert [path.name for path in out.iterdir()] == ["run.json"]


def test_only_looking_changes_nothing(tmp_path, out):
    claim(tmp_path / "new", run(), only_look=True)
    assert not (tmp_path / "new").exists()
    claim(out, run(seed=1), overwrite=True, only_look=True)
    assert (out / "table.csv").read_text() == "first"


def test_options_are_compared_as_json_keeps_them(tmp_path):
    claim(tmp_path / "out", run(like=("a:1,2",)))
    claim(tmp_path / "out", run(like=("a:1,2",)))


def test_results_never_lie_among_the_images(tmp_path):
    with pytest.raises(OutputError, match="the images themselves"):
        claim(tmp_path, describe_run("analyze", [{"path": str(tmp_path / "a.tif")}], {}), overwrite=True)


def test_other_files_are_left_in_peace(tmp_path):
    (tmp_path / "scan.tif").write_text("mine")
    claim(tmp_path, run())
    (tmp_path / "table.csv").touch()
    claim(tmp_path, run(seed=1), overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "scan.tif"]


@pytest.mark.parametrize(
    "content", ["{}", "[1]", "no json", '{"command": "analyze", "emscout": "0", "options": {}, "inputs": [1]}']
)
def test_a_run_json_of_something_else_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(OutputError, match=r"files of your own .*\(run\.json\)"):
        claim(tmp_path, run(), overwrite=True)


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file is in the way"):
        claim(tmp_path / "file", run())
    with pytest.raises(OutputError, match="file"):
        claim(tmp_path / "file" / "below", run())
