"""Frames made ready to be matched: read, judged by their grey values, transformed; a few ahead of who asks for them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from emscout.errors import ReadError, UsageError
from emscout.movies.frame_quality import Survey, clean

__all__ = ["Prepared", "prepare"]

# Enough that neither waits for the other.
_AHEAD = 4

_log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """What is plainly wrong with a frame, and its spectrum unless it is blank or cannot be read."""

    fault: str | None
    spectrum: np.ndarray | None = None


def prepare(frames: Sequence[np.ndarray], order: Iterable[int], found: Survey) -> Generator[Prepared, None, None]:
    """Prepare the frames of a movie, in a thread of its own: the next ones while the caller looks at one.

    Parameters
    ----------
    frames : sequence of ndarray (H, W)
        Read when asked for.
    order : iterable of int
        Which, one after the other.
    found : Survey

    Yields
    ------
    Prepared

    Raises
    ------
    UsageError
        When a frame has another size than the movie.
    """
    with ThreadPoolExecutor(1) as one_thread:
        waiting: deque[Future[Prepared]] = deque()
        try:
            for i in order:
                waiting.append(one_thread.submit(_prepare_one, frames, i, found))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for rest in waiting:
                rest.cancel()


def _prepare_one(frames: Sequence[np.ndarray], i: int, found: Survey) -> Prepared:
    try:
        frame = clean(frames[i])
    except ReadError as error:
        _log.info("frame %d cannot be read: %s", i, error)
        return Prepared("unreadable")
    if frame.shape != found.shape:
        sizes = " and ".join(f"{height}×{width}" for height, width in (found.shape, frame.shape))
        raise UsageError(f"The frames have different sizes ({sizes} px, the latter frame {i}); a movie needs one size.")
    fault = found.fault(frame)
    return Prepared(fault, None if fault == "blank" else found.spectrum(frame))
