"""From a movie to a folder of results: the function behind ``emscout movie``, and the steps it takes."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emscout.annotations.burnt_in import find_overlay, moves_under
from emscout.annotations.clock import find_clock
from emscout.compute import Progress
from emscout.errors import NothingToFindError
from emscout.io.files import image_names, sha256_of
from emscout.io.run_folder import claim_folder, describe_run, write_json
from emscout.micrograph import Report, Series
from emscout.movies import results
from emscout.movies.analyse_tracks import sized_frames, understand
from emscout.movies.frames import Images, files_of, open_movie
from emscout.movies.kinetics.size_shapes import lsw_density
from emscout.movies.options import MovieOptions
from emscout.movies.registration.drift import estimate_drift
from emscout.movies.registration.field import Field, choose_field
from emscout.movies.registration.printed import read_print
from emscout.movies.report.curves import tell_time
from emscout.movies.report.footage import Footage
from emscout.movies.report.page import write_movie_page
from emscout.movies.report.summary import tell_story
from emscout.movies.segmentation.method import Method, choose_method
from emscout.movies.segmentation.segment_frames import segment_frames, settle_method
from emscout.movies.warn import tell_unreadable, warn_of_drift, warn_of_overlay, warn_of_result

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
    """Follow the particles of a movie: drift, particles frame by frame, tracks, events, coarsening.

    Parameters
    ----------
    path : str or Path
        A stack or a video, or a folder of frames.
    out : str or Path
        Folder for the results. Frames that a stopped run has finished there are not done again.
    options : MovieOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from another movie.
    workers : int or None
        Number of processes that look for particles; ``None`` takes one per core.
    progress : callable or None
        Called as ``progress(done, total, what)``; each step counts anew.

    Returns
    -------
    Report
        Tables ``drift``, ``tracks`` (positions and sizes; every measurement is in ``tracks.csv``), ``events``,
        ``curves``, ``particles``, ``growth`` and ``shapes``. ``provenance["found"]`` says in words what happened
        (``story``), what the user should know first (``warnings``), and which frames could not be worked on
        (``failed``).

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
    """
    options, path, out = options or MovieOptions(), Path(path), Path(out)
    series = open_movie(
        path, pixel_size_nm=options.pixel_size_nm, frame_time_s=options.frame_time_s, resample=options.resample
    )
    series, printed = read_print(series, options.trust)
    method, model_sha256 = choose_method(options)
    run = describe_run("movie", _list_files(path), asdict(options), model_sha256=model_sha256)
    claim_folder(out, run, results.FILES, results.FOLDERS, grows=False, overwrite=overwrite)
    key = _key({name: run[name] for name in run if name not in ("python", "libraries")})

    drift, drawn, clock = _find_drift(series, printed, out, key, progress)
    field, message = choose_field(drift, series.shape, keep_borders=options.keep_borders)
    drift = _add_cuts(drift, field, path)
    results.write_table(out, "drift", drift, parquet=options.parquet)
    warnings = [*series.metadata["warnings"], *warn_of_drift(drift, series)]
    warnings += [*warn_of_overlay(float((drawn & ~printed).mean()), float((clock & ~printed).mean())), *message]
    if options.save_aligned:
        results.write_aligned(out, series, drift, field.shown, progress)
    else:
        (out / "aligned.ome.tif").unlink(missing_ok=True)

    method = _settle(series, out, field, method, key, progress)
    key = _key([key, method.diameter, method.polarity])
    failed = segment_frames(
        path, out, field.cuts, method, printed | drawn | clock, key, workers=workers, progress=progress
    )
    cuts = [cut for cut in field.cuts if cut.frame not in failed]
    if not cuts:
        raise NothingToFindError(f"No frame could be worked on. {next(iter(failed.values()))}")
    field = replace(field, cuts=tuple(cuts))
    tables = understand(out, drift, field, series, seed=options.seed, progress=progress)
    warnings += warn_of_result(tables, series)

    frames = [cut.frame for cut in cuts]
    results.write_tracks(out, tables["tracks"], series.times_s, frames, parquet=options.parquet)
    for name in results.TABLES:
        if name not in ("drift", "tracks"):
            results.write_table(out, name, tables[name], parquet=options.parquet)
    footage, sized = _footage(out, series, field, tables), sized_frames(tables["tracks"])
    unfit = [*tell_unreadable(drift, series), *failed.values()]
    run["found"] = {
        "frames": len(series),
        "measured_frames": len(cuts),
        "typical_diameter": method.diameter,
        "polarity": method.polarity,
        "story": dict(tell_story(footage, tables, tell_time(series.times_s, len(series)), len(sized))),
        "warnings": warnings,
        "failed": unfit,
    }
    write_movie_page(
        out,
        footage,
        {name: tables[name] for name in ("curves", "particles", "growth", "shapes")},
        lsw_density=lsw_density,
        sized_frames=sized,
        warnings=[*warnings, *unfit],
        provenance=run,
        name=_name(path),
        progress=progress,
    )
    write_json(out / "run.json", run)
    return Report(tables, run["options"], run, out)


def _name(path: Path) -> str:
    """Of a movie; a folder is often called just frames, or by a number."""
    path = path.resolve()
    return f"{path.parent.name}/{path.name}" if path.is_dir() else path.name


def _list_files(path: Path) -> list[dict[str, Any]]:
    files = files_of(path)
    names = image_names([(file, None) for file in files])
    return [
        {"image": name, "path": str(file.resolve()), "sha256": sha256_of(file)}
        for name, file in zip(names, files, strict=True)
    ]


def _key(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _find_drift(
    series: Series, printed: np.ndarray, out: Path, key: str, progress: Progress | None
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The drift, from a run that was stopped where it got so far, and where something is drawn or a clock runs."""
    note = results.load_note(out, "drift", key)
    overlay = find_overlay(series)
    if note is None:
        drift, drawn, clock = _estimate_drift(series, printed, overlay, progress)
        content = {"key": key, "columns": drift.to_dict("list"), "drawn": drawn, "clock": clock}
        results.save_note(out, "drift", content)
    else:
        drift, drawn, clock = pd.DataFrame(note["columns"]), note.get("drawn", False), note.get("clock", [])
    if series.times_s is not None:
        drift.insert(1, "time_s", series.times_s)
    return drift, overlay if drawn else np.zeros_like(overlay), _filled(clock, series.shape)


