"""Training learns, and an interruption leaves no trace in what is learnt."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("tensorboard")

from emscout.errors import EmscoutError, OutputError, ReadError, UsageError  # noqa: E402
from emscout.io.labels import find_labelled  # noqa: E402
from emscout.training import particles  # noqa: E402
from emscout.training.augment import render_annotations  # noqa: E402
from emscout.training.checkpoints import newest_checkpoint  # noqa: E402
from emscout.training.data import load_labelled  # noqa: E402
from emscout.training.options import TrainingOptions  # noqa: E402

OPTIONS = TrainingOptions(steps=4, batch=1, save_every=0, validate_every=60, validation_share=0.3, device="cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Views and annotations as small as possible, a report each step, one thread for all."""
    monkeypatch.setattr(particles, "SIDE_PX", 128)
    monkeypatch.setattr(particles, "ANNOTATION_SHEETS", 4)
    monkeypatch.setattr(particles, "REPORT_STEPS", 1)


class DiedError(Exception):
    pass


def train_until(message, folder, run, options=OPTIONS, *, resume=False):
    """Train until a message begins so, and stop dead there."""

    def watch(fraction, text):
        if text.startswith(message):
            raise DiedError

    with pytest.raises(DiedError):
        particles.train(folder, run, options, resume=resume, progress=watch)
    return torch.load(newest_checkpoint(run), weights_only=True)


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_a_run_taken_up_again_equals_one_without_interruption(labelled_folder, tmp_path):
    whole = train_until("scoring", labelled_folder, tmp_path / "whole")
    half = train_until("step 3", labelled_folder, tmp_path / "halved")
    assert half["step"] == 2
    assert not same(half["network"], whole["network"])
    halved = train_until("scoring", labelled_folder, tmp_path / "halved", resume=True)
    for part in (whole, halved):
        del part["trained_s"]
    assert same(whole, halved)
    assert len(list((tmp_path / "halved").glob("checkpoint-*.pt"))) == 2


def test_a_run_that_ended_before_its_first_checkpoint_begins_anew(labelled_folder, tmp_path):
    with pytest.raises(DiedError):
        particles.train(labelled_folder, tmp_path / "halved", OPTIONS, progress=_die)
    assert newest_checkpoint(tmp_path / "halved") is None
    halved = train_until("step 2", labelled_folder, tmp_path / "halved", resume=True)
    whole = train_until("step 2", labelled_folder, tmp_path / "whole")
    assert same(halved["network"], whole["network"])


def _die(fraction, text):
    raise DiedError


def test_another_seed_is_another_run(labelled_folder, tmp_path):
    one, other = (
        train_until("step 2", labelled_folder, tmp_path / str(seed), replace(OPTIONS, seed=seed)) for seed in (1, 2)
    )
    assert not same(one["network"], other["network"])


def test_one_view_is_learnt_by_heart(labelled_folder):
    data = load_labelled(find_labelled(labelled_folder), torch.device("cpu"), seed=1)
    annotations = render_annotations(4, 128, seed=0)
    state = particles.begin(OPTIONS, torch.device("cpu"), fresh=True)
    losses = []
    for _ in range(16):
        state.generator.manual_seed(3)
        losses.append(particles.take_step(state, data, annotations, 1, rate=1.0)["loss"])
    assert min(losses[-3:]) < 0.6 * losses[0]


def test_the_frozen_stages_stay_as_they_are_and_the_rest_moves(labelled_folder):
    data = load_labelled(find_labelled(labelled_folder), torch.device("cpu"), seed=1)
    state = particles.begin(OPTIONS, torch.device("cpu"), fresh=True)
    before = {name: value.clone() for name, value in state.network.named_parameters()}
    particles.take_step(state, data, render_annotations(4, 128, seed=0), 1, rate=1.0)
    moved = {name for name, value in state.network.named_parameters() if not torch.equal(value, before[name])}
    frozen = {name for name in before if name.startswith(("trunk.stages.0.", "trunk.stages.1."))}
    assert moved == before.keys() - frozen


def test_a_run_is_not_overwritten(labelled_folder, tmp_path):
    train_until("step 2", labelled_folder, tmp_path)
    with pytest.raises(OutputError, match="`resume"):
        particles.train(labelled_folder, tmp_path, OPTIONS)


def test_a_damaged_checkpoint_is_named(labelled_folder, tmp_path):
    train_until("step 2", labelled_folder, tmp_path)
    path = newest_checkpoint(tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ReadError, match=path.name):
        particles.train(labelled_folder, tmp_path, OPTIONS, resume=True)


def test_a_run_goes_on_with_its_own_images_only(labelled_folder, tmp_path):
    (tmp_path / "train.txt").write_text("scan_0\nscan_9\n")
    (tmp_path / "validation.txt").write_text("scan_1\n")
    with pytest.raises(UsageError, match="scan_9"):
        particles.train(labelled_folder, tmp_path, OPTIONS, resume=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch": 0},
        {"seed": -1},
        {"device": "tpu"},
        {"validation_share": 1.0},
        {"minutes": 0},
        {"save_every": -1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError, match=f"`{next(iter(wrong))}` must be"):
        TrainingOptions(**wrong)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_a_sentence(labelled_folder, tmp_path):
    with pytest.raises(EmscoutError, match="GPU"):
        particles.train(labelled_folder, tmp_path, replace(OPTIONS, device="cuda"))


@pytest.mark.parametrize(
    ("step", "progress", "factor"), [(0, 0.0, 0.01), (99, 0.1, 1.0), (500, 0.4, 1.0), (500, 0.7, 0.5), (500, 1.0, 0.0)]
)
def test_learning_rate_warms_up_stays_and_falls_to_zero(step, progress, factor):
    assert particles.rate_factor(step, progress) == pytest.approx(factor)
