"""The folder of results: what is finished, what is put together at the end.

Each image is finished on its own (label image, overlay, tables) and remembered under ``OUT/.finished``; the
tables of all images are put together when the last is done. That is what lets an interrupted run continue, a folder
grow, and a thousand images pass through the memory of one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from emscout.io.files import write_atomic
from emscout.io.run_folder import write_json
from emscout.micrograph import Micrograph, Notice, Report, Segmentation, spell_notices
from emscout.particles.find import ParticleResult
from emscout.particles.measure import measure_particles
from emscout.particles.report.page import write_page
from emscout.report.exporters import EXPORTERS, write_labels
from emscout.report.overlay import draw_overlay, draw_uncertainty, write_png
from emscout.runs import FINISHED, Outputs, write_table

__all__ = ["OUTPUTS", "save_image", "save_run"]

_LAST = ("warnings", "status", "error")
_TABLES = ("particles", "images", "aggregates", "distributions", "radial_distribution")
_FILES = (*(f"{name}.{kind}" for name in _TABLES for kind in ("csv", "parquet")), "coco.json", "report.html")
OUTPUTS = Outputs(_FILES, ("labels", "overlays", "uncertainty", "rois"))


def save_image(out: Path, row: dict[str, Any], found: ParticleResult) -> None:
    """Write the pictures of one image, and keep its tables.

    Parameters
    ----------
    out : Path
    row : dict
        Of ``images``.
    found : ParticleResult
    """
    name, nm_per_px, labels = row["image"], row["nm_per_px"], found.segmentation.labels
    with write_atomic(out / "labels" / f"{name}.tif") as path:
        write_labels(path, labels, nm_per_px)
    with write_atomic(out / "overlays" / f"{name}.png") as path:
        overlay = draw_overlay(
            found.micrograph.image, labels, found.table, dropped=found.doubtful.labels, nm_per_px=nm_per_px
        )
        write_png(path, overlay)
    if found.segmentation.uncertainty is not None:
        with write_atomic(out / "uncertainty" / f"{name}.png") as path:
            write_png(path, draw_uncertainty(found.segmentation.uncertainty))
    tables = {
        "particles": found.table,
        "aggregates": found.aggregates,
        "distributions": found.distributions,
        "radial_distribution": found.radial_distribution,
    }
    for kind, table in tables.items():
        with write_atomic(out / FINISHED / f"{name}.{kind}.parquet") as path:
            table.to_parquet(path, index=False)


def save_run(out: Path, rows: Sequence[dict[str, Any]], run: dict[str, Any], exports: Sequence[str]) -> Report:
    """Put the tables of all images together and write them, the report and the exports.

    Parameters
    ----------
    out : Path
    rows : sequence of dict
        Rows of ``images``, in the order of the run.
    run : dict
        From `emscout.io.run_folder.describe_run`.
    exports : sequence of str
        Names of `emscout.report.exporters.EXPORTERS`.
    """
    notices = [[Notice(**notice) for notice in row.get("warnings", ())] for row in rows]
    warnings = tuple(notice for some in notices for notice in some)
    rows = [row | {"warnings": spell_notices(some)} for row, some in zip(rows, notices, strict=True)]
    tables = _collect(out, rows)
    sha256 = {row["image"]: row.get("sha256") for row in rows}
    run = run | {"inputs": [source | {"sha256": sha256[source["image"]]} for source in run["inputs"]]}
    for name, table in tables.items():
        write_table(out, name, table)
    overlays = {row["image"]: out / "overlays" / f"{row['image']}.png" for row in rows if row["status"] != "failed"}
    uncertainties = {name: path for name in overlays if (path := out / "uncertainty" / f"{name}.png").exists()}
    write_page(
        out / "report.html",
        tables=tables,
        overlays=overlays,
        uncertainties=uncertainties,
        provenance=run,
        warnings=warnings,
    )
    with tempfile.TemporaryDirectory(dir=out, prefix=".exports") as folder:
        for name in exports:
            for path in EXPORTERS[name](Path(folder), tables, _LabelImages(out / "labels", list(overlays))):
                with write_atomic(out / path.relative_to(folder)) as place:
                    path.replace(place)
    write_json(out / "run.json", run)
    return Report(tables, run["options"], run, out, warnings)


def _collect(out: Path, rows: Sequence[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """The tables of all images, each with the column ``image`` first."""
    done = [row["image"] for row in rows if row["status"] != "failed"]
    tables = {}
    for kind in ("particles", "aggregates", "distributions", "radial_distribution"):
        parts = {name: pd.read_parquet(out / FINISHED / f"{name}.{kind}.parquet") for name in done}
        if kind == "particles" and not done:
            parts = {"": measure_particles(Segmentation(np.zeros((1, 1), np.int32)), Micrograph(np.zeros((1, 1))))}
        # An uncalibrated image has no columns in nm: the widest table says their order.
        columns = max((list(part.columns) for part in parts.values()), key=len, default=[])
        filled = [part.assign(image=name) for name, part in parts.items() if len(part)]
        table = pd.concat(filled or list(parts.values()) or [pd.DataFrame()], ignore_index=True)
        tables[kind] = table.reindex(columns=["image", *columns])
    images = pd.DataFrame(rows)
    # A failed image has few columns, an uncalibrated one none in nm: the fullest row says their order.
    fullest = max((list(row) for row in rows), key=len)
    columns = [*fullest, *images.columns.difference(fullest, sort=False)]
    images = images[[name for name in columns if name not in _LAST] + list(_LAST)]
    images["frame"] = images["frame"].astype("Int64")
    return {"particles": tables.pop("particles"), "images": images, **tables}


class _LabelImages(Mapping[str, np.ndarray]):
    """The label images of a run by name, each read when it is asked for."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder, self._names = folder, names

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return tifffile.imread(self._folder / f"{name}.tif")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
