"""Where a frame lies relative to the average of the frames before it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import fft

from emscout.movies.registration.working_grid import WorkingGrid

__all__ = ["Match", "Template"]

# Number of frames in the template: enough to average out the noise, few enough to follow a specimen that changes.
_MEMORY = 48
# How much more likely a jump must be than no jump, in nats, and as a share of the best match.
_JUMP_NATS = 12.0
_JUMP_SHARE = 0.1
# The template is updated after so many frames, or fewer if they are this share of those before.
_RENEWED, _NEWS = 8, 0.25
# A second copy of the specimen is searched where the first has less than this share of the usual gain.
_WEAK = 0.85
# Steps per working pixel of the first search around a peak.
_COARSE = 4
# A movement of this many working pixels since the last frame is half a jump.
_STEP = 4.0
# A frame that is found within so many working pixels, with this share of the usual gain, has not jumped.
_NEAR, _USUAL = 4, 0.9
# The same share at places between steps, and the height above noise from which on it means something.
_WHOLE, _CLEAR = 0.82, 12.0
# The template follows the specimen before it has moved further than this against it, in working pixels.
_ANCHOR = 4.0


@dataclass(frozen=True)
class Match:
    """The best fit of a frame to the template.

    Parameters
    ----------
    shift : ndarray, shape (2,)
        Of the specimen's image, in working pixels.
    significance : float
        Height of the correlation over its standard deviation in noise alone.
    correlation : float
        Between frame and template where they overlap, -1 to 1.
    gain : float
        Contrast of the frame over that of the template.
    coarse, fine : float
        What the two halves of the spectrum contribute to the correlation.
    fine_noise : float
        Standard deviation of `fine` in noise alone.
    ghost : float
        Height of a second copy of the specimen in the same frame, over that of the first.
    """

    shift: np.ndarray
    significance: float
    correlation: float
    gain: float
    coarse: float
    fine: float
    fine_noise: float
    ghost: float


@dataclass
class Template:
    """The average of the last good frames, each moved to where the specimen is now.

    Parameters
    ----------
    grid : WorkingGrid
    reach : (float, float)
        Longest jump that is allowed, in working pixels.
    """

    grid: WorkingGrid
    reach: np.ndarray
    gain: float = 1.0
    anchor: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def __post_init__(self) -> None:
        shape = self.grid.shape
        self._rows, self._cols = np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1])
        self._sum, self._weight = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._coarse, self._fine = (band.ravel().astype(np.float32) for band in (self.grid.coarse, self.grid.fine))
        self._window_spectrum = fft.rfft2(self.grid.window)
        self._window_power = float((self.grid.window**2).sum())
        self._turns: dict[tuple[tuple[int, int], tuple[float, float]], tuple[np.ndarray, np.ndarray]] = {}
        self._last = np.zeros(2)
        self._seen = self._renewed = 0

    def add(self, spectrum: np.ndarray, shift: np.ndarray, gain: float = 1.0) -> None:
        """Add a good frame to the average; its gain tells how strong the specimen usually is."""
        self.gain += (float(np.clip(gain, 0.5, 2)) - self.gain) / min(self._seen + 1, _RENEWED)
        moved = self._follow(shift)
        relative = shift - self.anchor
        row, col = self._phases(relative)
        aligned = fft.irfft2(spectrum * row[:, None] * col, self.grid.shape)
        forget = 1 - 1 / _MEMORY
        self._sum *= forget
        seen = _moved(self.grid.window, -np.rint(relative).astype(int))
        # Least squares: a frame is the specimen times its window, so its border has little weight.
        self._sum += aligned * seen
        self._weight *= forget
        self._weight += seen * seen
        self._last = shift.copy()
        self._seen += 1
        if moved or self._seen - self._renewed >= min(_RENEWED, _NEWS * self._renewed):
            self._refresh()
            self._renewed = self._seen

    def forget(self) -> None:
        """Give all frames so far the weight of half a frame, because the specimen looks different from now on."""
        share = 0.5 / max(float(self._weight.max()), 1.0)
        self._sum *= share
        self._weight *= share
        self._seen = self._renewed = 0
        self.gain = 1.0

    def match(self, spectrum: np.ndarray, upsampling: np.ndarray) -> Match:
        """Find the place of a frame.

        Parameters
        ----------
        spectrum : ndarray
            From `UsualFrame.spectrum`.
        upsampling : ndarray, shape (2,)
            Steps per working pixel in which the peak is searched, along rows and columns.
        """
        cross = spectrum * self._conjugate
        expected = self._last - self.anchor
        # Most frames are close to the last, and fit the template as well as usual.
        steps = np.arange(-2 * _NEAR, 2 * _NEAR + 1) / 2
        local = self._sample(cross, expected, (2 * _NEAR, 2 * _NEAR), (2.0, 2.0))
        energy = float(self._energy[tuple(np.rint(expected).astype(int) % self.grid.shape)])
        likely = self._likelihood(local, energy, steps, steps)
        row, col = np.unravel_index(int(likely.argmax()), local.shape)
        relative = expected + np.array([steps[row], steps[col]])
        near = self._refine(spectrum, relative, upsampling)
        if near.gain > _USUAL * self.gain and (np.abs(relative - expected) < _NEAR).all():
            return near
        surface, energies = self._everywhere(spectrum)
        places = [np.fft.fftfreq(2 * length, 1 / length) for length in self.grid.shape]
        likely = self._likelihood(surface, energies, places[0] - expected[0], places[1] - expected[1])
        # With the usual gain the whole frame fits, not just a part as on the next row of an array.
        whole = (surface > _WHOLE * self.gain * energies) & (surface > _CLEAR * self._noise) & np.isfinite(likely)
        if whole.any():
            likely[~whole] = -np.inf
        row, col = np.unravel_index(int(likely.argmax()), surface.shape)
        far = np.array([places[0][row], places[1][col]])
        if (np.abs(far - relative) <= 1).all():
            return near
        # Far away, frame and template overlap little; so the template is moved to the frame.
        kept = (self.anchor, self._sum, self._weight)
        self._follow(self.anchor + far)
        self._refresh()
        found = self._refine(spectrum, kept[0] + far - self.anchor, upsampling)
        self.anchor, self._sum, self._weight = kept
        self._refresh()
        # A faint frame always seems to fit where the overlap is smallest; that means nothing.
        return found if found.significance > min(_CLEAR, near.significance) else near

    def _everywhere(self, spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Correlation and overlapped energy at all shifts up to half the field, in steps of half a working pixel.

        Frames are padded, because a lattice that is continued periodically would fit once more. The steps are half of
        what the spectrum needs, so that a peak between two pixels does not come out lower than its neighbour.
        """
        height, width = self.grid.shape
        twice = (2 * height, 2 * width)
        template = fft.irfft2(self._conjugate.conj(), self.grid.shape)
        turned = fft.rfft2(template, twice).conj()
        cross = fft.rfft2(fft.irfft2(spectrum, self.grid.shape), twice) * turned
        fine = np.zeros((4 * height, 2 * width + 1), np.complex64)
        fine[:height, :width] = 4 * cross[:height, :width]
        fine[-height:, :width] = 4 * cross[-height:, :width]
        surface = fft.irfft2(fine, (4 * height, 4 * width))
        energy = fft.irfft2(fft.rfft2(self.grid.window, twice) * fft.rfft2(template**2, twice).conj(), twice)
        near_rows, near_cols = (np.fft.fftfreq(2 * length, 0.5 / length).astype(int) for length in self.grid.shape)
        surface = surface[np.ix_(near_rows, near_cols)]
        return surface, np.maximum(energy[np.ix_(near_rows // 2, near_cols // 2)], 0)

    def _likelihood(
        self, correlation: np.ndarray, energy: np.ndarray | float, rows: np.ndarray, cols: np.ndarray
    ) -> np.ndarray:
        """How much more likely a frame lies at each place than it is noise, in nats, less the penalty of a jump.

        `rows` and `cols` count from where the frame is expected.
        """
        explained = 0.5 * self.gain**2 * energy
        doubt = max(_JUMP_NATS, _JUMP_SHARE * float(np.max(explained)))
        squared = (rows**2)[:, None] + cols**2
        likely = self.gain * correlation - explained - doubt * (1 - 1 / (1 + squared / _STEP**2))
        likely[np.abs(rows) > self.reach[0]] = -np.inf
        likely[:, np.abs(cols) > self.reach[1]] = -np.inf
        return likely

    def _refine(self, spectrum: np.ndarray, relative: np.ndarray, upsampling: np.ndarray) -> Match:
        """The peak of a correlation to a fraction of a pixel, and what the frame is like there."""
        cross = spectrum * self._conjugate
        reach = np.ceil(upsampling / _COARSE + 1).astype(int)
        for n, steps in (((_COARSE + 1,) * 2, np.minimum(upsampling, _COARSE)), (reach, upsampling)):
            local = self._sample(cross, relative, (int(n[0]), int(n[1])), (float(steps[0]), float(steps[1])))
            at = np.unravel_index(int(local.argmax()), local.shape)
            row, col = (min(max(int(k), 1), size - 2) for k, size in zip(at, local.shape, strict=True))
            relative = relative + (np.array([row, col]) - n) / steps
        around = local[row - 1 : row + 2, col - 1 : col + 2]
        top, bend = _vertex(around)
        height = float(around[1, 1])
        # The correlation grows with the overlap of frame and template: this slope must not move the peak.
        pull = height * self._slope(relative) / (bend * upsampling)
        relative = relative + (top + np.clip(pull, -1, 1)) / upsampling
        place = tuple(np.rint(relative).astype(int) % self.grid.shape)
        energy = max(float(self._energy[place]), 1e-12)
        strength = 2 * float(np.vdot(spectrum, spectrum).real) / np.prod(self.grid.shape)
        row_phase, col_phase = self._phases(relative)
        aligned = spectrum * row_phase[:, None] * col_phase
        evident = (aligned * self._raw).real.ravel()
        gain = height / energy
        # A frame that is stronger than usual, but does not show the specimen, is noise.
        excess = np.sqrt(max(1.0, strength / self._window_power))
        return Match(
            self.anchor + relative,
            height / (self._noise * excess),
            height / np.sqrt(energy * max(strength, 1e-12)),
            gain,
            float(evident @ self._coarse),
            float(evident @ self._fine),
            self._fine_noise,
            self._ghost(aligned, gain) if gain < _WEAK * self.gain else 0.0,
        )

    def _ghost(self, aligned: np.ndarray, gain: float) -> float:
        """The highest second copy of the specimen, over the first, in a frame that is aligned with the template."""
        once = fft.rfft2(self.grid.window * fft.irfft2(self._conjugate.conj(), self.grid.shape))
        rest = fft.irfft2((aligned - gain * once) * self._conjugate, self.grid.shape)
        enough = self._energy > 0.5 * self._energy[0, 0]
        return float((rest[enough] / self._energy[enough]).max()) / max(gain, 1e-6)

    def _sample(
        self, cross: np.ndarray, middle: np.ndarray, reach: tuple[int, int], steps: tuple[float, float]
    ) -> np.ndarray:
        """A correlation at `reach` places on either side of the middle, in `steps` per working pixel.

        By matrix products (doi:10.1364/OL.33.000156).
        """
        if (reach, steps) not in self._turns:
            rows, cols = (np.arange(-n, n + 1) / step for n, step in zip(reach, steps, strict=True))
            turn_rows = np.exp(2j * np.pi * np.outer(rows, self._rows)) / np.prod(self.grid.shape)
            turn_cols = np.exp(2j * np.pi * np.outer(self._cols, cols))
            # Every column of a half spectrum but the first stands for two.
            turn_cols[1:] *= 2
            self._turns[reach, steps] = (turn_rows.astype(np.complex64), turn_cols.astype(np.complex64))
        turn_rows, turn_cols = self._turns[reach, steps]
        row, col = self._phases(middle)
        return ((turn_rows * row) @ cross @ (turn_cols * col[:, None])).real

    def _slope(self, relative: np.ndarray) -> np.ndarray:
        """Relative growth of the overlap of frame and template per working pixel along both axes."""
        (row, col), (height, width) = np.rint(relative).astype(int), self.grid.shape
        overlap = self._overlap
        rows = overlap[(row + 1) % height, col % width] - overlap[(row - 1) % height, col % width]
        cols = overlap[row % height, (col + 1) % width] - overlap[row % height, (col - 1) % width]
        return np.array([rows, cols]) / (2 * max(float(overlap[row % height, col % width]), 1.0))

    def _phases(self, relative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        row = np.exp(2j * np.pi * self._rows * relative[0]).astype(np.complex64)
        return row, np.exp(2j * np.pi * self._cols * relative[1]).astype(np.complex64)

    def _follow(self, shift: np.ndarray) -> bool:
        """Move the template with the specimen, by whole working pixels; whether that was necessary."""
        step = np.rint(shift - self.anchor).astype(int)
        if (np.abs(shift - self.anchor) <= _ANCHOR).all():
            return False
        self._sum, self._weight = _moved(self._sum, step), _moved(self._weight, step)
        self.anchor = self.anchor + step
        return True

    def _refresh(self) -> None:
        seen = float((self._weight * self.grid.window).sum() / self._window_power)
        # What was seen only once is noisier than what was seen often, and has less weight: in space …
        spectrum = fft.rfft2(self._sum / (self._weight + 1))
        self._raw = spectrum.conj()
        # … and, as in Wiener's filter, the less specimen there is at a frequency, the less weight it has.
        specimen, noise = self.grid.specimen, self.grid.noise
        spectrum = spectrum * (specimen * (seen + 1) / np.maximum(specimen * seen + noise, 1e-6))
        self._conjugate = spectrum.conj()
        self._fine_noise = float(
            np.sqrt(0.5 * np.prod(self.grid.shape) * (np.abs(self._raw[self.grid.fine]) ** 2).sum())
        )
        squared = fft.irfft2(spectrum, self.grid.shape) ** 2
        self._noise = float(np.sqrt(squared.sum())) or 1.0
        self._energy = fft.irfft2(self._window_spectrum * fft.rfft2(squared).conj(), self.grid.shape)
        known = self._weight / (self._weight + 1)
        self._overlap = fft.irfft2(self._window_spectrum * fft.rfft2(known).conj(), self.grid.shape)


def _moved(image: np.ndarray, step: np.ndarray) -> np.ndarray:
    """An image moved by whole pixels, filled with 0."""
    moved = np.zeros_like(image)
    into, out_of = [], []
    for by, length in zip(step, image.shape, strict=True):
        by = int(np.clip(by, -length, length))
        into.append(slice(max(by, 0), length + min(by, 0)))
        out_of.append(slice(max(-by, 0), length - max(by, 0)))
    moved[tuple(into)] = image[tuple(out_of)]
    return moved


def _vertex(around: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of parabolas through the middle of 3 × 3 values, and their second derivatives."""
    before, after, middle = np.array([around[0, 1], around[1, 0]]), np.array([around[2, 1], around[1, 2]]), around[1, 1]
    bend = np.minimum(before - 2 * middle + after, -1e-6 * max(abs(float(middle)), 1e-6))
    return np.clip(0.5 * (before - after) / bend, -0.5, 0.5), bend
