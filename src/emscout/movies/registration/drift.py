"""How far the specimen's image has moved in each frame of a movie."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Literal

import numpy as np
import pandas as pd
from scipy import ndimage
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from emscout.errors import NothingToFindError, UsageError
from emscout.movies.registration.alignment import Match, Template
from emscout.movies.registration.frame_quality import UsualFrame, find_usual_frame
from emscout.movies.registration.prepare import Prepared, prepare

__all__ = ["COLUMNS", "common_field", "estimate_drift", "shift_frame"]

COLUMNS = ("frame", "row_px", "col_px", "quality", "status")

# Heights of the correlation, in standard deviations of noise: below the first the place of a frame is not known, above
# the second even a bad frame is measured rather than interpolated.
_LOCATED, _SURE = 7.0, 10.0
# Shares of what is usual in the movie: a frame with less specimen is blank, one with less fine detail out of focus.
_BLANK, _BLURRED = 0.2, 0.55
# Share of the usual contrast, frequency by frequency: with less, a frame is so far out of focus that no detail is left.
_WEAK = 0.4
# Share of the usual power of fine detail: with more, a frame that does not match is not out of focus.
_FINE = 0.5
# The same as the second for the first frames, which can be compared only with the sample.
_SHARP = 0.25
# After so many blurred frames without a sharp one, the focus was changed for good, and they count as usual.
_LASTING = 30
# A second copy of the specimen this strong, over the first, makes a double exposure.
_GHOST = 0.15
# Above this, neither of two copies tells the place of the frame.
_EVEN = 0.5
# Faults of frames whose place may still be measured.
_PLACED = ("blurred", "saturated", "doubled", "incomplete")
# Number of the last good frames that tell what is usual, and the least number that can.
_RECENT, _FEW = 15, 3
# So many of the first frames are checked against as many that follow.
_UNTESTED = 8

_log = logging.getLogger(__name__)


# The matrices are too small for several threads to be of use.
@threadpool_limits.wrap(limits=1, user_api="blas")
def estimate_drift(
    frames: Sequence[np.ndarray],
    *,
    printed: np.ndarray | None = None,
    max_shift_px: float | None = None,
    upsampling: int = 20,
    progress: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Measure the drift of a movie to a fraction of a pixel.

    Every frame is correlated with the average of the good frames before it, moved to where the specimen is: this
    reference has little noise, and follows a specimen that drifts out of the field or changes. Both are filtered so
    that each frequency counts by how much of it is specimen. Among the places where a frame fits, the best one is
    taken; a jump must fit clearly better than no jump, so that a regular array of particles is not shifted by one
    period. Frames with something wrong do not become part of the average; only after more than thirty blurred ones in a
    row are the next ones taken as usual.

    Parameters
    ----------
    frames : sequence of ndarray (H, W)
        Grey values of any type. First a few are read, evenly spread, to find out what is usual, and the first ones
        backwards, to find out whether they can be trusted; then each once, in order, some ahead, by another thread.
        Memory does not grow with their number.
    printed : ndarray of bool, shape (H, W), or None
        Where something is printed on the frames, which does not move with the specimen.
    max_shift_px : float or None
        Longest movement allowed from one good frame to the next; ``None`` allows half of each side.
    upsampling : int
        The peak of the correlation is searched in steps of 1 / upsampling pixel, then between them by a parabola.
    progress : callable or None
        Called as ``progress(done, total, what)`` after each frame.

    Returns
    -------
    DataFrame
        One row per frame: ``frame`` (from 0); ``row_px``, ``col_px``, the place of the specimen's image relative to the
        first good frame (to align, shift the frame by minus this); ``quality``, the correlation with the average (0
        to 1; noise lowers it, so compare within a movie only); ``status``, ``ok`` or what is wrong: ``blank``,
        ``saturated``, ``incomplete`` (rows are missing), ``blurred``, ``doubled`` (exposed while the specimen jumped),
        ``unmatched`` (shows something other than the frames before), ``unreadable``. A blurred, saturated, doubled or
        incomplete frame whose place is still clear has its own shift; every other frame that is not ``ok`` is
        interpolated between its neighbours.

    Raises
    ------
    NothingToFindError
        When no frame shows a specimen.
    UsageError
        When there are no frames, or frames of different sizes.
    """
    if len(frames) == 0:
        raise UsageError("The movie has no frames.")
    if upsampling < 1 or (max_shift_px is not None and not max_shift_px > 0):
        raise UsageError("`upsampling` must be 1 or more, and `max_shift_px` more than 0.")
    usual = find_usual_frame(frames, printed)
    # If no frame is as sharp as usual, start with the first that shows anything.
    for strict in (True, False):
        tracker = _Tracker(usual, max_shift_px, upsampling, strict)
        faults = _find_early_faults(frames, _Tracker(usual, max_shift_px, upsampling, strict), usual)
        rows = []
        with closing(prepare(frames, range(len(frames)), usual)) as prepared:
            for i, frame in enumerate(prepared):
                rows.append(tracker.follow(frame, faults.get(i)))
                if progress:
                    progress(i + 1, len(frames), f"frame {i}")
        if tracker.started:
            break
    else:
        raise NothingToFindError("No frame of the movie shows a specimen: all are blank, saturated or incomplete.")
    columns = (range(len(rows)), *zip(*rows, strict=True))
    table = pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
    good = table["status"] == "ok"
    for name in ("row_px", "col_px"):
        table[name] = np.interp(table["frame"], table["frame"][table[name].notna()], table[name].dropna())
        table[name] -= table[name].to_numpy()[int(np.argmax(good))]
    if not good.all():
        _log.info("%d of %d frames have something wrong", int((~good).sum()), len(table))
    return table


