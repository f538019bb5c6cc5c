"""emscout: electron micrographs in; measured particles, located crystals, followed movies and named specimens out.

>>> import emscout as em
>>> m = em.calibrate(em.read("scan.tif"))                # doctest: +SKIP
>>> found = em.find_particles(m, min_diameter="5nm")     # doctest: +SKIP
>>> found.table["equivalent_circular_diameter_nm"]       # doctest: +SKIP

Every question has a function in memory (`find_particles`, `find_crystals`, `follow_particles`, `classify`,
`find_similar`, `find_panels`, `read_scale`) and one that goes from files to a folder of results (`analyze`, `locate`,
`follow`, `categorize`, `search_similar`, `mine`, `read_scales`).
"""

import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

# onnxruntime 1.31 reports its use over the network, unless this is set before it is imported for the first time.
if "onnxruntime" in sys.modules and os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
    sys.modules["onnxruntime"].disable_telemetry_events()
    warnings.warn(
        "onnxruntime was imported before emscout, and some of its versions send usage data over the network. "
        "Import emscout first, or set the environment variable ORT_DISABLE_TELEMETRY=1 before you start Python.",
        RuntimeWarning,
        stacklevel=2,
    )
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from emscout.errors import (
    CalibrationError,
    EmscoutError,
    ModelError,
    NonSquarePixelsError,
    NothingToFindError,
    NotOneImageError,
    OutputError,
    ReadError,
    UsageError,
)

if TYPE_CHECKING:
    from emscout.crystals import CrystalOptions, CrystalResult, find_crystals, locate
    from emscout.io import read, read_series
    from emscout.literature import LiteratureOptions, Panel, PanelResult, find_panels, mine
    from emscout.micrograph import Calibration, Micrograph, Notice, Report, Segmentation, Series
    from emscout.movies import MovieOptions, MovieResult, follow, follow_particles
    from emscout.particles import (
        SEGMENTERS,
        ParticleOptions,
        ParticleResult,
        analyze,
        find_particles,
        measure_particles,
    )
    from emscout.scale import NoScale, ScaleReading, calibrate, read_scale, read_scales
    from emscout.specimens import (
        ClassificationResult,
        SimilarOptions,
        SimilarResult,
        SpecimenOptions,
        categorize,
        classify,
        find_similar,
        search_similar,
    )

# Imported when first used, so that `import emscout` stays light and Ctrl+C is heard from the start.
_MODULES = {
    "emscout.micrograph": (
        "Calibration",
        "Micrograph",
        "Notice",
        "Report",
        "Segmentation",
        "Series",
    ),
    "emscout.io": (
        "read",
        "read_series",
    ),
    "emscout.scale": (
        "NoScale",
        "ScaleReading",
        "calibrate",
        "read_scale",
        "read_scales",
    ),
    "emscout.particles": (
        "SEGMENTERS",
        "ParticleOptions",
        "ParticleResult",
        "analyze",
        "find_particles",
        "measure_particles",
    ),
    "emscout.specimens": (
        "ClassificationResult",
        "SpecimenOptions",
        "SimilarOptions",
        "SimilarResult",
        "categorize",
        "classify",
        "find_similar",
        "search_similar",
    ),
    "emscout.literature": (
        "LiteratureOptions",
        "Panel",
        "PanelResult",
        "find_panels",
        "mine",
    ),
    "emscout.crystals": (
        "CrystalOptions",
        "CrystalResult",
        "find_crystals",
        "locate",
    ),
    "emscout.movies": (
        "MovieOptions",
        "MovieResult",
        "follow",
        "follow_particles",
    ),
}
_LAZY = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "SEGMENTERS",
    "Calibration",
    "CalibrationError",
    "ClassificationResult",
    "CrystalOptions",
    "CrystalResult",
    "EmscoutError",
    "LiteratureOptions",
    "Micrograph",
    "ModelError",
    "MovieOptions",
    "MovieResult",
    "NoScale",
    "NonSquarePixelsError",
    "NotOneImageError",
    "NothingToFindError",
    "Notice",
    "OutputError",
    "Panel",
    "PanelResult",
    "ParticleOptions",
    "ParticleResult",
    "ReadError",
    "Report",
    "ScaleReading",
    "Segmentation",
    "Series",
    "SimilarOptions",
    "SimilarResult",
    "SpecimenOptions",
    "UsageError",
    "analyze",
    "calibrate",
    "categorize",
    "classify",
    "find_crystals",
    "find_panels",
    "find_particles",
    "find_similar",
    "follow",
    "follow_particles",
    "locate",
    "measure_particles",
    "mine",
    "read",
    "read_scale",
    "read_scales",
    "read_series",
    "search_similar",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # takes longer to load than all of this

        return version("emscout")
    if name not in _LAZY:
        raise AttributeError(f"module 'emscout' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)
