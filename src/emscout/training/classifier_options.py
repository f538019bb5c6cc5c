"""What training a classifier is made of; kept apart from torch, because the command line shows it without."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from emscout.errors import UsageError
from emscout.training.options import Device

__all__ = ["ClassifierOptions"]

Network = Literal["frozen", "fine-tuned", "simple"]


@dataclass(frozen=True)
class ClassifierOptions:
    """What shapes a run; every field is a flag of the command too, and is saved as ``options.json`` in its folder.

    Raises
    ------
    UsageError
        When a number makes no sense.
    """

    network: Network = field(
        default="frozen",
        metadata={
            "help": "frozen: a linear head on features of a network that stays as it is (a minute for a thousand "
            "pictures, needs no torch); fine-tuned: that network trained further; simple: two convolutions from "
            "nothing, the usual baseline."
        },
    )
    start_from: str = field(
        default="technique-v1",
        metadata={
            "help": "Whose features to start from: a shipped model, an .onnx file that this command wrote, "
            "efficientnet-lite0 (ImageNet weights, with the training extra), or timm:NAME where timm is installed.",
            "metavar": "NAME|PATH",
        },
    )
    folds: int = field(
        default=0,
        metadata={
            "help": "Frozen only: score by so many folds of whole sources and train on all pictures, instead of "
            "keeping 30 % of them back; for few pictures."
        },
    )
    mask_banner: bool = field(
        default=True, metadata={"help": "Cut off the microscope's info banner, so that no label is read."}
    )
    epochs: int = field(default=30, metadata={"help": "Most epochs of a network that is trained."})
    patience: int = field(
        default=6, metadata={"help": "End after so many epochs without a better macro-F1 on the validation pictures."}
    )
    batch: int = field(default=16, metadata={"help": "Pictures in a step."})
    seed: int = field(default=1, metadata={"help": "Seed of the split and of everything that is drawn at random."})
    device: Device = field(default="auto", metadata={"help": "Where to train; auto takes a GPU where there is one."})

    def __post_init__(self) -> None:
        if self.network not in ("frozen", "fine-tuned", "simple"):
            raise UsageError(f"`network` is frozen, fine-tuned or simple, not '{self.network}'.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"`device` is auto, cpu or cuda, not '{self.device}'.")
        if self.epochs < 1 or self.patience < 1 or self.batch < 2 or self.seed < 0:
            raise UsageError("`epochs` and `patience` are whole numbers from 1, `batch` from 2, `seed` from 0.")
        if self.network == "fine-tuned" and self.start_from.lower().endswith(".onnx"):
            raise UsageError(
                "`network=fine-tuned` starts from a network by its name, efficientnet-lite0 or timm:NAME: an .onnx "
                "file cannot be trained further."
            )
        if self.folds and (self.folds < 2 or self.network != "frozen"):
            raise UsageError("`folds` is 2 or more, and belongs to `network=frozen`.")
