"""The network of the autoencoder, and its file: an ONNX graph that carries its own description."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from emscout.models import AUTOENCODER_INPUT_NAMES, AUTOENCODER_OUTPUT_NAMES
from emscout.training.autoencoder_options import STRIDE_PX, AutoencoderOptions
from emscout.training.onnx_file import trace_network, write_model

__all__ = ["REACH_PX", "Autoencoder", "describe", "export_autoencoder"]

WIDTH = 16
"""Channels at the frame's own resolution; twice as many at half of it."""

REACH_PX = 16
"""At most so far from a pixel lies what its reconstruction depends on."""


class Autoencoder(nn.Module):
    """Grey images (B, 1, H, W), sides multiples of `STRIDE_PX`, through a bottleneck and back to themselves.

    Parameters
    ----------
    features : int
        Numbers that are left for each `STRIDE_PX` × `STRIDE_PX` pixels.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *_layer(1, WIDTH),
            *_layer(WIDTH, 2 * WIDTH, stride=STRIDE_PX),
            *_layer(2 * WIDTH, 2 * WIDTH),
            nn.Conv2d(2 * WIDTH, features, 1),
        )
        self.decoder = nn.Sequential(
            *_layer(features, 2 * WIDTH),
            *_layer(2 * WIDTH, 2 * WIDTH),
            nn.Upsample(scale_factor=STRIDE_PX, mode="bilinear"),
            *_layer(2 * WIDTH, WIDTH),
            nn.Conv2d(WIDTH, 1, 3, padding=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        return self.decoder(self.encoder(image))


def _layer(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU()]


def describe(name: str, options: AutoencoderOptions, card: dict[str, str]) -> dict[str, Any]:
    """The description that a model file carries; `emscout.models` reads it."""
    settings = {
        "features": options.features,
        "side_px": options.side_px,
        "greys": "each frame brought to mean 0 and standard deviation 1",
        "polarity": "decided on the frame",
    }
    return {
        "name": name,
        "task": "autoencoder",
        "stride_px": STRIDE_PX,
        "reach_px": REACH_PX,
        "settings": settings,
        "card": card,
    }


def export_autoencoder(network: Autoencoder, path: Path, description: dict[str, Any]) -> str:
    """Write ``network`` as one ONNX file with its description; return its SHA-256."""
    weights = {name: values.detach().cpu().numpy() for name, values in network.state_dict().items()}
    model = _draw_graph(weights["encoder.6.weight"].shape[0])
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights.pop(tensor.name), tensor.name))
    assert not weights, f"the graph has no {', '.join(weights)}"
    return write_model(path, model, description)


def _draw_graph(features: int) -> onnx.ModelProto:
    """The network as a graph with weights of its own; made once, because that takes seconds."""
    model = onnx.ModelProto()
    model.ParseFromString(_graph_content(features))
    return model


@lru_cache(maxsize=1)
def _graph_content(features: int) -> bytes:
    rows, cols = torch.export.Dim("rows", min=1, max=8192), torch.export.Dim("cols", min=1, max=8192)
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    with torch.random.fork_rng(devices=[]):
        model = trace_network(
            Autoencoder(features).eval(),
            (torch.zeros(1, 1, 24 * STRIDE_PX, 16 * STRIDE_PX),),
            inputs=AUTOENCODER_INPUT_NAMES,
            outputs=AUTOENCODER_OUTPUT_NAMES,
            dynamic_shapes=({2: STRIDE_PX * rows, 3: STRIDE_PX * cols},),
        )
    return model.SerializeToString(deterministic=True)
