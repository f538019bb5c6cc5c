"""The state of a training run, saved so that its process may end at any moment."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import nn

from emscout.errors import ReadError
from emscout.io.files import TEMPORARY, write_atomic

__all__ = ["State", "load_checkpoint", "newest_checkpoint", "save_checkpoint"]

_KEPT = 2

Network = TypeVar("Network", bound=nn.Module)


@dataclass
class State(Generic[Network]):
    """Everything that the next step depends on.

    ``average`` is the running mean of the network's weights, ``generator`` draws the views (on the device) and
    ``mask_generator`` the dropout masks (an autoencoder has none: it draws the order of its sub-images instead);
    ``step`` and ``trained_s`` count over all interruptions.
    """

    network: Network
    average: Network
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    mask_generator: torch.Generator
    step: int = 0
    trained_s: float = 0.0


def save_checkpoint(run: Path, state: State) -> Path:
    """Write the state, keep the last two, and never leave half a file.

    Raises
    ------
    OutputError
        When the disk is full, say.
    """
    path = run / f"checkpoint-{state.step:07d}.pt"
    content = {
        "step": state.step,
        "trained_s": state.trained_s,
        "network": state.network.state_dict(),
        "average": state.average.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "generator": state.generator.get_state(),
        "mask_generator": state.mask_generator.get_state(),
    }
    with write_atomic(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    for old in sorted(run.glob("checkpoint-*.pt"))[:-_KEPT]:
        old.unlink()
    for left in run.glob(f"{TEMPORARY}*"):  # by a process that was killed while it wrote
        shutil.rmtree(left, ignore_errors=True)
    return path


def newest_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint of a run, None where there is none yet."""
    return max(run.glob("checkpoint-*.pt"), default=None)


def load_checkpoint(path: Path, state: State) -> None:
    """Fill ``state`` from a checkpoint.

    Raises
    ------
    ReadError
        When the file is damaged, or of another kind of network.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        for name in ("network", "average", "optimizer"):
            getattr(state, name).load_state_dict(content[name])
        state.generator.set_state(content["generator"])
        state.mask_generator.set_state(content["mask_generator"])
        state.step, state.trained_s = content["step"], content["trained_s"]
    except Exception as error:  # torch raises whatever a damaged or foreign file leads to
        raise ReadError(f"'{path}' cannot be loaded (damaged?): delete it, and the previous one is used.") from error
