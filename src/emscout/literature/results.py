"""The folder of results: the table of all panels, and what is saved of each document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.io.run_folder import describe_run
from emscout.literature.report import write_figures_page
from emscout.micrograph import Notice, Report, spell_notices
from emscout.particles import results as particle_results
from emscout.particles.analyze import ParticleOptions
from emscout.runs import Outputs, write_table

__all__ = ["COLUMNS", "OUTPUTS", "save_document", "save_run"]

OUTPUTS = Outputs(("figures.csv",), ("panels", "overviews", "measured", "reports"))

COLUMNS = (
    *("document", "doi", "page", "figure", "panel", "image"),
    *("top_px", "left_px", "height_px", "width_px"),
    *("caption", "panel_caption", "kind", "technique"),
    *("scale", "nm_per_px", "calibration_source", "scale_note"),
    *("count", "count_border", "d50_px", "d50_nm", "warnings", "status", "error", "path"),
)
"""Columns of ``figures.csv``: one row per panel; one with an error for a document or figure that failed."""


def save_run(rows: Sequence[dict[str, Any]], out: Path, run: dict[str, Any]) -> Report:
    """Put the rows of all documents together and write ``figures.csv``.

    Parameters
    ----------
    rows : sequence of dict
        In the order of the run, each with its warnings as data.
    out : Path
    run : dict
        From `emscout.runs.Run.claim`.
    """
    notices = [[Notice(**notice) for notice in row.get("warnings", ())] for row in rows]
    spelled = [row | {"warnings": spell_notices(some)} for row, some in zip(rows, notices, strict=True)]
    table = pd.DataFrame(spelled).reindex(columns=list(COLUMNS))
    for name in ("page", "top_px", "left_px", "height_px", "width_px", "count", "count_border"):
        table[name] = table[name].astype("Int64")
    write_table(out, "figures", table)
    warnings = tuple(notice for some in notices for notice in some)
    return Report({"figures": table}, run["options"], run, out, warnings)


def save_document(
    rows: list[dict[str, Any]], name: str, out: Path, options: ParticleOptions, run: dict[str, Any]
) -> None:
    """Write the tables of the measured panels and the report of one document; rows keep what the table needs."""
    measured = [row.pop("measured") for row in rows if "measured" in row]
    overlays = {}
    if measured:
        inputs = [{key: row[key] for key in ("image", "path", "frame")} for row in measured]
        own = describe_run("analyze", inputs, asdict(options), model_sha256=run["model_sha256"])
        particle_results.save_run(out / "measured" / name, measured, own, exports=[])
        overlays = {row["image"]: out / "measured" / name / "overlays" / f"{row['image']}.png" for row in measured}
    overviews = {row["overview"]: out / "overviews" / row["overview"] for row in rows if "overview" in row}
    page = out / "reports" / f"{name}.html"
    write_figures_page(page, rows, overviews, overlays, run, details=f"../measured/{name}/report.html")
    for row in rows:
        row.pop("overview", None)
