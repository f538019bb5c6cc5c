"""Frames prepared for matching: read, checked and transformed, a batch ahead of the caller."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np

from emscout.errors import ReadError, UsageError
from emscout.movies.registration.frame_quality import UsualFrame, clean

__all__ = ["Prepared", "prepare"]

# Frames prepared at once: handing over single frames between threads takes longer than one thread alone.
_BATCH = 16

_log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """What is clearly wrong with a frame, and its spectrum unless it is blank or cannot be read."""

    fault: str | None
    spectrum: np.ndarray | None = None


def prepare(frames: Sequence[np.ndarray], order: Iterable[int], usual: UsualFrame) -> Generator[Prepared, None, None]:
    """Prepare the frames of a movie in another thread, the next ones while the caller works on one.

    Parameters
    ----------
    frames : sequence of ndarray (H, W)
        Read when asked for.
    order : iterable of int
        Numbers of the frames to prepare, in this order.
    usual : UsualFrame

    Yields
    ------
    Prepared

    Raises
    ------
    UsageError
        When a frame has another size than the movie.
    """
    left = iter(order)

    def prepare_some() -> list[Prepared]:
        return [_prepare_one(frames, i, usual) for i in islice(left, _BATCH)]

    with ThreadPoolExecutor(1) as one_thread:
        batch = prepare_some()
        while batch:
            following = one_thread.submit(prepare_some)
            yield from batch
            batch = following.result()


def _prepare_one(frames: Sequence[np.ndarray], i: int, usual: UsualFrame) -> Prepared:
    try:
        frame = clean(frames[i])
    except ReadError as error:
        _log.info("frame %d cannot be read: %s", i, error)
        return Prepared("unreadable")
    if frame.shape != usual.shape:
        sizes = " and ".join(f"{height}×{width}" for height, width in (usual.shape, frame.shape))
        raise UsageError(f"The frames have different sizes ({sizes} px, the latter frame {i}); a movie needs one size.")
    fault = usual.fault(frame)
    return Prepared(fault, None if fault == "blank" else usual.spectrum(frame))
