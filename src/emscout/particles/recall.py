"""How many particles are there really: those found that are right, and those that were missed, with an interval."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["CountEstimate", "count_features", "estimate_count"]

_SEEN = 0.1
"""Least probability of a doubtful outline that says anything about what was missed: what is less likely is noise."""


class CountEstimate(NamedTuple):
    """The expected number of true particles, and the ends of its 95 % interval."""

    expected: float
    low: float
    high: float


def count_features(kept: np.ndarray, doubtful: np.ndarray) -> tuple[np.ndarray, float]:
    """What the probabilities of outlines say about the true number.

    Parameters
    ----------
    kept, doubtful : ndarray of float, shape (n,), (m,)
        Probabilities of the particles that count, and of those found but dropped.

    Returns
    -------
    parts : ndarray of float, shape (3,)
        Expected numbers: right ones among those kept, wrong ones among them (a wrong outline often lies on a particle
        that no other outline matches), and right ones among the doubtful.
    doubt : float
        0, where every outline is certain, to 1.
    """
    seen = doubtful[doubtful >= _SEEN]
    parts = np.array([kept.sum(), (1 - kept).sum(), seen.sum()])
    return parts, float(1 - kept.sum() / (len(kept) + len(seen) + 1))


def estimate_count(kept: np.ndarray, doubtful: np.ndarray, coefficients: dict[str, Any]) -> CountEstimate:
    """Estimate the true number of particles of an image.

    Parameters
    ----------
    kept, doubtful
        As for `count_features`.
    coefficients : dict
        ``weights`` (3) of the parts, and ``spread`` (3): the half-width of the interval of the logarithm is the sum of
        these times 1, the doubt, and 1 over the root of the number plus 1. Fitted on images that the network was not
        trained on.
    """
    parts, doubt = count_features(kept, doubtful)
    count = float(parts @ np.array(coefficients["weights"]))
    half_width = float(np.array(coefficients["spread"]) @ (1.0, doubt, (count + 1) ** -0.5))
    low, high = ((count + 1) * np.exp(sign * half_width) - 1 for sign in (-1, 1))
    return CountEstimate(count, max(0.0, float(low)), float(high))
