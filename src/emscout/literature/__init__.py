"""Which micrographs are in this paper? Figures, panels, letters, captions, scales."""

from emscout.literature.mine import FigureOptions, mine
from emscout.literature.panels.find import find_panels

__all__ = ["FigureOptions", "find_panels", "mine"]
