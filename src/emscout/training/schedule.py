"""What all training loops share: the device, the learning rate, and the running mean of the weights."""

from __future__ import annotations

import torch
from torch import nn

from emscout.errors import UsageError
from emscout.training.options import Device

__all__ = ["choose_device", "computes_in_bfloat16", "rate_factor", "update_average"]

CONSTANT_PART = 0.4
"""Part of the run before the learning rate falls to zero in a straight line."""

WARMUP_STEPS = 100
AVERAGE_DECAY = 0.995


def choose_device(device: Device) -> torch.device:
    """The device to train on.

    Raises
    ------
    UsageError
        When there is no such device.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("PyTorch finds no GPU here: leave out `device=cuda`, or install PyTorch for CUDA.")
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted if device == "auto" else device)


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether 16-bit numbers are faster there: a CPU without instructions for them takes ten times as long."""
    return device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def rate_factor(step: int, progress: float, constant_part: float = CONSTANT_PART) -> float:
    """Learning rate over its highest: a linear warm-up, a plateau, and a straight line to zero at the end."""
    return max(0.0, min(1.0, (step + 1) / WARMUP_STEPS, (1.0 - progress) / (1.0 - constant_part)))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, longest: float = AVERAGE_DECAY) -> None:
    """Bring the running mean of the weights up to date after a step (counted from 1)."""
    decay = min(longest, (1 + step) / (10 + step))
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
