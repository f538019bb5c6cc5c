"""From files to a folder of results: the function behind ``emscout analyze``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emscout.compute import Progress, map_tasks
from emscout.errors import NothingToFindError, UsageError, tell_error
from emscout.io import find_images, read_series
from emscout.io.files import sha256_of
from emscout.io.run_folder import claim_folder, crashed_row, describe_run, failed_row, list_sources
from emscout.micrograph import Micrograph, Report, Segmentation, Series
from emscout.models import load_model
from emscout.particles import results
from emscout.particles.bayesian import default_max_uncertainty, filter_particles
from emscout.particles.distributions import radial_distribution, size_distribution, summarize_particles
from emscout.particles.measure import measure_particles
from emscout.particles.segment import DEFAULT_MODEL, WATERSHED, Polarity, leave_out_print, segment_particles
from emscout.scale import NoScale, ScaleReading, annotation_mask, calibrate, read_scale
from emscout.scale.calibrate import Trust
from emscout.tables import to_physical
from emscout.units import parse_length

__all__ = ["AnalyzeOptions", "analyze", "measure_image"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnalyzeOptions:
    """What shapes the result of `analyze`; every field is a flag of the command too.

    Raises
    ------
    UsageError
        When a length or a name is not understood.
    """

    model: str = field(
        default=DEFAULT_MODEL,
        metadata={
            "help": f"How particles are found: the network {DEFAULT_MODEL}, an .onnx file of your own, or {WATERSHED}, "
            "which needs no network.",
            "metavar": "NAME|PATH",
        },
    )
    min_diameter: str | None = field(
        default=None,
        metadata={
            "help": "Drop particles of a smaller equivalent circular diameter, e.g. 5nm or 12px.",
            "metavar": "LENGTH",
        },
    )
    max_diameter: str | None = field(
        default=None,
        metadata={
            "help": "Drop particles of a larger equivalent circular diameter, e.g. 200nm or 400px.",
            "metavar": "LENGTH",
        },
    )
    diameter: str | None = field(
        default=None,
        metadata={
            "help": "Typical diameter, e.g. 20nm or 40px, where the network's own estimate fails.",
            "metavar": "LENGTH",
        },
    )
    samples: int = field(
        default=30, metadata={"help": "Monte-Carlo samples of the network: more for a smoother uncertainty."}
    )
    max_uncertainty: float | None = field(
        default=None,
        metadata={
            "help": "Drop particles of a larger uncertainty (nats); by default what the network's maker found best."
        },
    )
    min_probability: float | None = field(
        default=None, metadata={"help": "Drop particles less likely to be right than this, 0 to 1."}
    )
    polarity: Polarity = field(
        default="auto",
        metadata={"help": "Watershed only: are particles brighter or darker than what is around them?"},
    )
    split: bool = field(default=True, metadata={"help": "Watershed only: cut particles that touch apart."})
    pixel_size: str | None = field(
        default=None,
        metadata={
            "help": "Edge of a pixel, e.g. 0.5nm: used instead of what the files say.",
            "metavar": "LENGTH",
        },
    )
    trust: Trust | None = field(
        default=None,
        metadata={"help": "Which pixel size to take where file and printed scale bar disagree: metadata or bar."},
    )
    resample: bool = field(
        default=False, metadata={"help": "Resample images whose pixels are not square instead of refusing them."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of the Monte-Carlo samples and the bootstrap intervals."})
    roi: bool = field(default=False, metadata={"help": "Also write outlines as ImageJ ROI zips, in OUT/rois."})
    coco: bool = field(default=False, metadata={"help": "Also write all outlines as OUT/coco.json."})
    parquet: bool = field(default=False, metadata={"help": "Also write the tables as Parquet."})

    def __post_init__(self) -> None:
        if self.polarity not in ("auto", "bright", "dark"):
            raise UsageError(f"--polarity is auto, bright or dark, not '{self.polarity}'.")
        if self.trust not in (None, "metadata", "bar"):
            raise UsageError(f"--trust is metadata or bar, not '{self.trust}'.")
        if self.seed < 0:
            raise UsageError("--seed is a whole number, 0 or more.")
        if self.samples < 1:
            raise UsageError("--samples is a whole number, 1 or more.")
        if self.min_probability is not None and not 0 <= self.min_probability <= 1:
            raise UsageError("--min-probability is a number from 0 to 1.")
        if self.max_uncertainty is not None and not self.max_uncertainty >= 0:
            raise UsageError("--max-uncertainty is a number of nats, 0 or more.")
        if self.model != WATERSHED and (self.polarity != "auto" or not self.split):
            raise UsageError("--polarity and --no-split belong to --model watershed: add it, or leave them out.")
        lengths = [length and parse_length(length) for length in (self.min_diameter, self.max_diameter, self.diameter)]
        if lengths[0] and lengths[1] and lengths[0][1] == lengths[1][1] and lengths[0][0] > lengths[1][0]:
            raise UsageError(f"--min-diameter {self.min_diameter} is above --max-diameter {self.max_diameter}.")
        if self.pixel_size is not None:
            parse_length(self.pixel_size, px_allowed=False)

    @property
    def pixel_size_nm(self) -> float | None:
        return None if self.pixel_size is None else parse_length(self.pixel_size, px_allowed=False)[0]


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
        Folder for the results. Images it holds already, made with the same options from the same bytes, are not
        done again.
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
    ModelError
        When the network cannot be loaded.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.
    """
    options = options or AnalyzeOptions()
    out = Path(out)
    sources = list_sources(find_images(paths), partial(_open, options=options))
    model_sha256 = None if options.model == WATERSHED else load_model(options.model).sha256
    run = describe_run("analyze", sources, asdict(options), model_sha256=model_sha256)
    claim_folder(out, run, results.FILES, results.FOLDERS, grows=True, overwrite=overwrite)
    rows = map_tasks(
        partial(_analyze_source, out=out, options=options),
        sources,
        workers=workers,
        name=lambda source: source["image"],
        on_crash=crashed_row,
        progress=progress,
    )
    return results.save_run(
        out, rows, run, exports=[name for name in ("roi", "coco", "parquet") if asdict(options)[name]]
    )


