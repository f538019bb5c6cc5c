"""Scores of a run on images it was not trained on, by the code that will use its model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from emscout.evaluate.calibration import cross_validate_calibration, expected_calibration_error, fit_calibration
from emscout.evaluate.particles import find_matched, iou_pairs, score_matched, score_paper
from emscout.io.files import write_atomic
from emscout.io.labels import LabelledImage
from emscout.micrograph import Segmentation
from emscout.models import load_model
from emscout.particles.segmenters.bayesian import mean_uncertainty, predict_particles
from emscout.particles.segmenters.instances import FEATURES, Settings
from emscout.training.data import read_labelled
from emscout.training.export import describe, export_network
from emscout.training.network import ParticleNetwork

__all__ = [
    "Validation",
    "calibrate",
    "choose_max_uncertainty",
    "doubt_calibration",
    "export_draft",
    "save_pictures",
    "spell_scores",
    "validate",
]

_MATCHED = ("f1_50", "precision_50", "recall_50")
_FOLDS = 5
_FEWEST_PARTICLES = 100
_CALIBRATING = {"mean_seed": 1, "mean_gaussian": 1, "mean_information_nats": -1}
"""Of `FEATURES`, few enough to hold for other laboratories' images too, and the sign their weight must have to make
sense: a doubtful particle is never the more probable for it."""

PICTURE_PX = (256, 768)
"""Height and width a picture of a validation image has at most."""

_LABEL_PX, _GAP_PX, _LEAST_WIDTH_PX = 16, 8, 240


@dataclass(frozen=True)
class Validation:
    """Scores as means over the images; a picture of each; and for all particles found, what calibrates them.

    ``features`` (n, 5) are those of `emscout.particles.segmenters.instances`, ``uncertainty`` (n,) is the mean mutual
    information in nats, ``matched`` (n,) says whether the particle meets a true one at IoU > 0.5, ``image`` (n,) counts
    the images, and ``n_true`` (images,) their true particles.
    """

    scores: dict[str, float]
    pictures: list[Image.Image]
    features: np.ndarray
    uncertainty: np.ndarray
    matched: np.ndarray
    image: np.ndarray
    n_true: np.ndarray


def export_draft(network: ParticleNetwork, path: Path, examples: Sequence[np.ndarray] = ()) -> None:
    """Write the network before it is calibrated: each particle has a probability of one half."""
    uncalibrated = {"weights": {}, "intercept": 0.0}
    export_network(network, path, describe(path.parent.name, Settings(), uncalibrated, {}), examples)


def validate(model_path: Path, images: Sequence[LabelledImage], samples: int) -> Validation:
    """Segment ``images`` with a model and score them by the paper's protocol and one to one."""
    model = load_model(model_path)
    rows, pictures, features, doubts, matched, n_true = [], [], [], [], [], []
    for image in images:
        grey, truth = read_labelled(image)
        labels, uncertainty, found = predict_particles(grey, model, samples=samples)
        one_to_one = score_matched(truth, labels)
        rows.append(score_paper(truth, labels) | {name: one_to_one[name] for name in _MATCHED})
        pictures.append(_picture(grey, labels, truth, image.name))
        pairs = iou_pairs(truth, labels)
        features.append(found)
        doubts.append(mean_uncertainty(Segmentation(labels, uncertainty)))
        n_true.append(pairs.n_true)
        matched.append(find_matched(pairs))
    scores = {name: float(np.mean(np.nan_to_num([row[name] for row in rows]))) for name in rows[0]}
    counts = [len(found) for found in features]
    return Validation(
        scores,
        pictures,
        np.concatenate(features),
        np.concatenate(doubts),
        np.concatenate(matched),
        np.repeat(np.arange(len(images)), counts),
        np.array(n_true),
    )


def spell_scores(scores: dict[str, float]) -> str:
    """Scores as one line to read."""
    return ", ".join(f"{name} {value:.3f}" for name, value in scores.items())


