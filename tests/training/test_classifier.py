"""Training a classifier: what it learns, what it leaves behind, what an interruption changes, what it leaves out."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage
from PIL import Image

pytest.importorskip("onnx")

from emscout.errors import EmscoutError, ModelError, OutputError, UsageError
from emscout.models import load_category_model
from emscout.specimens.accuracy import evaluate_classes, spell_accuracy
from emscout.specimens.classify import classify_picture
from emscout.synthetic.specimens import KINDS, make_specimen, write_specimens
from emscout.training.classifier import train_classifier
from emscout.training.classifier_export import body_of
from emscout.training.classifier_options import ClassifierOptions
from emscout.training.options import write_options


@pytest.fixture(scope="module")
def specimens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("specimens")
    write_specimens(folder, 16, side_px=96)
    return folder


@pytest.fixture(scope="module")
def frozen(specimens, tmp_path_factory):
    """A finished run."""
    run = tmp_path_factory.mktemp("runs") / "kinds-v1"
    train_classifier(specimens, run)
    return run


@pytest.mark.parametrize("kind", KINDS)
def test_it_classifies_new_pictures(frozen, kind):
    verdicts = [classify_picture(make_specimen(kind, 96, seed=seed), frozen / "model.onnx") for seed in (70, 71, 72)]
    assert [verdict.category for verdict in verdicts].count(kind) >= 2
    assert all(max(v.probabilities, key=v.probabilities.get) == kind for v in verdicts)


def test_what_it_leaves_behind(frozen):
    table = pd.read_csv(frozen / "pictures.csv")
    assert len(table) == 48 and table.drop_duplicates(["source", "side"])["source"].is_unique
    assert set(table["side"]) == {"train", "validation", "test"}
    splits = pd.read_csv(frozen / "splits.csv")
    assert splits["twins_in_training"].iloc[0] == 0 < splits["twins_in_training"].iloc[1]
    for name in ("confusion.png", "calibration.png", "coverage.png", "learning_curve.png", "confused.csv"):
        assert (frozen / name).stat().st_size > 0
    card = (frozen / "model.md").read_text(encoding="utf-8")
    assert (
        "48 pictures" in card
        and "SHA-256" in card
        and "Held-out score" in card
        and "--" not in card.split("Command")[0]
    )
    page = (frozen / "report.html").read_text(encoding="utf-8")
    assert "random, as most papers quote" in page and "Commonly confused" in page


def test_the_graph_says_what_the_head_says(frozen):
    from emscout.specimens.views import view_picture

    model = load_category_model(frozen / "model.onnx")
    views = np.stack([view_picture(make_specimen(kind, 96, seed=80)) for kind in KINDS])
    logits, features, novelty = model.run(views)
    vectors = model.embed(views)
    assert logits.shape == (3, 3) and features.shape[0] == 3 and novelty.shape == (3,)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    shipped = load_category_model("technique-v1")
    np.testing.assert_allclose(shipped.run(views)[1], features, rtol=1e-5, atol=1e-5)


def test_the_same_seed_gives_the_same_model(specimens, frozen, tmp_path):
    train_classifier(specimens, tmp_path / "kinds-v1")
    model, other = (
        json.dumps(load_category_model(run / "model.onnx").description["categories"])
        for run in (frozen, tmp_path / "kinds-v1")
    )
    assert model == other
    assert (frozen / "predictions.csv").read_bytes() == (tmp_path / "kinds-v1" / "predictions.csv").read_bytes()


def test_a_model_of_ones_own_is_a_start_too(specimens, frozen, tmp_path):
    options = ClassifierOptions(start_from=str(frozen / "model.onnx"), folds=3)
    path = train_classifier(specimens, tmp_path / "again", options).model
    assert pd.read_csv(tmp_path / "again" / "scores.csv")["n"].iloc[0] == 48
    assert "3 folds" in path.with_suffix(".md").read_text(encoding="utf-8")
    assert len(body_of(path).graph.output) == 1


def test_evaluation_of_a_folder(specimens, frozen, tmp_path):
    tables, notes, failures = evaluate_classes(specimens, str(frozen / "model.onnx"))
    assert not notes and not failures and tables["scores"]["n"].iloc[0] == 48
    assert tables["scores"]["accuracy"].iloc[0] > 0.9
    shutil.copytree(specimens, tmp_path / "more")
    shutil.copytree(specimens / "pores", tmp_path / "more" / "sponges", dirs_exist_ok=True)
    for path in (tmp_path / "more" / "sponges").iterdir():
        Image.open(path).rotate(90).save(path)
    (tmp_path / "more" / "pores" / "torn.png").write_bytes(b"nothing")
    tables, notes, failures = evaluate_classes(tmp_path / "more", str(frozen / "model.onnx"))
    assert tables["scores"]["n"].iloc[0] == 48 and "sponges" in notes[0]
    assert len(failures) == 1 and "torn.png" in failures[0]
    with pytest.raises(UsageError, match="fluorescence"):
        evaluate_classes(specimens, "technique-v1")


def test_what_is_none_of_these_is_not_named_and_not_counted_as_right(specimens, frozen, tmp_path):
    """Photographs filed under a category: forced into one, some may be right; the command names none."""
    folder = tmp_path / "data"
    shutil.copytree(specimens, folder)
    for name in ("astronaut", "coffee"):
        shutil.copy(Path(skimage.__file__).parent / "data" / f"{name}.png", folder / "pores")
    tables, _, _ = evaluate_classes(folder, str(frozen / "model.onnx"))
    scores, predictions = tables["scores"].iloc[0], tables["predictions"]
    assert (predictions["named"] == "").tolist() == (~predictions["known"]).tolist()
    assert scores["unknown"] == pytest.approx((~predictions["known"]).mean()) and scores["unknown"] >= 2 / 50
    right = predictions["named"] == predictions["category"]
    assert scores["accuracy_as_named"] == pytest.approx(right.mean())
    assert scores["accuracy_low"] < scores["accuracy"] < scores["accuracy_high"]
    assert f"{round(50 * scores['unknown'])} of 50 called none of these" in spell_accuracy(scores)


def test_a_split_of_few_pictures_says_so_and_never_is_sure(frozen):
    page, card = ((frozen / name).read_text(encoding="utf-8") for name in ("report.html", "model.md"))
    assert "<code>folds=5</code>" in page and "`folds=5`" in card
    predictions = pd.read_csv(frozen / "predictions.csv")
    assert predictions.filter(like="p_").max(axis=None) < 0.9999
    assert predictions.loc[~predictions["known"], "named"].isna().all()


@pytest.mark.parametrize("folds", [0, 5])
@pytest.mark.parametrize("kinds", [2, 3])
def test_three_sources_a_category_are_enough(kinds, folds, tmp_path):
    write_specimens(tmp_path / "data", 6, side_px=64)
    for kind in KINDS[kinds:]:
        shutil.rmtree(tmp_path / "data" / kind)
    trained = train_classifier(tmp_path / "data", tmp_path / "run", ClassifierOptions(folds=folds))
    verdict = classify_picture(make_specimen("pores", 64, seed=40), trained.model)
    assert len(verdict.probabilities) == kinds and verdict.probability < 0.99


def test_more_folds_than_sources_are_as_many_as_there_are_sources(specimens, tmp_path):
    trained = train_classifier(specimens, tmp_path / "run", ClassifierOptions(folds=40))
    made = int(re.search(r"\((\d+) folds\)", trained.accuracy).group(1))
    assert 1 < made <= 16
    assert "`folds" not in trained.accuracy  # all of them count: there is nothing to advise


def test_a_list_of_missing_files_names_one(tmp_path):
    (tmp_path / "labels.csv").write_text("path,category\ngone.png,a\nalso_gone.png,b\n")
    with pytest.raises(UsageError, match=r"contains no usable picture.*gone\.png' does not exist"):
        train_classifier(tmp_path / "labels.csv", tmp_path / "run")


def test_progress_moves_to_the_end_and_says_what_is_left(specimens, tmp_path):
    seen = []
    train_classifier(specimens, tmp_path / "run", progress=lambda done, what: seen.append((done, what)))
    shares = [done for done, _ in seen]
    assert shares == sorted(shares)
    assert len({round(done, 3) for done in shares if 0.4 <= done <= 0.9}) >= 8
    assert sum(what.endswith("s left") for _, what in seen) > 20
    assert sum(what.startswith("reading") for _, what in seen) > 20


def test_a_run_of_other_options_is_not_begun_anew_unasked(specimens, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    write_options(run, ClassifierOptions(seed=3))
    with pytest.raises(OutputError, match=r"other options.*`resume"):
        train_classifier(specimens, run)


def test_pictures_that_cannot_be_used_are_named_and_the_rest_is_done(specimens, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(specimens, data)
    shutil.copy(data / "pores" / "pores_00.png", data / "pores" / "copy.png")
    (data / "pores" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(np.full((40, 40), 9, np.uint8)).save(data / "fibres" / "flat.png")
    deep = Image.fromarray(make_specimen("fibres", 96, seed=60).astype(np.uint16) * 200)
    deep.save(data / "fibres" / "deep.png")
    Image.merge("RGB", [Image.fromarray(make_specimen("fibres", 96, seed=61))] * 3).save(data / "fibres" / "colour.png")
    (data / "lonely").mkdir()
    Image.fromarray(make_specimen("pores", 96, seed=62)).save(data / "lonely" / "one.png")
    trained = train_classifier(data, tmp_path / "run")
    assert sorted(Path(one.split("'")[1]).name for one in trained.failures) == ["broken.png", "flat.png"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for word in ("broken.png", "flat.png", "lonely"):
        assert word in page
    table = pd.read_csv(tmp_path / "run" / "pictures.csv")
    names = {path.rsplit("/", 1)[-1] for path in table["path"]}
    assert {"deep.png", "colour.png"} <= names and not {"broken.png", "flat.png", "one.png"} & names
    assert "1 exact copy was dropped" in (tmp_path / "run" / "model.md").read_text(encoding="utf-8")


def test_a_run_is_not_overwritten_but_resumed_and_no_picture_is_read_again(specimens, frozen, tmp_path):
    with pytest.raises(OutputError, match="`resume"):
        train_classifier(specimens, frozen)
    run = tmp_path / "kinds-v1"
    shutil.copytree(frozen, run)
    (run / "model.onnx").unlink()
    seen = []
    train_classifier(specimens, run, resume=True, progress=lambda done, what: seen.append(what))
    assert seen and not [what for what in seen if what.startswith("reading")]
    assert (run / "predictions.csv").read_bytes() == (frozen / "predictions.csv").read_bytes()


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"network": "huge"}, "`network"),
        ({"epochs": 0}, "`epochs"),
        ({"seed": -1}, "`seed"),
        ({"device": "tpu"}, "`device"),
        ({"folds": 5, "network": "simple"}, "`folds"),
        ({"network": "fine-tuned", "start_from": "mine.onnx"}, "cannot be trained further"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong, word):
    with pytest.raises(UsageError, match=word):
        ClassifierOptions(**wrong)


@pytest.mark.parametrize("start", ["nonsense", "particles-v2"])
def test_what_is_none_to_start_from_is_a_sentence(specimens, tmp_path, start):
    with pytest.raises((ModelError, UsageError), match=start):
        train_classifier(specimens, tmp_path / "run", ClassifierOptions(start_from=start))


def test_the_shipped_features_are_those_of_the_network():
    """The body in the shipped file, with weights of 16 bits, against the torch network with its own."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    from emscout.specimens.views import view_picture
    from emscout.training.classifier_network import Backbone

    view = view_picture(make_specimen("pores", 96))
    with torch.no_grad():
        expected = Backbone().eval()(torch.from_numpy(view.copy())[None].permute(0, 3, 1, 2).float())[0].numpy()
    found = load_category_model("technique-v1").run(view[None])[1][0]
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert np.corrcoef(found, expected)[0, 1] > 0.9999


