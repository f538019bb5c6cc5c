"""The folder of results of a classification: table, small pictures, report. Each image is finished on its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emscout.io.files import write_atomic
from emscout.io.run_folder import write_json
from emscout.micrograph import Notice, Report, spell_notices
from emscout.runs import Outputs, write_table
from emscout.specimens.report.page import write_classes_page
from emscout.specimens.report.thumbnails import draw_evidence, draw_thumbnail, write_jpeg

__all__ = ["OUTPUTS", "make_table", "save_image", "save_run"]

OUTPUTS = Outputs(("classes.csv", "report.html"), ("pictures", "evidence"))

_PICTURE_SIDE_PX = 480


def save_image(out: Path, name: str, pixels: np.ndarray, evidence: np.ndarray | None) -> None:
    """Write the small pictures of one image.

    Parameters
    ----------
    out : Path
    name : str
        Of the image in this run.
    pixels : ndarray, shape (H, W) or (H, W, 3)
    evidence : ndarray or None
        From `emscout.specimens.occlusion.map_evidence`.
    """
    picture = draw_thumbnail(pixels, _PICTURE_SIDE_PX)
    with write_atomic(out / "pictures" / f"{name}.jpg") as path:
        write_jpeg(path, picture)
    if evidence is not None:
        with write_atomic(out / "evidence" / f"{name}.jpg") as path:
            write_jpeg(path, draw_evidence(picture, evidence))


def save_run(out: Path, rows: Sequence[dict[str, Any]], run: dict[str, Any], model: dict[str, Any]) -> Report:
    """Put the rows together and write the table and the report.

    Parameters
    ----------
    out : Path
    rows : sequence of dict
        In the order of the run.
    run : dict
        From `emscout.io.run_folder.describe_run`.
    model : dict
        The model's description.
    """
    notices = [[Notice(**notice) for notice in row.get("warnings", ())] for row in rows]
    rows = [row | {"warnings": spell_notices(some)} for row, some in zip(rows, notices, strict=True)]
    sha256 = {row["image"]: row.get("sha256") for row in rows}
    run = run | {"inputs": [source | {"sha256": sha256[source["image"]]} for source in run["inputs"]]}
    classes = make_table(rows, model["categories"], ("path", "frame", "sha256"), ("status", "error"))
    classes["frame"] = classes["frame"].astype("Int64")
    write_table(out, "classes", classes)
    write_classes_page(out / "report.html", classes=classes, folder=out, model=model, provenance=run)
    write_json(out / "run.json", run)
    warnings = tuple(notice for some in notices for notice in some)
    return Report({"classes": classes}, run["options"], run, out, warnings)


def make_table(
    rows: Sequence[dict[str, Any]],
    categories: Sequence[str],
    source: Sequence[str] = (),
    outcome: Sequence[str] = (),
) -> pd.DataFrame:
    """A row per image; what is not known of an image is empty.

    Parameters
    ----------
    rows : sequence of dict
    categories : sequence of str
        Of the model, in its order.
    source, outcome : sequence of str
        Further columns, before and behind ``warnings``.
    """
    columns = ["image", "category", "probability", *(f"p_{name}" for name in categories)]
    columns += ["entropy_nats", "known", "novelty", *source, "warnings", *outcome]
    table = pd.DataFrame(rows).reindex(columns=columns)
    table["known"] = table["known"].astype("boolean")
    return table.assign(category=table["category"].fillna(""))
