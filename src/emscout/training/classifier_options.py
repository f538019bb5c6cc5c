"""Options of training a classifier; no torch here, because the command line shows them without it."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Ge

from emscout.errors import UsageError
from emscout.options import options_class
from emscout.training.options import Device

__all__ = ["ClassifierOptions"]

Network = Literal["frozen", "fine-tuned", "simple"]


@options_class
class ClassifierOptions:
    """Options of `train_classifier`: each is a flag of the command too, and is saved in ``options.json`` of the run.

    Raises
    ------
    UsageError
        When a value does not fit.
    """

    network: Network = field(
        default="frozen",
        metadata={
            "help": "frozen: a linear classifier on the features of a network that is not changed (a minute for a "
            "thousand pictures, needs no torch); fine-tuned: that network trained further; simple: two "
            "convolutional layers, the usual baseline."
        },
    )
    start_from: str = field(
        default="technique-v1",
        metadata={
            "help": "Network whose features are used: a shipped model, an .onnx file that this command wrote, "
            "efficientnet-lite0 (ImageNet weights, with the training extra), or timm:NAME where timm is installed.",
            "metavar": "NAME|PATH",
        },
    )
    folds: Annotated[int, Ge(0)] = field(
        default=0,
        metadata={
            "help": "Only with network frozen: cross-validate with this many folds of whole sources and train on all "
            "pictures, instead of keeping 30 % of them for the test. For small data sets."
        },
    )
    mask_banner: bool = field(
        default=True, metadata={"help": "Leave out the info banner of the microscope, so that its text is not learnt."}
    )
    epochs: Annotated[int, Ge(1)] = field(default=30, metadata={"help": "Largest number of epochs (not of frozen)."})
    patience: Annotated[int, Ge(1)] = field(
        default=6,
        metadata={"help": "Stop after this many epochs without a better macro-F1 in validation."},
    )
    batch: Annotated[int, Ge(2)] = field(default=16, metadata={"help": "Pictures in a step."})
    seed: Annotated[int, Ge(0)] = field(default=1, metadata={"help": "Random seed of the split and the training."})
    device: Device = field(default="auto", metadata={"help": "Where to train; auto uses a GPU if there is one."})

    def __post_init__(self) -> None:
        if self.network == "fine-tuned" and self.start_from.lower().endswith(".onnx"):
            raise UsageError(
                "`network=fine-tuned` starts from a network by its name, efficientnet-lite0 or timm:NAME: an .onnx "
                "file cannot be trained further."
            )
        if self.folds and (self.folds < 2 or self.network != "frozen"):
            raise UsageError("`folds` must be 2 or more, and needs `network=frozen`.")
