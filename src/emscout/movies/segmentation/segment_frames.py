"""The particles of each frame: cut, segmented, measured and saved, one frame after the other or several at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.compute import Progress, map_tasks
from emscout.errors import OutputError, UsageError, user_message
from emscout.micrograph import Micrograph, Series
from emscout.movies.frames import open_movie
from emscout.movies.options import MovieOptions
from emscout.movies.registration.field import Cut
from emscout.movies.registration.printed import read_print
from emscout.movies.results import finished_frame, save_frame
from emscout.movies.segmentation.method import Method
from emscout.particles.measure import measure_particles
from emscout.particles.segment import drop_annotations
from emscout.tables import to_physical

__all__ = ["measure_frame", "segment_frames", "settle_method"]

_LOG = logging.getLogger(__name__)

# Frames by which it is settled how the whole movie is looked at.
_FIRST_FRAMES = 3


def settle_method(series: Series, cuts: Sequence[Cut], method: Method) -> Method:
    """The method as it is used for the whole movie, by its first good frames."""
    return method.settle([_look(series, cut) for cut in cuts[:_FIRST_FRAMES]])


def segment_frames(
    path: Path,
    out: Path,
    cuts: Sequence[Cut],
    method: Method,
    printed: np.ndarray,
    key: str,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[int, str]:
    """Find, measure and save the particles of all frames that are not finished already.

    Parameters
    ----------
    path : Path
        Of the movie, for `open_movie`.
    out : Path
        See `emscout.movies.results.save_frame`.
    cuts : sequence of Cut
    method : Method
    printed : ndarray of bool, shape (H, W)
        Where something is printed on the frames and nothing is specimen.
    key : str
        Of everything the result depends on: what was saved with another is done again.
    workers, progress
        As for `emscout.compute.map_tasks`.

    Returns
    -------
    dict of int to str
        What went wrong, by frame.
    """
    todo = [cut for cut in cuts if not finished_frame(out, cut.frame, key)]
    done = len(cuts) - len(todo)
    report = progress or (lambda done, total, what: None)
    # Packed, because it goes to another process with every frame.
    bits = np.packbits(printed, axis=1)
    errors = map_tasks(
        partial(_do_frame, path=path, out=out, method=method, printed=bits, key=key),
        todo,
        workers=workers,
        name=lambda cut: f"particles of frame {cut.frame}",
        on_crash=lambda cut: f"Frame {cut.frame} ended its process, most likely for want of memory: try `workers=1`.",
        progress=lambda n, total, what: report(done + n, len(cuts), what),
    )
    return {cut.frame: error for cut, error in zip(todo, errors, strict=True) if error}


def _do_frame(cut: Cut, *, path: Path, out: Path, method: Method, printed: np.ndarray, key: str) -> str:
    """Do one frame; what went wrong, empty where nothing did."""
    try:
        series = _opened(path, method.options)
        here = np.unpackbits(printed, axis=1, count=series.shape[1]).astype(bool)[cut.box]
        labels, table = measure_frame(_look(series, cut), cut, method, here)
        save_frame(out, cut.frame, labels, table, key, series.calibration)
    except (UsageError, OutputError):
        # Wrong of every frame alike.
        raise
    except Exception as error:
        _LOG.debug("in frame %d of %s", cut.frame, path, exc_info=True)
        sentence = user_message(error, f"Frame {cut.frame}")
        return sentence if sentence.startswith("Frame ") else f"Frame {cut.frame}: {sentence}"
    return ""


@lru_cache(maxsize=1)
def _opened(path: Path, options: MovieOptions) -> Series:
    """The movie, with the calibration that counts, opened once in each process."""
    series = open_movie(
        path, pixel_size_nm=options.pixel_size_nm, frame_time_s=options.frame_time_s, resample=options.resample
    )
    return read_print(series, options.trust)[0]


def _look(series: Series, cut: Cut) -> Micrograph:
    # No grey value is made up: the cut is by whole pixels, and the rest of the drift is taken off the positions.
    return Micrograph(series[cut.frame].image[cut.box], series.calibration, path=series.path)


def measure_frame(
    micrograph: Micrograph, cut: Cut, method: Method, printed: np.ndarray
) -> tuple[np.ndarray, pd.DataFrame]:
    """Find and measure the particles of what was cut out of a frame.

    Parameters
    ----------
    micrograph : Micrograph
        What was cut out, shape (h, w).
    cut : Cut
    method : Method
    printed : ndarray of bool, shape (h, w)
        Where something is printed and nothing is specimen.

    Returns
    -------
    labels : ndarray of int32
    table : DataFrame
        ``frame``, ``label``, ``row_px``, ``col_px`` in the drift-corrected field, ``row_frame_px``, ``col_frame_px`` in
        the frame as recorded, ``area_px2`` with ``area_low_px2`` and ``area_high_px2``, and the other columns of
        `emscout.particles.measure_particles`.
    """
    found = drop_annotations(method.find(micrograph), printed)
    table = measure_particles(found, Micrograph(micrograph.image))
    low, high = method.bounds(micrograph, found)
    at = list(table.columns).index("area_px2") + 1
    index = table["label"].to_numpy() - 1
    table.insert(at, "area_low_px2", low[index])
    table.insert(at + 1, "area_high_px2", high[index])
    for k, axis in enumerate(("row", "col")):
        inside = table[f"{axis}_px"]
        table.insert(3 + k, f"{axis}_frame_px", inside + cut.origin[k])
        table[f"{axis}_px"] = inside + cut.offset[k]
    table.insert(0, "frame", cut.frame)
    return found.labels, to_physical(table, micrograph.nm_per_px)
