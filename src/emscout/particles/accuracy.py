"""How right the particles are: a folder of labelled images segmented and scored, doubts and all.

The scores are those of `emscout.evaluate.particles`; precision never stands without recall.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emscout.errors import NothingToFindError
from emscout.evaluate.calibration import expected_calibration_error, reliability
from emscout.evaluate.kinds import guess_kind
from emscout.evaluate.particles import (
    MIN_TRUE_PARTICLES,
    Pairs,
    find_matched,
    histogram_distance,
    iou_pairs,
    keep_predicted,
    rms_difference,
    score_pairs,
    summarize,
)
from emscout.io import read
from emscout.io.labels import LabelledImage
from emscout.micrograph import Micrograph, Segmentation
from emscout.particles.distributions import radial_distribution
from emscout.particles.find import detect_particles
from emscout.particles.measure import measure_particles
from emscout.particles.options import ParticleOptions
from emscout.particles.report.sweep import plot_sweep
from emscout.particles.segment import default_thresholds, is_network
from emscout.particles.segmenters.bayesian import mean_uncertainty
from emscout.runs import write_evaluation
from emscout.scale import annotation_mask, calibrate

__all__ = ["FILES", "evaluate_particles", "save_evaluation"]

FILES = ("scores.csv", "images.csv", "kinds.csv", "sweep.csv", "sweep.png", "calibration.csv")
"""Names of what `save_evaluation` writes."""

SWEEP_NATS = (0.006, 0.008, 0.01, 0.012, 0.014, 0.016, 0.018, 0.02, 0.025, 0.03, 0.04, 0.06, 0.1, 0.2)
"""Thresholds of the mean uncertainty that the sweep tries."""

SWEEP_PROBABILITY = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

_SWEPT = ("paper_ap", "paper_ap50", "paper_ap75", "paper_mean_iou", "precision_50", "recall_50", "f1_50")
_DISTRIBUTIONS = ("area_distance", "aspect_ratio_distance", "rdf_rms")

Progress = Callable[[int, int, str], None]


class ScoredImage(NamedTuple):
    """One image: how its particles meet the true ones, how doubtful each is, and, with enough of them, their sizes."""

    name: str
    kind: str
    pairs: Pairs
    uncertainty: np.ndarray
    probability: np.ndarray
    true_table: pd.DataFrame | None
    table: pd.DataFrame | None
    shape: tuple[int, ...]


def evaluate_particles(
    images: Sequence[LabelledImage],
    *,
    model: str | Path,
    samples: int = 30,
    seed: int = 0,
    max_uncertainty: float | None = None,
    min_probability: float | None = None,
    kinds: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, pd.DataFrame]:
    """Segment labelled images and score what is found.

    Parameters
    ----------
    images : sequence of LabelledImage
    model, samples, seed
        As for `emscout.particles.options.ParticleOptions`.
    max_uncertainty, min_probability : float or None
        The thresholds of the filter, in nats and 0..1; by default those that the model brings along.
    kinds : mapping of str to str, optional
        Kind of each image by name; of the others it is guessed from the shapes of the true particles.
    progress : callable or None
        Called as ``progress(images done, images in all, name)``.

    Returns
    -------
    dict of str to DataFrame
        ``scores``: rows ``particles`` (``all``, or ``filtered`` by their uncertainty) times ``over`` (``mean`` of the
        images, ``pooled``), with the columns of `emscout.evaluate.summarize`, the mean distances of the distributions
        over the images with at least 30 true particles (``area_distance``, ``aspect_ratio_distance``, ``rdf_rms``) and
        the thresholds ``max_uncertainty_nats`` and ``min_probability``. ``images``: the same for each image, and its
        ``kind``. ``kinds``: of what is left after the filter, by kind, with the number of images and the error of
        calibration. ``sweep``: mean scores by threshold of the uncertainty or, where the model is filtered by that, of
        the probability. ``calibration``: probability against frequency, in ten bins of equal count, and ``ece``. A
        method that knows no uncertainty has neither filter, sweep nor calibration: those tables are empty.

    Raises
    ------
    ReadError
        When an image or its labels cannot be read.
    ModelError
        When the model cannot be loaded.
    """
    report = progress or (lambda done, total, name: None)
    options = ParticleOptions(model=str(model), samples=samples, seed=seed)
    scored = []
    for done, image in enumerate(images):
        report(done, len(images), image.name)
        scored.append(_score_image(image, options, (kinds or {}).get(image.name)))
    report(len(images), len(images), "scores")
    uncertain = is_network(str(model))
    defaults = default_thresholds(model) if uncertain else (None, None)
    limits = {
        "max_uncertainty_nats": defaults[0] if max_uncertainty is None else max_uncertainty,
        "min_probability": defaults[1] if min_probability is None else min_probability,
    }
    per_image, scores = [], []
    for particles, limit in (("all", {}), ("filtered", limits))[: 1 + uncertain]:
        table = _score(scored, **limit)
        summary = summarize(table.drop(columns=list(_DISTRIBUTIONS))).rename_axis("over").reset_index()
        for name in _DISTRIBUTIONS:
            summary[name] = np.where(summary["over"] == "mean", table[name].mean(), np.nan)
        summary.insert(0, "particles", particles)
        for name in limits:
            summary[name] = np.nan if limit.get(name) is None else limit[name]
        table.insert(1, "particles", particles)
        table.insert(1, "kind", [image.kind for image in scored])
        per_image.append(table)
        scores.append(summary)
    return {
        "scores": pd.concat(scores, ignore_index=True),
        "images": pd.concat(per_image, ignore_index=True),
        "kinds": _by_kind(scored, limits),
        "sweep": _sweep(scored, limits) if uncertain else pd.DataFrame(columns=["max_uncertainty_nats", *_SWEPT]),
        "calibration": _calibration(scored if uncertain else []),
    }


def save_evaluation(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """Write each table that has rows as CSV, and the sweep as ``sweep.png``.

    Raises
    ------
    OutputError
        When ``out`` cannot be written.
    """
    sweep = tables["sweep"]
    # Without uncertainties there is neither sweep nor calibration.
    known = {name: table for name, table in tables.items() if len(table)}
    write_evaluation(out, known, {"sweep.png": partial(plot_sweep, sweep)} if len(sweep) else {})


def _score_image(image: LabelledImage, options: ParticleOptions, kind: str | None) -> ScoredImage:
    micrograph = calibrate(read(image.path))
    truth = image.draw(micrograph.image.shape)
    try:
        annotations = annotation_mask(micrograph.image, micrograph.scale)
        found = detect_particles(micrograph, options, options.model, annotations)
    except NothingToFindError:
        found = Segmentation(np.zeros_like(truth), score=np.empty(0))
    pairs = iou_pairs(truth, found.labels)
    probability = np.full(pairs.n_predicted, np.nan) if found.score is None else found.score
    plain = Micrograph(micrograph.image)  # sizes are compared in pixels
    enough = pairs.n_true >= MIN_TRUE_PARTICLES
    return ScoredImage(
        image.name,
        kind or guess_kind(truth),
        pairs,
        mean_uncertainty(found),
        probability,
        measure_particles(Segmentation(truth), plain) if enough else None,
        measure_particles(Segmentation(found.labels), plain) if enough else None,
        truth.shape,
    )


def _kept(
    image: ScoredImage, max_uncertainty_nats: float | None = None, min_probability: float | None = None
) -> np.ndarray:
    """Which particles (bool, (n,)) of an image pass the filter; all where there is none."""
    keep = np.ones(image.pairs.n_predicted, bool)
    if max_uncertainty_nats is not None:
        keep &= ~(image.uncertainty > max_uncertainty_nats)
    if min_probability is not None:
        keep &= ~(image.probability < min_probability)
    return keep


def _score_kept(scored: Sequence[ScoredImage], **limits: float | None) -> pd.DataFrame:
    return score_pairs((image.name, keep_predicted(image.pairs, _kept(image, **limits))) for image in scored)


def _score(scored: Sequence[ScoredImage], **limits: float | None) -> pd.DataFrame:
    """A row an image, of its particles that pass the filter."""
    keeps = [_kept(image, **limits) for image in scored]
    table = _score_kept(scored, **limits)
    distances = [_compare_distributions(image, keep) for image, keep in zip(scored, keeps, strict=True)]
    table[list(_DISTRIBUTIONS)] = np.array(distances, float).reshape(-1, len(_DISTRIBUTIONS))
    return table


def _compare_distributions(image: ScoredImage, keep: np.ndarray) -> tuple[float, float, float]:
    if image.true_table is None or image.table is None:
        return (np.nan,) * 3
    true_table, table = image.true_table, image.table[keep]
    area, aspect = (
        histogram_distance(true_table[name].to_numpy(), table[name].to_numpy()) for name in ("area_px2", "aspect_ratio")
    )
    true_g, dr_px = _radial(true_table, image.shape)
    if not len(true_g):
        return area, aspect, np.nan
    r_max_px = true_g["r_px"].iloc[-1] + dr_px / 2
    g, _ = _radial(table, image.shape, dr_px, r_max_px)
    values = g["g"].to_numpy() if len(g) else np.zeros(len(true_g))
    return area, aspect, rms_difference(true_g["g"].to_numpy(), values)


def _radial(
    table: pd.DataFrame, shape: tuple[int, ...], dr_px: float | None = None, r_max_px: float | None = None
) -> tuple[pd.DataFrame, float]:
    """g(r) of a table's particles, and the width of its bins: of their own size where none is given."""
    if dr_px is None:
        dr_px = float(np.sqrt(table["area_px2"].mean()) / 4)
    centroids = table[["row_px", "col_px"]].to_numpy(float)
    return radial_distribution(centroids, (shape[0], shape[1]), dr_px=dr_px, r_max_px=r_max_px), dr_px


