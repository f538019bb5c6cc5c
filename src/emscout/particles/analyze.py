"""From files to a folder of results: the function behind ``emscout analyze``.

Each image is finished on its own (labels, overlay, tables) and remembered under ``OUT/.finished``; when all are done the
tables are put together and the report is written. That is what lets an interrupted run continue, a folder grow, and a
thousand images pass through the memory of one.
"""

from __future__ import annotations

import json
import logging
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.compute import Progress, map_tasks
from emscout.errors import EmscoutError, NothingToFindError, OutputError, UsageError
from emscout.io import find_images, inspect, read
from emscout.io.files import image_names, sha256_of, write_atomic
from emscout.micrograph import Report
from emscout.particles.distributions import distribution_tables, summarize_particles
from emscout.particles.measure import measure_particles
from emscout.particles.segment import segment_particles
from emscout.particles.watershed import Polarity
from emscout.report.exporters import EXPORTERS, write_labels
from emscout.report.overlay import draw_overlay, write_png
from emscout.report.page import write_page
from emscout.tables import to_physical
from emscout.units import parse_length

__all__ = ["AnalyzeOptions", "analyze"]

_LOG = logging.getLogger(__name__)
_LIBRARIES = ("numpy", "scipy", "scikit-image", "pandas", "rosettasciio", "tifffile")
_TABLES = ("particles", "distributions", "radial_distribution")


