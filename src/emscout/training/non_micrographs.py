"""Pictures that are not micrographs, drawn by emscout: what figures contain beside them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emscout.specimens.views import SIDE_PX, view_picture
from emscout.synthetic.figure import DRAWN

__all__ = ["KINDS", "draw_non_micrographs"]

KINDS = ("plot", "drawing", "photograph")

_EACH = 30
_HEIGHTS_PX, _WIDTHS_PX = (160, 420), (200, 520)


@lru_cache(maxsize=1)
def draw_non_micrographs(seed: int) -> np.ndarray:
    """Views (n, side, side, 3) of plots, schemes and coloured scenes; the same random seed gives the same views."""
    generator = np.random.default_rng(seed)
    views = []
    for kind in KINDS:
        for _ in range(_EACH):
            shape = (int(generator.integers(*_HEIGHTS_PX)), int(generator.integers(*_WIDTHS_PX)))
            views.append(view_picture(DRAWN[kind](shape, False, generator)[0], SIDE_PX, mask_banner=False))
    return np.stack(views)
