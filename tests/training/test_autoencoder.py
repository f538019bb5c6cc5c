"""An autoencoder learns a movie, an interruption leaves no trace in what is learnt, and every epoch can be chosen."""

import json
import logging
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("tensorboard")

from emscout.errors import OutputError, ReadError, UsageError  # noqa: E402
from emscout.micrograph import Series  # noqa: E402
from emscout.models import load_autoencoder_model  # noqa: E402
from emscout.movies.segmentation.autoencoder import normalise, reconstruct, segment_autoencoder  # noqa: E402
from emscout.synthetic.movie import make_movie  # noqa: E402
from emscout.training import autoencoder  # noqa: E402
from emscout.training.autoencoder_network import REACH_PX, Autoencoder  # noqa: E402
from emscout.training.autoencoder_options import AutoencoderOptions  # noqa: E402
from emscout.training.checkpoints import newest_checkpoint  # noqa: E402
from emscout.training.sub_images import compare_greys, cut_sub_images  # noqa: E402

OPTIONS = AutoencoderOptions(epochs=3, sub_images=8, side_px=32, batch=4, device="cpu")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Five frames, the fourth of them blank."""
    path = tmp_path_factory.mktemp("movie") / "movie.tif"
    frames = [*make_movie(5, (72, 90), n_particles=15, diameter_px=(10, 1), seed=2).frames]
    frames[3] = np.zeros_like(frames[3])
    tifffile.imwrite(path, np.stack(frames), photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def whole(movie, tmp_path_factory):
    """The folder of a run without interruption."""
    run = tmp_path_factory.mktemp("whole")
    assert autoencoder.train(movie, run, OPTIONS) == run / "model.onnx"
    return run


class DiedError(Exception):
    pass


def die_at(begin):
    def watch(fraction, text):
        if text.startswith(begin):
            raise DiedError

    return watch


def weights(run):
    return torch.load(newest_checkpoint(run), weights_only=True)["average"]


def test_every_epoch_leaves_a_model_and_a_picture(whole):
    assert [path.name for path in sorted((whole / "epochs").iterdir())] == [f"epoch_00{i}.onnx" for i in (1, 2, 3)]
    pictures = [np.asarray(Image.open(path)) for path in sorted((whole / "reconstructions").iterdir())]
    assert [picture.shape for picture in pictures] == [(72, 90 + 4 + 90)] * 3
    assert (pictures[0][:, :90] == pictures[2][:, :90]).all()
    models = [path.read_bytes() for path in sorted((whole / "epochs").iterdir())]
    assert len(set(models)) == 3
    assert (whole / "model.onnx").read_bytes() == models[2]
    assert list((whole / "tensorboard").iterdir())
    card = (whole / "model.md").read_text(encoding="utf-8")
    assert "epoch 3 of 3" in card
    assert "emscout train autoencoder" in card


def test_the_held_out_frame_is_never_cut_from_and_blank_ones_are_left_out(whole):
    frames = json.loads((whole / "frames.json").read_text(encoding="utf-8"))
    assert sorted([*frames["sub_images_of"], frames["held_out"]]) == [0, 1, 2, 4]


def test_the_exported_network_is_the_trained_one(whole, movie):
    network = Autoencoder(OPTIONS.features)
    network.load_state_dict(weights(whole))
    image = tifffile.imread(movie)[1]
    grey, centre, spread = normalise(image)
    expected = autoencoder._reproduce(network.eval(), grey) * spread + centre
    found = reconstruct(image, load_autoencoder_model(whole / "model.onnx"))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_a_pixel_depends_on_nothing_beyond_the_reach():
    torch.manual_seed(0)
    network = Autoencoder(2).eval()
    plain, spot = (torch.zeros(1, 1, 160, 160) for _ in range(2))
    spot[0, 0, 82, 78] = 100
    with torch.no_grad():
        moved = (network(spot) - network(plain))[0, 0].abs() > 1e-7
    where = np.argwhere(moved.numpy())
    assert len(where)
    assert np.abs(where - (82, 78)).max() <= REACH_PX


def test_a_run_taken_up_again_equals_one_without_interruption(movie, whole, tmp_path):
    with pytest.raises(DiedError):
        autoencoder.train(movie, tmp_path, OPTIONS, progress=die_at("epoch 2"))
    assert torch.load(newest_checkpoint(tmp_path), weights_only=True)["step"] == 2
    autoencoder.train(movie, tmp_path, OPTIONS, resume=True)
    one, other = weights(tmp_path), weights(whole)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_run_that_ended_before_its_first_epoch_begins_anew(movie, whole, tmp_path):
    with pytest.raises(DiedError):
        autoencoder.train(movie, tmp_path, OPTIONS, progress=die_at("epoch 1"))
    autoencoder.train(movie, tmp_path, OPTIONS, resume=True)
    one, other = weights(tmp_path), weights(whole)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_run_is_neither_overwritten_nor_taken_up_for_another_movie(movie, whole, tmp_path):
    with pytest.raises(OutputError, match="`resume"):
        autoencoder.train(movie, whole, OPTIONS)
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, tifffile.imread(movie)[:, ::-1], photometric="minisblack")
    with pytest.raises(UsageError, match="same movie"):
        autoencoder.train(other, whole, OPTIONS, resume=True)


def test_another_seed_is_another_network(movie, whole, tmp_path):
    autoencoder.train(movie, tmp_path, replace(OPTIONS, seed=2))
    assert any(not torch.equal(value, weights(whole)[name]) for name, value in weights(tmp_path).items())


def test_it_learns_to_leave_out_noise_and_finds_the_particles(tmp_path):
    made = make_movie(8, (128, 128), n_particles=25, diameter_px=(14, 2), drift_px=0, snr=2.5, seed=5)
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.stack(list(made.frames)), photometric="minisblack")
    options = AutoencoderOptions(epochs=2, sub_images=480, side_px=32, batch=8, device="cpu")
    model = autoencoder.train(path, tmp_path / "run", options)
    frame = made.frames[4]
    rows, cols = np.indices(frame.shape)
    truth = np.zeros(frame.shape, bool)
    here = made.tracks[made.tracks["frame"] == 4]
    for row, col, radius in here[["row_frame_px", "col_frame_px", "radius_px"]].to_numpy():
        truth |= (rows - row) ** 2 + (cols - col) ** 2 <= radius**2

    def dice(mask):
        return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())

    fitted = max(dice(frame <= level) for level in np.unique(frame))
    found = segment_autoencoder(frame, model).labels
    assert dice(found > 0) > fitted + 0.03
    assert dice(found > 0) > 0.9


def test_a_network_that_learnt_nothing_is_not_handed_over_as_good(tmp_path, caplog):
    noise = np.random.default_rng(0).integers(0, 255, (4, 64, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "noise.tif", noise, photometric="minisblack")
    options = replace(OPTIONS, epochs=1)
    with caplog.at_level(logging.WARNING, logger="emscout.training"):
        autoencoder.train(tmp_path / "noise.tif", tmp_path / "run", options)
    card = (tmp_path / "run" / "model.md").read_text(encoding="utf-8")
    assert "reproduces almost nothing" in caplog.text and "reproduces almost nothing" in card
    assert "meant to be its noise" not in card
    autoencoder.train(tmp_path / "noise.tif", tmp_path / "run", options, resume=True)  # nothing is left to do


def test_sub_images_that_are_like_their_frames_pass(movie):
    fine = np.random.default_rng(0).normal(0, 1, (200, 200)).astype(np.float32)
    parts = np.stack([fine[i : i + 40, i : i + 40] for i in range(0, 160, 4)])
    assert compare_greys(parts, [fine], np.zeros(len(parts), int)) is None


def test_sub_images_too_small_to_hold_what_a_frame_holds_give_a_warning():
    halves = np.zeros((200, 200), np.float32)
    halves[:, 100:] = 1
    parts = np.stack([halves[i : i + 32, i : i + 32] for i in range(0, 160, 8)])
    assert "larger `side_px" in compare_greys(parts, [halves], np.zeros(len(parts), int))


def test_too_few_sub_images_give_a_warning():
    slope = np.tile(np.linspace(-1, 1, 200, dtype=np.float32), (200, 1))
    warning = compare_greys(slope[None, :120, :170], [slope], np.zeros(1, int))
    assert "more `sub_images" in warning


def test_what_is_wrong_with_the_sub_images_is_logged_and_in_the_card(tmp_path, caplog):
    path = tmp_path / "movie.tif"
    halves = np.full((3, 80, 80), 50, np.uint8)
    halves[:, :, 40:] = 200
    tifffile.imwrite(path, halves, photometric="minisblack")
    with caplog.at_level(logging.WARNING, logger="emscout.training"):
        autoencoder.train(path, tmp_path / "run", replace(OPTIONS, epochs=1, side_px=16))
    assert "larger `side_px" in caplog.text
    assert "larger `side_px" in (tmp_path / "run" / "model.md").read_text(encoding="utf-8")


def _load(number):
    if number in (1, 2):
        raise ReadError(f"frame {number} is cut off")
    return np.random.default_rng(number).normal(100, 5, (64, 64))


def test_damaged_frames_are_passed_over():
    made = cut_sub_images(Series(_load, 5, (64, 64), np.dtype(float)), 12, 32, seed=1)
    assert sorted([*made.frames, made.held_out]) == [0, 3, 4]
    with pytest.raises(UsageError, match="can be used"):
        cut_sub_images(Series(_load, 3, (64, 64), np.dtype(float)), 12, 32, seed=1)


def test_frames_smaller_than_a_sub_image_are_refused(movie):
    with pytest.raises(UsageError, match="`side_px` of at most 72"):
        autoencoder.train(movie, movie.parent / "run", replace(OPTIONS, side_px=128))


@pytest.mark.parametrize(
    "wrong", [{"features": 4}, {"side_px": 14}, {"side_px": 51}, {"epochs": 0}, {"seed": -1}, {"device": "tpu"}]
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        AutoencoderOptions(**wrong)


def command(movie, *words):
    return [sys.executable, "-m", "emscout", "train", "autoencoder", str(movie), "-o", "run", *words]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
def test_killed_and_resumed_the_command_writes_the_same_bytes(movie, tmp_path):
    flags = ["--epochs", "6", "--sub-images", "64", "--side-px", "32", "--device", "cpu"]
    for name in ("whole", "halved"):
        (tmp_path / name).mkdir()
    halved = tmp_path / "halved" / "run"
    with subprocess.Popen(command(movie, *flags), cwd=halved.parent, stdout=subprocess.DEVNULL) as running:
        while newest_checkpoint(halved) is None and running.poll() is None:
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    assert not (halved / "epochs" / "epoch_006.onnx").exists()
    for name, words in (("whole", flags), ("halved", ["--resume"])):
        done = subprocess.run(command(movie, *words), cwd=tmp_path / name, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "min left" in done.stdout
    for file in ("model.onnx", "model.md", "epochs/epoch_001.onnx", "reconstructions/epoch_006.png"):
        assert (halved / file).read_bytes() == (tmp_path / "whole" / "run" / file).read_bytes()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["missing"], "does not exist"),
        (["MOVIE", "--resume"], "holds no training run"),
        (["MOVIE", "--features", "9"], "--features must be 3 or less"),
        (["MOVIE", "--side-px", "200"], "--side-px of at most 72"),
    ],
)
def test_wrong_usage_exits_2_with_a_sentence(words, sentence, movie, tmp_path):
    words = [str(movie) if word == "MOVIE" else word for word in words]
    done = subprocess.run(command(*words), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