@dataclass(frozen=True)
class AnalyzeOptions:
    """What shapes the result of `analyze`; every field is a flag of the command too.

    Raises
    ------
    UsageError
        When a length or a name is not understood.
    """

    polarity: Polarity = field(
        default="auto",
        metadata={"help": "Are the particles brighter or darker than what is around them? auto looks at the image."},
    )
    min_diameter: str | None = field(
        default=None, metadata={"help": "Drop particles of a smaller equivalent circular diameter, e.g. 5nm or 12px."}
    )
    max_diameter: str | None = field(
        default=None, metadata={"help": "Drop particles of a larger equivalent circular diameter, e.g. 200nm or 400px."}
    )
    split: bool = field(default=True, metadata={"help": "Cut particles that touch apart."})
    pixel_size: str | None = field(
        default=None, metadata={"help": "Edge of a pixel, e.g. 0.5nm: used instead of what the files say."}
    )
    resample: bool = field(
        default=False, metadata={"help": "Resample images whose pixels are not square instead of refusing them."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of the bootstrap intervals."})
    roi: bool = field(default=False, metadata={"help": "Also write outlines as ImageJ ROI zips, in OUT/rois."})
    coco: bool = field(default=False, metadata={"help": "Also write all outlines as OUT/coco.json."})
    parquet: bool = field(default=False, metadata={"help": "Also write the tables as Parquet."})

    def __post_init__(self) -> None:
        if self.polarity not in ("auto", "bright", "dark"):
            raise UsageError(f"--polarity is auto, bright or dark, not '{self.polarity}'.")
        if self.seed < 0:
            raise UsageError("--seed is a whole number, 0 or more.")
        for length in (self.min_diameter, self.max_diameter):
            if length is not None:
                parse_length(length)
        if self.pixel_size is not None:
            parse_length(self.pixel_size, px_allowed=False)

    @property
    def pixel_size_nm(self) -> float | None:
        return None if self.pixel_size is None else parse_length(self.pixel_size, px_allowed=False)[0]


@dataclass(frozen=True)
class _Source:
    """One image of a run."""

    name: str
    path: Path
    frame: int | None


def analyze(
    paths: Sequence[str | Path],
    out: str | Path,
    options: AnalyzeOptions | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure the particles of every image and save tables, labels, overlays and a report.

    Parameters
    ----------
    paths : sequence of str or Path
        Files, folders and glob patterns; each frame of a stack is an image.
    out : str or Path
        Folder for the results. Images it holds already, made with the same options from the same bytes, are not done again.
    options : AnalyzeOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from other images.
    workers : int or None
        Number of processes; ``None`` takes one per core when there are many images.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Report
        Tables ``particles``, ``images``, ``distributions`` and ``radial_distribution``. An image that failed has its
        sentence in ``images.error``; it never ends the run.

    Raises
    ------
    UsageError
        When there is no image to work on.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.
    """
    options = options or AnalyzeOptions()
    out = Path(out)
    sources = _sources(find_images(paths))
    run = _describe_run(sources, options)
    _claim_folder(out, run, overwrite)
    rows = map_tasks(
        partial(_analyze_source, out=out, options=options),
        sources,
        workers=workers,
        name=lambda source: source.name,
        on_crash=_crashed,
        progress=progress,
    )
    tables = _collect(out, rows)
    run["inputs"] = tables["images"][["image", "path", "frame", "sha256"]].astype(object).to_dict("records")
    report = Report(tables, run["options"], run, out)
    _save(report, options)
    return report


def _sources(paths: Sequence[Path]) -> list[_Source]:
    pairs: list[tuple[Path, int | None]] = []
    for path in paths:
        frames = inspect(path)["frames"] or 1
        pairs += [(path, None)] if frames == 1 else [(path, frame) for frame in range(frames)]
    return [_Source(name, *pair) for name, pair in zip(image_names(pairs), pairs, strict=True)]


def _describe_run(sources: Sequence[_Source], options: AnalyzeOptions) -> dict[str, Any]:
    """Everything needed to run it again; no times, so that the same run gives the same bytes."""
    return {
        "command": "analyze",
        "emscout": version("emscout"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "options": asdict(options),
        "inputs": [{"image": s.name, "path": str(s.path.resolve()), "frame": s.frame} for s in sources],
    }


def _claim_folder(out: Path, run: dict[str, Any], overwrite: bool) -> None:
    """Make sure that nothing in ``out`` is lost unasked, and leave word of what is being done there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made a folder ({error.strerror}): choose another with -o.") from error
    record = out / "run.json"
    ours = ("particles.csv", "images.csv", "report.html", "labels", "overlays")
    if not record.exists() and any((out / name).exists() for name in ours) and not overwrite:
        raise OutputError(f"{out} holds files that another program made: choose another folder, or add --overwrite.")
    if record.exists():
        try:
            before = json.loads(record.read_text(encoding="utf-8"))
            same_options = all(before[key] == run[key] for key in ("command", "emscout", "options"))
            paths_before = {i["path"] for i in before["inputs"]}
        except (ValueError, KeyError, TypeError):
            same_options, paths_before = False, set()
        same_images = paths_before <= {i["path"] for i in run["inputs"]}
        if not (same_options and same_images) and not overwrite:
            what = "other options" if not same_options else "other images"
            raise OutputError(f"{out} holds results of {what}: choose another folder with -o, or add --overwrite.")
        if not same_options or not same_images:
            shutil.rmtree(out / ".finished", ignore_errors=True)
    _write_json(record, run)


def _analyze_source(source: _Source, *, out: Path, options: AnalyzeOptions) -> dict[str, Any]:
    """Do one image and return its row of ``images``; every error becomes the row's ``status`` and ``error``."""
    row: dict[str, Any] = {"image": source.name, "path": str(source.path.resolve()), "frame": source.frame}
    try:
        row["sha256"] = sha256_of(source.path)
        finished = out / ".finished" / f"{source.name}.json"
        if finished.exists():
            before = json.loads(finished.read_text(encoding="utf-8"))
            if all(before[key] == row[key] for key in row):
                return before
        row |= _measure_image(source, out, options)
        _write_json(finished, row)
        return row
    except EmscoutError as error:
        return row | {"status": "failed", "error": str(error)}
    except MemoryError:
        return row | {"status": "failed", "error": f"{source.path} needs more memory than this computer has free."}
    except Exception as error:
        _LOG.debug("while analyzing %s", source.path, exc_info=True)
        kind = type(error).__name__
        return row | {
            "status": "failed",
            "error": f"{source.path} met a fault in emscout ({kind}: {error}); please report it.",
        }


def _crashed(source: _Source) -> dict[str, Any]:
    error = f"{source.path} ended its process, most likely for want of memory: try it alone, with --workers 1."
    return {
        "image": source.name,
        "path": str(source.path.resolve()),
        "frame": source.frame,
        "status": "failed",
        "error": error,
    }


def _measure_image(source: _Source, out: Path, options: AnalyzeOptions) -> dict[str, Any]:
    micrograph = read(source.path, frame=source.frame, pixel_size_nm=options.pixel_size_nm, resample=options.resample)
    nm_per_px = micrograph.nm_per_px
    message = ""
    try:
        segmentation = segment_particles(
            micrograph,
            polarity=options.polarity,
            min_diameter=options.min_diameter,
            max_diameter=options.max_diameter,
            split=options.split,
        )
    except NothingToFindError as error:
        segmentation, message = no_particles(micrograph), str(error)
    particles = measure_particles(segmentation, micrograph)
    if particles.empty and not message:
        message = f"{source.path} shows no particles that stand out; --polarity and --min-diameter may help."
    height_px, width_px = micrograph.image.shape
    summary = summarize_particles(particles, (height_px, width_px), nm_per_px, seed=options.seed)
    tables = {"particles": particles, **distribution_tables(particles, (height_px, width_px), nm_per_px)}
    _write_image_files(source.name, out, micrograph, segmentation, tables, options)
    return {
        "height_px": height_px,
        "width_px": width_px,
        "nm_per_px": nm_per_px,
        "calibration_source": micrograph.calibration.source if micrograph.calibration else None,
        **to_physical(pd.DataFrame([summary]), nm_per_px).iloc[0].to_dict(),
        "status": "empty" if particles.empty else "ok",
        "error": message,
    }
