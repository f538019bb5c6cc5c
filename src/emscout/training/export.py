"""From a checkpoint to the file that is shipped: an ONNX graph that carries its own description."""

import copy
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emscout.models import INPUT_NAMES, OUTPUT_NAMES
from emscout.particles.segmenters.instances import Settings
from emscout.training.data import OUTSIDE_GREY
from emscout.training.network import (
    COORDINATE_UNIT_PX,
    DROPOUT_CHANNELS,
    DROPOUT_RATE,
    GAIN,
    STRIDE_PX,
    ParticleNetwork,
    enlarge_verdict,
    locate,
)
from emscout.training.onnx_file import trace_network, write_model

_QUANTISED = ("Conv", "Relu", "MaxPool", "Concat", "Resize")


class SampledNetwork(nn.Module):
    """What the file computes: the trunk once, the seed score once a sample, and the samples reduced to five maps.

    The numbers are those of `ParticleNetwork` followed by means over the samples; the dropout masks are multiplied
    into the tail's weights instead of its features, which spares a copy of the features for each sample. The batch
    norms are part of the convolutions.
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

    def forward(self, image: Tensor, coarse_mask: Tensor, fine_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Grey (1, 1, H, W) and masks of T samples to maps (1, 5, H, W) and features (1, 128, H/8, W/8).

        The five maps are the offsets (row, col) and log sigma, the mean seed probability, and the mutual information
        between seed and weights, in nats; the features are the trunk's coarse ones.
        """
        coarse, fine = self.trunk(image)
        offsets, log_sigma = locate(self.tail.place(fine))
        weight = self.tail.view.weight * coarse_mask[:, :, :, 0].transpose(1, 2)
        seen = functional.relu(weight @ coarse.flatten(2))
        verdict = self.tail.verdict(seen.reshape(-1, seen.shape[1], coarse.shape[2], coarse.shape[3]))
        weight = self.tail.seed.weight * fine_mask[:, :, :, 0].transpose(1, 2)
        view = (weight.flatten(0, 1) @ fine[0].flatten(1)).unflatten(0, (-1, 4))
        logit = GAIN * (view + enlarge_verdict(verdict).flatten(2))
        probability = torch.sigmoid(logit)
        # The entropy of each sample, from the surer of its two answers: it never overflows, and needs no softplus.
        away = torch.abs(logit)
        surer = torch.sigmoid(away)
        expected_entropy = (away - away * surer - torch.log(surer)).mean(0)
        seed = probability.mean(0)
        inside = seed.clamp(1e-7, 1 - 1e-7)
        entropy = -inside * torch.log(inside) - (1 - inside) * torch.log(1 - inside)
        information = functional.relu(entropy - expected_entropy)
        sampled = torch.cat([seed, information]).reshape(1, 8, fine.shape[2], fine.shape[3])
        return functional.pixel_shuffle(torch.cat([offsets, log_sigma, sampled], 1), 2), coarse


def load_network(checkpoint: Path) -> ParticleNetwork:
    """The averaged weights of a training run's checkpoint, ready for inference."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    network = ParticleNetwork()
    network.load_state_dict(state["average"])
    return network.eval()


def describe(name: str, settings: Settings, calibration: dict[str, Any], card: dict[str, str]) -> dict[str, Any]:
    """The description that a model file carries; `emscout.models` reads it.

    Parameters
    ----------
    name
        Such as ``particles-v2``.
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


def export_network(
    network: ParticleNetwork, path: Path, description: dict[str, Any], examples: Sequence[np.ndarray] = ()
) -> str:
    """Write ``network`` as one ONNX file with its description; return its SHA-256.

    With ``examples``, grey training images (H, W) in 0..1 whose sides are multiples of the stride, the trunk calculates
    in 8 bits, which is three times faster: they tell the range of the features of each layer.
    """
    rows, cols = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("cols", min=1, max=4096)
    samples = torch.export.Dim("samples", min=1, max=4096)
    example = (
        torch.zeros(1, 1, 3 * STRIDE_PX, 2 * STRIDE_PX),
        *(torch.ones(3, channels, 1, 1) for channels in DROPOUT_CHANNELS),
    )
    model = trace_network(
        SampledNetwork(network),
        example,
        inputs=INPUT_NAMES,
        outputs=OUTPUT_NAMES,
        dynamic_shapes=({2: STRIDE_PX * rows, 3: STRIDE_PX * cols}, {0: samples}, {0: samples}),
    )
    if examples:
        model = _quantise(model, examples)
    return write_model(path, model, description)


class _Examples(CalibrationDataReader):
    def __init__(self, examples: Sequence[np.ndarray]) -> None:
        self.left = iter(examples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        masks = (np.ones((1, channels, 1, 1), np.float32) for channels in DROPOUT_CHANNELS)
        grey = next(self.left, None)
        return None if grey is None else dict(zip(INPUT_NAMES, (grey[None, None], *masks), strict=True))


def _quantise(model: onnx.ModelProto, examples: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Let the trunk calculate in 8 bits, but for its first convolution, which sees the image itself."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    reader = next(node for node in model.graph.node if "tail.place.weight" in node.input)
    trunk, waiting = {}, [reader.input[0]]
    while waiting:
        node = made_by.get(waiting.pop())
        if node is not None and node.name not in trunk:
            trunk[node.name] = node
            waiting += node.input
    float_convolution = next(node for node in trunk.values() if "trunk.stages.0.0.weight" in node.input)
    names = [
        name
        for name, node in trunk.items()
        if node.op_type in _QUANTISED
        and node.output[0] != float_convolution.output[0]
        and float_convolution.output[0] not in node.input
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "quantised.onnx"
        logging.getLogger().addFilter(_says_nothing_new)
        try:
            quantize_static(
                model,
                path,
                _Examples(examples),
                op_types_to_quantize=list(_QUANTISED),
                nodes_to_quantize=names,
                per_channel=True,
                # Processors without 8-bit dot products add pairs in 16 bits: weights of 7 bits never overflow those.
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.getLogger().removeFilter(_says_nothing_new)
        return onnx.load(path)


def _says_nothing_new(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()
