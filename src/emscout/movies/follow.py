"""From a movie to a folder of results: the function behind ``emscout movie``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.annotations.burnt_in import find_burnt_in
from emscout.compute import Progress, map_tasks
from emscout.io.run_folder import write_json
from emscout.micrograph import Notice, Report, Series
from emscout.movies import results
from emscout.movies.follow_particles import MovieResult, analyse_movie
from emscout.movies.frames import Images, files_of, open_movie
from emscout.movies.options import MovieOptions
from emscout.movies.registration.field import Crop
from emscout.movies.registration.printed_scale import read_printed_scale
from emscout.movies.registration.register import MeasuredDrift, Registration, measure_drift, register
from emscout.movies.report.footage import Footage
from emscout.movies.report.page import write_movie_page
from emscout.movies.segmentation.method import Method, choose_method
from emscout.movies.segmentation.segment_frames import fix_parameters, measure_frame
from emscout.runs import Finished, Run, list_files, write_table

__all__ = ["MovieOptions", "follow"]


def follow(
    path: str | Path,
    out: str | Path,
    options: MovieOptions | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Follow the particles of a movie, and save tables, labels, pictures and a report.

    What `follow_particles` does in memory, on many cores, and resumable: what a stopped run has finished is not done
    again.

    Parameters
    ----------
    path : str or Path
        A stack or a video, or a folder of frames.
    out : str or Path
        Folder for the results.
    options : MovieOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from another movie.
    workers : int or None
        Number of processes that look for particles; ``None`` takes one per core.
    progress : callable or None
        Called as ``progress(done, total, what)``; each step counts from 0.

    Returns
    -------
    Report
        Tables ``drift``, ``tracks`` (positions and sizes; every measurement is in ``tracks.csv``), ``events``,
        ``curves``, ``particles``, ``growth`` and ``shapes``, and the warnings. ``provenance["found"]`` has a summary in
        words (``story``), the warnings as sentences, and which frames could not be read or measured (``failed``).

    Raises
    ------
    UsageError
        When there is no movie to work on.
    ReadError
        When the movie cannot be read.
    NothingToFindError
        When no frame shows a specimen.
    ModelError
        When the network cannot be loaded.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.

    Examples
    --------
    >>> import emscout as em
    >>> report = em.follow("heating.tif", "heated", em.MovieOptions(frame_time="0.5s"))  # doctest: +SKIP
    >>> report.tables["curves"][["time_s", "n"]]                                         # doctest: +SKIP
    """
    options, path, out = options or MovieOptions(), Path(path), Path(out)
    series, printed = read_printed_scale(_open(path, options), options.trust)
    method, model_sha256 = choose_method(options)
    sources = list_files(files_of(path), checksum=True)
    run = Run("movie", out, sources, options, results.OUTPUTS, {"model_sha256": model_sha256}, grows=False)
    described = run.claim(overwrite=overwrite)
    key = _key({name: described[name] for name in described if name not in ("python", "libraries")})

    still = find_burnt_in(series)
    drift = _measure_drift_once(series, printed, still, out, key, progress)
    registration = register(series, printed, still, drift, keep_borders=options.keep_borders)
    write_table(out, "drift", registration.drift, parquet=options.parquet)
    if options.save_aligned:
        results.write_aligned(out, series, registration.drift, registration.field.shown, progress)
    else:
        (out / "aligned.ome.tif").unlink(missing_ok=True)
    method = _fix_parameters_once(series, registration, method, out, key, progress)
    key = _key([key, method.diameter, method.polarity])
    failed = _segment_frames(path, out, registration, method, key, workers, progress)
    found = analyse_movie(
        series,
        registration,
        method,
        partial(results.read_frames, out),
        partial(results.read_labels, out),
        failed,
        progress,
    )
    return _save(found, out, described, options, _name(path), progress)


def _open(path: Path, options: MovieOptions) -> Series:
    return open_movie(
        path, pixel_size_nm=options.pixel_size_nm, frame_time_s=options.frame_time_s, resample=options.resample
    )


def _name(path: Path) -> str:
    """Name of a movie; that of a folder is often just "frames", or a number."""
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if path.is_dir() else path.name


