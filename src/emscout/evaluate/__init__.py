"""How good is it: accuracy against truth, by the BPartIS paper's protocol and by the field's."""

from emscout.evaluate.movies import match_tracks, score_drift, score_events, score_links
from emscout.evaluate.particles import (
    evaluate,
    histogram_distance,
    iou_pairs,
    rms_difference,
    score_matched,
    score_paper,
    summarize,
)

__all__ = [
    "evaluate",
    "histogram_distance",
    "iou_pairs",
    "match_tracks",
    "rms_difference",
    "score_drift",
    "score_events",
    "score_links",
    "score_matched",
    "score_paper",
    "summarize",
]
