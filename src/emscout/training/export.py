"""From a checkpoint to the one file that is shipped: an ONNX graph that says itself how it is to be used."""

import copy
import hashlib
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emscout.models import INPUT_NAMES, METADATA_KEY, OUTPUT_NAME
from emscout.particles.instances import Settings
from emscout.training.data import OUTSIDE_GREY
from emscout.training.network import (
    COORDINATE_UNIT_PX,
    DROPOUT_CHANNELS,
    DROPOUT_RATE,
    OFFSET_BOUND,
    STRIDE_PX,
    ParticleNetwork,
)

OPSET = 18

_SMALLEST_HALVED = 512
"""Smaller tensors (biases, constants) stay in single precision: they weigh nothing."""


class SampledNetwork(nn.Module):
    """What the file computes: the trunk once, the tail once a sample, and the samples reduced to five maps.

    The numbers are those of `ParticleNetwork` followed by means over the samples; the dropout masks are multiplied
    into the tail's weights instead of its features, which spares a copy of the features for each sample.

    The weights are rounded to half precision, as they are stored, and the batch norms are part of the convolutions.
    """

    def __init__(self, network: ParticleNetwork) -> None:
        super().__init__()
        self.trunk, self.tail = copy.deepcopy(network.trunk).eval(), copy.deepcopy(network.tail).eval()
        self.trunk.frozen_stages = 0
        for layers in self.trunk.modules():
            if isinstance(layers, nn.Sequential) and len(layers) > 1 and isinstance(layers[1], nn.BatchNorm2d):
                layers[0] = fuse_conv_bn_eval(layers[0], layers[1])  # type: ignore[type-var]
                layers[1] = nn.Identity()
        for values in self.parameters():
            values.requires_grad_(False)
            if values.numel() >= _SMALLEST_HALVED:
                values.copy_(values.half().float())

    def forward(self, image: Tensor, first_mask: Tensor, second_mask: Tensor) -> Tensor:
        """Grey (1, 1, H, W) and masks of T samples to (1, 5, H, W).

        The five maps are the offsets (row, col) and log sigma averaged over the samples, the mean seed probability,
        and the mutual information between seed and weights, in nats.
        """
        first, second = DROPOUT_CHANNELS
        features = self.trunk(image)
        weight = (self.tail.hidden.weight[None] * first_mask.reshape(-1, 1, first, 1, 1)).flatten(0, 1)
        bias = self.tail.hidden.bias[None].expand(first_mask.shape[0], -1).flatten()  # type: ignore[index]
        hidden = functional.relu(functional.conv2d(features, weight, bias, padding=1))
        hidden = hidden.reshape(-1, second, features.shape[2] * features.shape[3])
        weight = self.tail.output.weight[None, :, :, 0, 0] * second_mask.reshape(-1, 1, second)
        sampled = weight @ hidden + self.tail.output.bias[None, :, None]  # type: ignore[index]

        offsets = (OFFSET_BOUND * torch.tanh(sampled[:, :8] / OFFSET_BOUND)).mean(0)
        log_sigma = 4.0 * sampled[:, 8:12].mean(0)
        logit = 4.0 * sampled[:, 12:]
        probability = torch.sigmoid(logit)
        expected_entropy = (functional.softplus(logit) - logit * probability).mean(0)
        seed = probability.mean(0)
        inside = seed.clamp(1e-7, 1 - 1e-7)
        entropy = -inside * torch.log(inside) - (1 - inside) * torch.log(1 - inside)
        information = functional.relu(entropy - expected_entropy)
        maps = torch.cat([offsets, log_sigma, seed, information])[None]
        return functional.pixel_shuffle(maps.reshape(1, 20, features.shape[2], features.shape[3]), 2)


def load_network(checkpoint: Path) -> ParticleNetwork:
    """The averaged weights of a training run's checkpoint, ready for inference."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    network = ParticleNetwork()
    network.load_state_dict(state["average"])
    return network.eval()


def describe(name: str, settings: Settings, calibration: dict[str, Any], card: dict[str, str]) -> dict[str, Any]:
    """What a model file says of itself; see `emscout.models` for who reads it.

    Parameters
    ----------
    name
        Such as ``particles-v1``.
    settings
        Chosen on validation.
    calibration
        From `emscout.evaluate.calibration.fit_calibration`.
    card
        Headings and paragraphs of the model card, in order: training data, split, command, scores, licence.
    """
    return {
        "name": name,
        "task": "particles",
        "stride_px": STRIDE_PX,
        "coordinate_unit_px": COORDINATE_UNIT_PX,
        "outside_grey": OUTSIDE_GREY,
        "dropout_rate": DROPOUT_RATE,
        "dropout_channels": list(DROPOUT_CHANNELS),
        "settings": asdict(settings),
        "calibration": calibration,
        "card": card,
    }


def export_network(network: ParticleNetwork, path: Path, description: dict[str, Any]) -> str:
    """Write ``network`` as one ONNX file with half-precision weights and its description; return its SHA-256."""
    rows, cols = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("cols", min=1, max=4096)
    samples = torch.export.Dim("samples", min=1, max=4096)
    example = (
        torch.zeros(1, 1, 3 * STRIDE_PX, 2 * STRIDE_PX),
        *(torch.ones(3, channels, 1, 1) for channels in DROPOUT_CHANNELS),
    )
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            SampledNetwork(network),
            example,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=list(INPUT_NAMES),
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({2: STRIDE_PX * rows, 3: STRIDE_PX * cols}, {0: samples}, {0: samples}),
        )
    assert program is not None
    model = _store_half(program.model_proto)
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: json.dumps(description)})
    for node in model.graph.node:  # the exporter notes the source line of each node
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the large weights in half precision; a cast on loading makes single precision of them."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < _SMALLEST_HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype("float16"), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    return model


def write_card(path: Path, description: dict[str, Any], size_bytes: int, sha256: str) -> None:
    """Write the model's card beside it, in Markdown."""
    lines = [f"# {description['name']}", "", f"{size_bytes / 1e6:.1f} MB, SHA-256 `{sha256}`.", ""]
    for heading, text in description["card"].items():
        lines += [f"## {heading}", "", text, ""]
    lines += ["## Settings", "", "| name | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in description["settings"].items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
