"""What the frames of a movie usually look like, and what is wrong with a frame that does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from emscout.annotations.burnt_in import ends_sharply
from emscout.errors import NothingToFindError, ReadError, UsageError
from emscout.movies.registration.working_grid import (
    WorkingGrid,
    band_power,
    choose_grid,
    correct_illumination,
    radial_power,
    taper,
    whiten,
)

__all__ = ["UsualFrame", "clean", "find_usual_frame"]

# Number of frames read before the first is aligned; fewer where they would take more memory than this.
_SAMPLE = 12
_SAMPLE_BYTES = 256_000_000
# Share of a side over which frames fade out before they are filtered.
_FADE = 0.06
# If more than this share of the pixels look dead, or printed over, they are part of the specimen.
_MOST_DEAD = 0.02
_MOST_FIXED = 0.3
# Range of a pixel's values in the sample, in standard deviations.
_RANGE = 3.3
# Grey levels over which a pixel must usually range in the sample for a constant one to be suspicious.
_MANY_LEVELS = 4


@dataclass(frozen=True)
class UsualFrame:
    """What is common to the frames of a movie.

    Parameters
    ----------
    shape : (int, int)
        Of a frame.
    background : ndarray of float32, shape (H, W)
        The illumination, smooth and fixed to the detector.
    window : ndarray of float32, shape (H, W)
        Weight of each pixel: falls to 0 at the border, 0 where a pixel is dead or printed over.
    deviation : float
        Usual standard deviation of a frame.
    highest : float
        Highest grey value seen.
    at_top : float
        Usual share of the pixels that have it.
    flat_rows : float
        Usual share of rows without any contrast.
    power : ndarray, shape (4,)
        Mean power in the coarse and in the fine half of the spectrum of a usual frame, then of noise alone.
    grid : WorkingGrid
    """

    shape: tuple[int, int]
    background: np.ndarray
    window: np.ndarray
    deviation: float
    highest: float
    at_top: float
    flat_rows: float
    power: np.ndarray
    grid: WorkingGrid

    def spectrum(self, frame: np.ndarray) -> np.ndarray:
        """The whitened spectrum of a frame (from `clean`) on the working grid."""
        return whiten(correct_illumination(_without_border(frame), self.background, self.window), self.grid)

    def strength(self, spectrum: np.ndarray) -> tuple[float, float, float]:
        """Power of the specimen in the coarse and in the fine half of a spectrum, and the uncertainty of the latter.

        1 in a usual frame, 0 in noise alone.
        """
        (coarse, fine), uncertain = band_power(spectrum, self.grid)
        room = self.power[:2] - self.power[2:]
        strength = float((coarse - self.power[2]) / max(room[0], 1e-3))
        if room[1] < 4 * uncertain:
            # A usual frame has so little fine detail that its absence cannot be measured.
            return strength, strength, np.inf
        return strength, float((fine - self.power[3]) / room[1]), float(uncertain / room[1])

    def structure(self, spectrum: np.ndarray) -> float:
        """Power of the coarse half of a spectrum beyond noise as strong as the fine half; 1 in a usual frame."""
        (coarse, fine), _ = band_power(spectrum, self.grid)
        noise = max(1.0, fine / max(self.power[3], 1e-3))
        return float((coarse / noise - self.power[2]) / max(self.power[0] - self.power[2], 1e-3))

    def fault(self, frame: np.ndarray) -> str | None:
        """What is clearly wrong with a frame as recorded: ``blank``, ``saturated``, ``incomplete``, or ``None``."""
        deviation, at_top, flat_rows = _character(frame, self.highest)
        if deviation < 0.05 * self.deviation:
            return "blank"
        # With few grey levels, a large part of a usual frame may have the highest one.
        if at_top > self.at_top + 0.15 and 1 - at_top < 0.8 * (1 - self.at_top):
            return "saturated"
        return "incomplete" if flat_rows > self.flat_rows + 0.05 else None


def clean(frame: np.ndarray) -> np.ndarray:
    """A frame unchanged if its values are integers, else in float32 with its mean where it is not finite.

    Raises
    ------
    UsageError
        When it is not a grey image.
    """
    if np.ndim(frame) != 2:
        raise UsageError(f"A frame is a 2-D array of grey values, not {np.ndim(frame)}-D.")
    image = np.asarray(frame)
    if image.dtype.kind in "iub":
        return image
    image = image.astype(np.float32)
    if not np.isfinite(image.sum()):
        good = np.isfinite(image)
        image[~good] = image[good].mean() if good.any() else 0.0
    return image


def find_usual_frame(frames: Sequence[np.ndarray], printed: np.ndarray | None = None) -> UsualFrame:
    """Find out what the frames of a movie usually look like, from some of them, evenly spread.

    Parameters
    ----------
    frames : sequence of ndarray (H, W)
        Up to 12 of them are read and kept in memory together, fewer if they need more than 256 MB (at least 3).
    printed : ndarray of bool, shape (H, W), or None
        Where something is printed on the frames.

    Raises
    ------
    NothingToFindError
        When none of them shows any contrast.
    UsageError
        When they have different sizes.
    """
    sample: list[np.ndarray] = []
    n, i = _SAMPLE, 0
    while i < len(frames):
        try:
            sample.append(clean(frames[i]))
            n = int(np.clip(_SAMPLE_BYTES // max(sample[0].nbytes, 1), 3, _SAMPLE))
        except ReadError:
            pass
        i += max(1, -(-(len(frames) - 1) // (n - 1)))
    if not sample:
        raise NothingToFindError("No frame of the movie can be read: copy the files again from the microscope.")
    if len({frame.shape for frame in sample}) > 1:
        raise UsageError("The frames have different sizes; a movie needs frames of one size.")
    highest = max(float(frame.max()) for frame in sample)
    characters = np.array([_character(frame, highest) for frame in sample]).reshape(-1, 3)
    contrast = characters[:, 0] > 0.2 * np.median(characters[:, 0])
    if not contrast.any() or characters[:, 0].max() == 0:
        raise NothingToFindError("No frame of the movie shows any contrast: check that the right files were given.")
    # In a spectrum, overexposed frames look like usual ones.
    like_most = contrast & (characters[:, 1] <= np.median(characters[contrast, 1]) + 0.15)
    shown = [_without_border(frame) for frame, use in zip(sample, like_most, strict=True) if use]
    deviation, at_top, flat_rows = np.median(characters[like_most], axis=0)
    background, fixed = _detector(shown, printed)
    shape = background.shape
    window = taper(shape, (1.0, 1.0), _FADE)
    window[fixed] = 0
    padded = (fft.next_fast_len(shape[0], True), fft.next_fast_len(shape[1], True))
    spectra = (fft.rfft2(correct_illumination(frame, background, window), padded) for frame in shown)
    grid = choose_grid(shape, padded, radial_power(spectra, padded) / (window**2).mean())
    bands = [band_power(whiten(correct_illumination(frame, background, window), grid), grid)[0] for frame in shown]
    noise = [grid.noise[band].mean() for band in (grid.coarse, grid.fine)]
    power = np.concatenate([np.median(bands, axis=0), noise])
    return UsualFrame(
        shape, background, window, float(deviation), highest, float(at_top), float(flat_rows), power, grid
    )


def _character(frame: np.ndarray, highest: float) -> tuple[float, float, float]:
    """Standard deviation, share of the pixels at the highest value of the movie, share of rows of one value only."""
    tops = frame.max(axis=1)
    top = float(tops.max())
    at_top = np.count_nonzero(frame == tops.max()) / frame.size if top >= highest else 0.0
    return float(frame[::7].std()), at_top, float((tops == frame.min(axis=1)).mean())


def _without_border(frame: np.ndarray) -> np.ndarray:
    """A frame with its mean in rows and columns of one value at its edge.

    They were never recorded, or an earlier alignment has left them: their border must not be taken for specimen.
    """
    edges = (frame[0], frame[-1], frame[:, 0], frame[:, -1])
    if not any(line[0] == line[-1] and line.max() == line.min() for line in edges):
        return frame
    seen = [frame.max(axis=axis) > frame.min(axis=axis) for axis in (1, 0)]
    inside = np.outer(*seen)
    return np.where(inside, frame, frame[inside].mean() if inside.any() else 0).astype(np.float32)


def _detector(sample: list[np.ndarray], printed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The smooth illumination, and which pixels are constant, stand out in all frames, or are printed."""
    shape = sample[0].shape
    middle, spread = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for start in range(0, shape[0], 256):
        rows = np.stack([frame[start : start + 256] for frame in sample])
        low, high = rows.min(axis=0), rows.max(axis=0)
        middle[start : start + 256] = rows.mean(axis=0, dtype=np.float32)
        if len(sample) > 4:
            # Without the two extremes, so that one bad frame does no harm.
            trimmed = len(sample) * middle[start : start + 256] - low - high
            middle[start : start + 256] = trimmed / (len(sample) - 2)
        spread[start : start + 256] = np.subtract(high, low, dtype=np.float32)
    alone = middle - ndimage.median_filter(middle, 3, mode="nearest")
    noise = 1.4826 * float(np.median(np.abs(alone - np.median(alone)))) or float(alone.std())
    dead = np.abs(alone) > 8 * noise if noise else np.zeros(shape, bool)
    if dead.mean() > _MOST_DEAD:
        dead[:] = False
    fixed = spread == 0
    # With few frames, few grey levels or little noise a pixel may be constant by chance.
    steps = np.diff(np.unique(sample[0][::7]).astype(np.float32))
    noisy = len(steps) > 0 and float(np.median(spread)) >= _MANY_LEVELS * float(steps.min())
    if len(sample) >= 8 and noisy and fixed.mean() <= _MOST_FIXED:
        dead |= ends_sharply(fixed, middle, float(np.median(spread)) / _RANGE)
    if printed is not None:
        dead |= printed
    middle[dead] = np.median(middle)
    return _smooth(middle), dead


def _smooth(image: np.ndarray) -> np.ndarray:
    """Three box filters, nearly a Gaussian, at a cost that does not depend on its width."""
    for _ in range(3):
        image = ndimage.uniform_filter(image, max(min(image.shape) // 5, 1), mode="nearest")
    return image
