"""Options of training an autoencoder; no torch here, because the command line shows them without it."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from annotated_types import Ge, Le

from emscout.errors import UsageError
from emscout.options import options_class
from emscout.training.options import Device

__all__ = ["STRIDE_PX", "AutoencoderOptions"]

STRIDE_PX = 2
"""Pixels of the frame, along each side, that share one cell of the bottleneck."""


@options_class
class AutoencoderOptions:
    """Options of `train`: each is a flag of the command too, and is saved in ``options.json`` of the run.

    Raises
    ------
    UsageError
        When a value does not fit.
    """

    epochs: Annotated[int, Ge(1)] = field(
        default=10, metadata={"help": "Number of epochs; the network of each is kept, to choose from."}
    )
    sub_images: Annotated[int, Ge(1)] = field(default=1280, metadata={"help": "Number of sub-images cut out."})
    side_px: Annotated[int, Ge(16)] = field(
        default=64, metadata={"help": "Side of a sub-image in pixels, an even number.", "metavar": "PX"}
    )
    features: Annotated[int, Ge(1), Le(STRIDE_PX**2 - 1)] = field(
        default=1,
        metadata={
            "help": "Width of the bottleneck: numbers for each 2 × 2 pixels, 1 to 3. More keep finer detail, and more "
            "noise."
        },
    )
    batch: Annotated[int, Ge(1)] = field(default=16, metadata={"help": "Sub-images in a step."})
    seed: Annotated[int, Ge(0)] = field(default=1, metadata={"help": "Random seed of the training."})
    device: Device = field(default="auto", metadata={"help": "Where to train; auto uses a GPU if there is one."})

    def __post_init__(self) -> None:
        if self.side_px % STRIDE_PX:
            raise UsageError(f"`side_px` must be an even number, not {self.side_px}.")
