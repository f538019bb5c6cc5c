"""What a network of fields finds on images it was not trained on: how likely each outline is to be right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from emscout.evaluate.calibration import fit_calibration
from emscout.evaluate.kinds import guess_kind
from emscout.models import FieldModel
from emscout.particles.segmenters.bayesian import estimate_probability
from emscout.particles.segmenters.every_scale import (
    CANDIDATE_FEATURES,
    PARTICLE_FEATURES,
    at_image_size,
    candidate_features,
    particle_features,
    search_image,
)
from emscout.particles.segmenters.nesting import Overlaps, drop_rivals, measure_agreement
from emscout.particles.segmenters.pyramid import Candidate
from emscout.synthetic.kinds import KINDS
from emscout.training.real_sets import RealImage

__all__ = ["Sample", "collect_real", "collect_synthetic", "fit_probabilities"]

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
        left = [sample.candidates[index] for index in kept]
        rows.append(particle_features(left, probability[kept], [index in inside for index in kept]))
        right.append(sample.right[kept])
        known.append(sample.known[kept])
    return {"candidate": first, "particle": _fit(rows, right, known, PARTICLE_FEATURES)}


def _fit(
    features: list[np.ndarray], right: list[np.ndarray], known: list[np.ndarray], names: tuple[str, ...]
) -> dict[str, Any]:
    usable = np.concatenate(known)
    return fit_calibration(np.concatenate(features)[usable], np.concatenate(right)[usable], names)
