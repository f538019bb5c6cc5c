"""How do the particles of a movie change? In memory: drift, particles frame by frame, tracks, events, laws."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from emscout.annotations.burnt_in import find_burnt_in
from emscout.compute import Progress
from emscout.errors import NothingToFindError, UsageError
from emscout.micrograph import Micrograph, Notice, Series
from emscout.movies.analyse_tracks import TABLES, analyse_tracks
from emscout.movies.frames import as_series
from emscout.movies.notices import result_notices, unreadable_notices
from emscout.movies.options import MovieOptions
from emscout.movies.registration.field import Field
from emscout.movies.registration.printed_scale import read_printed_scale
from emscout.movies.registration.register import Registration, measure_drift, register
from emscout.movies.report.summary import summarise
from emscout.movies.report.time_axis import choose_time_axis
from emscout.movies.segmentation.method import Method, choose_method
from emscout.movies.segmentation.segment_frames import fix_parameters, join_frames, measure_frame
from emscout.particles.segment import Polarity, Segmenter

__all__ = ["MovieResult", "analyse_movie", "follow_particles"]


@dataclass(frozen=True, eq=False)
class MovieResult:
    """What `follow_particles` found in a movie.

    Parameters
    ----------
    series : Series
        With the calibration that counts.
    drift : DataFrame
        One row per frame: where the specimen is, and what is wrong with the frame; the columns of ``drift.csv``.
    tracks : DataFrame
        One row per particle and frame, with ``particle``, a number that it keeps; the columns of ``tracks.csv``.
    events : DataFrame
        Which particles merged, split, vanished, appeared, left or entered the field, and when.
    curves : DataFrame
        Number, mean radius, coverage and volume in each measured frame, with their bands.
    particles : DataFrame
        One row per particle: when it was seen, and by which mechanism its size changed.
    growth : DataFrame
        The exponent of growth by two methods, with 95 % intervals.
    shapes : DataFrame
        The last size distribution compared with those of ripening and of coalescence.
    story : dict of str to str
        A summary in words: paragraphs by their headings.
    warnings : tuple of Notice
        What the user should know first.
    failed : tuple of Notice
        Frames that could not be read or measured, and why.
    region : Field
        The part of each frame that was measured.
    labels : callable
        ``labels(frame)`` gives the label image (int32) of a measured frame, for the part of it that begins at its
        ``cut_row_px`` and ``cut_col_px`` in `drift`.
    typical_diameter : str or None
        Of the particles, as the network was given it in all frames.
    polarity : {'auto', 'bright', 'dark'}
        Of the particles, as the segmenter was given it in all frames.
    """

    series: Series
    drift: pd.DataFrame = field(repr=False)
    tracks: pd.DataFrame = field(repr=False)
    events: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    particles: pd.DataFrame = field(repr=False)
    growth: pd.DataFrame = field(repr=False)
    shapes: pd.DataFrame = field(repr=False)
    story: dict[str, str]
    warnings: tuple[Notice, ...]
    failed: tuple[Notice, ...]
    region: Field = field(repr=False)
    labels: Callable[[int], np.ndarray] = field(repr=False)
    typical_diameter: str | None
    polarity: Polarity

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name."""
        return {name: getattr(self, name) for name in TABLES}


