"""How right the categories are: tables and pictures of an evaluation, and the evaluation of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.compute import Progress
from emscout.errors import EmscoutError, OutputError, UsageError
from emscout.evaluate.classification import (
    calibration_bins,
    commonly_confused,
    confusion_matrix,
    coverage_curve,
    score_categories,
    score_each_category,
)
from emscout.io.colour import read_colours
from emscout.io.files import write_atomic
from emscout.models import load_category_model
from emscout.report.classes_plots import plot_calibration, plot_confusion, plot_coverage, plot_learning_curve
from emscout.specimens.classify import name_category
from emscout.specimens.dataset import drop_duplicates, find_pictures

__all__ = ["evaluate_classes", "save_evaluation", "tabulate"]


def tabulate(truth: Sequence[str], probability: np.ndarray, categories: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Everything that is said of an evaluation.

    Parameters
    ----------
    truth : sequence of n str
    probability : ndarray, shape (n, K)
    categories : sequence of K str

    Returns
    -------
    dict of str to DataFrame
        ``scores`` (one row), ``categories``, ``confusion``, ``confused``, ``calibration``, ``coverage``.
    """
    named = np.asarray(categories)[probability.argmax(axis=1)] if len(truth) else np.empty(0, str)
    right, confidence = named == np.asarray(truth), probability.max(axis=1) if len(truth) else np.empty(0)
    matrix = confusion_matrix(truth, probability, categories)
    return {
        "scores": pd.DataFrame([score_categories(truth, probability, categories)]),
        "categories": score_each_category(truth, probability, categories),
        "confusion": matrix.rename_axis("category").reset_index(),
        "confused": commonly_confused(matrix),
        "calibration": calibration_bins(confidence, right),
        "coverage": coverage_curve(confidence, right),
    }


def evaluate_classes(
    data: Path, model: str, *, progress: Progress | None = None
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Name the categories of labelled pictures and score them.

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
        Of `tabulate`, and ``predictions``. All pictures count, also those that the model would call "none of these";
        their share is ``unknown`` in ``scores``.
    notes : list of str
        What was left out, and why.

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
    categories = loaded.description["categories"]
    foreign = sorted(set(table["category"]) - set(categories))
    if set(foreign) == set(table["category"]):
        raise UsageError(
            f"'{data}' holds the categories {', '.join(foreign)}, and the model knows {', '.join(categories)}: "
            "give the model that was trained for these."
        )
    if foreign:
        notes.append(f"The model does not know {', '.join(foreign)}: left out.")
        table = table[~table["category"].isin(foreign)].reset_index(drop=True)
    if dropped:
        notes.append(f"{dropped} exact copies are left out.")
    rows = []
    for number, (path, category, source) in enumerate(
        table[["path", "category", "source"]].itertuples(index=False, name=None)
    ):
        report(number, len(table), path.name)
        try:
            verdict = name_category(read_colours(path), loaded)
        except EmscoutError as error:
            notes.append(str(error) if str(path) in str(error) else f"'{path}': {error}")
            continue
        columns = {f"p_{name}": value for name, value in verdict.probabilities.items()}
        known = {"known": verdict.known, "novelty": verdict.novelty}
        rows.append({"path": str(path), "category": category, "source": source} | columns | known)
    report(len(table), len(table), "")
    if not rows:
        raise UsageError(f"'{data}' holds no picture that can be scored: {notes[-1] if notes else 'it is empty'}")
    predictions = pd.DataFrame(rows)
    probability = predictions[[f"p_{name}" for name in categories]].to_numpy()
    tables = tabulate(predictions["category"].tolist(), probability, categories)
    tables["scores"]["unknown"] = 1 - predictions["known"].mean()
    named = np.asarray(categories)[probability.argmax(axis=1)]
    predictions.insert(2, "named", named)
    return tables | {"predictions": predictions}, notes


def save_evaluation(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """Write tables as CSV and the pictures of them as PNG.

    Raises
    ------
    OutputError
        When ``out`` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made a folder ({error.strerror}): choose another with -o.") from error
    for name, table in tables.items():
        with write_atomic(out / f"{name}.csv") as path:
            table.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")
    with write_atomic(out / "confusion.png") as path:
        plot_confusion(tables["confusion"].set_index("category"), path)
    with write_atomic(out / "calibration.png") as path:
        plot_calibration(tables["calibration"], path)
    with write_atomic(out / "coverage.png") as path:
        plot_coverage(tables["coverage"], path)
    if "learning_curve" in tables and len(tables["learning_curve"]):
        with write_atomic(out / "learning_curve.png") as path:
            plot_learning_curve(tables["learning_curve"], path)
