"""What a network of fields finds on images it was not trained on: how likely each outline is to be right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from emscout.evaluate.calibration import expected_calibration_error, fit_calibration
from emscout.evaluate.kinds import guess_kind
from emscout.models import FieldModel
from emscout.particles.recall import count_features, estimate_count
from emscout.particles.segmenters.bayesian import estimate_probability
from emscout.particles.segmenters.every_scale import (
    CANDIDATE_FEATURES,
    PARTICLE_FEATURES,
    at_image_size,
    candidate_features,
    choose_candidates,
    particle_features,
    search_image,
)
from emscout.particles.segmenters.nesting import Overlaps, drop_rivals, measure_agreement
from emscout.particles.segmenters.pyramid import Candidate
from emscout.synthetic.kinds import KINDS
from emscout.training.real_sets import RealImage

__all__ = [
    "Judged",
    "Sample",
    "choose_min_probability",
    "collect_real",
    "collect_synthetic",
    "cross_validate",
    "fit_count",
    "fit_probabilities",
    "score_count",
    "score_kind",
]

_SIDE_PX = 512


class Sample(NamedTuple):
    """An image with truth, and the candidates found on it.

    ``right`` (bool, (n,)) says which match a true particle at an IoU above 0.5 and ``known`` (bool, (n,)) of which that
    is known at all; ``true`` (int32, (H, W)) are the true labels.
    """

    name: str
    kind: str
    source: str
    candidates: list[Candidate]
    overlaps: Overlaps
    right: np.ndarray
    known: np.ndarray
    true: np.ndarray


def collect_real(
    images: Iterable[RealImage], model: FieldModel, samples: int = 30, kinds: dict[str, str] | None = None
) -> Iterable[Sample]:
    """Candidates on labelled micrographs.

    Parameters
    ----------
    images : iterable of RealImage
    model : FieldModel
    samples : int
        Monte-Carlo samples.
    kinds : dict, optional
        Kind of each image by name, where somebody has looked; else that of its set or of its labels' shapes.
    """
    for image in images:
        truth = image.read()
        kind = (kinds or {}).get(image.name) or image.kind or guess_kind(truth.labels)
        known = truth.matter_known & (truth.instances_known | (truth.labels == 0))
        yield _collect(image.name, kind, image.source, truth.grey, truth.labels, known, model, samples)


def collect_synthetic(count: int, model: FieldModel, samples: int = 30, seed: int = 10**6) -> Iterable[Sample]:
    """Candidates on so many synthetic micrographs of each kind, none of them drawn in training."""
    for kind in KINDS:
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            drawn = KINDS[kind]((_SIDE_PX, _SIDE_PX), rng)
            known = np.ones(drawn.labels.shape, bool)
            name = f"synthetic {kind}/{number}"
            yield _collect(name, kind, name, drawn.image, drawn.labels, known, model, samples)


def _collect(
    name: str,
    kind: str,
    source: str,
    grey: np.ndarray,
    true: np.ndarray,
    known: np.ndarray,
    model: FieldModel,
    samples: int,
) -> Sample:
    candidates, overlaps = search_image(grey, model, samples=samples)
    areas = np.bincount(true.ravel())
    right, certain = np.zeros(len(candidates), bool), np.zeros(len(candidates), bool)
    for index, one in enumerate(candidates):
        row, col, mask, _ = at_image_size(one)
        place = np.s_[row : row + mask.shape[0], col : col + mask.shape[1]]
        under = true[place]
        mask = mask[: under.shape[0], : under.shape[1]]
        if not mask.any():
            continue
        common = np.bincount(under[mask], minlength=1)
        common[0] = 0
        best = int(common.argmax())
        right[index] = common[best] > 0.5 * (areas[best] + mask.sum() - common[best])
        certain[index] = known[place][mask].mean() > 0.5
    return Sample(name, kind, source, candidates, overlaps, right, certain | right, true)


def fit_probabilities(samples: list[Sample]) -> dict[str, Any]:
    """The calibration of a model: logistic coefficients ``candidate`` and ``particle``.

    The first says how sure each candidate is by itself, and so which of two rivals stays; the second how sure each
    that is left is among the others of its image.
    """
    features = [candidate_features(s.candidates, measure_agreement(s.candidates, s.overlaps)) for s in samples]
    first = _fit(features, [s.right for s in samples], [s.known for s in samples], CANDIDATE_FEATURES)
    rows, right, known = [], [], []
    for sample, own in zip(samples, features, strict=True):
        probability = estimate_probability(own, first, CANDIDATE_FEATURES)
        kept, inside = drop_rivals(sample.candidates, probability, sample.overlaps)
        if not kept:
            continue
        rows.append(particle_features(sample.candidates, probability, kept, inside))
        right.append(sample.right[kept])
        known.append(sample.known[kept])
    return {"candidate": first, "particle": _fit(rows, right, known, PARTICLE_FEATURES)}


def _fit(
    features: list[np.ndarray], right: list[np.ndarray], known: list[np.ndarray], names: tuple[str, ...]
) -> dict[str, Any]:
    usable = np.concatenate(known)
    return fit_calibration(np.concatenate(features)[usable], np.concatenate(right)[usable], names)


class Judged(NamedTuple):
    """What counts on an image by a calibration that has not seen its source: its probability, and whether it is right.

    ``probability`` (float, (n,)), ``right`` (bool, (n,)) and the number of true particles, ``n_true``.
    """

    kind: str
    probability: np.ndarray
    right: np.ndarray
    n_true: int


def cross_validate(samples: Sequence[Sample], folds: int = 5) -> list[Judged]:
    """Each image by a calibration fitted on images of other sources."""
    from sklearn.model_selection import GroupKFold  # here, because it takes a second

    judged: dict[int, Judged] = {}
    sources = [sample.source for sample in samples]
    for seen, held in GroupKFold(folds).split(samples, groups=sources):
        calibration = fit_probabilities([samples[index] for index in seen])
        for index in held.tolist():
            judged[index] = _judge(samples[index], calibration)
    return [judged[index] for index in range(len(samples))]


def _judge(sample: Sample, calibration: dict[str, Any]) -> Judged:
    found = choose_candidates(sample.candidates, sample.overlaps, calibration)
    counted = [index for index in found.choice.counted if sample.known[index]]
    n_true = int(np.count_nonzero(np.bincount(sample.true.ravel())[1:]))
    return Judged(sample.kind, found.probability[counted], sample.right[counted], n_true)


def choose_min_probability(judged: Sequence[Judged]) -> float:
    """The least probability, in steps of 0.05, that gives the best F1 as the mean over kinds of images."""
    kinds = sorted({one.kind for one in judged if one.n_true})

    def mean_f1(least: float) -> float:
        return float(np.mean([score_kind([one for one in judged if one.kind == kind], least)["f1"] for kind in kinds]))

    steps = np.arange(0.1, 0.85, 0.05).round(2).tolist()
    return max(steps, key=mean_f1)


def score_kind(judged: Sequence[Judged], min_probability: float) -> dict[str, float]:
    """Precision, recall and F1 pooled over images, and the error of calibration of what is kept."""
    probability = np.concatenate([one.probability for one in judged])
    right = np.concatenate([one.right for one in judged])
    kept = probability >= min_probability
    matched, n_found, n_true = int(right[kept].sum()), int(kept.sum()), sum(one.n_true for one in judged)
    return {
        "images": len(judged),
        "n_true": n_true,
        "n_found": n_found,
        "precision": matched / n_found if n_found else float("nan"),
        "recall": matched / n_true if n_true else float("nan"),
        "f1": 2 * matched / max(n_true + n_found, 1),
        "ece": expected_calibration_error(probability[kept], right[kept]),
    }


def fit_count(judged: Sequence[Judged], min_probability: float) -> dict[str, Any]:
    """Coefficients of `emscout.particles.recall.estimate_count`, so that 95 % of these images lie in their interval."""
    from scipy.optimize import nnls  # here, because it is needed nowhere else

    parts, doubt = zip(*(_count_features(one, min_probability) for one in judged), strict=True)
    features, true = np.array(parts), np.array([one.n_true for one in judged], float)
    # Counts have a spread that grows with them; empty images still weigh.
    weight = 1 / np.sqrt(true + 4)
    weights, _ = nnls(features * weight[:, None], true * weight)
    expected = features @ weights
    away = np.abs(np.log((true + 1) / (expected + 1)))
    terms = np.column_stack([np.ones(len(away)), doubt, (expected + 1) ** -0.5])
    spread, _ = nnls(terms, away)
    scale = np.quantile(away / np.maximum(terms @ spread, 1e-6), 0.95, method="higher")
    return {"weights": weights.tolist(), "spread": (spread * scale).tolist()}


def score_count(judged: Sequence[Judged], min_probability: float, folds: int = 5) -> dict[str, float]:
    """By images that the fit has not seen: how many intervals hold the true number, and how far the estimate is off."""
    inside, error, found = [], [], []
    for fold in range(folds):
        fit = fit_count([one for index, one in enumerate(judged) if index % folds != fold], min_probability)
        for one in judged[fold::folds]:
            kept = one.probability >= min_probability
            estimate = estimate_count(one.probability[kept], one.probability[~kept], fit)
            inside.append(estimate.low <= one.n_true <= estimate.high)
            error.append(abs(estimate.expected - one.n_true) / max(one.n_true, 1))
            found.append(abs(kept.sum() - one.n_true) / max(one.n_true, 1))
    return {"coverage": float(np.mean(inside)), "error": float(np.median(error)), "found": float(np.median(found))}


def _count_features(one: Judged, min_probability: float) -> tuple[np.ndarray, float]:
    kept = one.probability >= min_probability
    return count_features(one.probability[kept], one.probability[~kept])