def follow_particles(
    series: Series | Iterable[np.ndarray | Micrograph],
    options: MovieOptions | None = None,
    *,
    segmenter: Segmenter | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> MovieResult:
    """Follow the particles of a movie in memory: what `follow` does with a file.

    Frames are read and measured one after the other; tables and compressed labels are kept, images are not.

    Parameters
    ----------
    series : Series, or iterable of ndarray (H, W) or Micrograph
        From `read_series`, or frames in memory, of one size and type.
    options : MovieOptions, optional
        Or give its fields by name: ``follow_particles(series, frame_time="0.5s")``. ``resample``, ``save_aligned`` and
        ``parquet`` are about files and have no effect here.
    segmenter : callable, optional
        As for `find_particles`, in place of ``options.model``.
    progress : callable, optional
        Called as ``progress(done, total, what)``; each step counts from 0.
    **settings
        Fields of `MovieOptions`.

    Returns
    -------
    MovieResult

    Raises
    ------
    UsageError
        When an option is invalid, or the frames differ, are too small or are fewer than two.
    NothingToFindError
        When no frame shows a specimen.
    ModelError
        When the network cannot be loaded.

    Examples
    --------
    >>> import emscout as em
    >>> from emscout.synthetic.movie import make_movie
    >>> movie = make_movie(4, (96, 96), n_particles=8, snr=8, seed=1)
    >>> result = em.follow_particles(movie.frames, model="watershed", frame_time="2s", pixel_size="0.5nm")
    >>> result.curves["time_s"].tolist()
    [0.0, 2.0, 4.0, 6.0]
    >>> bool(result.labels(0).max() == (result.tracks["frame"] == 0).sum())
    True
    """
    if options is not None and settings:
        raise UsageError("Give either `options` or its fields by name, not both.")
    options = options or MovieOptions(**settings)
    series = as_series(series, pixel_size_nm=options.pixel_size_nm, frame_time_s=options.frame_time_s)
    method, _ = choose_method(options, segmenter)
    series, printed = read_printed_scale(series, options.trust)
    still = find_burnt_in(series)
    drift = measure_drift(series, printed, still, progress)
    registration = register(series, printed, still, drift, keep_borders=options.keep_borders)
    method = fix_parameters(series, registration.field.crops, method)
    report = progress or (lambda done, total, what: None)
    labels, tables, failed = _Labels(), [], dict[int, str]()
    for done, crop in enumerate(registration.field.crops):
        report(done, len(registration.field.crops), f"particles of frame {crop.frame}")
        found = measure_frame(series, crop, method, registration.hidden)
        if isinstance(found, str):
            failed[crop.frame] = found
        else:
            labels[crop.frame] = found[0]
            tables.append(found[1])
    return analyse_movie(series, registration, method, lambda _: join_frames(tables), labels, failed, progress)


def analyse_movie(
    series: Series,
    registration: Registration,
    method: Method,
    particles: Callable[[list[int]], pd.DataFrame],
    labels: Callable[[int], np.ndarray],
    failed: Mapping[int, str],
    progress: Progress | None = None,
) -> MovieResult:
    """From the particles of each frame to the result: the last step in memory and in a folder.

    Parameters
    ----------
    series : Series
    registration : Registration
    method : Method
        With the parameters that hold for the whole movie.
    particles : callable
        Gives the particles of a list of frames as one table.
    labels : callable
        See `MovieResult`.
    failed : mapping of int to str
        Frames that could not be measured, and why.
    progress : callable or None

    Raises
    ------
    NothingToFindError
        When no frame was measured.
    """
    crops = tuple(crop for crop in registration.field.crops if crop.frame not in failed)
    if not crops:
        raise NothingToFindError(f"No frame could be measured. {next(iter(failed.values()))}")
    measured = replace(registration.field, crops=crops)
    nm_per_px = None if series.calibration is None else series.calibration.nm_per_px
    tables = analyse_tracks(
        particles([crop.frame for crop in crops]),
        labels,
        registration.drift,
        measured,
        times_s=series.times_s,
        nm_per_px=nm_per_px,
        seed=method.options.seed,
        progress=progress,
    )
    return MovieResult(
        series=series,
        **tables,
        story=summarise(tables, choose_time_axis(series.times_s, len(series)), nm_per_px),
        warnings=(*registration.warnings, *result_notices(tables, calibrated=nm_per_px is not None)),
        failed=(
            *unreadable_notices(registration.drift, series),
            *(Notice("frame-failed", sentence) for sentence in failed.values()),
        ),
        region=measured,
        labels=labels,
        typical_diameter=method.diameter,
        polarity=method.polarity,
    )


class _Labels:
    """Label images by frame, compressed."""

    def __init__(self) -> None:
        self._packed: dict[int, tuple[bytes, tuple[int, ...]]] = {}

    def __setitem__(self, frame: int, labels: np.ndarray) -> None:
        self._packed[frame] = zlib.compress(labels.astype(np.int32).tobytes(), 1), labels.shape

    def __call__(self, frame: int) -> np.ndarray:
        packed, shape = self._packed[frame]
        return np.frombuffer(zlib.decompress(packed), np.int32).reshape(shape)
