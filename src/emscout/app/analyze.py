"""The page that measures particles: choose images, run, see outlines and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import APIRouter, Response

from emscout.app.form import describe_form
from emscout.app.jobs import Jobs
from emscout.app.page import Page, Render
from emscout.app.run import add_run_routes
from emscout.app.words import for_page
from emscout.errors import UsageError
from emscout.micrograph import Notice, Report
from emscout.particles.analyze import ParticleOptions, analyze

__all__ = ["PAGE"]

_FIRST = ("model", "min_diameter", "max_diameter", "pixel_size")
_SUMMARY = ("image", "count", "count_border", "nm_per_px", "d10", "d50", "d90", "status", "error")
_SHOWN = ("label", "equivalent_circular_diameter", "max_feret", "aspect_ratio", "circularity", "shape", "probability")
_PLACE = ("row_px", "col_px", "max_feret_px", "min_feret_px", "orientation_deg")
_MOST_PARTICLES = 2000


def _analyze(path: Path, out: Path, options: ParticleOptions, **how: Any) -> Report:
    return analyze([str(path)], out, options, **how)


def _make_routes(jobs: Jobs, render: Render) -> APIRouter:
    router = APIRouter()
    results = add_run_routes(router, jobs, "analyze", ParticleOptions, _analyze)

    @router.get("")
    def page() -> Response:
        return render("analyze.html", here="analyze", entries=describe_form(ParticleOptions), first=_FIRST)

    @router.get("/state")
    def state() -> dict[str, Any] | None:
        with results.lock:
            if (report := results.report) is None:
                return None
            images = [
                _summarize(row) | {"notes": _notes_on(row, report.warnings)}
                for row in report.tables["images"].to_dict("records")
            ]
            return {"number": results.number, "out": str(report.folder), "images": images}

    @router.get("/particles/{image}")
    def particles(image: int) -> dict[str, Any]:
        """The particles of one image, in nm where it is calibrated, and where each is in the picture."""
        report = results.take()
        images = report.tables["images"]
        if not 0 <= image < len(images):
            raise UsageError("There is no such image in these results: reload the page.")
        every = report.tables["particles"]
        found = every[every["image"] == images["image"].iloc[image]]
        columns = [_physical(name, found) for name in _SHOWN]
        shown = found[[name for name in columns if name in found and found[name].notna().any()]]
        rows = shown.head(_MOST_PARTICLES)
        return {
            "columns": list(rows.columns),
            "rows": _cells(rows),
            "places": found[list(_PLACE)].head(_MOST_PARTICLES).to_numpy().tolist(),
            "size": images.reindex(columns=["height_px", "width_px"]).iloc[image].fillna(0).astype(int).tolist(),
            "count": len(found),
        }

    return router


def _summarize(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The row of an image that is shown, in nm where it is calibrated."""
    unit = "px" if pd.isna(row.get("nm_per_px")) else "nm"
    values = {name: row.get(name, row.get(f"{name}_{unit}")) for name in _SUMMARY}
    return {name: None if pd.isna(value) else value for name, value in values.items()} | {"unit": unit}


def _notes_on(row: Mapping[Any, Any], warnings: Sequence[Notice]) -> list[str]:
    """What went wrong with an image, and what its user should know."""
    error = row.get("error")
    failed = [] if pd.isna(error) or not error or row["status"] != "failed" else [str(error)]
    return [for_page(one) for one in (*failed, *(notice for notice in warnings if notice.image == row["image"]))]


def _physical(name: str, table: pd.DataFrame) -> str:
    """The column of that quantity, in nm where there is one."""
    calibrated = f"{name}_nm" in table and table[f"{name}_nm"].notna().any()
    return f"{name}_nm" if calibrated else f"{name}_px" if f"{name}_px" in table else name


def _cells(table: pd.DataFrame) -> list[list[Any]]:
    return [[None if pd.isna(value) else value for value in row] for row in table.astype(object).to_numpy().tolist()]


PAGE = Page(
    "Particles",
    "Which particles are there, and how big are they?",
    "Micrographs: every particle outlined, measured and counted, with the uncertainty of each.",
    _make_routes,
)
