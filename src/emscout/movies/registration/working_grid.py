"""The part of the spectrum in which frames are compared, each frequency weighted by how much of it is specimen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from emscout.errors import NothingToFindError

__all__ = ["WorkingGrid", "band_power", "choose_grid", "correct_illumination", "radial_power", "taper", "whiten"]

# Share of a side over which filtered frames fade out.
_TAPER = 0.16
# Periods across the field: slower changes are illumination, not specimen.
_SLOWEST = 3.0
# Share of the spectrum's information on the position that the working grid keeps.
_KEPT = 0.9
# Share of the specimen's own power that counts as noise, because the specimen changes and particles look alike.
_CHANGING = 0.1
# Frequencies with less than this of the strongest's power count as noise.
_FAINT = 1e-3


@dataclass(frozen=True)
class WorkingGrid:
    """The part of the spectrum in which frames are compared, whitened.

    Parameters
    ----------
    padded : (int, int)
        Size of the transform, at least that of a frame.
    shape : (int, int)
        Size of the working image that holds the kept part of the spectrum.
    window : ndarray, shape (h, w)
        Weight of each working pixel: falls to 0 at the border.
    gain : ndarray, shape (h, w // 2 + 1)
        Makes every frequency of a usual frame equally strong; a working image then has unit variance.
    specimen, noise : ndarray, shape (h, w // 2 + 1)
        Power of each in the whitened spectrum of a usual frame; their sum is nearly 1 where the specimen is faint.
    coarse, fine : ndarray of bool, shape (h, w // 2 + 1)
        The two halves of what is kept, with equal information on the position.
    """

    padded: tuple[int, int]
    shape: tuple[int, int]
    window: np.ndarray
    gain: np.ndarray
    specimen: np.ndarray
    noise: np.ndarray
    coarse: np.ndarray
    fine: np.ndarray

    @property
    def px(self) -> np.ndarray:
        """Size of a working pixel in pixels of the frame, along rows and columns."""
        return np.array(self.padded) / np.array(self.shape)

    def transform(self, image: np.ndarray) -> np.ndarray:
        """The kept part of the half spectrum of an image of the size of a frame."""
        height, width = self.shape
        # Only the columns that are kept are transformed along the rows.
        half = fft.fft(fft.rfft(image, self.padded[1])[:, : width // 2 + 1], self.padded[0], axis=0)
        return np.concatenate([half[: height - height // 2], half[len(half) - height // 2 :]])


def choose_grid(shape: tuple[int, int], padded: tuple[int, int], profiles: np.ndarray) -> WorkingGrid:
    """Choose how much of the spectrum to keep.

    Parameters
    ----------
    shape, padded : (int, int)
        Size of a frame, and of the transform.
    profiles : ndarray, shape (n, n_rings)
        From `radial_power`, of usual frames.

    Raises
    ------
    NothingToFindError
        When they contain only noise.
    """
    profile = np.median(profiles, axis=0)
    n_rings = len(profile)
    rings = np.arange(n_rings)
    narrow, wide = (ndimage.gaussian_filter1d(profile, sigma, mode="nearest") for sigma in (1.0, 4.0))
    # Lattices have sharp rings at low frequencies; at higher ones the specimen's share is small and falls smoothly.
    profile = np.where(rings < n_rings / 6, narrow, wide)
    # In a movie without noise, the weakest power is that of sharp edges sampled by pixels, which is not specimen.
    noise = max(float(np.median(profile[round(0.85 * n_rings) :])), _FAINT * float(profile[int(_SLOWEST) :].max()))
    signal = np.clip(1 - noise / profile, 0, 1)
    # Less than the mean over so many modes can be by chance.
    signal[signal < 2 / np.sqrt(np.pi * np.maximum(rings, 1) * len(profiles))] = 0
    signal[rings < _SLOWEST] = 0
    # Information on the position by frequency: modes in a ring, slope, coherence.
    information = (rings**3 * signal**2).cumsum()
    if information[-1] == 0:
        raise NothingToFindError("The frames show only noise: check that the right files were given.")
    last = max(int(np.searchsorted(information, _KEPT * information[-1])), 8) + 1
    split = int(np.searchsorted(information, 0.5 * information[last - 1 if last <= n_rings - 1 else -1]))
    height, width = (
        min(length // 2 * 2, 2 * fft.next_fast_len(max(16, int(np.ceil(last * length / min(padded)))), True))
        for length in padded
    )
    ring = np.rint(_frequency((height, width), padded) * min(padded)).astype(int)
    inside = (ring >= _SLOWEST) & (ring <= last) & (ring < n_rings)
    held = np.minimum(ring, n_rings - 1)
    whitened = np.maximum(profile, noise) * (1 - (1 - _CHANGING) * signal)
    gain, specimen, rest = (
        np.where(inside, values[held], 0).astype(np.float32)
        for values in (
            np.sqrt(height * width / whitened),
            signal * profile / whitened,
            (1 - signal) * profile / whitened,
        )
    )
    window = taper((height, width), (shape[0] / padded[0], shape[1] / padded[1]), _TAPER)
    return WorkingGrid(
        padded, (height, width), window, gain, specimen, rest, inside & (ring <= split), inside & (ring > split)
    )


def radial_power(spectra: Iterable[np.ndarray], padded: tuple[int, int]) -> np.ndarray:
    """Mean power of each spectrum in rings one period of the shorter side wide."""
    ring = np.rint(_frequency(padded, padded) * min(padded)).astype(int).ravel()
    n_rings = min(padded) // 2 + 1
    modes = np.bincount(ring)[:n_rings]
    return np.stack([np.bincount(ring, np.abs(spectrum.ravel()) ** 2)[:n_rings] / modes for spectrum in spectra])


def correct_illumination(frame: np.ndarray, background: np.ndarray, window: np.ndarray) -> np.ndarray:
    """A frame with its illumination corrected, all of shape (H, W), as float32."""
    light, mean = float(background[::7].mean()), float(frame[::7].mean())
    # The background is proportional to the brightness of the beam.
    flat = np.multiply(frame, light / mean if 0.2 * light < mean < 5 * light else 1.0, dtype=np.float32)
    flat -= background
    flat *= window
    # Nothing with the shape of the window may be left: it does not move with the specimen.
    flat -= float(flat.sum() / window.sum()) * window
    return flat


def whiten(flat: np.ndarray, grid: WorkingGrid) -> np.ndarray:
    """The whitened half spectrum on the working grid of a frame from `correct_illumination`."""
    whitened = grid.transform(flat) * grid.gain
    # The window that matters comes after the filter: the other way round, the filter leaves the edge of the window in
    # the image, which reduces the measured movement by a few thousandths.
    return fft.rfft2(fft.irfft2(whitened, grid.shape) * grid.window)


def band_power(spectrum: np.ndarray, grid: WorkingGrid) -> tuple[np.ndarray, float]:
    """Mean power in the coarse and in the fine half of a spectrum, and the uncertainty of the latter."""
    coarse, fine = (np.abs(spectrum[band]) ** 2 / float((grid.window**2).sum()) for band in (grid.coarse, grid.fine))
    # A single mode's power varies as much as it is on average.
    return np.array([coarse.mean(), fine.mean()]), float(np.sqrt((fine**2).sum())) / len(fine)


def taper(shape: tuple[int, int], covered: tuple[float, float], border: float) -> np.ndarray:
    """A window: 1 inside, falling to 0 as a squared sine at the border of the covered share of an image."""
    sides = []
    for length, share in zip(shape, covered, strict=True):
        place = (np.arange(length) + 0.5) / (share * length)
        sides.append(np.sin(np.pi / 2 * np.clip(np.minimum(place, 1 - place) / border, 0, 1)) ** 2)
    return np.outer(*sides).astype(np.float32)


def _frequency(shape: tuple[int, int], padded: tuple[int, int]) -> np.ndarray:
    """In cycles a pixel, of a half spectrum of that shape."""
    rows, cols = np.fft.fftfreq(shape[0], 1 / shape[0]), np.fft.rfftfreq(shape[1], 1 / shape[1])
    return np.hypot(rows[:, None] / padded[0], cols / padded[1])
