"""The pixel size of a panel: its scale bar, and what the caption says of it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from emscout.micrograph import Calibration
from emscout.scale.reading import AGREEING, NoScale, ScaleReading, read_scale_bar
from emscout.units import spell_length

__all__ = ["PanelScale", "scale_of_panel"]


class PanelScale(NamedTuple):
    """The scale of a panel.

    Parameters
    ----------
    calibration : Calibration or None
    length : str
        Of the bar, as printed or as the caption says.
    note : str
        Where the scale comes from, or why there is none.
    reading : ScaleReading or NoScale
        What was read in the panel.
    is_contradictory : bool
        Bar and caption disagree.
    """

    calibration: Calibration | None
    length: str
    note: str
    reading: ScaleReading | NoScale
    is_contradictory: bool = False


def scale_of_panel(image: np.ndarray, caption_nm: float | None) -> PanelScale:
    """Read the scale bar of a panel; a bar without a label has the length given in the caption.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    caption_nm : float or None
        Length of the bar according to the caption.

    Returns
    -------
    PanelScale
        Without a calibration where bar and caption disagree: a wrong scale is worse than none.
    """
    answer = read_scale_bar(image)
    if not isinstance(answer, NoScale):
        if caption_nm is not None and not math.isclose(answer.length_nm, caption_nm, rel_tol=AGREEING):
            return PanelScale(
                None,
                "",
                f"The bar is labelled {answer.spelled}, but the caption says {spell_length(caption_nm)}.",
                answer,
                is_contradictory=True,
            )
        return PanelScale(answer.calibration(), answer.spelled, "label in the image", answer)
    if caption_nm is None or answer.bar is None or answer.line is not None or answer.bar.cut:
        return PanelScale(None, "", answer.reason, answer)
    length_px = answer.bar.length_px
    error = 2**0.5 * answer.bar.end_error_px / length_px
    calibration = Calibration(caption_nm / length_px, "scale-bar", error)
    return PanelScale(calibration, spell_length(caption_nm), "length from the caption", answer)