def _key(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _measure_drift_once(
    series: Series, printed: np.ndarray, still: np.ndarray, out: Path, key: str, progress: Progress | None
) -> MeasuredDrift:
    """The drift, unless a stopped run has measured it."""
    finished, source = Finished(out), {"key": key}
    kept = finished.load("drift", source)
    if kept is not None:
        return MeasuredDrift(pd.DataFrame(kept["drift"]), kept["burnt_in"], kept["clocks"])
    measured = measure_drift(series, printed, still, progress)
    finished.save("drift", source, measured._asdict() | {"drift": measured.drift.to_dict("list")})
    return measured


def _fix_parameters_once(
    series: Series, registration: Registration, method: Method, out: Path, key: str, progress: Progress | None
) -> Method:
    """Typical diameter and polarity for the whole movie, unless a stopped run has found them."""
    finished, source = Finished(out), {"key": key}
    kept = finished.load("method", source)
    if kept is not None:
        return replace(method, **kept)
    if progress:
        progress(0, len(registration.field.crops), "typical size of the particles")
    method = fix_parameters(series, registration.field.crops, method)
    finished.save("method", source, {"diameter": method.diameter, "polarity": method.polarity})
    return method


def _segment_frames(
    path: Path,
    out: Path,
    registration: Registration,
    method: Method,
    key: str,
    workers: int | None,
    progress: Progress | None,
) -> dict[int, str]:
    """Measure and save the frames that are not finished already; what went wrong, by frame."""
    crops = registration.field.crops
    todo = [crop for crop in crops if not results.is_finished(out, crop.frame, key)]
    done = len(crops) - len(todo)
    report = progress or (lambda done, total, what: None)
    # Packed, because it goes to another process with every frame.
    hidden = np.packbits(registration.hidden, axis=1)
    errors = map_tasks(
        partial(_do_frame, path=path, out=out, method=method, hidden=hidden, key=key),
        todo,
        workers=workers,
        name=lambda crop: f"particles of frame {crop.frame}",
        on_crash=lambda crop: (
            f"Frame {crop.frame} ended its process, most likely because it ran out of memory: try `workers=1`."
        ),
        progress=lambda n, total, what: report(done + n, len(crops), what),
    )
    return {crop.frame: error for crop, error in zip(todo, errors, strict=True) if error}


def _do_frame(crop: Crop, *, path: Path, out: Path, method: Method, hidden: np.ndarray, key: str) -> str:
    """Do one frame; what went wrong, empty where nothing did."""
    series = _opened(path, method.options, key)
    mask = np.unpackbits(hidden, axis=1, count=series.shape[1]).astype(bool)
    found = measure_frame(series, crop, method, mask)
    if isinstance(found, str):
        return found
    results.save_frame(out, crop.frame, *found, key, series.calibration)
    return ""


@lru_cache(maxsize=1)
def _opened(path: Path, options: MovieOptions, key: str) -> Series:
    """The movie with the calibration that counts, opened once in each process; `key` changes with its files."""
    return read_printed_scale(_open(path, options), options.trust)[0]


def _save(
    found: MovieResult, out: Path, run: dict, options: MovieOptions, name: str, progress: Progress | None
) -> Report:
    """Write the tables, the pictures, the report and ``run.json``."""
    series, tables, frames = found.series, found.tables, [crop.frame for crop in found.region.crops]
    results.write_tracks(out, found.tracks, series.times_s, frames, parquet=options.parquet)
    for table in tables:
        if table not in ("drift", "tracks"):
            write_table(out, table, tables[table], parquet=options.parquet)
    write_table(out, "warnings", _table_of((*found.warnings, *found.failed)), parquet=options.parquet)
    run["found"] = {
        "frames": len(series),
        "measured_frames": len(frames),
        "typical_diameter": found.typical_diameter,
        "polarity": found.polarity,
        "story": found.story,
        "warnings": [str(notice) for notice in found.warnings],
        "failed": [str(notice) for notice in found.failed],
    }
    footage = Footage(
        frame=Images(series).__getitem__,
        labels=found.labels,
        origins={crop.frame: crop.origin for crop in found.region.crops},
        field=found.region.shown,
        drift=found.drift,
        tracks=found.tracks,
        events=found.events,
        times_s=series.times_s,
        nm_per_px=None if series.calibration is None else series.calibration.nm_per_px,
    )
    notices = (*found.warnings, *found.failed)
    write_movie_page(out, footage, tables, warnings=notices, provenance=run, name=name, progress=progress)
    write_json(out / "run.json", run)
    return Report(tables, run["options"], run, out, found.warnings)


def _table_of(notices: tuple[Notice, ...]) -> pd.DataFrame:
    rows = [(notice.code, notice.sentence, notice.remedy) for notice in notices]
    return pd.DataFrame(rows, columns=["code", "warning", "remedy"], dtype=str)
