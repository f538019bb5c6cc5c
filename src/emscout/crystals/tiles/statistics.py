"""Statistics of the grey values in every window of an image.

Moments come from running sums, ranges from running extremes, and everything else from running histograms of 256 grey
levels (exact for 8-bit images, see `emscout.crystals.tiles.histogram`); only ``mode_1024`` cuts windows out one by one.
Pixels that are not finite count in no statistic; a window without finite pixels has NaN for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.histogram import Levels, choose_levels, iterate_levels
from emscout.crystals.tiles.texture import N_GREYS, CoOccurrence, co_occurrence, squared_gradient
from emscout.crystals.tiles.windows import window_extremes, window_sums
from emscout.errors import UsageError

__all__ = ["STATISTICS", "Levels", "Windows", "calculate_statistics", "choose_levels"]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
# Relative to the squared distance of a window from the mean of its block: running sums lose a smaller variance.
SMALLEST_VARIANCE = 1e-6


class Moments(NamedTuple):
    """Mean, variance, skewness and excess kurtosis of each window; the first two in the grey values of the image."""

    mean: np.ndarray
    variance: np.ndarray
    skewness: np.ndarray
    kurtosis: np.ndarray


class Distribution(NamedTuple):
    """Statistics from the histogram of each window."""

    mode: np.ndarray
    quantiles: np.ndarray  # shape (n_quantiles, n_rows, n_cols)
    entropy: np.ndarray


class Windows:
    """The windows of a part of an image, with what several statistics share; each is calculated once.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Grey values.
    lattice : Lattice
        The windows.
    scale : Levels
        Grey levels of histograms.
    """

    def __init__(self, image: np.ndarray, lattice: Lattice, scale: Levels) -> None:
        self.image = image
        self.lattice = lattice
        self.scale = scale

    @cached_property
    def finite(self) -> np.ndarray | None:
        """Where grey values are finite, bool, shape (H, W); ``None`` where all are."""
        if self.image.dtype.kind != "f":
            return None
        finite = np.isfinite(self.image)
        return None if finite.all() else finite

    @cached_property
    def n_pixels(self) -> np.ndarray:
        """Number of finite pixels in each window."""
        return self.lattice.areas if self.finite is None else window_sums(self.finite, self.lattice)

    @cached_property
    def middle(self) -> float:
        """Mean of all finite pixels."""
        known = self.image if self.finite is None else self.image[self.finite]
        return float(known.mean(dtype=np.float64)) if known.size else 0.0

    @cached_property
    def grey(self) -> np.ndarray:
        """Grey values minus their mean, float64, shape (H, W); 0 where not finite."""
        grey = np.subtract(self.image, self.middle, dtype=np.float64)
        if self.finite is not None:
            grey[~self.finite] = 0
        return grey

    @cached_property
    def extremes(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest grey value."""
        if self.finite is None:
            smallest, largest = window_extremes(self.image, self.lattice)
        else:
            smallest = window_extremes(np.where(self.finite, self.image, np.inf), self.lattice)[0]
            largest = window_extremes(np.where(self.finite, self.image, -np.inf), self.lattice)[1]
        return smallest.astype(np.float64), largest.astype(np.float64)

    @cached_property
    def moments(self) -> Moments:
        """Mean, variance, skewness and excess kurtosis; the last two are 0 where all grey values are the same."""
        n, power = np.maximum(self.n_pixels, 1), self.grey.copy()
        raw = [window_sums(power, self.lattice) / n]
        for _ in range(3):
            power *= self.grey
            raw.append(window_sums(power, self.lattice) / n)
        mean = raw[0]
        central = [
            raw[1] - mean**2,
            raw[2] - 3 * mean * raw[1] + 2 * mean**3,
            raw[3] - 4 * mean * raw[2] + 6 * mean**2 * raw[1] - 3 * mean**4,
        ]
        varied = self.extremes[1] > self.extremes[0]
        for r, c in np.argwhere(varied & (central[0] < SMALLEST_VARIANCE * raw[1])):
            window = (slice(*self.lattice.rows[r]), slice(*self.lattice.cols[c]))
            values = self.grey[window] if self.finite is None else self.grey[window][self.finite[window]]
            for moment, exponent in zip(central, (2, 3, 4), strict=True):
                moment[r, c] = ((values - values.mean()) ** exponent).mean()
        variance = np.where(varied, central[0], 0.0)
        divisor = np.where(variance > 0, variance, 1.0)
        return Moments(
            np.where(varied, mean + self.middle, self.extremes[0]),
            variance,
            np.where(variance > 0, central[1] / divisor**1.5, 0.0),
            np.where(variance > 0, central[2] / divisor**2 - 3, 0.0),
        )

    @cached_property
    def levels(self) -> np.ndarray:
        """Grey levels, uint8, shape (H, W)."""
        return self.scale.of(self.image)

    @cached_property
    def distribution(self) -> Distribution:
        """Most frequent grey value, quantiles, and entropy in bits."""
        n_pixels, shape = np.maximum(self.n_pixels, 1), self.lattice.shape
        logarithms = np.arange(int(n_pixels.max()) + 1, dtype=np.float64)
        logarithms[1:] *= np.log2(logarithms[1:])
        kind = np.min_scalar_type(int(n_pixels.max()))
        ranks = np.ceil(np.multiply.outer(QUANTILES, n_pixels)).astype(kind)
        below, most = np.zeros(shape, kind), np.zeros(shape, kind)
        mode, quantiles = np.zeros(shape, np.uint8), np.zeros((len(QUANTILES), *shape), np.uint8)
        surprise = np.zeros(shape)
        for level, n in iterate_levels([(self.levels, self.lattice, self.finite)]):
            np.copyto(quantiles, level, where=below < ranks)
            np.copyto(mode, level, where=n > most)
            np.maximum(most, n, out=most)
            below += n
            surprise += logarithms[n]
        grey = self.scale.lowest + self.scale.step * np.arange(256)
        return Distribution(grey[mode], grey[quantiles], np.log2(n_pixels) - surprise / n_pixels)

    @cached_property
    def texture(self) -> CoOccurrence:
        """Co-occurrence of 16 grey levels."""
        return co_occurrence(self.levels // np.uint8(256 // N_GREYS), self.lattice, self.finite)


def relative_standard_deviation(windows: Windows) -> np.ndarray:
    """Standard deviation over the absolute mean; 0 where the mean is 0."""
    size = np.abs(windows.moments.mean)
    return np.divide(np.sqrt(windows.moments.variance), size, out=np.zeros(size.shape), where=size > 0)


def mode_1024(windows: Windows) -> np.ndarray:
    """Centre of the fullest of 1024 bins over the range of the window, as in Janus (2018).

    Bins differ from window to window, so windows are processed one by one, which is slow where many overlap.
    """
    smallest, largest = windows.extremes
    mode = smallest.copy()
    for r, c in np.argwhere(largest > smallest):
        values = windows.image[slice(*windows.lattice.rows[r]), slice(*windows.lattice.cols[c])]
        values = (values if windows.finite is None else values[np.isfinite(values)]).astype(np.float64)
        width = (largest[r, c] - smallest[r, c]) / 1024
        bins = np.minimum((values - smallest[r, c]) / width, 1023).astype(np.intp)
        mode[r, c] += (np.bincount(bins.ravel()).argmax() + 0.5) * width
    return mode


def interquartile_range(windows: Windows) -> np.ndarray:
    """From the first to the third quartile."""
    return windows.distribution.quantiles[4] - windows.distribution.quantiles[2]


STATISTICS: dict[str, Callable[[Windows], np.ndarray]] = {
    "mean": lambda windows: windows.moments.mean,
    "standard_deviation": lambda windows: np.sqrt(windows.moments.variance),
    "relative_standard_deviation": relative_standard_deviation,
    "skewness": lambda windows: windows.moments.skewness,
    "kurtosis": lambda windows: windows.moments.kurtosis,
    "range": lambda windows: windows.extremes[1] - windows.extremes[0],
    "mode": lambda windows: windows.distribution.mode,
    "mode_1024": mode_1024,
    "median": lambda windows: windows.distribution.quantiles[3],
    "quantile_01": lambda windows: windows.distribution.quantiles[0],
    "quantile_05": lambda windows: windows.distribution.quantiles[1],
    "quantile_25": lambda windows: windows.distribution.quantiles[2],
    "quantile_75": lambda windows: windows.distribution.quantiles[4],
    "quantile_95": lambda windows: windows.distribution.quantiles[5],
    "interquartile_range": interquartile_range,
    "entropy": lambda windows: windows.distribution.entropy,
    "gradient_energy": lambda windows: squared_gradient(windows.grey, windows.lattice, windows.finite),
    "haralick_contrast": lambda windows: windows.texture.contrast,
    "haralick_homogeneity": lambda windows: windows.texture.homogeneity,
    "haralick_energy": lambda windows: windows.texture.energy,
    "haralick_correlation": lambda windows: windows.texture.correlation,
}


def calculate_statistics(
    image: np.ndarray, lattice: Lattice, names: Sequence[str], *, levels: Levels | None = None
) -> np.ndarray:
    """Statistics of all windows.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values.
    lattice : Lattice
        The windows.
    names : sequence of str
        Keys of ``STATISTICS``.
    levels : Levels or None
        Grey levels of histograms and co-occurrence. Give those of the whole set (`choose_levels`) to compare images;
        ``None`` takes those of the image.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_cols, n_names)

    Raises
    ------
    UsageError
        For an unknown name.
    """
    unknown = [name for name in names if name not in STATISTICS]
    if unknown:
        raise UsageError(f"There is no statistic '{unknown[0]}'; choose from {', '.join(STATISTICS)}.")
    scale = choose_levels([image]) if levels is None else levels
    values = np.empty((*lattice.shape, len(names)))
    for (r, c), pixels, part in lattice.blocks():
        windows = Windows(image[pixels], part, scale)
        for i, name in enumerate(names):
            values[r, c, i] = np.where(windows.n_pixels > 0, STATISTICS[name](windows), np.nan)
    return values
