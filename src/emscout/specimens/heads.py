"""From features to categories: a linear head, how sure it is, and what is unlike anything it was fitted to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

__all__ = [
    "CLIP",
    "Head",
    "HeadSettings",
    "choose_settings",
    "cross_predict",
    "fit_head",
    "fit_temperature",
    "know_features",
    "know_foreign",
    "probabilities",
    "set_threshold",
]

Labels = Sequence[str] | np.ndarray

CLIP = 3.0
"""Standardised features are held within so many standard deviations: a picture unlike all others stays comparable."""

DIRECTIONS = 64
"""Principal directions of the training features; what lies outside of them is novel."""

EMBEDDING = 256
"""Numbers by which pictures are compared: a hundred thousand of them fit into 100 MB."""

KNOWN_SHARE = 0.95
"""Share of pictures of sources not trained on that must count as known."""

_FOREIGN_INVERSE_PENALTY = 0.001

SOURCE_POWER = 0.5
"""A picture counts as one over so great a power of its source's number of pictures: near-twins teach little."""


@dataclass(frozen=True)
class HeadSettings:
    """What a head is fitted with: the inverse of the penalty on its weights, and how much colour and grey count."""

    inverse_penalty: float = 0.003
    emphasis: float = 10.0


CHOICES = tuple(HeadSettings(c, w) for w in (10.0, 1.0) for c in (0.003, 0.03, 0.3))
"""What `choose_settings` chooses from, the strongest penalties first."""

TOLERANCE = 0.01
"""By which macro-F1 may fall short of the best: less is chance, and the stronger penalty is the safer."""


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
        Novelty is given in units of it: above 1 a picture is unlike those fitted to.
    foreign : ndarray, shape (F,), or None
        Weights of a logistic regression that tells pictures which are no micrographs; with ``foreign_offset``. Its
        probability in units of a half is the novelty where that is greater.
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
    from sklearn.linear_model import LogisticRegression  # half a second, for those who train only

    settings = settings or HeadSettings()
    names = np.asarray(categories)
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
    emphasis = np.ones(features.shape[1])
    if n_statistics:
        emphasis[-n_statistics:] = settings.emphasis
    seen = emphasis * np.clip((features - mean) / scale, -CLIP, CLIP)
    of_source = Counter(sources)
    counts = np.array([of_source[source] ** -SOURCE_POWER for source in sources])
    for name in set(names):  # each category the same, whatever its sources
        counts[names == name] /= counts[names == name].sum()
    counts *= len(names) / counts.sum()
    # Weights lie in the space of the pictures: in its coordinates the same regression has fewer numbers to find.
    basis = _basis(seen)
    regression = LogisticRegression(C=settings.inverse_penalty, max_iter=3000).fit(seen @ basis, names, counts)
    weights, intercept = basis @ regression.coef_.T, regression.intercept_
    if len(regression.classes_) == 2:  # one column says both
        weights, intercept = np.hstack([-weights / 2, weights / 2]), np.hstack([-intercept / 2, intercept / 2])
    return Head(
        tuple(map(str, regression.classes_)),
        mean,
        scale,
        emphasis,
        weights,
        intercept,
        basis[:, : _n_directions(*seen.shape)],
        np.eye(len(mean), 1),
        settings=settings,
    )


def know_features(head: Head, features: np.ndarray) -> Head:
    """Tell a head what the features (n, F) it was trained on are like: what is novel, and what pictures are alike."""
    standard = np.clip((features - head.mean) / head.scale, -CLIP, CLIP)
    return replace(
        head,
        directions=_basis(head.emphasis * standard)[:, : _n_directions(*features.shape)],
        embedding=_basis(standard)[:, :EMBEDDING],
    )


