"""The folder of a training run: what it may hold before one begins."""

import pytest

from emscout.errors import OutputError
from emscout.training.classifier_options import ClassifierOptions
from emscout.training.options import check_run, open_run


def test_a_model_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(OutputError, match=r"files of your own .*\(model.onnx\): choose a new or an empty folder"):
        open_run(tmp_path, ClassifierOptions(), resume=False, begun=False)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_other_files_may_lie_there_and_a_run_is_recognized(tmp_path):
    (tmp_path / "nffa").mkdir()
    open_run(tmp_path, ClassifierOptions(), resume=False, begun=False)
    (tmp_path / "model.onnx").touch()
    check_run(tmp_path)
    with pytest.raises(OutputError, match="`resume"):
        open_run(tmp_path, ClassifierOptions(), resume=False, begun=True)
