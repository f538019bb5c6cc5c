"""Measure a document: its figures, their panels, and the particles of each micrograph; one row per panel."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emscout.errors import EmscoutError
from emscout.io.files import sha256_of, write_atomic
from emscout.io.run_folder import failed_row
from emscout.literature.find import Panel, iterate_panels
from emscout.literature.report import draw_panels
from emscout.literature.sources.document import Document, Figure
from emscout.particles.analyze import ParticleOptions, save_result
from emscout.particles.find import find_particles

__all__ = ["measure_document"]


def measure_document(document: Document, name: str, out: Path, options: ParticleOptions) -> list[dict[str, Any]]:
    """Find the panels of a document's figures, measure the micrographs among them and save the pictures.

    Parameters
    ----------
    document : Document
    name : str
        With which the names of its panels begin.
    out : Path
        Folder for the results.
    options : ParticleOptions
        How the micrographs are measured.

    Returns
    -------
    list of dict
        One row per panel, with ``overview`` (the picture of its figure) and ``measured`` (the row of its particles);
        one row for each figure that fails.
    """
    rows: list[dict[str, Any]] = []
    about = {"document": name, "doi": document.doi, "path": str(document.path)}
    figures = document.figures
    taken: set[str] = set()
    while True:
        figure = None
        try:
            figure = next(figures, None)
            if figure is None:
                return rows
            stem = _unused(name, figure, taken)
            place = about | {"page": figure.page, "figure": figure.number, "caption": figure.caption}
            rows += _measure_figure(figure, stem, place, out, options)
        except EmscoutError as error:
            rows.append(failed_row(about | ({} if figure is None else {"page": figure.page}), str(error)))


def _unused(document: str, figure: Figure, taken: set[str]) -> str:
    """A name that no other figure of the document has."""
    page = "" if figure.page is None else f"_page{figure.page}"
    stem = f"{document}_fig{figure.number}" if figure.number else f"{document}{page}"
    unused, number = stem, 2
    while unused in taken:
        unused, number = f"{stem}-{number}", number + 1
    taken.add(unused)
    return unused


def _measure_figure(
    figure: Figure, stem: str, place: dict[str, Any], out: Path, options: ParticleOptions
) -> list[dict[str, Any]]:
    image = figure.load()
    rows = []
    for panel in iterate_panels(image, figure.caption):
        for one in (panel, *panel.insets):
            row = place | {
                "panel": one.letter,
                "image": f"{stem}_{one.name}",
                "panel_caption": one.caption,
                "technique": one.technique,
                "top_px": one.box.top,
                "left_px": one.box.left,
                "height_px": one.box.height,
                "width_px": one.box.width,
                "kind": one.kind,
            }
            rows.append(row | _measure_panel(one, row, out, options))
    with write_atomic(out / "overviews" / f"{stem}.jpg") as path:
        draw_panels(path, image, rows)
    return [row | {"overview": f"{stem}.jpg"} for row in rows]


def _measure_panel(panel: Panel, row: dict[str, Any], out: Path, options: ParticleOptions) -> dict[str, Any]:
    """Save the picture of a panel; measure the particles of a micrograph."""
    path = out / "panels" / f"{row['image']}.png"
    with write_atomic(path) as temporary:
        Image.fromarray(panel.pixels).save(temporary)
    if not panel.is_measurable:
        return {"status": "left out", "error": ""}
    facts: dict[str, Any] = {"scale": panel.scale, "scale_note": panel.scale_note}
    source = {"image": row["image"], "path": str(path), "frame": None, "sha256": sha256_of(path)}
    try:
        # The scale is decided, with the caption: the bar must not overrule that.
        found = find_particles(replace(panel.micrograph, path=path), replace(options, trust=None), hidden=panel.hidden)
    except EmscoutError as error:
        warnings = [asdict(replace(notice, image=row["image"])) for notice in panel.warnings]
        return facts | {"warnings": warnings, "status": "failed", "error": str(error)}
    found = replace(found, summary=found.summary | {"calibration_note": panel.scale_note})
    measured = save_result(source, found, out / "measured" / row["document"])
    names = ("nm_per_px", "calibration_source", "count", "count_border", "d50_px", "d50_nm", "status", "error")
    plain = {name: _plain(measured.get(name)) for name in names}
    return facts | plain | {"warnings": measured["warnings"], "measured": measured}


def _plain(value: Any) -> Any:
    """As in JSON: numpy's numbers as Python's, NaN as None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value