def common_field(drift: pd.DataFrame, shape: tuple[int, int]) -> tuple[slice, slice]:
    """The part of the specimen that every good frame shows.

    Parameters
    ----------
    drift : DataFrame
        From `estimate_drift`; frames that are not ``ok`` do not count.
    shape : (int, int)
        Height and width of a frame.

    Returns
    -------
    (slice, slice)
        Rows and columns.

    Raises
    ------
    NothingToFindError
        When the specimen has moved so far that no part of it is in all frames.
    """
    good = drift[drift["status"] == "ok"]
    field = []
    for name, length in zip(("row_px", "col_px"), shape, strict=True):
        first = int(np.ceil(max(0.0, -float(good[name].min())) - 1e-9))
        last = length - int(np.ceil(max(0.0, float(good[name].max())) - 1e-9))
        field.append(slice(first, last))
    if any(part.stop <= part.start for part in field):
        raise NothingToFindError(
            "The specimen drifts further than the field of view is wide, so no part of it is in every frame: "
            "measure whole frames with `keep_borders=True`, or take fewer frames."
        )
    return field[0], field[1]


def shift_frame(
    frame: np.ndarray, shift_px: tuple[float, float], *, order: Literal[0, 1, 2, 3, 4, 5] = 1, cval: float = 0.0
) -> np.ndarray:
    """Shift a frame; to align it, by minus its drift.

    Parameters
    ----------
    frame : ndarray, shape (H, W)
    shift_px : (float, float)
        Down and to the right.
    order : int
        Order of the spline, 0 to 5: 0 keeps the grey values as they are, 1 interpolates linearly, 3 is sharper.
    cval : float
        Value of pixels that come in at the border.

    Returns
    -------
    ndarray, shape (H, W)
        Of the same type.
    """
    image = frame if frame.dtype.kind == "f" else frame.astype(np.float32)
    moved = ndimage.shift(image, shift_px, order=order, mode="constant", cval=cval, prefilter=order > 1)
    if frame.dtype.kind == "f":
        return moved
    limits = np.iinfo(frame.dtype)
    return np.rint(moved).clip(limits.min, limits.max).astype(frame.dtype)


