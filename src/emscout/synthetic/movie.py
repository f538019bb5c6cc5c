"""In situ movies with known truth, for the demo, tests and benchmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pandas as pd
from scipy import ndimage, spatial, special

__all__ = ["PROCESSES", "SyntheticMovie", "make_movie"]

PROCESSES = ("none", "ripening", "coalescence", "mixed")
TRACKS = ("frame", "particle", "row_px", "col_px", "row_frame_px", "col_frame_px", "radius_px", "touches_border")
EVENTS = ("frame", "kind", "particles", "area_before_px2", "area_after_px2")

_BACKGROUND = 0.6
_EDGE_PX = 0.8
_SMALLEST_PX = 1.0
# Two particles that will merge start to move towards each other so many frames before.
_APPROACH_FRAMES = 8
_BLUR_PX = 4.0
# Places tried for each particle.
_CANDIDATES = 20
_OVEREXPOSURE = 3.0


@dataclass(frozen=True)
class SyntheticMovie:
    """A movie and its truth.

    Parameters
    ----------
    frames : sequence of ndarray (H, W), uint8 or uint16
        Made one at a time, always with the same bytes.
    shift_px : ndarray, shape (n, 2)
        Where the specimen's image lies in each frame, relative to the first frame that is ``ok``.
    status : ndarray of str, shape (n,)
        ``ok``, ``blank``, ``blurred``, ``doubled`` or ``saturated``.
    tracks : DataFrame
        One row per frame and particle whose centre is in that frame: ``frame``, ``particle``, ``row_px`` and ``col_px``
        on the specimen (the frame's position minus its shift), ``row_frame_px``, ``col_frame_px``, ``radius_px``,
        ``touches_border``.
    events : DataFrame
        ``frame`` (the first in which it has happened), ``kind`` (``coalescence``, ``vanished``, ``entered-field``,
        ``left-field``), ``particles`` (a tuple; of a coalescence, the one that stays and the one that merges into it),
        ``area_before_px2``, ``area_after_px2``.
    frame_time_s : float
        Time from one frame to the next.
    """

    frames: Sequence[np.ndarray]
    shift_px: np.ndarray
    status: np.ndarray
    tracks: pd.DataFrame
    events: pd.DataFrame
    frame_time_s: float


def make_movie(
    n_frames: int = 100,
    shape: tuple[int, int] = (256, 256),
    *,
    n_particles: int = 80,
    diameter_px: tuple[float, float] = (14.0, 2.5),
    arrangement: str = "random",
    process: str = "none",
    growth: float = 1.3,
    merges: int = 10,
    conserve: str = "volume",
    drift_px: float = 0.3,
    jumps: int = 0,
    jump_px: tuple[float, float] = (10.0, 40.0),
    snr: float = 4.0,
    blank: Sequence[int] = (),
    blurred: Sequence[int] = (),
    doubled: Sequence[int] = (),
    saturated: Sequence[int] = (),
    uneven: float = 0.0,
    dead_pixels: float = 0.0,
    levels: int | None = None,
    dtype: str = "uint8",
    frame_time_s: float = 1.0,
    seed: int = 0,
) -> SyntheticMovie:
    """Make a movie of dark particles on a support that drifts, jumps and changes.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    shape : (int, int)
        Height and width in pixels.
    n_particles : int
        Number in one field of view; the specimen is as large as the drift needs, with the same density.
    diameter_px : (float, float)
        Mean and standard deviation (normal, at least 4 px). With ripening the diameters follow the distribution of
        Lifshitz, Slyozov and Wagner with that mean instead, and the standard deviation is ignored.
    arrangement : {'random', 'array'}
        'array' is a hexagonal lattice with some jitter (6 % of the spacing) and 4 % of the places empty.
    process : {'none', 'ripening', 'coalescence', 'mixed'}
        What happens to the particles. Ripening is the mean field of Lifshitz, Slyozov and Wagner (doi:
        10.1016/0022-3697(61)90054-3): ``dr/dt = K / r² (r / <r> - 1)`` over the whole specimen, the volume of the
        spheres conserved; a particle vanishes at a radius of 1 px.
    growth : float
        Factor by which the mean radius grows over the movie by ripening.
    merges : int
        How many pairs coalesce in one field of view, if there are so many; neighbours move towards each other, touch,
        and become one disc at their common centre of mass.
    conserve : {'volume', 'area'}
        What a coalescence conserves: the volume of spheres, or the area of discs.
    drift_px : float
        Slow drift: length per frame of a steady motion, plus a random step of half that standard deviation an axis.
    jumps, jump_px : int, (float, float)
        How many sudden jumps of the stage, and their shortest and longest length; the direction is random.
    snr : float
        Difference in grey value between background and particles over the noise's standard deviation in a pixel.
    blank, blurred, doubled, saturated : sequence of int
        Frames that show no specimen (at random black, or only noise), are out of focus, show the specimen both before
        and after a jump (one is added there), or are overexposed.
    uneven : float
        Fraction of the illumination lost across the field, fixed to the detector.
    dead_pixels : float
        Fraction of the pixels that always have the same value, dark or bright.
    levels : int or None
        Number of grey levels between black and white where the camera has few; ``None``: all that `dtype` has.
    dtype : {'uint8', 'uint16'}
        Of the frames.
    frame_time_s : float
        Is only passed on.
    seed : int
        Random seed: the same arguments give the same bytes.

    Raises
    ------
    ValueError
        When there is no such arrangement, process or conserved quantity.
    """
    for value, allowed in ((arrangement, ("random", "array")), (process, PROCESSES), (conserve, ("volume", "area"))):
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
    rng = np.random.default_rng(seed)
    status = np.full(n_frames, "ok", dtype=object)
    for name, which in (("blank", blank), ("blurred", blurred), ("doubled", doubled), ("saturated", saturated)):
        status[list(which)] = name
    shift = _stage(n_frames, drift_px, jumps, jump_px, doubled, rng)
    shift -= shift[np.argmax(status == "ok")]
    ripens = process in ("ripening", "mixed")
    centres = _place(shape, shift, n_particles, arrangement, rng)
    radii = _radii(len(centres), diameter_px, ripens, rng)
    if arrangement == "random":
        # Room to grow, so that ripening alone does not make particles touch.
        most = round(len(centres) / _CANDIDATES)
        kept = _without_overlap(centres, radii * (growth if ripens else 1.0), most)
        centres, radii = centres[kept], radii[kept]
    rate = 9 / 4 * radii.mean() ** 3 * (growth**3 - 1) / max(n_frames - 1, 1) if ripens else 0.0
    n_merges = round(merges * len(radii) / max(n_particles, 1)) if process in ("coalescence", "mixed") else 0
    where, size, happened = _evolve(n_frames, centres, radii, rate, n_merges, 3 if conserve == "volume" else 2, rng)
    tracks = _tracks(where, size, shift, shape)
    events = _events(tracks, happened, size)
    contrast = min(0.3, 0.13 * snr)
    detector = _detector(shape, uneven, dead_pixels, rng)
    grey_levels = np.iinfo(dtype).max if levels is None else levels
    frames = _Frames(where, size, shift, status, shape, contrast, contrast / snr, detector, grey_levels, dtype, seed)
    return SyntheticMovie(frames, shift, status, tracks, events, frame_time_s)


@dataclass(frozen=True)
class _Frames(Sequence[np.ndarray]):
    """Frames that are drawn when they are asked for."""

    where: np.ndarray
    size: np.ndarray
    shift: np.ndarray
    status: np.ndarray
    shape: tuple[int, int]
    contrast: float
    noise: float
    detector: tuple[np.ndarray, np.ndarray]
    levels: int
    dtype: str
    seed: int

    def __len__(self) -> int:
        return len(self.where)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        i = range(len(self))[index]
        rng = np.random.default_rng([self.seed, i])
        light, dead = self.detector
        status = self.status[i]
        image = light * (_BACKGROUND - self.contrast * self._matter(i, status))
        if status == "blurred":
            image = ndimage.gaussian_filter(image, _BLUR_PX, mode="nearest")
        if status == "blank":
            image = light * _BACKGROUND * (rng.random() < 0.5)
        noise = 0.0 if status == "blank" and not image.any() else self.noise
        image = image + noise * rng.standard_normal(self.shape, dtype=np.float32)
        if status == "saturated":
            image = image * _OVEREXPOSURE
        image = np.where(np.isnan(dead), image, dead)
        return np.rint(self.levels * image.clip(0, 1)).astype(self.dtype)

    def _matter(self, i: int, status: str) -> np.ndarray:
        """Share of each pixel that is particle, 0 to 1."""
        if status == "blank":
            return np.zeros(self.shape, np.float32)
        here = self._discs(i, self.shift[i])
        return (here + self._discs(i, self.shift[max(i - 1, 0)])) / 2 if status == "doubled" else here

    def _discs(self, i: int, shift: np.ndarray) -> np.ndarray:
        matter = np.zeros(self.shape, np.float32)
        centres, reaches = self.where[i] + shift, self.size[i] + 4 * _EDGE_PX
        seen = (self.size[i] > 0) & (centres > -reaches[:, None]).all(axis=1)
        seen &= (centres < np.array(self.shape) - 1 + reaches[:, None]).all(axis=1)
        for (row, col), radius, reach in zip(centres[seen], self.size[i][seen], reaches[seen], strict=True):
            top, left = max(0, math.floor(row - reach)), max(0, math.floor(col - reach))
            box = (slice(top, math.ceil(row + reach) + 1), slice(left, math.ceil(col + reach) + 1))
            r, c = np.ogrid[box[0].start : min(box[0].stop, self.shape[0]), left : min(box[1].stop, self.shape[1])]
            beyond = np.sqrt((r - row) ** 2 + (c - col) ** 2) - radius
            matter[box] = np.maximum(matter[box], 0.5 * special.erfc(beyond / (math.sqrt(2) * _EDGE_PX)))
        return matter


def _stage(
    n: int, drift_px: float, jumps: int, jump_px: tuple[float, float], doubled: Sequence[int], rng: np.random.Generator
) -> np.ndarray:
    """Where the specimen's image lies, frame by frame."""
    heading = rng.uniform(0, 2 * math.pi)
    steps = drift_px * np.array([math.sin(heading), math.cos(heading)]) + rng.normal(0, drift_px / 2, (n, 2))
    at = np.union1d(rng.choice(np.arange(1, n), min(jumps, n - 1), replace=False), list(doubled)).astype(int)
    if len(at):
        angle, length = rng.uniform(0, 2 * math.pi, len(at)), rng.uniform(*jump_px, len(at))
        steps[at] += length[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    steps[0] = 0
    return steps.cumsum(axis=0)


def _place(shape: tuple[int, int], shift: np.ndarray, n: int, arrangement: str, rng: np.random.Generator) -> np.ndarray:
    """Centres over the part of the specimen that is seen in any frame, and a margin."""
    area_px2 = shape[0] * shape[1] / max(n, 1)
    margin = 2 * math.sqrt(area_px2)
    low, high = -shift.max(axis=0) - margin, np.array(shape) - shift.min(axis=0) + margin
    if n == 0:
        return np.empty((0, 2))
    if arrangement == "random":
        return rng.uniform(low, high, (_CANDIDATES * round(float(np.prod(high - low)) / area_px2), 2))
    spacing = math.sqrt(2 / math.sqrt(3) * area_px2 * 0.96)
    height = spacing * math.sqrt(3) / 2
    rows = np.arange(low[0], high[0], height)
    cols = np.arange(low[1], high[1], spacing)
    lattice = [(row, col + spacing / 2 * (k % 2)) for k, row in enumerate(rows) for col in cols]
    turn = rng.uniform(0, math.pi / 3) * 0.1
    middle = (low + high) / 2
    places = (np.array(lattice) - middle) @ np.array(
        [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]
    ) + middle
    places = places[rng.random(len(places)) < 0.96]
    return places + rng.normal(0, 0.06 * spacing, places.shape)


def _radii(n: int, diameter_px: tuple[float, float], ripens: bool, rng: np.random.Generator) -> np.ndarray:
    if not ripens:
        return np.maximum(4.0, rng.normal(*diameter_px, n)) / 2
    u = np.linspace(0, 1.5, 4001)[1:-1]
    density = u**2 * (3 + u) ** (-7 / 3) * (1.5 - u) ** (-11 / 3) * np.exp(-u / (1.5 - u))
    # Evenly over the distribution, because the few largest ones decide how the movie goes on.
    share = (rng.permutation(n) + rng.random(n)) / max(n, 1)
    drawn = np.interp(share, density.cumsum() / density.sum(), u)
    return np.maximum(drawn * diameter_px[0] / 2, 1.2 * _SMALLEST_PX)


def _without_overlap(centres: np.ndarray, radii: np.ndarray, most: int) -> list[int]:
    """The first so many that are at least 2 px away from all before them."""
    kept: list[int] = []
    for i, (centre, radius) in enumerate(zip(centres, radii, strict=True)):
        if len(kept) == most:
            break
        if (np.hypot(*(centres[kept] - centre).T) - radii[kept] - radius >= 2).all():
            kept.append(i)
    return kept


def _evolve(
    n_frames: int,
    centres: np.ndarray,
    radii: np.ndarray,
    rate: float,
    merges: int,
    power: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, list[tuple[int, str, tuple[int, ...]]]]:
    """Centres (n_frames, n, 2) on the specimen, radii (n_frames, n) with 0 after a particle is gone, and events."""
    where, size = np.empty((n_frames, *centres.shape)), np.zeros((n_frames, len(radii)))
    centres, radii = centres.copy(), radii.copy()
    happened: list[tuple[int, str, tuple[int, ...]]] = []
    planned = _pairs(centres, radii, merges)
    at = rng.integers(1, max(n_frames, 2), len(planned))
    for i in range(n_frames):
        if i:
            alive = radii > 0
            _ripen(radii, rate)
            happened += [(i, "vanished", (int(k),)) for k in np.flatnonzero(alive & (radii == 0))]
        for pair, when in zip(planned, at, strict=True):
            if 0 <= when - i <= _APPROACH_FRAMES and (radii[list(pair)] > 0).all():
                big, small = sorted(pair, key=lambda k: -radii[k])
                weight = radii[big] ** power / (radii[big] ** power + radii[small] ** power)
                apart = centres[small] - centres[big]
                gap = math.hypot(*apart) - radii[big] - radii[small]
                # At constant speed, so that they touch in the last frame before.
                step = apart / math.hypot(*apart) * gap / max(1, when - i)
                centres[big] += (1 - weight) * step
                centres[small] -= weight * step
                if when == i:
                    centres[big] += (1 - weight) * (centres[small] - centres[big])
                    radii[big] = (radii[big] ** power + radii[small] ** power) ** (1 / power)
                    radii[small] = 0
                    happened.append((i, "coalescence", (big, small)))
        where[i], size[i] = centres, radii
    return where, size, happened


def _ripen(radii: np.ndarray, rate: float) -> None:
    """Ripening over one frame, in steps so short that no radius changes by more than a tenth; in place."""
    left = 1.0
    while rate and left > 0 and (alive := radii > 0).any():
        r = radii[alive]
        speed = rate / r**2 * (r / r.mean() - 1)
        step = min(left, 0.1 / max(float(np.abs(speed / r).max()), 1e-12))
        r = r + step * speed
        radii[alive] = np.where(r < _SMALLEST_PX, 0.0, r)
        left -= step


def _pairs(centres: np.ndarray, radii: np.ndarray, n: int) -> list[tuple[int, int]]:
    """Up to n disjoint pairs of close neighbours, the closest first."""
    if n == 0 or len(centres) < 2:
        return []
    nearest = np.asarray(spatial.KDTree(centres).query(centres, k=2)[1])[:, 1]
    gap = np.hypot(*(centres - centres[nearest]).T) - radii - radii[nearest]
    # The smallest would ripen away before they meet.
    gap[np.minimum(radii, radii[nearest]) < 0.8 * np.median(radii)] = math.inf
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for k in np.argsort(gap, kind="stable"):
        pair = (int(k), int(nearest[k]))
        if len(pairs) < n and gap[k] < 2 * radii.mean() and not taken & set(pair):
            pairs.append(pair)
            taken |= set(pair)
    return pairs


def _tracks(where: np.ndarray, size: np.ndarray, shift: np.ndarray, shape: tuple[int, int]) -> pd.DataFrame:
    position = where + shift[:, None]
    edge = np.array(shape) - 0.5
    frame, particle = np.nonzero((size > 0) & ((position >= -0.5) & (position < edge)).all(axis=2))
    row, col = position[frame, particle].T
    radius = size[frame, particle]
    cut = (np.minimum(row, col) - radius < -0.5) | (row + radius > edge[0]) | (col + radius > edge[1])
    columns = (frame, particle, *where[frame, particle].T, row, col, radius, cut)
    return pd.DataFrame(dict(zip(TRACKS, columns, strict=True)))


def _events(tracks: pd.DataFrame, happened: list[tuple[int, str, tuple[int, ...]]], size: np.ndarray) -> pd.DataFrame:
    """Events in the field of view, and particles that entered or left it."""
    seen = pd.crosstab(tracks["frame"], tracks["particle"]).reindex(range(len(size)), fill_value=0)
    inside = np.zeros(size.shape, bool)
    inside[:, seen.columns] = seen.to_numpy() > 0
    rows: list[tuple[int, str, tuple[int, ...], float, float]] = []
    for frame, kind, particles in happened:
        if inside[frame - 1, list(particles)].any():
            before, after = (math.pi * float((size[i, list(particles)] ** 2).sum()) for i in (frame - 1, frame))
            rows.append((frame, kind, particles, before, after))
    both = (size[1:] > 0) & (size[:-1] > 0)
    for kind, changed in (
        ("entered-field", both & inside[1:] & ~inside[:-1]),
        ("left-field", both & ~inside[1:] & inside[:-1]),
    ):
        for i, k in np.argwhere(changed):
            area = math.pi * size[i + 1, k] ** 2
            rows.append((int(i) + 1, kind, (int(k),), area, area))
    return pd.DataFrame(sorted(rows), columns=list(EVENTS))


def _detector(
    shape: tuple[int, int], uneven: float, dead_pixels: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity of each pixel, and its value where it is dead (else NaN)."""
    r, c = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    heading = rng.uniform(0, 2 * math.pi)
    light = 1 - uneven * ((math.sin(heading) * r + math.cos(heading) * c) / 2 + (r**2 + c**2) / 4)
    dead = np.full(shape, np.nan, np.float32)
    broken = rng.random(shape) < dead_pixels
    dead[broken] = rng.choice([0.0, 0.3, 1.0], int(broken.sum()))
    return light.astype(np.float32), dead
