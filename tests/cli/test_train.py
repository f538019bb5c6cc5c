"""``emscout train`` as a user meets it: a model at the end, whatever came between, and a sentence when it is wrong."""

import os
import signal
import subprocess
import sys
import time

import pytest
import tifffile
import typer


def command(*words):
    return [sys.executable, "-m", "emscout", "train", "particles", *map(str, words)]


def emscout(*words, **environment):
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False, env=os.environ | environment)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_without_torch_it_says_how_to_get_it(labelled_folder, tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('No module named torch', name='torch')")
    done = emscout(labelled_folder, "-o", tmp_path / "run", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "pip install -c constraints/runtime.txt -e '.[train]'" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing", "-o", "run"], "not a folder"),
        (["DATA", "-o", "run", "--resume"], "holds no training run"),
        (["DATA", "-o", "run", "--steps", "0"], "--steps"),
        (["DATA", "-o", "run", "--device", "tpu"], "tpu"),
        (["DATA"], "--out"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_wrong_usage_exits_2_with_a_sentence(words, sentence, labelled_folder, tmp_path):
    pytest.importorskip("torch")
    places = {"DATA": labelled_folder, **{name: tmp_path / name for name in ("missing", "run")}}
    done = emscout(*(places.get(word, word) for word in words))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_none_to_start_from_is_wrong_usage(labelled_folder, tmp_path):
    pytest.importorskip("torch")
    done = emscout(labelled_folder, "-o", tmp_path / "run", "--start-from", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr


@pytest.mark.parametrize(("kept", "sentence"), [(None, "start again"), ("checkpoint-0000004.pt", "--resume")])
def test_interrupted_it_says_how_to_go_on(kept, sentence, tmp_path, capsys):
    from rich.console import Console

    from emscout.cli.train.session import training_session
    from emscout.training.options import TrainingOptions

    if kept:
        (tmp_path / kept).touch()
    screen = Console(width=500)
    with pytest.raises(typer.Exit), training_session(screen, tmp_path, TrainingOptions(steps=3)) as show:
        show(0.5, "step 2 [loss]")
        raise KeyboardInterrupt
    said = capsys.readouterr().out
    assert sentence in said
    assert "--steps" in said and "{" not in said and "step 2 [loss]" in said


def test_a_run_of_other_options_is_not_begun_anew_unasked(labelled_folder, tmp_path):
    pytest.importorskip("torch")
    from emscout.training.options import TrainingOptions, write_options

    (tmp_path / "run").mkdir()
    write_options(tmp_path / "run", TrainingOptions(steps=7))
    done = emscout(labelled_folder, "-o", tmp_path / "run", "--steps", "5")
    assert done.returncode == 1
    assert "other options" in done.stderr and "--resume" in done.stderr


def kill_when(path, *words):
    """Start a run and end it without warning as soon as ``path`` is there."""
    with subprocess.Popen(command(*words), stdout=subprocess.DEVNULL) as running:
        while not path.exists() and running.poll() is None:
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
    assert path.exists()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
def test_killed_and_resumed_it_ends_with_the_same_network(labelled_folder, tmp_path):
    torch = pytest.importorskip("torch")
    flags = ["--steps", "5", "--batch", "1", "--save-every", "0", "--validation-share", "0.3", "--device", "cpu"]
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    kill_when(whole / "checkpoint-0000005.pt", labelled_folder, "-o", whole, *flags)
    kill_when(halved / "checkpoint-0000002.pt", labelled_folder, "-o", halved, *flags)
    assert not (halved / "checkpoint-0000005.pt").exists()
    done = emscout(labelled_folder, "-o", halved, "--resume")
    assert done.returncode == 0, done.stderr
    one, other = (torch.load(run / "checkpoint-0000005.pt", weights_only=True) for run in (whole, halved))
    assert one["average"].keys() == other["average"].keys()
    assert all(torch.equal(value, other["average"][name]) for name, value in one["average"].items())

    card = (halved / "model.md").read_text()
    assert "2 labelled images" in card and "SHA-256" in card and " --steps 5 " in card
    from emscout.particles.segmenters.bayesian import segment_bayesian

    image = tifffile.imread(labelled_folder / "images" / "scan_0.tif")
    assert segment_bayesian(image, model=halved / "model.onnx", samples=2).labels.max() > 0
