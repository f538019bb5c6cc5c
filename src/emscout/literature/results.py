"""The folder of results: the table of all panels, and what is kept of each document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.io.files import write_atomic
from emscout.io.run_folder import describe_run
from emscout.literature.report import write_figures_page
from emscout.particles import results as particle_results
from emscout.particles.analyze import AnalyzeOptions

__all__ = ["COLUMNS", "FILES", "FOLDERS", "load_finished", "save_document", "save_table"]

FILES = ("figures.csv",)
FOLDERS = (".finished", "panels", "overviews", "measured", "reports")

COLUMNS = (
    *("document", "doi", "page", "figure", "panel", "image"),
    *("top_px", "left_px", "height_px", "width_px"),
    *("caption", "panel_caption", "kind", "technique"),
    *("scale", "nm_per_px", "calibration_source", "scale_note"),
    *("count", "count_border", "d50_px", "d50_nm", "status", "error", "path"),
)
"""Columns of ``figures.csv``: one row a panel; one with an error for a document or figure that failed."""


def save_table(rows: Sequence[dict[str, Any]], out: Path) -> pd.DataFrame:
    """Write ``figures.csv``; its table."""
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    for name in ("page", "top_px", "left_px", "height_px", "width_px", "count", "count_border"):
        table[name] = table[name].astype("Int64")
    with write_atomic(out / "figures.csv") as path:
        table.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")
    return table


def load_finished(path: Path, key: dict[str, str]) -> list[dict[str, Any]] | None:
    """The rows that were kept of the same document of the same bytes, or ``None``."""
    try:
        finished = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return finished["rows"] if finished.get("source") == key else None


def save_document(
    rows: list[dict[str, Any]], name: str, out: Path, options: AnalyzeOptions, run: dict[str, Any]
) -> None:
    """The tables of the measured panels, and the report of one document; rows keep what belongs into the table."""
    measured = [row.pop("measured") for row in rows if "measured" in row]
    overlays = {}
    if measured:
        inputs = [{key: row[key] for key in ("image", "path", "frame")} for row in measured]
        own = describe_run("analyze", inputs, asdict(options), model_sha256=run["model_sha256"])
        particle_results.save_run(out / "measured" / name, measured, own, exports=[])
        overlays = {row["image"]: out / "measured" / name / "overlays" / f"{row['image']}.png" for row in measured}
    overviews = {row["overview"]: out / "overviews" / row["overview"] for row in rows if "overview" in row}
    with write_atomic(out / "reports" / f"{name}.html") as path:
        write_figures_page(path, rows, overviews, overlays, run, details=f"../measured/{name}/report.html")
    for row in rows:
        row.pop("overview", None)