def _estimate_drift(
    series: Series, printed: np.ndarray, overlay: np.ndarray, progress: Progress | None
) -> tuple[pd.DataFrame, bool, list[tuple[int, int, int, int]]]:
    """The drift, whether `overlay` is drawn over the frames (as the specimen moves under it), and where clocks run."""
    report = progress or (lambda done, total, what: None)

    def estimate(left_out: np.ndarray) -> pd.DataFrame:
        return estimate_drift(
            Images(series),
            printed=left_out,
            progress=lambda done, total, what: report(done, total, f"drift, {what}"),
        )

    drift = estimate(printed)
    clock = find_clock(series, drift, overlay)
    if clock:
        printed = printed | _filled(clock, series.shape)
        drift = estimate(printed)
    if (overlay & ~printed).any():
        with suppress(NothingToFindError):
            beneath = estimate(printed | overlay)
            if moves_under(beneath) and (beneath["status"] == "ok").sum() >= 0.9 * (drift["status"] == "ok").sum():
                return beneath, True, clock
    return drift, False, clock


def _filled(rectangles: list[tuple[int, int, int, int]], shape: tuple[int, int]) -> np.ndarray:
    """Where rectangles (first and last row and column, exclusive) are."""
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in rectangles:
        mask[top:bottom, left:right] = True
    return mask


def _add_cuts(drift: pd.DataFrame, field: Field, path: Path) -> pd.DataFrame:
    """The drift with each frame's file, and the first pixel in the frame of what is looked at."""
    files = files_of(path)
    origins = pd.DataFrame({cut.frame: cut.origin for cut in field.cuts}, index=["cut_row_px", "cut_col_px"]).T
    table = drift.join(origins.astype("Int64"), on="frame")
    return table.assign(file=[file.name for file in files] if len(files) == len(drift) else files[0].name)


def _settle(series: Series, out: Path, field: Field, method: Method, key: str, progress: Progress | None) -> Method:
    """Typical diameter and polarity for the whole movie, from a run that was stopped where it got so far."""
    note = results.load_note(out, "method", key)
    if note is not None:
        return replace(method, diameter=note["diameter"], polarity=note["polarity"])
    if progress:
        progress(0, len(field.cuts), "what the particles are like")
    method = settle_method(series, field.cuts, method)
    results.save_note(out, "method", {"key": key, "diameter": method.diameter, "polarity": method.polarity})
    return method


def _footage(out: Path, series: Series, field: Field, tables: dict[str, pd.DataFrame]) -> Footage:
    return Footage(
        frame=Images(series).__getitem__,
        labels=partial(results.read_labels, out),
        origins={cut.frame: cut.origin for cut in field.cuts},
        field=field.shown,
        drift=tables["drift"],
        tracks=tables["tracks"],
        events=tables["events"],
        times_s=series.times_s,
        nm_per_px=None if series.calibration is None else series.calibration.nm_per_px,
    )
