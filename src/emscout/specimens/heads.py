"""From features to categories: a linear head, and how sure it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

__all__ = [
    "CLIP",
    "Head",
    "HeadSettings",
    "fit_head",
    "fit_heads",
    "fit_temperature",
    "n_directions",
    "principal_directions",
    "probabilities",
    "set_threshold",
]

Labels = Sequence[str] | np.ndarray

CLIP = 3.0
"""Standardised features are clipped at this many standard deviations."""

DIRECTIONS = 64
"""Number of principal directions of the training features; what lies outside of them is novel."""

EMBEDDING = 256
"""Dimensions in which pictures are compared: a hundred thousand pictures fit into 100 MB."""

KNOWN_SHARE = 0.95
"""Share of pictures of sources not trained on that count as known."""

_FIT_TOLERANCE = 1e-6
"""Tolerance of a regression; with the library's own, 1e-4, it ends so early that rounding errors matter."""

_LEAST_VARIANCE = 1e-10
"""Directions in which pictures vary less, in units of the first, are rounding errors."""

SOURCE_POWER = 0.5
"""A picture is weighted by this negative power of its source's number of pictures: near-duplicates teach little."""


@dataclass(frozen=True)
class HeadSettings:
    """Settings of a fit: the inverse of the penalty on the weights, and the weight of colour and grey statistics."""

    inverse_penalty: float = 0.003
    emphasis: float = 10.0