def calibrate(validation: Validation, sources: Sequence[str]) -> tuple[dict[str, Any], float]:
    """Calibration of the particles' probability, and its expected error (or NaN) on sources it was not fitted to.

    Parameters
    ----------
    validation : Validation
    sources : sequence of str
        The source of each image: what is of one source is held back together.
    """
    features, matched = validation.features, validation.matched
    if matched.all() or not matched.any():
        share = (matched.sum() + 1) / (len(matched) + 2)  # rule of succession
        return {"weights": {}, "intercept": float(np.log(share / (1 - share)))}, float("nan")
    names = tuple(_CALIBRATING)
    while True:
        few = features[:, [FEATURES.index(name) for name in names]]
        calibration = fit_calibration(few, matched, names)
        sensible = tuple(name for name in names if calibration["weights"][name] * _CALIBRATING[name] >= 0)
        if sensible in (names, ()):
            break
        names = sensible
    try:
        probability = cross_validate_calibration(few, matched, np.asarray(sources)[validation.image], _FOLDS)
    except ValueError:  # too few sources to keep some for testing
        return calibration, float("nan")
    return calibration, expected_calibration_error(probability, matched)


def doubt_calibration(validation: Validation, calibration: dict[str, Any], error: float) -> str:
    """A sentence where the probability rests on too few particles; empty otherwise.

    Parameters
    ----------
    validation : Validation
    calibration, error
        Of `calibrate`.
    """
    found, images = len(validation.matched), len(validation.n_true)
    of = f"{found} particle{'s' * (found != 1)} of {images} validation image{'s' * (images != 1)}"
    if not calibration["weights"]:
        which = "are all right" if validation.matched.any() else "are all wrong" if found else "say nothing"
        probability = 1 / (1 + np.exp(-calibration["intercept"]))
        return (
            f"The {of} {which}, so that they cannot tell probable particles from others: each gets the probability "
            f"{probability:.3f}. Keep more images for validation (`validation_share`), or outline more."
        )
    if np.isnan(error) or found < _FEWEST_PARTICLES:
        return (
            f"The probability of a particle was fitted to {of}, too few to rely on it. Keep more images for validation "
            "(`validation_share`), or outline more."
        )
    return ""


def choose_max_uncertainty(validation: Validation) -> float:
    """The mean mutual information, in nats, above which dropping particles improves the scores most.

    It is the threshold of the highest mean F1 over the images, of those within a thousandth the strictest: precision
    for nothing.
    """
    thresholds = np.append(np.arange(2, 201) / 1000, Settings.max_uncertainty)
    scores = [_mean_f1(validation, validation.uncertainty <= threshold) for threshold in thresholds]
    return float(thresholds[np.argmax(np.array(scores) >= max(scores) - 0.001)])


def _mean_f1(validation: Validation, keep: np.ndarray) -> float:
    count = len(validation.n_true)
    found = np.bincount(validation.image[keep], minlength=count)
    right = np.bincount(validation.image[keep & validation.matched], minlength=count)
    return float(np.mean(2 * right / np.maximum(found + validation.n_true, 1)))


def save_pictures(pictures: Sequence[Image.Image], path: Path, columns: int = 4) -> None:
    """Save pictures of at most `PICTURE_PX` as one PNG, in rows as high as their highest."""
    rows = [pictures[first : first + columns] for first in range(0, len(pictures), columns)]
    heights = [max(picture.height for picture in row) + _GAP_PX for row in rows]
    width = max((sum(picture.width + _GAP_PX for picture in row) for row in rows), default=1)
    sheet = Image.new("RGB", (width, max(1, sum(heights))), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for picture in row:
            sheet.paste(picture, (left, top))
            left += picture.width + _GAP_PX
        top += height
    with write_atomic(path) as temporary:
        sheet.save(temporary)


def _picture(grey: np.ndarray, labels: np.ndarray, truth: np.ndarray, name: str) -> Image.Image:
    """The image with the outlines found (yellow) beside the image with those of the truth (blue), shrunk; its name."""
    panels = []
    for regions, colour in ((labels, (255, 220, 0)), (truth, (60, 160, 255))):
        panel = np.repeat(np.rint(grey * 255).astype(np.uint8)[..., None], 3, 2)
        edge = np.zeros(grey.shape, bool)
        edge[1:] |= regions[1:] != regions[:-1]
        edge[:, 1:] |= regions[:, 1:] != regions[:, :-1]
        panel[edge] = colour
        panels.append(panel)
    shown = Image.fromarray(np.concatenate(panels, 1))
    shown.thumbnail((PICTURE_PX[1], PICTURE_PX[0] - _LABEL_PX))
    picture = Image.new("RGB", (max(shown.width, _LEAST_WIDTH_PX), shown.height + _LABEL_PX), "white")
    picture.paste(shown, (0, _LABEL_PX))
    words = ImageDraw.Draw(picture)
    words.text((2, 3), f"{name}: found", fill="black")
    words.text((max(shown.width, _LEAST_WIDTH_PX) // 2 + 2, 3), "drawn by hand", fill="black")
    return picture