def _find_early_faults(frames: Sequence[np.ndarray], tracker: _Tracker, usual: UsualFrame) -> dict[int, str]:
    """Faults of the first frames, found by comparing them with those that follow.

    All others are compared with the first good frame, which by itself cannot tell that it is not a good one.
    """
    order = range(min(2 * _UNTESTED, len(frames)))[::-1]
    prepared = zip(order, prepare(frames, order, usual), strict=True)
    status = {i: tracker.follow(frame)[3] for i, frame in prepared}
    tested = max(len(order) - _UNTESTED, 0)
    faults = {i: status[i] for i in range(tested) if status[i] not in ("ok", "unreadable")}
    # If most of them look wrong, it is rather those that follow.
    return faults if 2 * len(faults) < tested else {}


class _Tracker:
    """Follows the specimen from frame to frame."""

    def __init__(self, usual: UsualFrame, max_shift_px: float | None, upsampling: int, strict: bool) -> None:
        self._usual = usual
        self._px = usual.grid.px
        half = np.array(usual.grid.shape) // 2
        reach = half if max_shift_px is None else np.minimum(max_shift_px / self._px, half)
        self._template = Template(usual.grid, reach)
        self._upsampling = upsampling * self._px
        self.started = False
        self._strict = strict
        # Fine over coarse detail of the last good frames.
        self._sharpness: deque[float] = deque(maxlen=_RECENT)
        self._blurred_in_a_row = 0

    def follow(self, frame: Prepared, known: str | None = None) -> tuple[float, float, float, str]:
        """Row, column (NaN: to be interpolated), quality and status of the next frame.

        `known` is the fault found by `_find_early_faults`.
        """
        fault, spectrum = frame.fault or known, frame.spectrum
        if spectrum is None or fault == "blank":
            return np.nan, np.nan, 0.0, fault or "blank"
        # A black frame with dead pixels is not all of one value.
        if fault == "incomplete" and self._usual.strength(spectrum)[0] < _BLANK:
            return np.nan, np.nan, 0.0, "blank"
        if fault and not self.started:
            return np.nan, np.nan, 0.0, fault
        if not self.started:
            return self._start(spectrum)
        match = self._template.match(spectrum, self._upsampling)
        status = fault or self._judge(match, spectrum)
        self._blurred_in_a_row = self._blurred_in_a_row + 1 if status == "blurred" else 0
        if self._blurred_in_a_row > _LASTING and match.significance > _SURE:
            self._sharpness.clear()
            self._template.forget()
            status = "ok"
        quality = float(np.clip(match.correlation, 0, 1))
        if status == "ok":
            self._template.add(spectrum, match.shift, match.gain)
            self._sharpness.append(match.fine / max(match.coarse, 1e-9))
        elif status not in _PLACED or match.significance < _SURE or match.ghost > _EVEN:
            return np.nan, np.nan, quality, status
        row, col = match.shift * self._px
        return float(row), float(col), quality, status

    def _start(self, spectrum: np.ndarray) -> tuple[float, float, float, str]:
        if self._usual.strength(spectrum)[0] < _BLANK:
            return np.nan, np.nan, 0.0, "blank"
        if self._strict and self._without_detail(spectrum):
            return np.nan, np.nan, 0.0, "blurred"
        self.started = True
        self._template.add(spectrum, np.zeros(2))
        return 0.0, 0.0, 1.0, "ok"

    def _without_detail(self, spectrum: np.ndarray) -> bool:
        """Whether a frame is out of focus by its spectrum, compared with that of the sample."""
        coarse, fine, uncertain = self._usual.strength(spectrum)
        return fine < _SHARP * coarse and coarse - fine > 4 * uncertain

    def _judge(self, match: Match, spectrum: np.ndarray) -> str:
        if match.significance < _LOCATED:
            return "blank" if self._usual.structure(spectrum) < _BLANK else "unmatched"
        if len(self._sharpness) < _FEW:
            if self._strict and self._without_detail(spectrum):
                return "blurred"
        else:
            expected = float(np.median(self._sharpness)) * match.coarse
            if match.fine < _BLURRED * expected and expected - match.fine > 4 * match.fine_noise:
                return "blurred"
            if match.gain < _WEAK * self._template.gain:
                return "blurred" if self._usual.strength(spectrum)[1] < _FINE else "unmatched"
        return "doubled" if match.ghost > max(_GHOST, _SURE / match.significance) else "ok"
