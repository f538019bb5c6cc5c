"""Where on this grid are the crystals? Tiles, statistics, clusters, targets."""

from emscout.crystals.locate import LocateOptions, locate
from emscout.crystals.tiles.background import find_black, find_stripes, flatten
from emscout.crystals.tiles.grid import Lattice, cut_grid, cut_tiles
from emscout.crystals.tiles.statistics import STATISTICS, calculate_statistics

__all__ = [
    "STATISTICS",
    "Lattice",
    "LocateOptions",
    "calculate_statistics",
    "cut_grid",
    "cut_tiles",
    "find_black",
    "find_stripes",
    "flatten",
    "locate",
]
