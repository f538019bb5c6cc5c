"""The scale that is printed in an image file, in grey or in colour; all else is measured in grey."""

from __future__ import annotations

import numpy as np

from emscout.errors import EmscoutError
from emscout.io.colour import read_colours
from emscout.micrograph import Micrograph
from emscout.scale.reading import NoScale, ScaleReading, read_in_colour, read_scale_bar

__all__ = ["read_scale"]


def read_scale(micrograph: Micrograph) -> ScaleReading | NoScale:
    """Read the scale bar of an image; where its grey values show none, in the colours of its file.

    Parameters
    ----------
    micrograph : Micrograph
        The first frame of its file, or of no file.

    Returns
    -------
    ScaleReading or NoScale
    """
    answer = read_scale_bar(micrograph.image)
    # Coloured pictures have eight bits a channel.
    if isinstance(answer, ScaleReading) or micrograph.path is None or micrograph.image.dtype != np.uint8:
        return answer
    try:
        colours = read_colours(micrograph.path)
    except EmscoutError:
        return answer
    return read_in_colour(colours, answer) if colours.ndim == 3 else answer