def _by_kind(scored: Sequence[ScoredImage], limits: dict[str, float | None]) -> pd.DataFrame:
    """Scores of the particles that pass the filter, by kind of image, those of most images first."""
    rows = []
    for kind, count in Counter(image.kind for image in scored).most_common():
        some = [image for image in scored if image.kind == kind]
        summary = summarize(_score_kept(some, **limits))
        row: dict[Hashable, Any] = {"kind": kind, "images": count}
        row |= summary.loc["pooled", ["n_true", "n_predicted", "precision_50", "recall_50", "f1_50"]].to_dict()
        row |= summary.loc["mean", ["f1_50", "paper_mean_iou"]].rename({"f1_50": "f1_50_mean"}).to_dict()
        probability, matched = _doubts(some, limits)
        rows.append(row | {"ece": expected_calibration_error(probability, matched)})
    return pd.DataFrame(rows)


def _sweep(scored: Sequence[ScoredImage], limits: dict[str, float | None]) -> pd.DataFrame:
    by_probability = limits["max_uncertainty_nats"] is None and limits["min_probability"] is not None
    name = "min_probability" if by_probability else "max_uncertainty_nats"
    rows = []
    for limit in SWEEP_PROBABILITY if by_probability else (*SWEEP_NATS, np.inf):
        scores = summarize(_score_kept(scored, **{name: limit})).loc["mean", list(_SWEPT)]
        rows.append({name: limit} | scores.to_dict())
    return pd.DataFrame(rows)


def _doubts(scored: Sequence[ScoredImage], limits: dict[str, float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Probability, and whether it matches a true one, of each particle that passes the filter."""
    keeps = [_kept(image, **limits) for image in scored]
    return (
        np.concatenate([np.empty(0), *(image.probability[keep] for image, keep in zip(scored, keeps, strict=True))]),
        np.concatenate(
            [np.empty(0, bool), *(find_matched(image.pairs)[keep] for image, keep in zip(scored, keeps, strict=True))]
        ),
    )


def _calibration(scored: Sequence[ScoredImage]) -> pd.DataFrame:
    probability, matched = _doubts(scored, {})
    table = reliability(probability, matched)
    table["ece"] = expected_calibration_error(probability, matched)
    return table
