"""Which files are accepted as a model, and what is said of those that are not."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emscout import models
from emscout.errors import ModelError, UsageError
from emscout.models import METADATA_KEY, MODELS, load_category_model, load_model

FOLDER = Path(models.__file__).parent


LOADERS = {"particles": load_model, "technique": load_category_model}


@pytest.mark.parametrize("name", MODELS)
def test_shipped_models_load_and_say_what_they_are(name):
    model = LOADERS[name.split("-")[0]](name)
    assert model.description["name"] == name
    assert model.sha256 == MODELS[name][1]
    assert (FOLDER / MODELS[name][0]).stat().st_size <= 20e6


@pytest.mark.parametrize("name", MODELS)
def test_each_shipped_model_has_a_card(name):
    card = (FOLDER / MODELS[name][0]).with_suffix(".md").read_text(encoding="utf-8")
    assert MODELS[name][1] in card


def test_a_model_of_another_kind_is_refused_and_says_of_which():
    with pytest.raises(ModelError, match=r"classifies pictures.* finds particles"):
        load_model("technique-v1")
    with pytest.raises(ModelError, match=r"finds particles.* classifies pictures"):
        load_category_model("particles-v2")
    with pytest.raises(UsageError, match=r"no model 'nonsense': give technique-v1, or the path"):
        load_category_model("nonsense")


def test_no_file_in_the_folder_is_unknown():
    assert {path.name for path in FOLDER.glob("*.onnx")} == {file for file, _ in MODELS.values()}


def test_a_model_is_loaded_once():
    assert load_model("particles-v2") is load_model("particles-v2")


def test_a_model_runs_on_any_multiple_of_its_stride():
    model = load_model("particles-v2")
    masks = tuple(np.ones((2, channels, 1, 1), np.float32) for channels in model.description["dropout_channels"])
    for shape in ((32, 32), (32, 96), (128, 64)):
        maps = model.run(np.zeros(shape, np.float32), masks)
        assert maps.shape == (5, *shape)
        assert np.isfinite(maps).all()


def test_a_shipped_file_that_changed_is_refused(tmp_path, monkeypatch):
    content = bytearray((FOLDER / MODELS["particles-v2"][0]).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.onnx").write_bytes(content)
    monkeypatch.setitem(MODELS, "particles-v2", (str(tmp_path / "damaged.onnx"), MODELS["particles-v2"][1]))
    with pytest.raises(ModelError, match=r"damaged\.onnx: .* checksum"):
        load_model("particles-v2")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 500])
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content):
    path = tmp_path / "mine.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"mine\.onnx"):
        load_model(path)


def test_half_a_model_is_refused(tmp_path):
    content = (FOLDER / MODELS["particles-v2"][0]).read_bytes()
    path = tmp_path / "half.onnx"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"half\.onnx"):
        load_model(path)


@pytest.mark.parametrize("model", ["particles-v99", "nowhere.onnx", "weights.pt"])
def test_a_model_that_is_not_there_is_named(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=model):
        load_model(model)


def test_a_folder_is_no_model(tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ModelError, match=r"folder\.onnx"):
        load_model(tmp_path / "folder.onnx")


def _rewrite(path: Path, change) -> Path:
    """A copy of the shipped model whose description, or graph, was changed."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(FOLDER / MODELS["particles-v2"][0])
    change(onnx, model)
    onnx.save(model, path)
    return path


def _without_description(onnx, model):
    del model.metadata_props[:]


def _without_stride(onnx, model):
    description = json.loads(model.metadata_props[0].value)
    del description["stride_px"]
    model.metadata_props[0].value = json.dumps(description)


def _with_unreadable_description(onnx, model):
    model.metadata_props[0].value = "{"


def _with_a_list_as_description(onnx, model):
    model.metadata_props[0].value = "[]"


def _of_another_task(onnx, model):
    description = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps(description | {"dropout_channels": [64, 16]})


def _with_another_input(onnx, model):
    for node in model.graph.node:
        node.input[:] = ["picture" if name == "image" else name for name in node.input]
    model.graph.input[0].name = "picture"


@pytest.mark.parametrize(
    "change",
    [
        _without_description,
        _without_stride,
        _with_unreadable_description,
        _with_a_list_as_description,
        _of_another_task,
        _with_another_input,
    ],
)
def test_a_foreign_onnx_file_is_refused(tmp_path, change):
    path = _rewrite(tmp_path / "foreign.onnx", change)
    with pytest.raises(ModelError, match=r"foreign\.onnx: .* not a model of emscout"):
        load_model(path)


def test_a_model_is_found_by_its_path_and_read_anew_when_it_changes(tmp_path):
    def rename(name):
        def change(onnx, model):
            (entry,) = [entry for entry in model.metadata_props if entry.key == METADATA_KEY]
            entry.value = json.dumps(json.loads(entry.value) | {"name": name})

        return change

    path = _rewrite(tmp_path / "mine.onnx", rename("first"))
    assert load_model(path).description["name"] == "first"
    _rewrite(path, rename("second"))
    assert load_model(path).description["name"] == "second"


def test_onnxruntime_is_imported_when_a_model_is_loaded():
    code = "import sys, emscout.models, emscout.particles.segmenters.bayesian; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