def test_a_network_of_timm_that_widens_its_features_is_read_right():
    torch = pytest.importorskip("torch")
    import sys
    from types import SimpleNamespace
    from unittest import mock

    from emscout.training.classifier_network import make_body

    pooled = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 6))
    pooled.num_features, pooled.head_hidden_size = 3, 6
    pooled.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}
    timm = SimpleNamespace(create_model=lambda name, pretrained, num_classes: pooled)
    with mock.patch.dict(sys.modules, {"timm": timm}):
        body = make_body("timm:some_net")
    assert body(torch.zeros(2, 3, 64, 64)).shape == (2, body.n_features)


def test_a_network_of_timm_without_timm_is_a_sentence(specimens, tmp_path):
    pytest.importorskip("torch")
    import sys
    from unittest import mock

    options = ClassifierOptions(start_from="timm:resnet18")
    with mock.patch.dict(sys.modules, {"timm": None}), pytest.raises(EmscoutError, match="pip install timm"):
        train_classifier(specimens, tmp_path / "run", options)


SIMPLE = ClassifierOptions(network="simple", epochs=3, batch=16, device="cpu")


@pytest.mark.slow
def test_the_simple_network_learns_and_an_interruption_changes_nothing(specimens, tmp_path):
    torch = pytest.importorskip("torch")

    class DiedError(Exception):
        pass

    def die(fraction, message):
        if message.startswith("epoch 2 loss"):
            raise DiedError

    with pytest.raises(DiedError):
        train_classifier(specimens, tmp_path / "halved", SIMPLE, progress=die)
    assert torch.load(tmp_path / "halved" / "checkpoint.pt", weights_only=True)["epoch"] == 1
    train_classifier(specimens, tmp_path / "halved", SIMPLE, resume=True)
    train_classifier(specimens, tmp_path / "whole", SIMPLE)
    one, other = (torch.load(tmp_path / run / "checkpoint.pt", weights_only=True) for run in ("halved", "whole"))
    assert one["epoch"] == other["epoch"] == 3
    assert all(torch.equal(value, other["body"][name]) for name, value in one["body"].items())
    assert list((tmp_path / "whole" / "tensorboard").iterdir())
    verdict = classify_picture(make_specimen("pores", 96), tmp_path / "whole" / "model.onnx")
    assert set(verdict.probabilities) == set(KINDS)


@pytest.mark.slow
def test_fine_tuning_starts_from_the_frozen_head(specimens, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    options = replace(SIMPLE, network="fine-tuned", epochs=1)
    train_classifier(specimens, tmp_path / "run", options)
    assert pd.read_csv(tmp_path / "run" / "scores.csv")["accuracy"].iloc[0] > 0.6


def test_a_damaged_checkpoint_is_named(specimens, tmp_path):
    pytest.importorskip("torch")
    run = tmp_path / "run"
    run.mkdir()
    (run / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(EmscoutError, match=r"checkpoint\.pt"):
        train_classifier(specimens, run, SIMPLE, resume=True)


def test_augmentation_changes_pictures_and_is_drawn_from_the_generator():
    torch = pytest.importorskip("torch")
    from emscout.training.classifier_views import augment, to_tensor

    views = np.repeat(make_specimen("pores", 96)[None, ..., None], 3, axis=3)
    pixels = to_tensor(np.repeat(views, 4, axis=0), torch.device("cpu"))
    one, again, other = (augment(pixels, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert one.shape == pixels.shape and one.min() >= 0 and one.max() <= 255
    assert all((one[0] - one[i]).abs().mean() > 5 for i in range(1, 4))
