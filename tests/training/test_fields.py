import json

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from emscout.errors import UsageError
from emscout.particles.segmenters.fields import FieldSettings, contrast_channels, label_fields, score_instances
from emscout.synthetic.kinds import draw_kind
from emscout.training.checkpoints import newest_checkpoint
from emscout.training.field_export import export_fields, load_field_network
from emscout.training.field_losses import field_loss
from emscout.training.field_network import DROPOUT_CHANNELS, FieldNetwork, draw_field_masks
from emscout.training.field_training import FieldTrainingOptions, train_fields
from emscout.training.field_views import View, draw_synthetic, make_batch


def _view(labels, known=None):
    everywhere = np.ones(labels.shape, bool)
    known = everywhere if known is None else known
    return View(labels.astype(np.float32), labels, np.zeros_like(labels), known, known, everywhere)


def _two_touching_and_one():
    labels = np.zeros((96, 96), np.int32)
    labels[10:40, 10:30], labels[10:40, 30:50], labels[60:90, 60:90] = 1, 2, 3
    return labels


def test_perfect_fields_give_back_the_particles():
    labels = _two_touching_and_one()
    matter, ridge, edge, _ = make_batch([_view(labels)]).targets[0].numpy()
    found = label_fields(matter, ridge, edge, FieldSettings())
    assert found.max() == 3
    for number in (1, 2, 3):
        inside = found == np.bincount(found[labels == number]).argmax()
        overlap = (inside & (labels == number)).sum() / (inside | (labels == number)).sum()
        assert overlap > 0.9
    scores = score_instances(found, matter, ridge, edge)
    assert scores == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", ["wire", "raft", "tiny", "core-shell"])
def test_targets_of_every_kind_give_back_most_particles(kind):
    drawn = draw_kind(kind, (128, 128), seed=3)
    batch = make_batch([_view(drawn.labels)])
    found = label_fields(*batch.targets[0, :3].numpy(), FieldSettings())
    true = len(np.unique(batch.labels[0])) - 1
    # What another particle crosses is found in pieces.
    assert true * 0.7 <= found.max() <= true * (2.5 if kind == "wire" else 1.5) + 2


def test_what_is_unknown_weighs_nothing():
    labels = _two_touching_and_one()
    known = np.ones(labels.shape, bool)
    known[:50] = False
    batch = make_batch([_view(labels, known)])
    assert (batch.weights[0, :3, :50] == 0).all()
    logits = torch.zeros(1, 4, 96, 96)
    other = logits.clone()
    other[:, :3, :50] = 5
    assert (
        field_loss(logits, batch.targets, batch.weights).total == field_loss(other, batch.targets, batch.weights).total
    )


def test_the_loss_of_the_truth_is_the_least():
    batch = make_batch([_view(_two_touching_and_one())])
    truth = torch.logit(batch.targets.clamp(1e-4, 1 - 1e-4))
    assert field_loss(truth, batch.targets, batch.weights).total < 0.01
    assert field_loss(-truth, batch.targets, batch.weights).total > 1


def test_local_contrast_shows_small_things_on_uneven_ground():
    row, col = np.mgrid[:256, :256].astype(np.float32)
    grey = 0.2 + 0.5 * col / 256
    spot = np.hypot(row - 128, col - 60) < 3
    channels = contrast_channels(np.where(spot, grey + 0.1, grey).astype(np.float32))
    assert channels.shape == (2, 256, 256)
    assert channels.dtype == np.float32
    assert channels[0][spot].mean() > 3 * np.abs(channels[0][~spot]).mean()


def test_synthetic_views_depend_on_the_generator_alone():
    first, second = (draw_synthetic(np.random.default_rng((1, 5))) for _ in range(2))
    assert first.grey.tobytes() == second.grey.tobytes()


@pytest.mark.parametrize("trunk", ["plain", "lite0"])
def test_a_network_keeps_the_size_of_the_image(trunk):
    network = FieldNetwork(trunk, pretrained=False).eval()
    with torch.no_grad():
        logits = network(torch.zeros(2, 2, 64, 96), *draw_field_masks(2, torch.Generator()))
    assert logits.shape == (2, 4, 64, 96)


def test_the_exported_file_computes_what_the_network_does(tmp_path):
    torch.manual_seed(0)
    network = FieldNetwork("plain").eval()
    export_fields(network, tmp_path / "fields.onnx", {"name": "fields"})
    session = onnxruntime.InferenceSession(tmp_path / "fields.onnx")
    channels = torch.randn(1, 2, 96, 64)
    ones = [torch.ones(1, count, 1, 1) for count in DROPOUT_CHANNELS]
    with torch.no_grad():
        expected = torch.sigmoid(network(channels, *ones)).numpy()
    masks = [mask.numpy() for mask in draw_field_masks(8, torch.Generator().manual_seed(1))]
    inputs = {"channels": channels.numpy(), "coarse_mask": masks[0], "fine_mask": masks[1]}
    fields, chance, information = session.run(None, inputs)
    assert fields == pytest.approx(expected, abs=1e-4)
    assert chance.shape == information.shape == (1, 1, 48, 32)
    assert (information >= 0).all()
    assert information.max() > 0


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "tem_masks"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number in range(2):
        drawn = draw_kind("round", (128, 128), seed=number)
        Image.fromarray(drawn.image).save(folder / "images" / f"image_{number}.png")
        Image.fromarray(((drawn.labels > 0) * 255).astype(np.uint8)).save(folder / "labels" / f"label_{number}.png")
    return tmp_path / "data"


def test_a_run_that_is_taken_up_ends_like_one_that_was_not_interrupted(data, tmp_path):
    def options(steps):
        return FieldTrainingOptions(steps=steps, batch=1, trunk="plain", held_fold=1, validate_every=1000)

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train_fields(data, whole, options(2))
    asked = iter([False])
    train_fields(data, parts, options(2), stop=lambda: next(asked, True))
    assert newest_checkpoint(parts).name == "checkpoint-0000001.pt"
    train_fields(data, parts, options(2), resume=True)
    one, other = (load_field_network(newest_checkpoint(run), "plain").state_dict() for run in (whole, parts))
    assert newest_checkpoint(parts).name == newest_checkpoint(whole).name == "checkpoint-0000002.pt"
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert json.loads((parts / "options.json").read_text())["trunk"] == "plain"


def test_options_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="`held_fold` is 0 to 4, not 7"):
        FieldTrainingOptions(held_fold=7)
    with pytest.raises(UsageError, match="`steps`"):
        FieldTrainingOptions(steps=0)
