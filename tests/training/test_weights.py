"""Weights to start from: read safely, refused with a sentence, and the same function as before."""

import pickle
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from emscout.errors import ModelError, UsageError  # noqa: E402
from emscout.models import MODELS, load_model  # noqa: E402
from emscout.training.network import DROPOUT_CHANNELS, ParticleNetwork  # noqa: E402
from emscout.training.weights import load_imagenet_weights, load_model_weights  # noqa: E402

_WIDTHS = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512)


def flax_layers():
    random = np.random.default_rng(0)
    return {
        f"Conv_{i}": {
            "kernel": random.random((3, 3, inputs, outputs), np.float32),
            "bias": random.random(outputs, np.float32),
        }
        for i, (inputs, outputs) in enumerate(pairwise(_WIDTHS))
    }


def test_colours_are_summed_and_kernels_turned(tmp_path):
    layers = flax_layers()
    (tmp_path / "vgg16.ckpt").write_bytes(pickle.dumps({"VGG16_0": layers}))
    trunk = ParticleNetwork().trunk
    load_imagenet_weights(trunk, tmp_path / "vgg16.ckpt")
    first, second = trunk.stages[0][0], trunk.stages[0][2]
    kernel = layers["Conv_0"]["kernel"]
    np.testing.assert_allclose(first.weight.detach()[5, 0], kernel[:, :, :, 5].sum(2), rtol=1e-6)
    np.testing.assert_array_equal(second.weight.detach()[7, 3], layers["Conv_1"]["kernel"][:, :, 3, 7])
    np.testing.assert_array_equal(second.bias.detach(), layers["Conv_1"]["bias"])


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


@pytest.mark.parametrize(
    "content",
    [pickle.dumps({"VGG16_0": Harmful()}), pickle.dumps({"VGG16_0": {}}), b"not a pickle", b""],
    ids=["code", "empty", "text", "nothing"],
)
def test_what_is_not_the_weights_is_refused_and_never_run(content, tmp_path, capsys):
    (tmp_path / "weights.ckpt").write_bytes(content)
    with pytest.raises(ModelError, match=r"weights\.ckpt"):
        load_imagenet_weights(ParticleNetwork().trunk, tmp_path / "weights.ckpt")
    assert capsys.readouterr().out == ""


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="missing"):
        load_imagenet_weights(ParticleNetwork().trunk, tmp_path / "missing.ckpt")
    with pytest.raises(UsageError, match="no model"):
        load_model_weights(ParticleNetwork(), "nonsense")


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("particles")])
def test_a_shipped_model_is_taken_up_as_nearly_the_same_function(name):
    network = ParticleNetwork()
    load_model_weights(network, name)
    image = np.random.default_rng(0).random((64, 96), np.float32)
    masks = tuple(torch.ones((1, channels, 1, 1)) for channels in DROPOUT_CHANNELS)
    with torch.no_grad():
        output = network.eval()(torch.from_numpy(image)[None, None], *masks)[0].numpy()
    maps = load_model(name).run(image, tuple(mask.numpy() for mask in masks))
    # The file rounds features to 8 bits, too.
    for found, right in zip(maps[:3], output[:3], strict=True):
        assert np.corrcoef(found.ravel(), right.ravel())[0, 1] > 0.98
    np.testing.assert_allclose(maps[3], 1 / (1 + np.exp(-output[3])), atol=0.1)
