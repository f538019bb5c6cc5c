"""What is looked at of the specimen: the part of the field that all good frames share, or the whole of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from emscout.errors import NothingToFindError
from emscout.movies.registration.drift import common_field

__all__ = ["Cut", "Field", "choose_field"]

# Of a frame's area: a smaller common field is hardly the movie any more.
_SMALL_FIELD = 0.25


@dataclass(frozen=True)
class Cut:
    """What is looked at of a frame as recorded.

    Parameters
    ----------
    frame : int
    origin : (int, int)
        Its first pixel in the frame.
    shape : (int, int)
    offset : (float, float)
        What is added to a position in it to have that in the drift-corrected field.
    """

    frame: int
    origin: tuple[int, int]
    shape: tuple[int, int]
    offset: tuple[float, float]

    @property
    def box(self) -> tuple[slice, slice]:
        (row, col), (height, width) = self.origin, self.shape
        return slice(row, row + height), slice(col, col + width)


@dataclass(frozen=True)
class Field:
    """What is looked at of the specimen.

    Parameters
    ----------
    shown : (slice, slice)
        In pixels of the first good frame.
    cuts : tuple of Cut
        Of every good frame.
    whole : bool
        The whole of every frame is looked at, so that what is seen moves over the specimen.
    """

    shown: tuple[slice, slice]
    cuts: tuple[Cut, ...]
    whole: bool

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.shown
        return rows.stop - rows.start, cols.stop - cols.start


def choose_field(drift: pd.DataFrame, shape: tuple[int, int], *, keep_borders: bool) -> tuple[Field, list[str]]:
    """What is looked at of each good frame, and what is to be said of that.

    Parameters
    ----------
    drift : DataFrame
        From `estimate_drift`.
    shape : (int, int)
        Of a frame.
    keep_borders : bool
        The whole frame rather than what all have in common.
    """
    warnings = []
    shown = (slice(0, shape[0]), slice(0, shape[1]))
    if not keep_borders:
        try:
            shown = common_field(drift, shape)
        except NothingToFindError:
            keep_borders = True
            warnings.append(
                "The specimen drifts further than the field of view is wide, so no part of it is in every frame: the "
                "whole of each frame is looked at, as with `keep_borders=True`."
            )
    share = np.prod([part.stop - part.start for part in shown]) / np.prod(shape)
    if share < _SMALL_FIELD:
        warnings.append(
            f"The specimen drifts so far that only {share:.0%} of the field of view is in every frame: "
            "`keep_borders=True` looks at the whole of each."
        )
    cuts = []
    good = drift[drift["status"] == "ok"]
    for frame, row, col in good[["frame", "row_px", "col_px"]].itertuples(index=False):
        whole = (round(row), round(col))
        origin = (0, 0) if keep_borders else (shown[0].start + whole[0], shown[1].start + whole[1])
        offset = (-row, -col) if keep_borders else (whole[0] - row, whole[1] - col)
        size = (shown[0].stop - shown[0].start, shown[1].stop - shown[1].start)
        cuts.append(Cut(int(frame), origin, size, offset))
    return Field(shown, tuple(cuts), keep_borders), warnings
