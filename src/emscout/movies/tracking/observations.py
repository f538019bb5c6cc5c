"""When and where each particle is seen: tracks arranged so that contacts and sizes at a time can be looked up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

__all__ = ["HALF_CUT", "SETTLE", "Observations", "Track", "outline_noise_px", "read_tracks"]

SETTLE = 5
"""Frames from which a size before or after a change is taken."""

HALF_CUT = 0.6
"""Of a disc that an edge cuts in half, the distance of the visible part's centroid from the edge, over the radius of
the disc of its area."""

# Outlines this far apart, or by this share of both radii, still touch: they approach further before the next frame.
_TOUCH_PX = 2.0
_TOUCH_SHARE = 0.25
# Frames over which a size is extrapolated, and over which a particle must shrink to be fading.
_RECENT = 5
_FADING = 12
# A particle whose radius is within this factor of the smallest ones seen may be missed.
_NEAR_SMALLEST = 1.3


@dataclass(frozen=True)
class Track:
    """One particle: the frames (as positions among all frames) where it is seen, and what is seen."""

    time: np.ndarray
    place: np.ndarray  # (n, 2)
    area_px2: np.ndarray
    radius_px: np.ndarray

    def median_px2(self, low: int, high: int) -> float:
        """Median area over low <= time < high; NaN where the particle is not seen."""
        inside = slice(*np.searchsorted(self.time, (low, high)))
        return float(np.median(self.area_px2[inside])) if len(self.time[inside]) else float("nan")

    def volume_px3(self, low: int, high: int, at: float) -> float:
        """Cube of the radius at a moment, by a line through low <= time < high; NaN where the particle is not seen."""
        inside = slice(*np.searchsorted(self.time, (low, high)))
        volume = _on_line(self.time[inside], self.radius_px[inside] ** 3, at)
        return volume if np.isnan(volume) else max(volume, 0.0)

    def place_at(self, low: int, high: int, at: float) -> np.ndarray:
        """Row and column at a moment, by a line through low <= time < high."""
        inside = slice(*np.searchsorted(self.time, (low, high)))
        return np.array([_on_line(self.time[inside], axis, at) for axis in self.place[inside].T])

    def shrinks(self, noise_px: float) -> bool:
        """Whether it grew smaller in its last frames, by three standard deviations of the slope."""
        time, radius = self.time[-_FADING:], self.radius_px[-_FADING:]
        if len(time) < 3:
            return False
        off = time - time.mean()
        return bool((off * radius).sum() < -3 * noise_px * np.sqrt((off**2).sum()))


@dataclass(frozen=True)
class Observations:
    """All tracks of a movie, in one direction of time."""

    tracks: dict[int, Track]
    view: np.ndarray  # (n_frames, 4): top, left, bottom, right of what each frame shows
    by_frame: list[np.ndarray]  # for each frame (n, 4): particle, row, column, radius; interpolated in gaps
    noise_px: float  # scatter of radii from frame to frame
    jitter_px: float  # scatter of rows and columns from frame to frame
    smallest_px: float  # radius

    def backwards(self) -> Observations:
        """The same movie with time reversed."""
        last = len(self.view) - 1
        turned = {
            particle: Track(last - track.time[::-1], track.place[::-1], track.area_px2[::-1], track.radius_px[::-1])
            for particle, track in self.tracks.items()
        }
        return replace(self, tracks=turned, view=self.view[::-1], by_frame=self.by_frame[::-1])

    def fades(self, particle: int) -> bool:
        """Whether it shrinks and is, or will be in the next frame, too small to be found."""
        track = self.tracks[particle]
        near = (_NEAR_SMALLEST * self.smallest_px) ** 3
        last = int(track.time[-1])
        return track.shrinks(self.noise_px) and track.volume_px3(last + 1 - _RECENT, last + 1, last + 1) < near

    def to_edge_px(self, place: np.ndarray, time: int) -> float:
        """Distance of a place from the nearest edge of what a frame shows; negative beyond it."""
        top, left, bottom, right = self.view[time]
        row, col = place
        return float(min(row - top, col - left, bottom - row, right - col))

    def touching(self, particle: int, i: int, time: int) -> list[int]:
        """Particles of frame `time` that a particle touches at its place in its `i`-th frame."""
        track, here = self.tracks[particle], self.by_frame[time]
        apart = np.hypot(*(here[:, 1:3] - track.place[i]).T)
        near = apart <= (1 + _TOUCH_SHARE) * (here[:, 3] + track.radius_px[i]) + _TOUCH_PX
        return [int(number) for number in here[near, 0] if number != particle]


def outline_noise_px(tracks: pd.DataFrame) -> float:
    """Standard deviation of a particle's radius from frame to frame, steady changes taken out.

    Parameters
    ----------
    tracks : DataFrame
        ``frame``, ``particle``, ``area_px2``.

    Returns
    -------
    float
        In pixels, from the median absolute second difference of the radii of neighbouring frames; 0 when no particle
        is seen three times.
    """
    ordered = tracks.sort_values(["particle", "frame"])
    radius = np.sqrt(ordered["area_px2"].to_numpy(dtype=float) / np.pi)
    return _scatter(radius, ordered["particle"].to_numpy())


def _scatter(values: np.ndarray, particle: np.ndarray) -> float:
    """Standard deviation about a steady change, of values ordered by particle and frame."""
    bend = np.diff(values, 2)[particle[2:] == particle[:-2]]
    return float(1.4826 * np.median(np.abs(bend)) / np.sqrt(6)) if len(bend) else 0.0


def _on_line(time: np.ndarray, values: np.ndarray, at: float) -> float:
    """Value at a moment by the line through the median slope; of one or two values the nearest, of none NaN."""
    if len(time) < 3:
        return float(values[np.abs(time - at).argmin()]) if len(time) else float("nan")
    from scipy import stats  # takes half a second to import

    slope, start, *_ = stats.theilslopes(values, time)
    return float(start + slope * at)


def read_tracks(
    tracks: pd.DataFrame, numbers: np.ndarray, shape: tuple[int, int], drift: pd.DataFrame | None
) -> Observations:
    """Arrange tracks over the frames `numbers`; see `find_events` for `shape` and `drift`."""
    ordered = tracks.sort_values(["particle", "frame"], kind="stable")
    particle = ordered["particle"].to_numpy(dtype=int)
    time = np.searchsorted(numbers, ordered["frame"].to_numpy())
    place = ordered[["row_px", "col_px"]].to_numpy(dtype=float)
    area = ordered["area_px2"].to_numpy(dtype=float)
    radius = np.sqrt(area / np.pi)
    names, starts = np.unique(particle, return_index=True)
    ends = np.append(starts, len(particle))[1:]
    named = {
        int(name): Track(*(values[low:high] for values in (time, place, area, radius)))
        for name, low, high in zip(names, starts, ends, strict=True)
    }
    rows = np.column_stack([time, particle, place, radius])
    rows = np.vstack([rows, _in_gaps(rows)])
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    firsts = np.searchsorted(rows[:, 0], np.arange(1, len(numbers)))
    view = np.tile(np.array([-0.5, -0.5, shape[0] - 0.5, shape[1] - 0.5]), (len(numbers), 1))
    if drift is not None:
        shift = drift.set_index("frame").reindex(numbers)[["row_px", "col_px"]].interpolate(limit_direction="both")
        view -= np.tile(shift.to_numpy(dtype=float), 2)
    smallest = float(np.percentile(radius, 1)) if len(radius) else 0.0
    jitter = float(np.mean([_scatter(axis, particle) for axis in place.T]))
    return Observations(named, view, np.split(rows[:, 1:], firsts), outline_noise_px(tracks), jitter, smallest)


def _in_gaps(rows: np.ndarray) -> np.ndarray:
    """Interpolated rows (time, particle, row, column, radius) for frames in which a particle is missing in between.

    A particle that has just formed by coalescence is often missed for a frame.
    """
    before, after = rows[:-1], rows[1:]
    missed = np.where(before[:, 1] == after[:, 1], after[:, 0] - before[:, 0] - 1, 0).astype(int)
    gap = np.repeat(np.arange(len(missed)), missed)
    step = np.arange(len(gap)) - np.repeat(np.cumsum(missed) - missed, missed) + 1
    share = (step / (missed[gap] + 1))[:, None]
    return before[gap] + share * (after[gap] - before[gap])
