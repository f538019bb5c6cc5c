"""From the outputs of a network to the probability that a particle is right, and how well it is calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["cross_validate_calibration", "expected_calibration_error", "fit_calibration", "reliability"]

_BINS = 10


def fit_calibration(features: np.ndarray, matched: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """Logistic regression of ``matched`` on ``features``.

    Parameters
    ----------
    features : ndarray of float, shape (n, k)
        One row for each particle.
    matched : ndarray of bool, shape (n,)
        Whether it matches a true particle at IoU > 0.5.
    names : tuple of str
        Of the k features.

    Returns
    -------
    dict
        ``weights`` by name and ``intercept``, for unscaled features.

    Raises
    ------
    ValueError
        When all particles match, or none does.
    """
    scaler, regression = (step for _, step in _fit(features, matched).steps)
    weights = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - weights @ scaler.mean_)
    return {"weights": dict(zip(names, weights.tolist(), strict=True)), "intercept": intercept}


def cross_validate_calibration(
    features: np.ndarray, matched: np.ndarray, images: np.ndarray, folds: int = 5
) -> np.ndarray:
    """Probability (n,) of each particle, by a regression fitted without its image.

    Parameters
    ----------
    features, matched
        As in `fit_calibration`.
    images : ndarray, shape (n,)
        The image (or source) of each particle.
    folds : int
    """
    from sklearn.model_selection import GroupKFold  # here, because every command loads this module

    probability = np.empty(len(features))
    for seen, held in GroupKFold(folds).split(features, matched, images):
        probability[held] = _fit(features[seen], matched[seen]).predict_proba(features[held])[:, 1]
    return probability


def _fit(features: np.ndarray, matched: np.ndarray) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression()).fit(features, matched)


def expected_calibration_error(probability: np.ndarray, matched: np.ndarray) -> float:
    """Mean distance between probability and frequency, over bins of equal count.

    Parameters
    ----------
    probability : ndarray of float, shape (n,)
    matched : ndarray of bool, shape (n,)

    Returns
    -------
    float
        In 0..1; NaN without particles.
    """
    bins_of = reliability(probability, matched)
    gaps = bins_of["particles"] * (bins_of["probability"] - bins_of["matched"]).abs()
    return float(gaps.sum() / len(probability)) if len(probability) else float("nan")


def reliability(probability: np.ndarray, matched: np.ndarray) -> pd.DataFrame:
    """Probability and frequency in bins of equal count.

    Parameters
    ----------
    probability : ndarray of float, shape (n,)
    matched : ndarray of bool, shape (n,)

    Returns
    -------
    DataFrame
        One row a bin, lowest first: ``particles`` (their number), ``probability`` (mean), ``matched`` (share).
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    rows = [(len(part), probability[part].mean(), np.mean(matched[part])) for part in parts]
    return pd.DataFrame(rows, columns=["particles", "probability", "matched"])
