"""From the particles of each frame to what happened to them: tracks, events, mechanisms, curves, laws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from emscout.compute import Progress
from emscout.movies.kinetics.curves import measure_curves
from emscout.movies.kinetics.growth import WIDEST_INTERVAL, growth_exponent
from emscout.movies.kinetics.mechanisms import assign_mechanisms, ripening_prevails
from emscout.movies.kinetics.size_distribution import compare_distributions, last_radii_px
from emscout.movies.registration.field import Field
from emscout.movies.tracking.events import find_events
from emscout.movies.tracking.link import link_particles
from emscout.movies.tracking.observations import outline_noise_px
from emscout.tables import to_physical

__all__ = ["TABLES", "analyse_tracks"]

TABLES = ("drift", "tracks", "events", "curves", "particles", "growth", "shapes")
"""Names of the tables of a movie."""

# A canvas that holds all of every frame may be at most so many times as large as a frame.
_LARGEST_CANVAS = 8


def analyse_tracks(
    particles: pd.DataFrame,
    labels: Callable[[int], np.ndarray],
    drift: pd.DataFrame,
    field: Field,
    *,
    times_s: np.ndarray | None = None,
    nm_per_px: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, pd.DataFrame]:
    """Link the particles of a movie and find out what happened to them.

    Parameters
    ----------
    particles : DataFrame
        One row per particle and frame, from `emscout.movies.segmentation.segment_frames.measure_frame`.
    labels : callable
        Frame to the label image of its crop.
    drift : DataFrame
        A row for every frame.
    field : Field
        Its crops are the frames that were measured.
    times_s : ndarray of float, shape (n_frames,), or None
    nm_per_px : float or None
    seed : int
        Random seed of the bootstrap.
    progress : callable or None
        Called as ``progress(done, total, what)``.

    Returns
    -------
    dict of str to DataFrame
        The `TABLES`: ``drift``, ``tracks``, ``events``, ``curves``, ``particles``, ``growth`` (``explains``: whether
        the exponent tells one law from the next, and ripening prevails), ``shapes``.
    """
    report = progress or (lambda done, total, what: None)
    frames = np.array([crop.frame for crop in field.crops])
    tracks = link_particles(
        particles, _labels_in_field(labels, field), progress=lambda done, total: report(done, total, "linking")
    )
    report(0, 4, "events")
    events = find_events(tracks, field.shape, drift=drift if field.whole else None, frames=frames, times_s=times_s)
    area_px2 = float(np.prod(field.shape))
    report(1, 4, "mechanisms")
    fates = assign_mechanisms(tracks, events, area_px2)
    report(2, 4, "curves")
    curves = measure_curves(tracks, area_px2, frames=frames, times_s=times_s)
    report(3, 4, "growth law")
    times = np.arange(len(drift), dtype=float) if times_s is None else times_s
    growth = growth_exponent(tracks, times, events, seed=seed)
    # A figure without its interval is not reported.
    growth.loc[~np.isfinite(growth["n_low"] + growth["n_high"]), ["n", "n_low", "n_high", "k", "k_low", "k_high"]] = (
        np.nan
    )
    growth["explains"] = (growth["n_high"] - growth["n_low"] <= WIDEST_INTERVAL) & ripening_prevails(fates)
    growth["k_unit"] = "px^n/frame" if times_s is None else "px^n/s"
    shapes = compare_distributions(last_radii_px(tracks), outline_noise_px(tracks))
    if times_s is not None:
        tracks.insert(1, "time_s", times_s[tracks["frame"]])
    report(4, 4, "growth law")
    return {
        "drift": drift,
        "tracks": tracks,
        "events": to_physical(events, nm_per_px),
        "curves": to_physical(curves, nm_per_px),
        "particles": to_physical(fates, nm_per_px),
        "growth": growth,
        "shapes": shapes,
    }


def _labels_in_field(labels: Callable[[int], np.ndarray], field: Field) -> Callable[[int], np.ndarray] | None:
    """Frame to its labels in the drift-corrected field; None where that is too large for memory."""
    if not field.whole:
        return labels
    shifts = {crop.frame: np.rint(-np.array(crop.offset)).astype(int) for crop in field.crops}
    all_shifts = np.array(list(shifts.values()))
    room = np.array(field.shape) + np.ptp(all_shifts, axis=0)
    if np.prod(room) > _LARGEST_CANVAS * np.prod(field.shape):
        return None
    furthest = all_shifts.max(axis=0)

    def read(frame: int) -> np.ndarray:
        canvas = np.zeros(room, np.int32)
        row, col = furthest - shifts[frame]
        canvas[row : row + field.shape[0], col : col + field.shape[1]] = labels(frame)
        return canvas

    return read
