"""What is printed on the frames of a movie: the same in all of them, whatever the specimen does."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from emscout.errors import ReadError
from emscout.micrograph import Series
from emscout.scale import annotation_mask, calibrate, read_scale_bar
from emscout.scale.calibrate import Trust

__all__ = ["read_printed_scale"]


def read_printed_scale(series: Series, trust: Trust | None = None) -> tuple[Series, np.ndarray]:
    """Read the printed scale of the first frame that can be read, and compare it with what the file says.

    Parameters
    ----------
    series : Series
        From `emscout.movies.frames.open_movie`.
    trust : {'metadata', 'bar'} or None
        Which pixel size to take where the two disagree.

    Returns
    -------
    series : Series
        With the calibration that counts, and a warning ``pixel-size`` where there is something to know.
    printed : ndarray of bool, shape (H, W)
        Where banner, scale bar and label are, in the frames as recorded.
    """
    for i in range(len(series)):
        with suppress(ReadError):
            frame = series[i]
            reading = read_scale_bar(frame.image)
            known = calibrate(replace(frame, scale=reading, recorded=frame.calibration), trust=trust)
            warnings = (*series.warnings, *known.warnings)
            return replace(series, calibration=known.calibration, warnings=warnings), annotation_mask(
                frame.image, reading
            )
    return series, np.zeros(series.shape, bool)
