"""From the particles of each frame to what happened: tracks, events, mechanisms, curves, laws."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.compute import Progress
from emscout.micrograph import Series
from emscout.movies import results
from emscout.movies.kinetics.coarsen import explain_particles, ripening_prevails
from emscout.movies.kinetics.curves import curves
from emscout.movies.kinetics.growth import growth_exponent
from emscout.movies.kinetics.size_shapes import compare_shapes
from emscout.movies.registration.field import Field
from emscout.movies.tracking.events import find_events
from emscout.movies.tracking.link import link_particles
from emscout.movies.tracking.observations import outline_noise_px
from emscout.tables import to_physical

__all__ = ["sized_frames", "understand"]

# A canvas that holds the whole of every frame may be so many times as large as a frame.
_LARGEST_CANVAS = 8
# An exponent with a wider interval does not tell one law from the next.
_WIDEST = 1.5


def understand(
    out: Path,
    drift: pd.DataFrame,
    field: Field,
    series: Series,
    *,
    seed: int,
    progress: Progress | None = None,
) -> dict[str, pd.DataFrame]:
    """Link the particles and tell what happened to them.

    Parameters
    ----------
    out : Path
        Where `segment_frames` has saved the frames.
    drift : DataFrame
    field : Field
        Its cuts are the frames that were measured.
    series : Series
    seed : int
        Of the bootstrap.
    progress : callable or None

    Returns
    -------
    dict of str to DataFrame
        ``drift``, ``tracks``, ``events``, ``curves``, ``particles``, ``growth`` (``explains``: whether the exponent
        tells one law from the next, and ripening prevails), ``shapes``.
    """
    report = progress or (lambda done, total, what: None)
    frames = np.array([cut.frame for cut in field.cuts])
    tracks = link_particles(
        results.read_frames(out, frames.tolist()),
        _maps(out, field),
        progress=lambda done, total: report(done, total, "linking"),
    )
    report(0, 4, "events")
    events = find_events(
        tracks,
        field.shape,
        drift=drift if field.whole else None,
        frames=frames,
        times_s=series.times_s,
    )
    area_px2 = float(np.prod(field.shape))
    report(1, 4, "mechanisms")
    particles = explain_particles(tracks, events, area_px2)
    report(2, 4, "curves")
    figures = curves(tracks, area_px2, frames=frames, times_s=series.times_s)
    report(3, 4, "law of growth")
    times = np.arange(len(series), dtype=float) if series.times_s is None else series.times_s
    growth = growth_exponent(tracks, times, events, seed=seed)
    # A figure without its interval is none.
    growth.loc[~np.isfinite(growth["n_low"] + growth["n_high"]), ["n", "n_low", "n_high", "k", "k_low", "k_high"]] = (
        np.nan
    )
    growth["explains"] = (growth["n_high"] - growth["n_low"] <= _WIDEST) & ripening_prevails(particles)
    growth["k_unit"] = "px^n/frame" if series.times_s is None else "px^n/s"
    last = tracks[tracks["frame"].isin(sized_frames(tracks)) & ~tracks["touches_border"].astype(bool)]
    shapes = compare_shapes(last["equivalent_circular_diameter_px"].to_numpy() / 2, outline_noise_px(tracks))
    if series.times_s is not None:
        tracks.insert(1, "time_s", series.times_s[tracks["frame"]])
    report(4, 4, "law of growth")
    nm_per_px = None if series.calibration is None else series.calibration.nm_per_px
    return {
        "drift": drift,
        "tracks": tracks,
        **{
            name: to_physical(table, nm_per_px)
            for name, table in (("events", events), ("curves", figures), ("particles", particles))
        },
        "growth": growth,
        "shapes": shapes,
    }


def sized_frames(tracks: pd.DataFrame) -> list[int]:
    """The frame whose sizes are held against the laws: the last one, when the shape has had most time to form."""
    return [int(tracks["frame"].max())] if len(tracks) else []


def _maps(out: Path, field: Field) -> Callable[[int], np.ndarray] | None:
    """Frame to its labels in the drift-corrected field; None where that is too large to be held."""
    if not field.whole:
        return partial(results.read_labels, out)
    shifts = {cut.frame: np.rint(-np.array(cut.offset)).astype(int) for cut in field.cuts}
    all_shifts = np.array(list(shifts.values()))
    room = np.array(field.shape) + np.ptp(all_shifts, axis=0)
    if np.prod(room) > _LARGEST_CANVAS * np.prod(field.shape):
        return None
    furthest = all_shifts.max(axis=0)

    def read(frame: int) -> np.ndarray:
        canvas = np.zeros(room, np.int32)
        row, col = furthest - shifts[frame]
        canvas[row : row + field.shape[0], col : col + field.shape[1]] = results.read_labels(out, frame)
        return canvas

    return read
