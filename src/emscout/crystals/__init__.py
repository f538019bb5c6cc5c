"""Where on this grid are the crystals? Tiles, statistics, clusters, targets."""

from emscout.crystals.find import CrystalResult, find_crystals
from emscout.crystals.locate import CrystalOptions, locate
from emscout.crystals.tiles.background import correct_illumination, find_grid_bars, find_stripes
from emscout.crystals.tiles.grid import Lattice, cut_grid, cut_tiles
from emscout.crystals.tiles.statistics import STATISTICS, calculate_statistics

__all__ = [
    "STATISTICS",
    "CrystalOptions",
    "CrystalResult",
    "Lattice",
    "calculate_statistics",
    "correct_illumination",
    "cut_grid",
    "cut_tiles",
    "find_crystals",
    "find_grid_bars",
    "find_stripes",
    "locate",
]
