"""Pictures unlike those a head was fitted to: far from the training pictures, or like what is not a micrograph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from emscout.specimens.heads import (
    CLIP,
    EMBEDDING,
    KNOWN_SHARE,
    Head,
    Labels,
    n_directions,
    principal_directions,
)

__all__ = ["fit_novelty", "fit_out_of_distribution"]

_FOREIGN_INVERSE_PENALTY = 0.001


@threadpool_limits.wrap(limits=1)
def fit_novelty(head: Head, features: np.ndarray) -> Head:
    """Fit the principal directions of the training features (n, F): what is novel, and which pictures are alike."""
    standard = np.clip((features - head.mean) / head.scale, -CLIP, CLIP)
    return replace(
        head,
        directions=principal_directions(head.emphasis * standard)[:, : n_directions(*features.shape)],
        embedding=principal_directions(standard)[:, :EMBEDDING],
    )


@threadpool_limits.wrap(limits=1)
def fit_out_of_distribution(
    head: Head, features: np.ndarray, sources: Labels, foreign: np.ndarray, *, seed: int = 0
) -> tuple[Head, np.ndarray]:
    """Fit a head to recognise pictures that are not micrographs.

    Where more of the training pictures than `KNOWN_SHARE` allows would be taken for such, by regressions that have not
    seen their source, the categories themselves are of that kind, and the head is returned unchanged.

    Parameters
    ----------
    head : Head
    features : ndarray, shape (n, F)
        Of the training pictures.
    sources : sequence of n str
    foreign : ndarray, shape (m, F)
        Features of pictures that are not micrographs.
    seed : int

    Returns
    -------
    head : Head
    held : ndarray of bool, shape (n,)
        Which training pictures would not be taken for micrographs by a regression that has not seen their source.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    everything = np.concatenate([features, foreign])
    seen = head.emphasis * np.clip((everything - head.mean) / head.scale, -CLIP, CLIP)
    basis = principal_directions(seen)
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
