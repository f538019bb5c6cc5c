"""Sub-images cut from a movie to train an autoencoder on, and whether they are like the frames they come from."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from emscout.errors import NothingToFindError, ReadError, UsageError
from emscout.micrograph import Series
from emscout.movies.segmentation.autoencoder import normalise

__all__ = ["SubImages", "compare_greys", "cut_sub_images"]

_LOG = logging.getLogger(__name__)

MOST_FRAMES = 100
"""Frames that sub-images are cut from, spread over the movie: enough, and no movie is too long."""

UNLIKE, MOST_UNLIKE = 0.25, 1 / 3
"""A sub-image is unlike its frame from such a distance between their greys on; so large a share of those tells that
the sub-images are too small."""
POOLED = 0.05
"""Distance between the greys of all sub-images and those of all frames from which there are too few of them."""

_BINS = np.linspace(-6, 6, 241)


@dataclass(frozen=True)
class SubImages:
    """What an autoencoder is trained on.

    Parameters
    ----------
    stack : ndarray of float32, shape (n, S, S)
        Sub-images of frames that were brought to mean 0 and standard deviation 1.
    frames : list of int
        The frames they were cut from.
    held_out : int
        A frame nothing was cut from.
    held_out_grey : ndarray of float32, shape (H, W)
        That frame, brought to mean 0 and standard deviation 1 too.
    warning : str or None
        What is wrong with the greys of the sub-images.
    """

    stack: np.ndarray
    frames: list[int]
    held_out: int
    held_out_grey: np.ndarray
    warning: str | None


def cut_sub_images(series: Series, count: int, side_px: int, seed: int) -> SubImages:
    """Cut sub-images at random places out of frames spread evenly over a movie; the middle one of those is held out.

    Frames that cannot be read or show nothing are passed over.

    Raises
    ------
    UsageError
        When the frames are smaller than a sub-image, or fewer than two can be used.
    """
    if min(series.shape) < side_px:
        raise UsageError(
            f"The frames are {series.shape[0]}×{series.shape[1]} px, smaller than a sub-image: give a `side_px` of at "
            f"most {min(series.shape) // 4 * 4}."
        )
    spread = np.unique(np.linspace(0, len(series) - 1, min(MOST_FRAMES + 1, count + 1)).round().astype(int))
    usable = {int(i): grey for i in spread if (grey := _read(series, int(i))) is not None}
    if len(usable) < 2:
        raise UsageError(
            f"Only {len(usable)} frame(s) of '{series.path}' can be used: an autoencoder needs at least two, one of "
            "them held out to check it."
        )
    numbers = list(usable)
    held_out = numbers.pop(len(numbers) // 2)
    held_out_grey = usable.pop(held_out)
    random = np.random.default_rng(seed)
    stack = np.empty((count, side_px, side_px), np.float32)
    source = np.arange(count) * len(numbers) // count
    for k, i in enumerate(source):
        grey = usable[numbers[i]]
        row, col = (int(random.integers(side - side_px + 1)) for side in grey.shape)
        stack[k] = grey[row : row + side_px, col : col + side_px]
    warning = compare_greys(stack, [usable[number] for number in numbers], source)
    return SubImages(stack, numbers, held_out, held_out_grey, warning)


def _read(series: Series, number: int) -> np.ndarray | None:
    try:
        return normalise(series[number].image)[0]
    except (ReadError, NothingToFindError) as error:
        _LOG.info("frame %d is left out: %s", number, error)
        return None


def compare_greys(stack: np.ndarray, frames: list[np.ndarray], source: np.ndarray) -> str | None:
    """Compare the grey levels of sub-images with those of the whole frames.

    Parameters
    ----------
    stack : ndarray, shape (n, S, S)
    frames : list of ndarray (H, W)
    source : ndarray of int, shape (n,)
        Which frame each sub-image is of.

    Returns
    -------
    str or None
        What is wrong; ``None`` when the sub-images are like the frames.

    Notes
    -----
    The distance is that of Kolmogorov and Smirnov: the largest difference between two cumulative histograms.
    """
    whole = np.stack([_cumulate(frame) for frame in frames])
    parts = np.stack([_cumulate(part) for part in stack])
    weights = np.bincount(source, minlength=len(frames)) / len(stack)
    pooled = float(np.abs(parts.mean(0) - weights @ whole).max())
    unlike = float((np.abs(parts - whole[source]).max(1) > UNLIKE).mean())
    _LOG.info("greys of the sub-images: %.3f away from the frames', %.0f %% unlike their frame", pooled, 100 * unlike)
    side_px = stack.shape[1]
    if unlike > MOST_UNLIKE:
        return (
            f"{unlike:.0%} of the sub-images have other grey levels than the frame they are cut from: {side_px} px are "
            "too few to hold what a frame holds. Give a larger `side_px`."
        )
    if pooled > POOLED:
        return (
            f"The grey levels of all sub-images together are not those of the frames (distance {pooled:.2f}): there "
            "are too few. Give more `sub_images`."
        )
    return None


def _cumulate(grey: np.ndarray) -> np.ndarray:
    counts = np.histogram(np.clip(grey, _BINS[0], _BINS[-1]), _BINS)[0]
    return np.cumsum(counts) / grey.size