def _open(path: Path, options: AnalyzeOptions) -> Series:
    return read_series(path, pixel_size_nm=options.pixel_size_nm, resample=options.resample)


def _analyze_source(source: dict[str, Any], *, out: Path, options: AnalyzeOptions) -> dict[str, Any]:
    """Do one image and return its row of ``images``; every error becomes the row's ``status`` and ``error``."""
    try:
        row = source | {"sha256": sha256_of(Path(source["path"]))}
        finished = results.load_finished(out, row)
        return finished or measure_image(row, _open(Path(row["path"]), options)[row["frame"] or 0], out, options)
    except Exception as error:
        _LOG.debug("while analyzing %s", source["path"], exc_info=True)
        return failed_row(source, tell_error(error, source["path"]))


def measure_image(
    row: dict[str, Any],
    micrograph: Micrograph,
    out: Path,
    options: AnalyzeOptions,
    reading: ScaleReading | NoScale | None = None,
) -> dict[str, Any]:
    """Segment, measure and save one image; its row of ``images``.

    Parameters
    ----------
    row : dict
        ``image`` (its name), ``path``, ``frame`` and ``sha256``: what the row begins with.
    micrograph : Micrograph
    out : Path
        Folder for the results.
    options : AnalyzeOptions
    reading : ScaleReading, NoScale or None
        What is printed in it, where that was read already.
    """
    reading = reading or _read_scale(row, micrograph)
    calibration, note = calibrate(micrograph, trust=options.trust, reading=reading)
    micrograph = replace(micrograph, calibration=calibration)
    printed = annotation_mask(micrograph.image, reading)
    found, message = _segment(micrograph, options)
    segmentation, dropped = _sift(leave_out_print(found, printed), options)
    particles = measure_particles(segmentation, micrograph)
    if particles.empty and not message:
        message = f"{row['image']}: no particles stand out; if you see some, try another --diameter or --model."
    shape, nm_per_px = micrograph.image.shape, micrograph.nm_per_px
    field_px2 = int(printed.size - printed.sum())
    figures = summarize_particles(particles, shape, nm_per_px, field_px2=field_px2, seed=options.seed)
    # dtype object: one row of counts and lengths, which must not turn all into floats.
    summary = pd.DataFrame([figures], dtype=object)
    summary = to_physical(summary, nm_per_px)
    row = row | {
        "height_px": shape[0],
        "width_px": shape[1],
        "nm_per_px": nm_per_px,
        "calibration_source": calibration.source if calibration else None,
        "calibration_note": note,
        **{str(name): summary[name].iloc[0] for name in summary},
        "count_dropped": int(dropped.labels.max()),
        "count_expected": None if segmentation.score is None else round(float(particles["probability"].sum()), 1),
        "status": "empty" if particles.empty else "ok",
        "error": message,
    }
    centroids, areas_px2 = particles[["row_px", "col_px"]].to_numpy(), particles["area_px2"].to_numpy()
    tables = {
        "particles": particles,
        "distributions": size_distribution(particles),
        "radial_distribution": to_physical(radial_distribution(centroids, shape, areas_px2=areas_px2), nm_per_px),
    }
    results.save_image(out, row, micrograph, segmentation, dropped, tables)
    return row


def _read_scale(row: dict[str, Any], micrograph: Micrograph) -> ScaleReading | NoScale:
    """The printed scale; of a stack that of its first frame, for all."""
    return _scale_of_stack(row["path"]) if row["frame"] else read_scale(micrograph)


@lru_cache(maxsize=4)
def _scale_of_stack(path: str) -> ScaleReading | NoScale:
    return read_scale(read_series(path, resample=True)[0])


def _segment(micrograph: Micrograph, options: AnalyzeOptions) -> tuple[Segmentation, str]:
    """The particles, and why there are none where the image has nothing to show."""
    try:
        segmentation = segment_particles(
            micrograph,
            model=options.model,
            min_diameter=options.min_diameter,
            max_diameter=options.max_diameter,
            diameter=options.diameter,
            samples=options.samples,
            seed=options.seed,
            polarity=options.polarity,
            split=options.split,
        )
    except NothingToFindError as error:
        return Segmentation(np.zeros(micrograph.image.shape, np.int32)), str(error)
    return segmentation, ""


def _sift(found: Segmentation, options: AnalyzeOptions) -> tuple[Segmentation, Segmentation]:
    """What is counted and what is too doubtful, by the bounds asked for or the network's own."""
    max_uncertainty = options.max_uncertainty
    if max_uncertainty is None and found.uncertainty is not None:
        max_uncertainty = default_max_uncertainty(options.model)
    return filter_particles(found, max_uncertainty=max_uncertainty, min_probability=options.min_probability)
