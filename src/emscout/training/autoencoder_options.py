"""What a training run of the autoencoder is made of; kept apart from torch, as the command line shows it without."""

from __future__ import annotations

from dataclasses import dataclass, field

from emscout.errors import UsageError
from emscout.training.options import Device

__all__ = ["STRIDE_PX", "AutoencoderOptions"]

STRIDE_PX = 2
"""Pixels of the frame, along each side, that share one cell of the bottleneck."""


@dataclass(frozen=True)
class AutoencoderOptions:
    """What shapes a run; every field is a flag of the command too, and is saved as ``options.json`` in its folder.

    Raises
    ------
    UsageError
        When a number makes no sense.
    """

    epochs: int = field(
        default=10, metadata={"help": "Passes over the sub-images; the network of each is kept to choose from."}
    )
    sub_images: int = field(default=1280, metadata={"help": "Number of sub-images cut from the movie."})
    side_px: int = field(
        default=64, metadata={"help": "Side of a sub-image in pixels, an even number.", "metavar": "PX"}
    )
    features: int = field(
        default=1,
        metadata={
            "help": "Width of the bottleneck: numbers left for 2 × 2 pixels. More keep finer detail, and more noise."
        },
    )
    batch: int = field(default=16, metadata={"help": "Sub-images in a step."})
    seed: int = field(default=1, metadata={"help": "Seed of everything that is drawn at random."})
    device: Device = field(default="auto", metadata={"help": "Where to train; auto takes a GPU where there is one."})

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"`device` is auto, cpu or cuda, not '{self.device}'.")
        if min(self.epochs, self.sub_images, self.batch, self.features) < 1 or self.seed < 0:
            raise UsageError("`epochs`, `sub_images`, `batch` and `features` are whole numbers from 1, `seed` from 0.")
        if self.features >= STRIDE_PX**2:
            raise UsageError(
                f"`features` is at most {STRIDE_PX**2 - 1}: a wider middle lets all of the noise through, and the "
                "network is to leave that out."
            )
        if self.side_px < 16 or self.side_px % STRIDE_PX:
            raise UsageError(f"`side_px` is an even number from 16 on, not {self.side_px}.")
