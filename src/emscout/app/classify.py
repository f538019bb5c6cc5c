"""The page that says what kind of picture each image is."""

from pathlib import Path
from typing import Any

from emscout.app.run import report_page
from emscout.micrograph import Report
from emscout.specimens.classify import SpecimenOptions, categorize

__all__ = ["PAGE"]


def _classify(path: Path, out: Path, options: SpecimenOptions, **how: Any) -> Report:
    return categorize([path], out, options, **how)


PAGE = report_page(
    "classify",
    "Specimens",
    "What kind of specimen is this?",
    "Images: the technique of each, or which of your own categories it belongs to, and the evidence for it.",
    SpecimenOptions,
    ("model", "min_probability"),
    _classify,
    input="Images",
    button="Classify",
    suffix="kinds",
)
