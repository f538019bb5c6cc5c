"""Accuracy of the categories: tables and plots of an evaluation, and the evaluation of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.compute import Progress
from emscout.errors import EmscoutError, UsageError
from emscout.evaluate.classification import (
    calibration_bins,
    commonly_confused,
    confusion_matrix,
    coverage_curve,
    score_categories,
    score_each_category,
)
from emscout.io.colour import read_colours
from emscout.models import load_category_model
from emscout.runs import write_evaluation
from emscout.specimens.classify import classify_picture
from emscout.specimens.dataset import drop_duplicates, find_pictures
from emscout.specimens.report.plots import plot_calibration, plot_confusion, plot_coverage, plot_learning_curve

__all__ = ["FILES", "evaluate_classes", "save_evaluation", "spell_accuracy", "tabulate_scores"]

FILES = (
    *(f"{name}.csv" for name in ("scores", "categories", "confusion", "confused", "calibration", "coverage")),
    *("predictions.csv", "confusion.png", "calibration.png", "coverage.png"),
)
"""Names of what `save_evaluation` writes for `evaluate_classes`."""


def tabulate_scores(
    truth: Sequence[str], probability: np.ndarray, categories: Sequence[str], known: np.ndarray
) -> dict[str, pd.DataFrame]:
    """The tables of an evaluation.

    Parameters
    ----------
    truth : sequence of n str
    probability : ndarray, shape (n, K)
    categories : sequence of K str
    known : ndarray of bool, shape (n,)
        False for a picture that is called "none of these".

    Returns
    -------
    dict of str to DataFrame
        ``scores`` (one row), ``categories``, ``confusion``, ``confused``, ``calibration``, ``coverage``. In all of them
        each picture has its most probable category, but for ``unknown`` (the share called none of these) and
        ``accuracy_as_named`` (where these count as not right) in ``scores``.
    """
    named = np.asarray(categories)[probability.argmax(axis=1)] if len(truth) else np.empty(0, str)
    right, confidence = named == np.asarray(truth), probability.max(axis=1) if len(truth) else np.empty(0)
    matrix = confusion_matrix(truth, probability, categories)
    return {
        "scores": pd.DataFrame([score_categories(truth, probability, categories) | _count_named(right, known)]),
        "categories": score_each_category(truth, probability, categories),
        "confusion": matrix.rename_axis("category").reset_index(),
        "confused": commonly_confused(matrix),
        "calibration": calibration_bins(confidence, right),
        "coverage": coverage_curve(confidence, right),
    }


def _count_named(right: np.ndarray, known: np.ndarray) -> dict[str, float]:
    from scipy.stats import binomtest  # takes half a second to load

    if not len(right):
        return dict.fromkeys(("accuracy_low", "accuracy_high", "unknown", "accuracy_as_named"), float("nan"))
    low, high = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return {
        "accuracy_low": float(low),
        "accuracy_high": float(high),
        "unknown": float(1 - np.mean(known)),
        "accuracy_as_named": float(np.mean(right & known)),
    }


def spell_accuracy(scores: pd.Series) -> str:
    """How many are right, with and without those called "none of these", as one line of text.

    Parameters
    ----------
    scores : Series
        The row of ``scores`` of `tabulate_scores`.
    """
    n = int(scores["n"])
    if not n:
        return "no picture is left to score"
    right, unknown, named = (round(scores[name] * n) for name in ("accuracy", "unknown", "accuracy_as_named"))
    return (
        f"accuracy {scores['accuracy']:.3f} where each picture must have a category ({right} of {n}; 95 % interval "
        f"{scores['accuracy_low']:.2f} to {scores['accuracy_high']:.2f}); {unknown} of {n} called none of these; "
        f"accuracy where those count as wrong,  {scores['accuracy_as_named']:.3f} ({named} of {n})"
    )


def evaluate_classes(
    data: Path, model: str, *, progress: Progress | None = None
) -> tuple[dict[str, pd.DataFrame], list[str], list[str]]:
    """Classify labelled pictures and score the categories.

    Parameters
    ----------
    data : Path
        As `emscout.specimens.dataset.find_pictures` takes it.
    model : str
        As `emscout.models.load_category_model` takes it.
    progress : callable or None

    Returns
    -------
    tables : dict of str to DataFrame
        Of `tabulate_scores`, and ``predictions``, whose ``named`` is empty where the model says "none of these".
    notes : list of str
        What was left out on purpose, and why.
    failures : list of str
        A sentence for each picture that cannot be used.

    Raises
    ------
    UsageError
        When no category of the data is one of the model's.
    ReadError, ModelError
        As `find_pictures` and `load_category_model`.
    """
    report = progress or (lambda done, total, what: None)
    loaded = load_category_model(model)
    table, dropped, notes = drop_duplicates(find_pictures(data))
    failures = []
    categories = loaded.description["categories"]
    foreign = sorted(set(table["category"]) - set(categories))
    if set(foreign) == set(table["category"]):
        raise UsageError(
            f"'{data}' holds the categories {', '.join(foreign)}, and the model knows {', '.join(categories)}: "
            "give the model that was trained for these."
        )
    if foreign:
        notes.append(f"The model does not know {', '.join(foreign)}.")
        table = table[~table["category"].isin(foreign)].reset_index(drop=True)
    if dropped:
        notes.append("One exact copy." if dropped == 1 else f"{dropped} exact copies.")
    rows = []
    for number, (path, category, source) in enumerate(
        table[["path", "category", "source"]].itertuples(index=False, name=None)
    ):
        report(number, len(table), path.name)
        try:
            found = classify_picture(read_colours(path), loaded)
        except EmscoutError as error:
            failures.append(str(error) if str(path) in str(error) else f"'{path}': {error}")
            continue
        columns = {f"p_{name}": value for name, value in found.probabilities.items()}
        known = {"known": found.known, "novelty": found.novelty}
        rows.append({"path": str(path), "category": category, "source": source} | columns | known)
    report(len(table), len(table), "")
    if not rows:
        why = [*failures, *notes, "it is empty"][0]
        raise UsageError(f"'{data}' holds no picture that can be scored: {why}")
    predictions = pd.DataFrame(rows)
    probability = predictions[[f"p_{name}" for name in categories]].to_numpy()
    is_known = predictions["known"].to_numpy(bool)
    tables = tabulate_scores(predictions["category"].tolist(), probability, categories, is_known)
    named = np.asarray(categories)[probability.argmax(axis=1)]
    predictions.insert(2, "named", np.where(is_known, named, ""))
    return tables | {"predictions": predictions}, notes, failures


def save_evaluation(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """Write the tables of an evaluation as CSV, and plots of them as PNG.

    Raises
    ------
    OutputError
        When a file cannot be written.
    """
    plots = {
        "confusion.png": partial(plot_confusion, tables["confusion"].set_index("category")),
        "calibration.png": partial(plot_calibration, tables["calibration"]),
        "coverage.png": partial(plot_coverage, tables["coverage"]),
    }
    if len(tables.get("learning_curve", ())):
        plots["learning_curve.png"] = partial(plot_learning_curve, tables["learning_curve"])
    write_evaluation(out, tables, plots, float_format="%.7g")
