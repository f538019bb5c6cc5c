"""Times of the frames in a unit that keeps the numbers small."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["TimeAxis", "choose_time_axis"]

# From which length of the movie, in seconds, a unit is used, its name, and its seconds.
_UNITS = ((3 * 3600.0, "h", 3600.0), (600.0, "min", 60.0), (1.0, "s", 1.0), (0.0, "ms", 1e-3))


class TimeAxis(NamedTuple):
    """When each frame was recorded; without times, frames are the unit."""

    when: np.ndarray
    unit: str

    @property
    def label(self) -> str:
        """Label of an axis."""
        return "frame" if self.unit == "frame" else f"time ({self.unit})"

    def spell(self, number: int) -> str:
        """When a frame was recorded, in words."""
        return f"frame {number}" if self.unit == "frame" else f"{float(f'{self.when[number]:.4g}'):g} {self.unit}"


def choose_time_axis(times_s: np.ndarray | None, n_frames: int) -> TimeAxis:
    """The time axis of a movie.

    Parameters
    ----------
    times_s : ndarray of float, shape (n_frames,), or None
    n_frames : int
    """
    if times_s is None:
        return TimeAxis(np.arange(n_frames, dtype=float), "frame")
    times = np.asarray(times_s, dtype=float)
    _, unit, seconds = next(row for row in _UNITS if float(np.ptp(times)) >= row[0])
    return TimeAxis(times / seconds, unit)
