"""The particles of each frame: cropped, segmented and measured."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from emscout.errors import UsageError, user_message
from emscout.micrograph import Micrograph, Series
from emscout.movies.registration.field import Crop
from emscout.movies.segmentation.method import Method
from emscout.particles.measure import measure_particles
from emscout.particles.segment import drop_annotations
from emscout.tables import to_physical

__all__ = ["fix_parameters", "join_frames", "measure_frame"]

_LOG = logging.getLogger(__name__)

# The typical diameter and the polarity of a movie are those of so many frames.
_FIRST_FRAMES = 3


def fix_parameters(series: Series, crops: Sequence[Crop], method: Method) -> Method:
    """The method with the parameters that hold for the whole movie, from its first good frames."""
    return method.fix_parameters([_crop_frame(series, crop) for crop in crops[:_FIRST_FRAMES]])


def measure_frame(
    series: Series, crop: Crop, method: Method, hidden: np.ndarray
) -> tuple[np.ndarray, pd.DataFrame] | str:
    """Find and measure the particles of a frame.

    Parameters
    ----------
    series : Series
    crop : Crop
    method : Method
    hidden : ndarray of bool, shape (H, W)
        Where something is printed or drawn over the frames as recorded.

    Returns
    -------
    labels : ndarray of int32
        Of the crop.
    table : DataFrame
        ``frame``, ``label``, ``row_px``, ``col_px`` in the drift-corrected field, ``row_frame_px``, ``col_frame_px`` in
        the frame as recorded, ``area_px2`` with ``area_low_px2`` and ``area_high_px2``, and the other columns of
        `emscout.particles.measure_particles`.

    Or, where something went wrong with this frame, a sentence that says what.

    Raises
    ------
    UsageError
        When what is wrong concerns every frame alike.
    """
    try:
        return _measure(_crop_frame(series, crop), crop, method, hidden[crop.box])
    except UsageError:
        raise
    except Exception as error:
        _LOG.debug("in frame %d of %s", crop.frame, series.path, exc_info=True)
        sentence = user_message(error, f"Frame {crop.frame}")
        return sentence if sentence.startswith("Frame ") else f"Frame {crop.frame}: {sentence}"


def join_frames(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The tables of all frames as one, with the columns of the fullest: an empty frame may have fewer."""
    filled = [table for table in tables if len(table)] or list(tables[:1])
    columns = max((list(table.columns) for table in filled), key=len)
    return pd.concat(filled, ignore_index=True).reindex(columns=columns)


def _crop_frame(series: Series, crop: Crop) -> Micrograph:
    # Cropped by whole pixels, so that no grey value is interpolated; the rest of the drift is taken off the positions.
    return Micrograph(series[crop.frame].image[crop.box], series.calibration, path=series.path)


def _measure(micrograph: Micrograph, crop: Crop, method: Method, hidden: np.ndarray) -> tuple[np.ndarray, pd.DataFrame]:
    found = drop_annotations(method.find(micrograph), hidden)
    table = measure_particles(found, Micrograph(micrograph.image))
    low, high = method.bounds(micrograph, found)
    at = list(table.columns).index("area_px2") + 1
    index = table["label"].to_numpy() - 1
    table.insert(at, "area_low_px2", low[index])
    table.insert(at + 1, "area_high_px2", high[index])
    for k, axis in enumerate(("row", "col")):
        inside = table[f"{axis}_px"]
        table.insert(3 + k, f"{axis}_frame_px", inside + crop.origin[k])
        table[f"{axis}_px"] = inside + crop.offset[k]
    table.insert(0, "frame", crop.frame)
    return found.labels, to_physical(table, micrograph.nm_per_px)
