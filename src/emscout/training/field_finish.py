"""From a checkpoint of a network of fields to the file that is used: calibrated and scored on sources kept aside."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.models import FieldModel, load_particle_model
from emscout.training.card import write_card
from emscout.training.field_calibration import (
    Sample,
    choose_min_probability,
    collect_real,
    collect_synthetic,
    cross_validate,
    fit_count,
    fit_probabilities,
    score_count,
    score_kind,
)
from emscout.training.field_export import export_fields
from emscout.training.field_network import DROPOUT_CHANNELS, DROPOUT_RATE, STRIDE_PX, FieldNetwork
from emscout.training.real_sets import RealImage

__all__ = ["finish_fields"]

_LOG = logging.getLogger(__name__)

_SYNTHETIC = 6
"""Synthetic micrographs of each kind that real images do not show, or hardly."""

_FIRST_ROUND = 4
"""Every so many-th image gives a first calibration, by which the search knows what is noise."""


def finish_fields(
    network: FieldNetwork,
    path: Path,
    name: str,
    held: Sequence[RealImage],
    card: dict[str, str],
    kinds: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Calibrate a network on images it was not trained on, and write it with its card.

    Parameters
    ----------
    network : FieldNetwork
    path : Path
        The ONNX file to write; its card stands beside it.
    name : str
        Of the model.
    held : sequence of RealImage
        Sources it was not trained on.
    card : dict of str to str
        Headings and texts of the card: what is known of the training.
    kinds : dict, optional
        Kind of each image by name, where somebody has looked.

    Returns
    -------
    DataFrame
        Scores by kind, real and synthetic images apart: each image by a calibration that has not seen its source.
    """
    unknown: dict[str, Any] = {"weights": {}, "intercept": 0.0}
    _export(network, path, name, {"candidate": unknown, "particle": unknown}, 0.0, card)
    first = _collect(path, held[::_FIRST_ROUND], 1, kinds)
    _export(network, path, name, fit_probabilities(first), 0.0, card)
    samples = _collect(path, held, _SYNTHETIC, kinds)
    judged = cross_validate(samples)
    least = choose_min_probability(judged)
    rows = []
    for made in ("real", "synthetic"):
        of = [one for one, sample in zip(judged, samples, strict=True) if _made(sample) == made]
        for kind in sorted({one.kind for one in of}):
            rows.append({"images are": made, "kind": kind} | score_kind([one for one in of if one.kind == kind], least))
        if of:
            rows.append({"images are": made, "kind": "all"} | score_kind(of, least))
    scores = pd.DataFrame(rows)
    counts = score_count(judged, least)
    card = card | {
        "True number": f"On images that the fit has not seen {counts['coverage']:.0%} of the 95 % intervals hold the "
        f"true number of particles; the estimate is off by {counts['error']:.0%} (median over images), the number "
        f"found by {counts['found']:.0%}.",
        "Calibration": f"Fitted on {len(held)} images of sources kept aside and {_SYNTHETIC} synthetic ones of each "
        f"kind. Particles of a probability below {least:g} are dropped.",
        "Validation": "By kind of image, pooled, IoU > 0.5; each image by a calibration fitted without its source.\n\n"
        + _spell_table(scores),
    }
    calibration = fit_probabilities(samples) | {"count": fit_count(judged, least)}
    sha256 = _export(network, path, name, calibration, least, card)
    write_card(path, load_particle_model(path).description, sha256)
    return scores


def _made(sample: Sample) -> str:
    return "synthetic" if sample.name.startswith("synthetic ") else "real"


def _collect(path: Path, held: Sequence[RealImage], synthetic: int, kinds: dict[str, str] | None) -> list[Sample]:
    model = load_particle_model(path)
    assert isinstance(model, FieldModel)
    samples = []
    for sample in (*collect_real(held, model, kinds=kinds), *collect_synthetic(synthetic, model)):
        samples.append(sample)
        _LOG.info("calibration: %s, %d candidates", sample.name, len(sample.candidates))
    return samples


def _export(
    network: FieldNetwork, path: Path, name: str, calibration: dict[str, Any], least: float, card: dict[str, str]
) -> str:
    description = {
        "name": name,
        "task": "particle fields",
        "stride_px": STRIDE_PX,
        "dropout_rate": DROPOUT_RATE,
        "dropout_channels": list(DROPOUT_CHANNELS),
        "settings": {},
        "calibration": calibration,
        "min_probability": least,
        "card": card,
    }
    return export_fields(network, path, description)


def _spell_table(scores: pd.DataFrame) -> str:
    """Markdown of the scores."""
    heads = ("images", "kind", "number", "true", "found", "precision", "recall", "F1", "ECE")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in scores.to_dict("records"):
        shares = " | ".join(f"{row[key]:.3f}" for key in ("precision", "recall", "f1", "ece"))
        lines.append(
            f"| {row['images are']} | {row['kind']} | {row['images']} | {row['n_true']} | {row['n_found']} | {shares} |"
        )
    return "\n".join(lines)
