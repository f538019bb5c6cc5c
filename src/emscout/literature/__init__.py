"""Which micrographs are in this paper? Figures, panels, letters, captions, scales."""

from emscout.literature.find import Panel, PanelResult, find_panels
from emscout.literature.mine import LiteratureOptions, mine

__all__ = ["LiteratureOptions", "Panel", "PanelResult", "find_panels", "mine"]