@dataclass(frozen=True)
class Head:
    """A fitted head.

    Parameters
    ----------
    categories : tuple of str
        K names.
    mean, scale, emphasis : ndarray, shape (F,)
        A feature f becomes ``emphasis * clip((f - mean) / scale, -CLIP, CLIP)``.
    weights, intercept : ndarray, shapes (F, K) and (K,)
        To logits.
    directions : ndarray, shape (F, D)
        Orthonormal; the squared length of what they do not hold is the novelty.
    embedding : ndarray, shape (F, E)
        Orthonormal directions of the features before emphasis: what pictures are compared by.
    threshold : float
        Unit of the novelty: above 1 a picture is unlike those the head was fitted to.
    foreign : ndarray, shape (F,), or None
        Weights of a logistic regression that recognises pictures that are not micrographs; with ``foreign_offset``.
        Twice its probability is the novelty where that is greater.
    temperature : float
        What logits are divided by before they become probabilities.
    settings : HeadSettings
    """

    categories: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    emphasis: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    directions: np.ndarray
    embedding: np.ndarray
    threshold: float = 1.0
    temperature: float = 1.0
    settings: HeadSettings = HeadSettings()
    foreign: np.ndarray | None = None
    foreign_offset: float = 0.0

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (n, K) and novelty (n,) of features (n, F)."""
        seen = self.emphasis * np.clip((features - self.mean) / self.scale, -CLIP, CLIP)
        logits = seen @ self.weights + self.intercept
        left = (seen**2).sum(axis=1) - ((seen @ self.directions) ** 2).sum(axis=1)
        novelty = left / self.threshold
        if self.foreign is not None:
            novelty = np.maximum(novelty, 2 * expit(seen @ self.foreign + self.foreign_offset))
        return logits, novelty


def fit_head(
    features: np.ndarray,
    categories: Labels,
    sources: Labels,
    n_statistics: int,
    settings: HeadSettings | None = None,
) -> Head:
    """Fit a logistic regression in which each category counts the same, and each source less than its pictures.

    Parameters
    ----------
    features : ndarray, shape (n, F)
    categories, sources : sequences of n str
    n_statistics : int
        The last so many features are multiplied by the settings' emphasis.
    settings : HeadSettings, optional
    """
    return fit_heads(features, categories, sources, n_statistics, (settings or HeadSettings(),))[0]


# The matrices are small: on a busy computer threads wait for one another ten times longer than they calculate. And one
# thread adds in one order, so that the same pictures give the same bytes.
@threadpool_limits.wrap(limits=1)
def fit_heads(
    features: np.ndarray, categories: Labels, sources: Labels, n_statistics: int, choices: Sequence[HeadSettings]
) -> list[Head]:
    """Fit a head with each of several settings; what they share is calculated once. Parameters as in `fit_head`."""
    from sklearn.linear_model import LogisticRegression  # takes half a second to load

    names = np.asarray(categories)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    standard = np.clip((features - mean) / scale, -CLIP, CLIP)
    counts = _weigh(names, sources)
    prepared = {}
    for weight in {settings.emphasis for settings in choices}:
        emphasis = np.ones(features.shape[1])
        if n_statistics:
            emphasis[-n_statistics:] = weight
        seen = emphasis * standard
        # Weights lie in the space of the pictures: in its coordinates the same regression has fewer numbers to find.
        basis = principal_directions(seen)
        prepared[weight] = emphasis, basis, seen @ basis
    heads = []
    for settings in choices:
        emphasis, basis, places = prepared[settings.emphasis]
        regression = LogisticRegression(C=settings.inverse_penalty, tol=_FIT_TOLERANCE, max_iter=3000)
        regression.fit(places, names, counts)
        weights, intercept = basis @ regression.coef_.T, regression.intercept_
        if len(regression.classes_) == 2:  # one column says both
            weights, intercept = np.hstack([-weights / 2, weights / 2]), np.hstack([-intercept / 2, intercept / 2])
        heads.append(
            Head(
                tuple(map(str, regression.classes_)),
                mean,
                scale,
                emphasis,
                weights,
                intercept,
                basis[:, : n_directions(*features.shape)],
                np.eye(len(mean), 1),
                settings=settings,
            )
        )
    return heads


def _weigh(names: np.ndarray, sources: Labels) -> np.ndarray:
    """Weight of each picture; 1 on average."""
    of_source = Counter(sources)
    counts = np.array([of_source[source] ** -SOURCE_POWER for source in sources])
    for name in set(names):  # each category the same, whatever its sources
        counts[names == name] /= counts[names == name].sum()
    return counts * len(names) / counts.sum()


def principal_directions(seen: np.ndarray) -> np.ndarray:
    """Principal directions (F, at most min(n, F)) of features (n, F), the strongest first."""
    if len(seen) > seen.shape[1]:
        return np.linalg.eigh(seen.T @ seen)[1][:, ::-1]
    # By the products of pictures with one another: a tenth of the time of a singular value decomposition.
    variance, combinations = np.linalg.eigh(seen @ seen.T)
    kept = np.flatnonzero(variance > _LEAST_VARIANCE * variance[-1])[::-1]
    return seen.T @ (combinations[:, kept] / np.sqrt(variance[kept]))


def n_directions(n: int, n_features: int) -> int:
    """How many principal directions n pictures determine."""
    return max(1, min(DIRECTIONS, n // 4, n_features // 2))


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature at which the probabilities of held-out pictures fit best (Guo et al. 2017, arXiv:1706.04599).

    Where all of n pictures are right, nothing but their number says how sure one may be: so the right category counts
    as (n + 1) / (n + 2) and the others share the rest, the rule of succession (Platt 1999).

    Parameters
    ----------
    logits : ndarray, shape (n, K)
    truth : ndarray of int, shape (n,)
        Number of the right category.
    """
    from scipy.optimize import minimize_scalar

    n, k = logits.shape
    target = np.full((n, k), 1 / (n + 2) / max(k - 1, 1))
    target[np.arange(n), truth] = (n + 1) / (n + 2)

    def loss(log_temperature: float) -> float:
        return -float((target * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 4.0), method="bounded").x))


def set_threshold(head: Head, held_novelty: np.ndarray, logits: np.ndarray, truth: np.ndarray) -> Head:
    """Give a head its temperature and its threshold, from pictures of sources that were not fitted to."""
    finite = held_novelty[np.isfinite(held_novelty)]
    threshold = float(np.quantile(finite, KNOWN_SHARE)) if len(finite) else 1.0
    return replace(head, threshold=threshold, temperature=fit_temperature(logits, truth))


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Calibrated probabilities (n, K)."""
    return softmax(logits / temperature, axis=1)
