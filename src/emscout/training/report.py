"""The report of a trained classifier: scores on held-out pictures, confusions, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emscout.report.html import data_uri, write_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_training_page"]

_FIGURES = {
    "confusion": "Confusion matrix",
    "learning_curve": "Learning curve: scores against the number of training pictures",
    "calibration": "Calibration: probabilities are right where the points lie on the line",
    "coverage": "Accuracy against the share of pictures that are classified",
}


def write_training_page(
    path: Path,
    *,
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    description: Mapping[str, Any],
    notes: Sequence[str] = (),
    doubt: str = "",
) -> None:
    """Write the report as one self-contained HTML file.

    Parameters
    ----------
    path : Path
    folder : Path
        Holds the pictures that `emscout.specimens.accuracy.save_evaluation` wrote.
    tables : mapping of str to DataFrame
        Of an evaluation, and ``splits``.
    description : mapping
        Of the model.
    notes : sequence of str
        What was left out, and why.
    doubt : str
        A sentence where the pictures are too few to say much.
    """
    figures = {
        label: data_uri((folder / f"{name}.png").read_bytes(), "image/png")
        for name, label in _FIGURES.items()
        if (folder / f"{name}.png").exists()
    }
    scores = tables["scores"].iloc[0].to_dict()
    write_html(
        path,
        Path(__file__).with_suffix(".html"),
        model=description,
        scores=scores,
        right=0 if math.isnan(scores["accuracy"]) else round(scores["accuracy"] * scores["n"]),
        unknown=0 if math.isnan(scores["unknown"]) else round(scores["unknown"] * scores["n"]),
        categories=tables["categories"].to_dict("records"),
        confused=tables["confused"].to_dict("records"),
        splits=tables["splits"].to_dict("records"),
        figures=figures,
        notes=notes,
        doubt=doubt,
    )
