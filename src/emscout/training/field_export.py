"""From a checkpoint of the network of fields to one ONNX file."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from emscout.models import FIELD_INPUT_NAMES, FIELD_OUTPUT_NAMES
from emscout.training.field_network import DROPOUT_CHANNELS, INPUT_CHANNELS, STRIDE_PX, FieldNetwork, TrunkName
from emscout.training.onnx_file import trace_network, write_model

__all__ = ["SampledFields", "export_fields", "load_field_network"]


class SampledFields(nn.Module):
    """What the file computes: features once, and of the matter's logit, linear in them, all samples at once.

    The samples are taken at half the resolution, from the mean of the logits of 2 × 2 pixels.
    """

    def __init__(self, network: FieldNetwork) -> None:
        super().__init__()
        network = copy.deepcopy(network).eval()
        self.trunk, self.decoder, self.tail = network.trunk, network.decoder, network.tail
        for values in self.parameters():
            values.requires_grad_(False)

    def forward(self, channels: Tensor, coarse_mask: Tensor, fine_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Channels (1, 2, H, W) and masks of T samples to chances of the fields (1, 4, H, W) without dropout, and,
        both (1, 1, H/2, W/2), the mean chance of matter over the samples and its mutual information, in nats.
        """
        coarse, fine = self.decoder(self.trunk(channels))
        verdict = _enlarge(self.tail.coarse(coarse))
        matter = self.tail.fine(fine) + verdict
        fields = torch.sigmoid(functional.pixel_shuffle(torch.cat([matter, self.tail.others(fine)], 1), 2))
        weight = self.tail.coarse.weight[:, :, 0, 0] * coarse_mask[:, :, 0, 0]
        views = (weight @ coarse[0].flatten(1)).reshape(1, -1, coarse.shape[2], coarse.shape[3])
        weight = self.tail.fine.weight[:, :, 0, 0].mean(0, keepdim=True) * fine_mask[:, :, 0, 0]
        logit = (weight @ fine[0].flatten(1)).reshape(1, -1, fine.shape[2], fine.shape[3])
        logit = logit + _enlarge(views) + self.tail.coarse.bias
        away = torch.abs(logit)
        surer = torch.sigmoid(away)
        expected = (away - away * surer - torch.log(surer)).mean(1, keepdim=True)
        chance = torch.sigmoid(logit).mean(1, keepdim=True)
        inside = chance.clamp(1e-7, 1 - 1e-7)
        entropy = -inside * torch.log(inside) - (1 - inside) * torch.log(1 - inside)
        return fields, chance, functional.relu(entropy - expected)


def _enlarge(verdict: Tensor) -> Tensor:
    return functional.interpolate(verdict, scale_factor=4.0, mode="bilinear", align_corners=False)


def load_field_network(checkpoint: Path, trunk: TrunkName = "lite0") -> FieldNetwork:
    """The averaged weights of a checkpoint, ready for inference."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    network = FieldNetwork(trunk, pretrained=False)
    network.load_state_dict(state["average"])
    return network.eval()


def export_fields(network: FieldNetwork, path: Path, description: dict[str, Any]) -> str:
    """Write ``network`` as one ONNX file with its description; return its SHA-256."""
    rows, cols = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("cols", min=1, max=4096)
    samples = torch.export.Dim("samples", min=1, max=4096)
    example = (
        torch.zeros(1, INPUT_CHANNELS, 3 * STRIDE_PX, 2 * STRIDE_PX),
        *(torch.ones(3, channels, 1, 1) for channels in DROPOUT_CHANNELS),
    )
    model = trace_network(
        SampledFields(network),
        example,
        inputs=FIELD_INPUT_NAMES,
        outputs=FIELD_OUTPUT_NAMES,
        dynamic_shapes=({2: STRIDE_PX * rows, 3: STRIDE_PX * cols}, {0: samples}, {0: samples}),
    )
    return write_model(path, model, description)
