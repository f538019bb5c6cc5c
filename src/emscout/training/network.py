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

GAIN = 4.0
"""Log sigma and seed span several units, offsets often less than one: the gain lets all learn at one rate."""

DROPOUT_CHANNELS = (128, 64)
"""Channels of the trunk's coarse and fine features, which the tail drops channel by channel."""

DROPOUT_RATE = 0.3

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
    """Everything that is computed once an image: grey in 0..1 (B, 1, H, W) to coarse and fine features.

    The convolutions down to stride 8 are those of VGG16 up to conv4_2 (Simonyan & Zisserman 2015); two stages at
    strides 16 and 32 see whole particles, and a U-shaped decoder brings their view back: the coarse features
    (B, 128, H/8, W/8) know what lies around a place, the fine ones (B, 64, H/2, W/2) where its outline runs.
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
        self.up8 = _convolve(160 + 128, DROPOUT_CHANNELS[0])
        self.up4 = _convolve(128 + 96, 96)
        self.up2 = _convolve(96 + 64, 64)
        self.fine = _convolve(64, DROPOUT_CHANNELS[1])

    def forward(self, grey: Tensor) -> tuple[Tensor, Tensor]:
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
        coarse = self.up8(torch.cat([_double(up), self.skip8(scales[3])], 1))
        up = self.up4(torch.cat([_double(coarse), self.skip4(scales[2])], 1))
        return coarse, self.fine(self.up2(torch.cat([_double(up), self.skip2(scales[1])], 1)))


class Tail(nn.Module):
    """What becomes of the features, (B, 128, H/8, W/8) and (B, 64, H/2, W/2): four outputs (B, 4, H, W).

    The seed score is the sum of a coarse and a fine view, each with its own dropout, and alone is repeated for each
    Monte-Carlo sample: whether there is a particle is what can be doubted. Whole channels are dropped, so that a sample
    is one and the same function everywhere in the image, tiles included. Outputs lie at half the image's resolution,
    2 × 2 pixels in channels, until the last step.
    """

    def __init__(self) -> None:
        super().__init__()
        coarse, fine = DROPOUT_CHANNELS
        self.place = nn.Conv2d(fine, 12, 1)
        self.seed = nn.Linear(fine, 4, bias=False)
        self.view = nn.Linear(coarse, 64, bias=False)
        self.verdict = nn.Conv2d(64, 1, 1)
        for layer in (self.place, self.seed, self.verdict):
            nn.init.normal_(layer.weight, std=0.01)
        # A Gaussian that reaches 0.5 at about 12 px, and a seed score of a half.
        self.place.bias = nn.Parameter(torch.tensor([0.0, 0.0, 0.75]).repeat_interleave(4))
        nn.init.zeros_(self.verdict.bias)  # type: ignore[arg-type]

    def forward(self, coarse: Tensor, fine: Tensor, coarse_mask: Tensor, fine_mask: Tensor) -> Tensor:
        offsets, log_sigma = locate(self.place(fine))
        seen = functional.relu(_mix(self.view, coarse * coarse_mask.to(coarse.dtype)))
        verdict = enlarge_verdict(self.verdict(seen))
        logit = GAIN * (_mix(self.seed, fine * fine_mask.to(fine.dtype)) + verdict)
        return functional.pixel_shuffle(torch.cat([offsets, log_sigma, logit], 1), 2)


def _mix(layer: nn.Linear, features: Tensor) -> Tensor:
    """A linear layer without bias over the channels of (B, C, H, W)."""
    return functional.conv2d(features, layer.weight[:, :, None, None])


def locate(place: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets (B, 8, H/2, W/2), bounded, and log sigma (B, 4, H/2, W/2) from the tail's raw ones."""
    return OFFSET_BOUND * torch.tanh(place[:, :8] / OFFSET_BOUND), GAIN * place[:, 8:]


def enlarge_verdict(verdict: Tensor) -> Tensor:
    """The coarse part of the seed score, from an eighth of the image's resolution to a half."""
    return functional.interpolate(verdict, scale_factor=4.0, mode="bilinear", align_corners=False)


class ParticleNetwork(nn.Module):
    """Grey image (B, 1, H, W) in 0..1 and two dropout masks to offsets, log sigma and seed logit, (B, 4, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.tail = Tail()

    def forward(self, grey: Tensor, coarse_mask: Tensor, fine_mask: Tensor) -> Tensor:
        return self.tail(*self.trunk(grey), coarse_mask, fine_mask)


def draw_masks(samples: int, generator: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Two masks (samples, channels, 1, 1): 0 where a channel is dropped, else 1 / (1 - rate)."""
    keep = 1.0 - DROPOUT_RATE
    drawn = [
        (torch.rand((samples, channels, 1, 1), generator=generator) < keep).to(device, torch.float32) / keep
        for channels in DROPOUT_CHANNELS
    ]
    return drawn[0], drawn[1]