def know_foreign(
    head: Head, features: np.ndarray, sources: Labels, foreign: np.ndarray, *, seed: int = 0
) -> tuple[Head, np.ndarray]:
    """Tell a head what pictures that are no micrographs look like.

    Where more of the training pictures than `KNOWN_SHARE` allows would be taken for such, by regressions that have not
    seen their source, the categories themselves are of that kind, and the head stays as it is.

    Parameters
    ----------
    head : Head
    features : ndarray, shape (n, F)
        Of the training pictures.
    sources : sequence of n str
    foreign : ndarray, shape (m, F)
        Features of pictures that are none.
    seed : int

    Returns
    -------
    head : Head
    held : ndarray of bool, shape (n,)
        Which training pictures would be taken for no micrograph by a regression that has not seen their source.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    everything = np.concatenate([features, foreign])
    seen = head.emphasis * np.clip((everything - head.mean) / head.scale, -CLIP, CLIP)
    basis = _basis(seen)
    places, is_foreign = seen @ basis, np.arange(len(everything)) >= len(features)
    groups = np.unique(np.append(np.asarray(sources, str), [f"foreign {i}" for i in range(len(foreign))]), False, True)[
        1
    ]

    def fit(rows: np.ndarray) -> LogisticRegression:
        regression = LogisticRegression(C=_FOREIGN_INVERSE_PENALTY, max_iter=3000, class_weight="balanced")
        return regression.fit(places[rows], is_foreign[rows])

    held = np.zeros(len(everything), bool)
    for known, rest in GroupKFold(5, shuffle=True, random_state=seed).split(places, is_foreign, groups):
        held[rest] = fit(known).predict(places[rest])
    held = held[: len(features)]
    if held.mean() > 1 - KNOWN_SHARE:
        return head, np.zeros(len(features), bool)
    regression = fit(np.arange(len(everything)))
    return replace(head, foreign=basis @ regression.coef_[0], foreign_offset=float(regression.intercept_[0])), held


def _basis(seen: np.ndarray) -> np.ndarray:
    """Principal directions (F, min(n, F)) of features (n, F), the strongest first."""
    if len(seen) > seen.shape[1]:
        return np.linalg.eigh(seen.T @ seen)[1][:, ::-1]
    return np.linalg.svd(seen, full_matrices=False)[2].T


def _n_directions(n: int, n_features: int) -> int:
    return max(1, min(DIRECTIONS, n // 4, n_features // 2))


def cross_predict(
    features: np.ndarray,
    categories: Labels,
    sources: Labels,
    n_statistics: int,
    *,
    settings: HeadSettings | None = None,
    folds: int = 5,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, K) and novelty (n,) of each picture by a head that was fitted to none of its source.

    Parameters
    ----------
    features, categories, sources, n_statistics
        As in `fit_head`; the K categories are in alphabetical order.
    settings : HeadSettings or None
        ``None`` chooses them anew for each fold, within what that fold is fitted to.
    folds, seed : int
    """
    names, groups = np.asarray(categories), np.asarray(sources)
    order = np.unique(names)
    logits, novelty = np.full((len(names), len(order)), -1e3), np.empty(len(names))
    for seen, held in _folds(names, groups, folds, seed):
        chosen = settings or choose_settings(features[seen], names[seen], groups[seen], n_statistics, seed=seed)
        head = fit_head(features[seen], names[seen], groups[seen], n_statistics, chosen)
        found, novelty[held] = head.predict(features[held])
        # A category may be of one source only: then nothing is left to learn it from.
        logits[np.ix_(held, np.searchsorted(order, head.categories))] = found
    return logits, novelty


def choose_settings(
    features: np.ndarray,
    categories: Labels,
    sources: Labels,
    n_statistics: int,
    *,
    folds: int = 4,
    seed: int = 0,
) -> HeadSettings:
    """The first settings of `CHOICES` whose macro-F1 by cross-validation over sources is as good as the best."""
    from sklearn.metrics import f1_score

    names = np.asarray(categories)
    order = np.unique(names)
    scores = []
    for settings in CHOICES:
        logits, _ = cross_predict(features, names, sources, n_statistics, settings=settings, folds=folds, seed=seed)
        scores.append(f1_score(names, order[logits.argmax(axis=1)], average="macro"))
    return CHOICES[int(np.argmax(np.array(scores) >= max(scores) - TOLERANCE))]


def _folds(names: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row numbers to fit and to predict, by whole sources; folds without two categories to fit are left out."""
    from sklearn.model_selection import StratifiedGroupKFold

    n = min(folds, len(np.unique(groups)))
    codes = np.unique(names, return_inverse=True)[1]
    parts = StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(codes, codes, groups)
    return [(seen, held) for seen, held in parts if len(held)]


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """The temperature at which the probabilities of held-out pictures fit best (Guo et al. 2017, arXiv:1706.04599).

    Parameters
    ----------
    logits : ndarray, shape (n, K)
    truth : ndarray of int, shape (n,)
        Number of the right category.
    """

    def loss(log_temperature: float) -> float:
        probability = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(probability[np.arange(len(truth)), truth].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 4.0), method="bounded").x))


def set_threshold(head: Head, held_novelty: np.ndarray, logits: np.ndarray, truth: np.ndarray) -> Head:
    """Give a head its temperature and its threshold, from pictures of sources that were not fitted to."""
    threshold = float(np.quantile(held_novelty, KNOWN_SHARE)) if len(held_novelty) else 1.0
    return replace(head, threshold=threshold, temperature=fit_temperature(logits, truth))


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Calibrated probabilities (n, K)."""
    return softmax(logits / temperature, axis=1)
