"""From features to categories: a linear head, with what settings, and how sure it is."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

__all__ = [
    "CHOOSING_FOLDS",
    "CLIP",
    "Head",
    "HeadSettings",
    "choose_settings",
    "cross_predict",
    "fit_head",
    "fit_temperature",
    "n_directions",
    "principal_directions",
    "probabilities",
    "set_threshold",
    "split_folds",
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

CHOOSING_FOLDS = 4
"""Of the cross-validation by which settings are chosen."""

_FIT_TOLERANCE = 1e-6
"""Of a regression; at the library's own, 1e-4, it ends so early that rounding errors tell pictures apart."""

_LEAST_VARIANCE = 1e-10
"""Directions in which pictures vary less, in units of the first, are rounding errors."""

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
    return _fit_heads(features, categories, sources, n_statistics, (settings or HeadSettings(),))[0]


# The matrices are small: on a busy computer threads wait for one another ten times longer than they calculate. And one
# thread adds in one order, so that the same pictures give the same bytes.
@threadpool_limits.wrap(limits=1)
def _fit_heads(
    features: np.ndarray, categories: Labels, sources: Labels, n_statistics: int, choices: Sequence[HeadSettings]
) -> list[Head]:
    """A head for each of some settings; what they share is calculated once."""
    from sklearn.linear_model import LogisticRegression  # half a second, for those who train only

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
    """How much each picture counts; 1 in the mean."""
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
    """How many principal directions n pictures can tell of."""
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
    tick: Callable[[], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, K) and novelty (n,) of each picture by a head that was fitted to none of its source.

    Where what is left holds fewer than two categories, all are as likely, and the novelty is infinite.

    Parameters
    ----------
    features, categories, sources, n_statistics
        As in `fit_head`; the K categories are in alphabetical order.
    settings : HeadSettings or None
        ``None`` chooses them anew for each fold, within what that fold is fitted to.
    folds, seed : int
    tick : callable or None
        As in `choose_settings`.
    """
    names, groups = np.asarray(categories), np.asarray(sources)
    order = np.unique(names)
    logits, novelty = np.full((len(names), len(order)), -1e3), np.full(len(names), np.inf)
    for seen, held in split_folds(names, groups, folds, seed):
        part = features[seen], names[seen], groups[seen], n_statistics
        head = fit_head(*part, settings or choose_settings(*part, seed=seed, tick=tick))
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
    seed: int = 0,
    tick: Callable[[], None] | None = None,
) -> HeadSettings:
    """The first settings of `CHOICES` whose macro-F1 by cross-validation over sources is as good as the best.

    With too few sources to part, the first, whose penalty is the strongest.

    Parameters
    ----------
    features, categories, sources, n_statistics
        As in `fit_head`.
    seed : int
    tick : callable or None
        Called after each of the `CHOOSING_FOLDS` folds, so that one sees that it works.
    """
    from sklearn.metrics import f1_score

    names, groups = np.asarray(categories), np.asarray(sources)
    order = np.unique(names)
    named = np.full((len(CHOICES), len(names)), -1)
    for seen, held in split_folds(names, groups, CHOOSING_FOLDS, seed):
        heads = _fit_heads(features[seen], names[seen], groups[seen], n_statistics, CHOICES)
        for row, head in enumerate(heads):
            best = head.predict(features[held])[0].argmax(axis=1)
            named[row, held] = np.searchsorted(order, head.categories)[best]
        if tick:
            tick()
    judged = named[0] >= 0
    if not judged.any():
        return CHOICES[0]
    scores = [f1_score(names[judged], order[row[judged]], average="macro") for row in named]
    return CHOICES[int(np.argmax(np.array(scores) >= max(scores) - TOLERANCE))]


def split_folds(names: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row numbers to fit and to predict, by whole sources; folds without two categories to fit to are left out.

    Parameters
    ----------
    names, groups : ndarray of str, shape (n,)
        Category and source of each picture.
    folds : int
        At most; there are never more than sources, or than pictures of the largest category.
    seed : int
    """
    from sklearn.model_selection import StratifiedGroupKFold

    codes = np.unique(names, return_inverse=True)[1]
    n = min(folds, len(np.unique(groups)), int(np.bincount(codes).max()))
    with warnings.catch_warnings():  # of a category with fewer pictures than folds: `cross_predict` can do without
        warnings.simplefilter("ignore", UserWarning)
        parts = list(StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(codes, codes, groups))
    return [(seen, held) for seen, held in parts if len(held) and len(np.unique(codes[seen])) > 1]


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
