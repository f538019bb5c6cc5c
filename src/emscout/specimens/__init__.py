"""What kind of specimen is this? Categories of micrographs, and micrographs that look alike."""

from emscout.specimens.classify import ClassificationResult, SpecimenOptions, categorize, classify
from emscout.specimens.similar import SimilarOptions, SimilarResult, find_similar, search_similar

__all__ = [
    "ClassificationResult",
    "SimilarOptions",
    "SimilarResult",
    "SpecimenOptions",
    "categorize",
    "classify",
    "find_similar",
    "search_similar",
]
