"""From files to a folder of results: the function behind ``emscout analyze``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from emscout.compute import Progress
from emscout.io import find_images, read_series
from emscout.io.files import sha256_of
from emscout.io.run_folder import list_sources
from emscout.micrograph import Report, Series
from emscout.particles import results
from emscout.particles.find import ParticleResult, find_particles
from emscout.particles.options import ParticleOptions
from emscout.particles.segment import model_checksum
from emscout.runs import Finished, Run
from emscout.scale import NoScale, ScaleReading, calibrate, read_scale

__all__ = ["ParticleOptions", "analyze", "save_result"]


def analyze(
    paths: Sequence[str | Path],
    out: str | Path,
    options: ParticleOptions | None = None,
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
        Folder for the results. Images that it already holds results for, with the same options and from unchanged
        files, are skipped.
    options : ParticleOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from other images.
    workers : int or None
        Number of processes; ``None`` takes one per core when there are many images.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Report
        Tables ``particles``, ``images``, ``aggregates``, ``distributions`` and ``radial_distribution``, and the
        warnings of all images. An image that failed has its sentence in ``images.error``; it does not stop the run.

    Raises
    ------
    UsageError
        When there is no image to work on.
    ModelError
        When the network cannot be loaded.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.

    Examples
    --------
    >>> import emscout as em
    >>> report = em.analyze(["micrographs"], "results", em.ParticleOptions(min_diameter="5nm"))  # doctest: +SKIP
    >>> report.tables["particles"]["equivalent_circular_diameter_nm"].describe()                # doctest: +SKIP
    """
    options, out = options or ParticleOptions(), Path(out)
    sources = list_sources(find_images(paths), partial(_open, options=options))
    depends = {"model_sha256": model_checksum(options.model)}
    run = Run("analyze", out, sources, options, results.OUTPUTS, depends)
    described = run.claim(overwrite=overwrite)
    rows = run.map(partial(_analyze_source, out=out, options=options), workers=workers, progress=progress)
    return results.save_run(
        out, rows, described, exports=[name for name in ("roi", "coco", "parquet") if asdict(options)[name]]
    )


def _open(path: Path, options: ParticleOptions) -> Series:
    return read_series(path, pixel_size_nm=options.pixel_size_nm, resample=options.resample)


def _analyze_source(source: dict[str, Any], *, out: Path, options: ParticleOptions) -> dict[str, Any]:
    """Do one image, unless it is finished; its row of ``images``."""
    source = source | {"sha256": sha256_of(Path(source["path"]))}
    if (row := Finished(out).load(source["image"], source)) is not None:
        return row
    micrograph = _open(Path(source["path"]), options)[source["frame"] or 0]
    if source["frame"]:
        # Of a stack the first frame tells the scale of all.
        reading = _scale_of_stack(source["path"], Path(source["path"]).stat().st_mtime_ns)
        micrograph = calibrate(replace(micrograph, scale=reading, recorded=micrograph.calibration), trust=options.trust)
    # A pixel size that is given was taken when the file was read.
    return save_result(source, find_particles(micrograph, replace(options, pixel_size=None)), out)


@lru_cache(maxsize=4)
def _scale_of_stack(path: str, changed: int) -> ScaleReading | NoScale:
    """The printed scale of a stack; ``changed`` (its time of change) makes a file that was written anew a new entry."""
    return read_scale(read_series(path, resample=True)[0])


def save_result(source: dict[str, Any], found: ParticleResult, out: Path) -> dict[str, Any]:
    """Write what was found on one image; its row of ``images``, with the warnings as data.

    Parameters
    ----------
    source : dict
        ``image`` (its name), ``path``, ``frame`` and ``sha256``: what the row begins with.
    found : ParticleResult
    out : Path
        Folder for the results.
    """
    empty = next((str(notice) for notice in found.warnings if notice.code == "empty"), "")
    row = {
        **source,
        **found.summary,
        "warnings": [asdict(replace(notice, image=source["image"])) for notice in found.warnings],
        "status": "empty" if found.table.empty else "ok",
        "error": empty,
    }
    results.save_image(out, row, found)
    Finished(out).save(source["image"], source, row)
    return row
