"""Which micrographs are in this paper? Figures, panels, letters, captions, scales."""

from emscout.literature.find import Panel, PanelResult, find_panels
from emscout.literature.mine import FigureOptions, mine

__all__ = ["FigureOptions", "Panel", "PanelResult", "find_panels", "mine"]
