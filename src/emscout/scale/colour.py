"""The scale that is printed in an image, in grey or in colour; everything else is measured in grey values."""

from __future__ import annotations

import numpy as np

from emscout.errors import EmscoutError
from emscout.io.colour import read_colours
from emscout.micrograph import Micrograph
from emscout.scale.reading import NoScale, ScaleReading, read_in_colour, read_scale_bar

__all__ = ["read_scale"]


def read_scale(micrograph: Micrograph) -> ScaleReading | NoScale:
    """Read the scale bar that is printed in a micrograph.

    Where the grey values show none, the colours of its file are searched, too.

    Parameters
    ----------
    micrograph : Micrograph
        The first frame of its file, or in memory only.

    Returns
    -------
    ScaleReading or NoScale
        A scale (``value``, ``unit``, ``nm_per_px``, ``relative_error``, ``confidence``), or the ``reason`` why none is
        claimed.

    Examples
    --------
    >>> import emscout as em
    >>> from emscout.synthetic.scale import print_scale
    >>> image, printed = print_scale("100 nm", "line", length_px=180, ground="plate", ink=0)
    >>> reading = em.read_scale(em.Micrograph(image))
    >>> reading.spelled, round(reading.nm_per_px * printed.length_px)
    ('100 nm', 100)
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
