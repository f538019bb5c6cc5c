"""emscout: electron micrographs in; measured particles, located crystals and followed movies out.

>>> import emscout as em
>>> m = em.read("micrograph.tif")                 # doctest: +SKIP
>>> seg = em.segment_particles(m)                 # doctest: +SKIP
>>> table = em.measure_particles(seg, m)          # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from emscout.errors import EmscoutError

if TYPE_CHECKING:
    from emscout.crystals.locate import LocateOptions, locate
    from emscout.io import read, read_series
    from emscout.micrograph import Calibration, Micrograph, Report, Segmentation, Series
    from emscout.movies.follow import MovieOptions, follow
    from emscout.particles import AnalyzeOptions, analyze, filter_particles, measure_particles, segment_particles

# Imported when first used, so that `import emscout` stays light and Ctrl+C is heard from the start.
_LAZY = {
    "Calibration": "emscout.micrograph",
    "Micrograph": "emscout.micrograph",
    "Report": "emscout.micrograph",
    "Segmentation": "emscout.micrograph",
    "Series": "emscout.micrograph",
    "read": "emscout.io",
    "read_series": "emscout.io",
    "LocateOptions": "emscout.crystals.locate",
    "locate": "emscout.crystals.locate",
    "MovieOptions": "emscout.movies.follow",
    "follow": "emscout.movies.follow",
    "AnalyzeOptions": "emscout.particles",
    "analyze": "emscout.particles",
    "filter_particles": "emscout.particles",
    "measure_particles": "emscout.particles",
    "segment_particles": "emscout.particles",
}

__all__ = [
    "AnalyzeOptions",
    "Calibration",
    "EmscoutError",
    "LocateOptions",
    "Micrograph",
    "MovieOptions",
    "Report",
    "Segmentation",
    "Series",
    "analyze",
    "filter_particles",
    "follow",
    "locate",
    "measure_particles",
    "read",
    "read_series",
    "segment_particles",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes longer to load than all of this

        return version("emscout")
    if name not in _LAZY:
        raise AttributeError(f"module 'emscout' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)
