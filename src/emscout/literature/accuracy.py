"""Accuracy of the panels of a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from emscout.literature.panels.boxes import Box

__all__ = ["LEAST_IOU", "count_found"]

LEAST_IOU = 0.75
"""Intersection over union that the box of a found panel must exceed."""


def count_found(truth: Sequence[Box], found: Sequence[Box]) -> int:
    """Number of panels of the truth that were found, one to one.

    Parameters
    ----------
    truth, found : sequence of Box
    """
    overlaps = np.array([[_iou(one, other) for other in found] for one in truth])
    return int((overlaps[linear_sum_assignment(-overlaps)] > LEAST_IOU).sum()) if overlaps.size else 0


def _iou(one: Box, other: Box) -> float:
    shared = one.overlap(other)
    return shared / (one.area + other.area - shared)
