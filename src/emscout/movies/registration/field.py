"""The part of each frame in which particles are measured: what all good frames show, or the whole of each."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from emscout.errors import NothingToFindError
from emscout.micrograph import Notice
from emscout.movies.registration.drift import common_field

__all__ = ["Crop", "Field", "choose_field"]

# Share of a frame's area: a smaller common field shows too little of the movie.
_SMALL_FIELD = 0.25


@dataclass(frozen=True)
class Crop:
    """The part of a recorded frame in which particles are measured.

    Parameters
    ----------
    frame : int
    origin : (int, int)
        Its first pixel in the frame.
    shape : (int, int)
    offset : (float, float)
        Added to a position in it, this gives the position in the drift-corrected field.
    """

    frame: int
    origin: tuple[int, int]
    shape: tuple[int, int]
    offset: tuple[float, float]

    @property
    def box(self) -> tuple[slice, slice]:
        """The crop as an index into the frame."""
        (row, col), (height, width) = self.origin, self.shape
        return slice(row, row + height), slice(col, col + width)


@dataclass(frozen=True)
class Field:
    """The part of the specimen in which particles are measured.

    Parameters
    ----------
    shown : (slice, slice)
        In pixels of the first good frame.
    crops : tuple of Crop
        Of every good frame.
    whole : bool
        Whether each frame is measured as a whole, so that the field moves over the specimen.
    """

    shown: tuple[slice, slice]
    crops: tuple[Crop, ...]
    whole: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        rows, cols = self.shown
        return rows.stop - rows.start, cols.stop - cols.start


def choose_field(drift: pd.DataFrame, shape: tuple[int, int], *, keep_borders: bool) -> tuple[Field, list[Notice]]:
    """Choose the part of each good frame in which particles are measured.

    Parameters
    ----------
    drift : DataFrame
        From `estimate_drift`.
    shape : (int, int)
        Of a frame.
    keep_borders : bool
        Take whole frames rather than what all have in common.

    Returns
    -------
    field : Field
    warnings : list of Notice
        ``small-field`` or ``no-common-field`` where the drift is large.
    """
    warnings = []
    shown = (slice(0, shape[0]), slice(0, shape[1]))
    if not keep_borders:
        try:
            shown = common_field(drift, shape)
        except NothingToFindError:
            keep_borders = True
            sentence = (
                "The specimen drifts further than the field of view is wide, so no part of it is in every frame: "
                "whole frames are measured, as with `keep_borders=True`."
            )
            warnings.append(Notice("no-common-field", sentence))
    height, width = (part.stop - part.start for part in shown)
    share = height * width / (shape[0] * shape[1])
    if share < _SMALL_FIELD:
        sentence = f"The specimen drifts so far that only {share:.0%} of the field of view is in every frame."
        warnings.append(Notice("small-field", sentence, "Whole frames are measured with `keep_borders=True`."))
    crops = []
    good = drift[drift["status"] == "ok"]
    for frame, row, col in good[["frame", "row_px", "col_px"]].itertuples(index=False):
        whole_px = (round(row), round(col))
        origin = (0, 0) if keep_borders else (shown[0].start + whole_px[0], shown[1].start + whole_px[1])
        offset = (-row, -col) if keep_borders else (whole_px[0] - row, whole_px[1] - col)
        crops.append(Crop(int(frame), origin, (height, width), offset))
    return Field(shown, tuple(crops), keep_borders), warnings
