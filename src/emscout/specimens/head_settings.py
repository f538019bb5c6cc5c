"""Settings of a linear head, and its predictions for sources it has not seen: by cross-validation over sources."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from emscout.specimens.heads import HeadSettings, Labels, fit_head, fit_heads

__all__ = ["CHOICES", "CHOOSING_FOLDS", "choose_settings", "cross_predict", "split_folds"]

CHOOSING_FOLDS = 4
"""Folds of the cross-validation that chooses settings."""

CHOICES = tuple(HeadSettings(c, w) for w in (10.0, 1.0) for c in (0.003, 0.03, 0.3))
"""What `choose_settings` chooses from, the strongest penalties first."""

TOLERANCE = 0.01
"""How far macro-F1 may be below the best: smaller differences are chance, and a stronger penalty is safer."""


def cross_predict(
    features: np.ndarray,
    categories: Labels,
    sources: Labels,
    n_statistics: int,
    *,
    folds: int = 5,
    seed: int = 0,
    tick: Callable[[], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, K) and novelty (n,) of each picture by a head that was fitted to none of its source.

    Settings are chosen anew for each fold, within what that fold is fitted to.

    Where what is left holds fewer than two categories, all are as likely, and the novelty is infinite.

    Parameters
    ----------
    features, categories, sources, n_statistics
        As in `fit_head`; the K categories are in alphabetical order.
    folds, seed : int
    tick : callable or None
        As in `choose_settings`.
    """
    names, groups = np.asarray(categories), np.asarray(sources)
    order = np.unique(names)
    logits, novelty = np.full((len(names), len(order)), -1e3), np.full(len(names), np.inf)
    for seen, held in split_folds(names, groups, folds, seed):
        part = features[seen], names[seen], groups[seen], n_statistics
        head = fit_head(*part, choose_settings(*part, seed=seed, tick=tick))
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

    With too few sources to split, the first, whose penalty is the strongest.

    Parameters
    ----------
    features, categories, sources, n_statistics
        As in `fit_head`.
    seed : int
    tick : callable or None
        Called after each of the `CHOOSING_FOLDS` folds, to show progress.
    """
    from sklearn.metrics import f1_score

    names, groups = np.asarray(categories), np.asarray(sources)
    order = np.unique(names)
    named = np.full((len(CHOICES), len(names)), -1)
    for seen, held in split_folds(names, groups, CHOOSING_FOLDS, seed):
        heads = fit_heads(features[seen], names[seen], groups[seen], n_statistics, CHOICES)
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
