"""Accuracy of categories: accuracy, macro-F1, scores of each category, confusions, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "BINS",
    "calibration_bins",
    "commonly_confused",
    "confusion_matrix",
    "coverage_curve",
    "expected_calibration_error",
    "score_categories",
    "score_each_category",
]

_MOST_CONFUSIONS = 10

BINS = 15
"""Bins of equal width of the expected calibration error."""


def score_categories(truth: Sequence[str], probability: np.ndarray, categories: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1 over the categories that occur in the truth, and expected calibration error.

    Parameters
    ----------
    truth : sequence of n str
    probability : ndarray, shape (n, K)
        Of each of ``categories``, in their order.
    categories : sequence of K str

    Returns
    -------
    dict
        ``n``, ``accuracy``, ``macro_f1``, ``ece``; not-a-number without pictures.
    """
    if not len(truth):
        return {"n": 0, "accuracy": float("nan"), "macro_f1": float("nan"), "ece": float("nan")}
    right = np.asarray(categories)[probability.argmax(axis=1)] == np.asarray(truth)
    each = score_each_category(truth, probability, categories)
    return {
        "n": len(truth),
        "accuracy": float(right.mean()),
        "macro_f1": float(each.loc[each["n"] > 0, "f1"].mean()),
        "ece": expected_calibration_error(probability.max(axis=1), right),
    }


def score_each_category(truth: Sequence[str], probability: np.ndarray, categories: Sequence[str]) -> pd.DataFrame:
    """Number, precision, recall and F1 of each category; precision is empty where a category is never predicted."""
    matrix = confusion_matrix(truth, probability, categories).to_numpy()
    right, true, named = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return pd.DataFrame(
        {
            "category": list(categories),
            "n": true,
            "precision": np.where(named > 0, right / np.maximum(named, 1), np.nan),
            "recall": np.where(true > 0, right / np.maximum(true, 1), np.nan),
            "f1": 2 * right / np.maximum(true + named, 1),
        }
    )


def confusion_matrix(truth: Sequence[str], probability: np.ndarray, categories: Sequence[str]) -> pd.DataFrame:
    """Numbers of pictures: one row a true category, one column a predicted one."""
    names = list(categories)
    number = {name: position for position, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)), int)
    if len(truth):
        np.add.at(matrix, ([number[name] for name in truth], probability.argmax(axis=1)), 1)
    return pd.DataFrame(matrix, index=names, columns=names)


def commonly_confused(matrix: pd.DataFrame) -> pd.DataFrame:
    """The most frequent confusions: ``category``, ``confused_for``, ``count`` and ``percent`` of all pictures.

    Parameters
    ----------
    matrix : DataFrame
        Of `confusion_matrix`.
    """
    rows = [
        (true, named, int(matrix.loc[true, named]))
        for true in matrix.index
        for named in matrix.columns
        if true != named and matrix.loc[true, named]
    ]
    table = pd.DataFrame(rows, columns=["category", "confused_for", "count"])
    table["percent"] = 100 * table["count"] / max(1, matrix.to_numpy().sum())
    return table.sort_values("count", ascending=False, kind="stable").head(_MOST_CONFUSIONS).reset_index(drop=True)


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean distance between confidence and accuracy, over bins of equal width (Guo et al. 2017).

    Parameters
    ----------
    confidence : ndarray, shape (n,)
        Probability of the predicted category.
    right : ndarray of bool, shape (n,)
    """
    table = calibration_bins(confidence, right)
    gaps = table["count"] * (table["confidence"] - table["accuracy"]).abs()
    return float(gaps.sum() / table["count"].sum()) if len(table) else float("nan")


def calibration_bins(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """``count``, mean ``confidence`` and ``accuracy`` of each bin that holds pictures."""
    place = np.minimum((np.asarray(confidence) * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"bin": place, "confidence": confidence, "accuracy": np.asarray(right, float)})
    grouped = table.groupby("bin")
    return grouped.mean().assign(count=grouped.size()).reset_index(drop=True)[["count", "confidence", "accuracy"]]


def coverage_curve(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """Accuracy against coverage: ``coverage`` (share of pictures, the most confident first) and their ``accuracy``."""
    order = np.argsort(-np.asarray(confidence), kind="stable")
    answered = np.arange(1, len(order) + 1)
    return pd.DataFrame(
        {
            "coverage": answered / max(1, len(order)),
            "accuracy": np.cumsum(np.asarray(right, float)[order]) / answered,
            "lowest_confidence": np.asarray(confidence)[order],
        }
    )
