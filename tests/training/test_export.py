"""The network of torch and the file that is shipped are one and the same function."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from emscout.models import load_model  # noqa: E402
from emscout.particles.segmenters.bayesian import draw_masks  # noqa: E402
from emscout.particles.segmenters.instances import FEATURES, Settings  # noqa: E402
from emscout.training.card import write_card  # noqa: E402
from emscout.training.export import describe, export_network  # noqa: E402
from emscout.training.network import DROPOUT_CHANNELS, DROPOUT_RATE, STRIDE_PX, ParticleNetwork  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network with weights that matter everywhere, its file's path, and the file's SHA-256."""
    torch.manual_seed(3)
    network = ParticleNetwork()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2.0)
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    network.eval()
    path = tmp_path_factory.mktemp("export") / "random.onnx"
    description = describe(
        "random",
        Settings(),
        {"weights": dict.fromkeys(FEATURES, 0.0), "intercept": 0.0},
        {"Training data": "None: its weights are random."},
    )
    return network, path, export_network(network, path, description), description


@pytest.fixture(scope="module")
def scene():
    image = np.random.default_rng(0).random((64, 96), np.float32)
    return image, draw_masks(6, list(DROPOUT_CHANNELS), DROPOUT_RATE, seed=5)


def test_torch_and_onnx_agree_sample_by_sample(exported, scene):
    network, path, *_ = exported
    image, masks = scene
    model = load_model(path)
    with torch.no_grad():
        for sample in range(6):
            one = tuple(mask[sample : sample + 1] for mask in masks)
            maps = model.run(image, one)
            truth = network(torch.from_numpy(image)[None, None], *map(torch.from_numpy, one))[0]
            truth[3] = torch.sigmoid(truth[3])
            scale = truth.abs().amax((1, 2), keepdim=True).numpy()
            np.testing.assert_allclose(maps[:4] / scale, truth.numpy() / scale, atol=1e-4)
            assert np.abs(maps[4]).max() < 1e-5


def test_eight_bits_are_nearly_the_same_function_in_a_quarter_of_the_room(exported, scene, tmp_path):
    network, path, _, description = exported
    image, masks = scene
    random = np.random.default_rng(1)
    examples = [random.random((2 * STRIDE_PX, 3 * STRIDE_PX), np.float32) for _ in range(4)]
    first, again = tmp_path / "first.onnx", tmp_path / "again.onnx"
    assert export_network(network, first, description, examples) == export_network(
        network, again, description, examples
    )
    assert first.stat().st_size < 0.27 * path.stat().st_size
    assert first.stat().st_size <= 20e6
    maps, truth = load_model(first).run(image, masks), load_model(path).run(image, masks)
    for found, right in zip(maps[:4], truth[:4], strict=True):
        assert np.corrcoef(found.ravel(), right.ravel())[0, 1] > 0.99
    assert (load_model(first).run(image, masks) == maps).all()


def test_samples_are_averaged_and_their_information_is_mutual(exported, scene):
    _, path, *_ = exported
    image, masks = scene
    model = load_model(path)
    each = np.stack([model.run(image, (a[None], b[None])) for a, b in zip(*masks, strict=True)])
    together = model.run(image, masks)
    np.testing.assert_allclose(together[:4], each[:, :4].mean(0), rtol=1e-3, atol=1e-4)

    def entropy(p):
        p = np.clip(p.astype(float), 1e-12, 1 - 1e-12)
        return -p * np.log(p) - (1 - p) * np.log(1 - p)

    mutual = entropy(each[:, 3].mean(0)) - entropy(each[:, 3]).mean(0)
    np.testing.assert_allclose(together[4], mutual, atol=1e-4)
    assert together[4].max() > 0.01


def test_the_file_carries_its_description(exported):
    _, path, sha256, description = exported
    assert load_model(path).description == description
    assert load_model(path).sha256 == sha256


def test_the_card_names_the_file_and_what_it_was_trained_on(exported, tmp_path):
    *_, sha256, description = exported
    (tmp_path / "card.onnx").write_bytes(b"model")
    write_card(tmp_path / "card.onnx", description, sha256)
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert sha256 in text
    assert "its weights are random" in text
