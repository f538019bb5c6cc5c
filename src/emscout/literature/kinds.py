"""Kind of a panel: a micrograph, a plot, a drawing or a photograph."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import ndimage

from emscout.literature.panels.surfaces import is_drawn, luminance

__all__ = ["Kind", "kind_of_panel"]

Kind = Literal["micrograph", "plot", "drawing", "photograph"]

_SIDE_PX = 400
_PAPER = 243
_PAPER_SHARE = 0.3
# Electrons have no colour; labels, arrows and frames do, and scans have a tint.
_COLOUR = 0.25
_COLOUR_SHARE = 0.12
_THICK_PX = 9


def kind_of_panel(image: np.ndarray) -> Kind:
    """Distinguish micrographs from other panels.

    A plot or drawing is ink on paper: even white between strokes; a plot has long straight lines along both of its
    sides. A filled panel is a photograph when it is in colour (also an optical, fluorescence or scanning probe
    micrograph, or an element map in false colours) and a micrograph when it is grey, up to a tint and coloured
    labels. A grey photograph cannot be distinguished from a micrograph.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)

    Returns
    -------
    {'micrograph', 'plot', 'drawing', 'photograph'}
    """
    step = max(1, max(image.shape[:2]) // _SIDE_PX)
    # White surrounded by white: noise in a bright background is not paper.
    white = ndimage.minimum_filter(image.min(axis=2), 5)[::step, ::step] >= _PAPER
    if white.mean() > _PAPER_SHARE:
        return "plot" if _has_axes(luminance(image)) else "drawing"
    small = image[::step, ::step].astype(np.float32)
    saturation = (small.max(axis=2) - small.min(axis=2)) / np.maximum(small.max(axis=2), 64)
    if (saturation > _COLOUR).mean() <= _COLOUR_SHARE:
        return "micrograph"
    return "drawing" if is_drawn(image) else "photograph"


def _has_axes(grey: np.ndarray) -> bool:
    """Whether a dark straight line runs along at least half of the height, and one along half of the width."""
    dark = grey < 160
    # The edges of dark shapes are straight as well, but are not lines.
    thick_px = max(_THICK_PX, min(grey.shape) // 50)
    dark &= ~ndimage.binary_opening(dark, np.ones((thick_px, thick_px), bool))
    return all(
        any(_longest_run(line) >= 0.5 * len(line) for line in lines[lines.mean(axis=1) >= 0.5])
        for lines in (dark, dark.T)
    )


def _longest_run(line: np.ndarray) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))
