"""The folder of results: what is finished, what is put together at the end.

Each image is finished on its own (label image, overlay, tables) and remembered under ``OUT/.finished``; the
tables of all images are put together when the last is done. That is what lets an interrupted run continue, a folder
grow, and a thousand images pass through the memory of one.
"""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from emscout.errors import OutputError
from emscout.io.files import write_atomic
from emscout.micrograph import Micrograph, Report, Segmentation
from emscout.particles.measure import measure_particles
from emscout.report.exporters import EXPORTERS, write_labels
from emscout.report.overlay import draw_overlay, draw_uncertainty, write_png
from emscout.report.page import write_page

__all__ = ["claim_folder", "load_finished", "save_image", "save_run"]

_LIBRARIES = ("numpy", "scipy", "scikit-image", "pandas", "rosettasciio", "tifffile", "matplotlib", "pillow")
_OURS = ("run.json", "particles.csv", "images.csv", "report.html", "labels", "overlays", "uncertainty")


def claim_folder(
    out: Path,
    sources: Sequence[dict[str, Any]],
    options: dict[str, Any],
    model_sha256: str | None,
    *,
    overwrite: bool,
) -> dict[str, Any]:
    """Make sure that nothing in ``out`` is lost unasked, and leave word there of what is being done.

    Parameters
    ----------
    out : Path
        Made where it does not exist.
    sources : sequence of dict
        ``image``, ``path`` and ``frame`` of each image of the run.
    options : dict
    model_sha256 : str or None
        Of the network's file, where one is used.
    overwrite : bool
        Whether results of other options or other images may go.

    Returns
    -------
    dict
        Everything needed to run it again, as written to ``run.json``; no times, so that the same run gives the
        same bytes.

    Raises
    ------
    OutputError
        When ``out`` cannot be made, or holds what would be lost.
    """
    run = {
        "command": "analyze",
        "emscout": version("emscout"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "options": options,
        "model_sha256": model_sha256,
        "inputs": list(sources),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made a folder ({error.strerror}): choose another with -o.") from error
    conflict = _conflict(out, run)
    if conflict and not overwrite:
        raise OutputError(f"{out} holds {conflict}: choose another folder with -o, or add --overwrite to replace it.")
    if conflict:
        for name in (".finished", "labels", "overlays", "uncertainty", "rois"):
            shutil.rmtree(out / name, ignore_errors=True)
    _write_json(out / "run.json", run)
    return run


def _conflict(out: Path, run: dict[str, Any]) -> str:
    """What in ``out`` this run would spoil; empty where nothing."""
    if not (out / "run.json").exists():
        return "files that do not come from emscout" if any((out / name).exists() for name in _OURS) else ""
    try:
        before = json.loads((out / "run.json").read_text(encoding="utf-8"))
        if any(before[key] != run[key] for key in ("command", "emscout", "options", "model_sha256")):
            return "results made with other options"
        paths_before = {source["path"] for source in before["inputs"]}
    except (ValueError, KeyError, TypeError):
        return "a run.json that does not come from emscout"
    return "" if paths_before <= {source["path"] for source in run["inputs"]} else "results of other images"


def load_finished(out: Path, row: dict[str, Any]) -> dict[str, Any] | None:
    """The row of ``images`` that `save_image` kept for the same image of the same bytes, or ``None``."""
    try:
        finished = json.loads((out / ".finished" / f"{row['image']}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return finished if all(finished.get(key) == value for key, value in row.items()) else None


def save_image(
    out: Path,
    row: dict[str, Any],
    micrograph: Micrograph,
    segmentation: Segmentation,
    dropped: Segmentation,
    tables: dict[str, pd.DataFrame],
) -> None:
    """Write the pictures of one image, and remember its tables and its row of ``images``."""
    name, nm_per_px = row["image"], row["nm_per_px"]
    with write_atomic(out / "labels" / f"{name}.tif") as path:
        write_labels(path, segmentation.labels, nm_per_px)
    with write_atomic(out / "overlays" / f"{name}.png") as path:
        overlay = draw_overlay(
            micrograph.image, segmentation.labels, tables["particles"], dropped=dropped.labels, nm_per_px=nm_per_px
        )
        write_png(path, overlay)
    if segmentation.uncertainty is not None:
        with write_atomic(out / "uncertainty" / f"{name}.png") as path:
            write_png(path, draw_uncertainty(segmentation.uncertainty))
    for kind, table in tables.items():
        with write_atomic(out / ".finished" / f"{name}.{kind}.parquet") as path:
            table.to_parquet(path, index=False)
    # Last, because it says that all the others are there.
    _write_json(out / ".finished" / f"{name}.json", row)


def save_run(out: Path, rows: Sequence[dict[str, Any]], run: dict[str, Any], exports: Sequence[str]) -> Report:
    """Put the tables of all images together and write them, the report and the exports.

    Parameters
    ----------
    out : Path
    rows : sequence of dict
        Rows of ``images``, in the order of the run.
    run : dict
        From `claim_folder`.
    exports : sequence of str
        Names of `emscout.report.exporters.EXPORTERS`.
    """
    tables = _collect(out, rows)
    sha256 = {row["image"]: row.get("sha256") for row in rows}
    run = run | {"inputs": [source | {"sha256": sha256[source["image"]]} for source in run["inputs"]]}
    for name, table in tables.items():
        with write_atomic(out / f"{name}.csv") as path:
            table.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")
    overlays = {row["image"]: out / "overlays" / f"{row['image']}.png" for row in rows if row["status"] != "failed"}
    uncertainties = {name: path for name in overlays if (path := out / "uncertainty" / f"{name}.png").exists()}
    with write_atomic(out / "report.html") as path:
        write_page(path, tables=tables, overlays=overlays, uncertainties=uncertainties, provenance=run)
    with tempfile.TemporaryDirectory(dir=out, prefix=".exports") as folder:
        for name in exports:
            for path in EXPORTERS[name](Path(folder), tables, _LabelImages(out / "labels", list(overlays))):
                with write_atomic(out / path.relative_to(folder)) as place:
                    path.replace(place)
    _write_json(out / "run.json", run)
    return Report(tables, run["options"], run, out)


def _collect(out: Path, rows: Sequence[dict[str, Any]]) -> dict[str, pd.DataFrame]:
    """The tables of all images, each with the column ``image`` first."""
    done = [row["image"] for row in rows if row["status"] != "failed"]
    tables = {}
    for kind in ("particles", "distributions", "radial_distribution"):
        parts = {name: pd.read_parquet(out / ".finished" / f"{name}.{kind}.parquet") for name in done}
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
    images = images[[name for name in columns if name not in ("status", "error")] + ["status", "error"]]
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


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with write_atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
