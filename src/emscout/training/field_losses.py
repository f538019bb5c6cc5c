"""The loss of the fields: what each pixel is, and that each particle has one crest."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["FieldLoss", "field_loss"]

_RIDGE, _EDGE, _CORE = 1.0, 0.4, 0.4
"""Weights of the terms beside that of matter."""


class FieldLoss(NamedTuple):
    """Terms of the loss and their weighted sum, scalars."""

    total: Tensor
    matter: Tensor
    overlap: Tensor
    ridge: Tensor
    edge: Tensor
    core: Tensor


def field_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> FieldLoss:
    """Weighted cross-entropy of each field, and 1 - the soft Dice overlap of matter.

    Parameters
    ----------
    logits, targets, weights : Tensor
        (B, 4, H, W) float32: see `emscout.training.field_network.FIELDS`; where a weight is 0 the truth is unknown.
    """
    logits = logits[:, : targets.shape[1]]
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights
    # The ridge's target lies between 0 and 1: its own entropy is no loss.
    ridge = targets[:, 1]
    own = -(torch.xlogy(ridge, ridge) + torch.xlogy(1 - ridge, 1 - ridge)) * weights[:, 1]
    sums = weights.sum((0, 2, 3)).clamp(min=1.0)
    mean = each.sum((0, 2, 3)) / sums
    ridge_loss = mean[1] - own.sum() / sums[1]
    chance = torch.sigmoid(logits[:, 0]) * (weights[:, 0] > 0)
    truth = targets[:, 0] * (weights[:, 0] > 0)
    both = (chance * truth).sum((1, 2))
    overlap = 1 - ((2 * both + 20) / (chance.sum((1, 2)) + truth.sum((1, 2)) + 20)).mean()
    total = mean[0] + 0.5 * overlap + _RIDGE * ridge_loss + _EDGE * mean[2] + _CORE * mean[3]
    return FieldLoss(total, mean[0], overlap, ridge_loss, mean[2], mean[3])
