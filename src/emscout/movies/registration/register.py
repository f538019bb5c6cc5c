"""From the frames to their places: drift, what is drawn over the frames, and the field that is measured."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from emscout.annotations.burnt_in import specimen_moves
from emscout.annotations.clock import find_clock
from emscout.compute import Progress
from emscout.errors import NothingToFindError
from emscout.micrograph import Notice, Series
from emscout.movies.frames import Images, file_names
from emscout.movies.notices import annotation_notices, drift_notices
from emscout.movies.registration.drift import estimate_drift
from emscout.movies.registration.field import Field, choose_field

__all__ = ["MeasuredDrift", "Registration", "measure_drift", "register"]

# Share of the good frames that must stay good when a title is left out of the drift.
_STILL_GOOD = 0.9

Rectangle = tuple[int, int, int, int]
"""First and last row and column, the last ones exclusive."""


class MeasuredDrift(NamedTuple):
    """What takes long to find out about a movie's frames.

    Parameters
    ----------
    drift : DataFrame
        From `estimate_drift`.
    burnt_in : bool
        Whether what stays the same in all frames is drawn over them, because the specimen moves beneath it.
    clocks : list of (int, int, int, int)
        From `emscout.annotations.clock.find_clock`.
    """

    drift: pd.DataFrame
    burnt_in: bool
    clocks: list[Rectangle]


@dataclass(frozen=True, eq=False)
class Registration:
    """Where each frame lies on the specimen, and what of it is measured.

    Parameters
    ----------
    drift : DataFrame
        From `estimate_drift`, with ``time_s`` where times are known, ``cut_row_px`` and ``cut_col_px`` (the first pixel
        of the field in the frame; empty where it is not measured), and ``file`` where frames come from files.
    field : Field
    hidden : ndarray of bool, shape (H, W)
        Where something is printed or drawn over the frames, so that no particle can be seen.
    warnings : tuple of Notice
    """

    drift: pd.DataFrame
    field: Field
    hidden: np.ndarray
    warnings: tuple[Notice, ...]


def measure_drift(
    series: Series, printed: np.ndarray, still: np.ndarray, progress: Progress | None = None
) -> MeasuredDrift:
    """Measure the drift, and find out what is drawn over the frames.

    Parameters
    ----------
    series : Series
    printed : ndarray of bool, shape (H, W)
        From `emscout.movies.registration.printed.read_printed_scale`.
    still : ndarray of bool, shape (H, W)
        From `emscout.annotations.burnt_in.find_burnt_in`.
    progress : callable or None
        Called as ``progress(done, total, what)``.

    Raises
    ------
    NothingToFindError
        When no frame shows a specimen.
    """
    report = progress or (lambda done, total, what: None)

    def estimate(hidden: np.ndarray) -> pd.DataFrame:
        return estimate_drift(
            Images(series),
            printed=hidden,
            progress=lambda done, total, what: report(done, total, f"drift, {what}"),
        )

    drift = estimate(printed)
    clocks = find_clock(series, drift, still)
    if clocks:
        printed = printed | _mask_of(clocks, series.shape)
        drift = estimate(printed)
    if (still & ~printed).any():
        with suppress(NothingToFindError):
            beneath = estimate(printed | still)
            good = (drift["status"] == "ok").sum()
            if specimen_moves(beneath) and (beneath["status"] == "ok").sum() >= _STILL_GOOD * good:
                return MeasuredDrift(beneath, True, clocks)
    return MeasuredDrift(drift, False, clocks)


def register(
    series: Series, printed: np.ndarray, still: np.ndarray, measured: MeasuredDrift, *, keep_borders: bool
) -> Registration:
    """Choose the field in which particles are measured, and say what the user should know about the frames.

    Parameters
    ----------
    series, printed, still
        As given to `measure_drift`.
    measured : MeasuredDrift
    keep_borders : bool
        Measure whole frames rather than what all have in common.
    """
    drawn = still if measured.burnt_in else np.zeros_like(still)
    clocks = _mask_of(measured.clocks, series.shape)
    field, field_notices = choose_field(measured.drift, series.shape, keep_borders=keep_borders)
    origins = pd.DataFrame({crop.frame: crop.origin for crop in field.crops}, index=["cut_row_px", "cut_col_px"]).T
    drift = measured.drift.join(origins.astype("Int64"), on="frame")
    if series.times_s is not None:
        drift.insert(1, "time_s", series.times_s)
    if files := file_names(series):
        drift["file"] = files
    warnings = (
        *series.warnings,
        *drift_notices(drift, timed=series.times_s is not None),
        *annotation_notices(float((drawn & ~printed).mean()), float((clocks & ~printed).mean())),
        *field_notices,
    )
    return Registration(drift, field, printed | drawn | clocks, warnings)


def _mask_of(rectangles: list[Rectangle], shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in rectangles:
        mask[top:bottom, left:right] = True
    return mask
