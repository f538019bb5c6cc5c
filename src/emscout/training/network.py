"""The particle network: a VGG16 trunk, a light decoder, and a tail with Monte-Carlo dropout given from outside."""

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE_PX = 32
"""Both sides of an image given to the network are multiples of this."""

COORDINATE_UNIT_PX = 64.0
"""One unit of the embedding space, in pixels of the image given to the network."""

OFFSET_BOUND = 4.0
"""The largest offset a pixel can have, in embedding units along each axis."""

DROPOUT_CHANNELS = (64, 32)
"""Channels of the two layers of the tail whose inputs are dropped channel by channel."""

DROPOUT_RATE = 0.2

OUTPUT_NAMES = ("offset_row", "offset_col", "log_sigma", "seed")

_VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512))
_IMAGENET_GREY_MEAN, _IMAGENET_GREY_STD = 0.449, 0.226


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.05),
        nn.ReLU(inplace=True),
    )


def _reduce(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs, momentum=0.05), nn.ReLU(inplace=True)
    )


def _double(image: Tensor) -> Tensor:
    return functional.interpolate(image, scale_factor=2.0, mode="bilinear", align_corners=False)


class Trunk(nn.Module):
    """Everything that is computed once an image: (B, 1, H, W) grey in 0..1 to (B, 64, H/2, W/2) features.

    The convolutions down to stride 8 are those of VGG16 up to conv4_2 (Simonyan & Zisserman 2015); two stages at
    strides 16 and 32 see whole particles, and a U-shaped decoder brings their view back to stride 2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        inputs = 1
        for widths in _VGG_WIDTHS:
            layers: list[nn.Module] = []
            for width in widths:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = width
            self.stages.append(nn.Sequential(*layers))
        self.frozen_stages = 0
        self.stage16 = nn.Sequential(_convolve(512, 192), _convolve(192, 192))
        self.stage32 = nn.Sequential(_convolve(192, 192), _convolve(192, 192), _convolve(192, 192))
        self.skip8, self.skip4, self.skip2 = _reduce(512, 128), _reduce(256, 96), _reduce(128, 64)
        self.up16 = _convolve(192 + 192, 160)
        self.up8 = _convolve(160 + 128, 128)
        self.up4 = _convolve(128 + 96, 96)
        self.up2 = _convolve(96 + 64, DROPOUT_CHANNELS[0])

    def forward(self, grey: Tensor) -> Tensor:
        features = (grey - _IMAGENET_GREY_MEAN) / _IMAGENET_GREY_STD
        scales = []
        for index, stage in enumerate(self.stages):
            with torch.set_grad_enabled(torch.is_grad_enabled() and index >= self.frozen_stages):
                if index:
                    features = functional.max_pool2d(features, 2)
                features = stage(features)
            scales.append(features)
        at16 = self.stage16(functional.max_pool2d(features, 2))
        at32 = self.stage32(functional.max_pool2d(at16, 2))
        up = self.up16(torch.cat([_double(at32), at16], 1))
        up = self.up8(torch.cat([_double(up), self.skip8(scales[3])], 1))
        up = self.up4(torch.cat([_double(up), self.skip4(scales[2])], 1))
        return self.up2(torch.cat([_double(up), self.skip2(scales[1])], 1))


class Tail(nn.Module):
    """Everything that is repeated for each Monte-Carlo sample: (B, 64, H/2, W/2) features to (B, 4, H, W) outputs.

    Whole channels are dropped, so that a sample is one and the same function everywhere in the image, tiles included.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second = DROPOUT_CHANNELS
        self.hidden = nn.Conv2d(first, second, 3, padding=1)
        self.output = nn.Conv2d(second, 4 * len(OUTPUT_NAMES), 1)
        nn.init.normal_(self.output.weight, std=0.01)
        # A Gaussian that reaches 0.5 at about 12 px, and a seed score of a half.
        self.output.bias = nn.Parameter(torch.tensor([0.0, 0.0, 0.75, 0.0]).repeat_interleave(4))

    def forward(self, features: Tensor, first_mask: Tensor, second_mask: Tensor) -> Tensor:
        hidden = functional.relu(self.hidden(features * first_mask.to(features.dtype)))
        output = functional.pixel_shuffle(self.output(hidden * second_mask.to(hidden.dtype)), 2)
        # Log sigma and seed span several units, offsets often less than one: the gain lets all learn at one rate.
        return torch.cat([OFFSET_BOUND * torch.tanh(output[:, :2] / OFFSET_BOUND), 4.0 * output[:, 2:]], 1)


class ParticleNetwork(nn.Module):
    """Grey image (B, 1, H, W) in 0..1 and two dropout masks to offsets, log sigma and seed logit, (B, 4, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.tail = Tail()

    def forward(self, grey: Tensor, first_mask: Tensor, second_mask: Tensor) -> Tensor:
        return self.tail(self.trunk(grey), first_mask, second_mask)


def draw_masks(samples: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Two masks (samples, channels, 1, 1): 0 where a channel is dropped, else 1 / (1 - rate)."""
    keep = 1.0 - DROPOUT_RATE
    drawn = [
        (torch.rand((samples, channels, 1, 1), generator=generator) < keep).to(device, torch.float32) / keep
        for channels in DROPOUT_CHANNELS
    ]
    return drawn[0], drawn[1]


def full_masks(device: torch.device) -> tuple[Tensor, Tensor]:
    """Masks that drop nothing: the network's mean, approximately, in one pass."""
    first, second = (torch.ones((1, channels, 1, 1), device=device) for channels in DROPOUT_CHANNELS)
    return first, second
