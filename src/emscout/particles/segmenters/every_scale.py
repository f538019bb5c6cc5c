"""Particles by a network of fields that looks at every scale of an image: found, compared, one answer drawn.

Distance and edge fields that a watershed turns into particles follow Cellpose (Stringer et al. 2021,
doi:10.1038/s41592-020-01018-x) and StarDist in spirit; Monte-Carlo dropout and mutual information are those of
`emscout.particles.segmenters.bayesian`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from emscout.errors import ModelError, UsageError
from emscout.micrograph import Notice, Segmentation
from emscout.models import FieldModel
from emscout.particles.segmenters.bayesian import draw_masks, estimate_probability
from emscout.particles.segmenters.crossings import join_crossings
from emscout.particles.segmenters.fields import FieldSettings
from emscout.particles.segmenters.nesting import (
    Choice,
    Level,
    Overlaps,
    areas_px2,
    choose_level,
    drop_rivals,
    find_overlaps,
    measure_agreement,
)
from emscout.particles.segmenters.pyramid import FEATURES, Candidate, Pyramid, enlarge_mask, find_candidates

__all__ = ["segment_every_scale"]

CANDIDATE_FEATURES = (*FEATURES, "log_diameter_squared", "level", "agreement")
PARTICLE_FEATURES = ("candidate_logit", "same_sign", "relative_size_squared", "nested")


_HOPELESS = 0.003
"""What is less likely to be a particle by itself is noise, whatever other scales show."""


class Found(NamedTuple):
    """What was found at all scales, and what follows from it."""

    candidates: list[Candidate]
    probability: np.ndarray
    choice: Choice


def segment_every_scale(
    image: np.ndarray, model: FieldModel, *, samples: int = 30, level: Level = "auto", seed: int = 0
) -> Segmentation:
    """Find particles of any size and say how sure each of them is.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values; may be mapped from a file. What is not finite is taken for background.
    model : FieldModel
    samples : int
        Monte-Carlo samples, at least 1; with one sample alone there is no uncertainty (all zero).
    level : {'auto', 'smallest', 'largest', 'all'}
        Which particles count where some lie in or on others: see `emscout.particles.segmenters.nesting.choose_level`.
    seed : int
        Of the dropout masks.

    Returns
    -------
    Segmentation
        ``uncertainty`` is the mutual information of each pixel in nats, ``score`` the probability that a particle
        matches a true one at an IoU of 0.5 or more.

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite value.
    UsageError
        When ``samples`` is less than 1.
    ModelError
        When another version of emscout wrote the model.
    """
    if samples < 1:
        raise UsageError(f"The number of samples is 1 or more, not {samples}.")
    found = predict_candidates(image, model, samples=samples, level=level, seed=seed)
    return replace(draw_particles(image.shape, found, found.choice.counted), warnings=_notices(found))


def _notices(found: Found) -> tuple[Notice, ...]:
    """What was decided about particles in and on others."""
    choice = found.choice
    if choice.nested == "cores" and choice.level == "largest":
        sentence = "Most particles are cores in shells: sizes are those of the shells; cores have columns of their own."
        return (Notice("levels", sentence, "Measure the cores by themselves with `level='smallest'`."),)
    if choice.nested != "supports" or not choice.left_out:
        return ()
    count = round(float(found.probability[choice.left_out].sum()))
    if choice.level == "smallest":
        sentence = f"The smaller particles are counted, and not the {count} larger things that they lie on."
        return (Notice("levels", sentence, "Measure the larger ones with `level='largest'`, or both with `all`."),)
    sentence = f"About {count} smaller particles that lie on those found are not counted."
    return (Notice("levels", sentence, "Measure them with `level='smallest'`."),)


def predict_candidates(
    image: np.ndarray, model: FieldModel, *, samples: int, level: Level = "auto", seed: int = 0
) -> Found:
    """Everything that `segment_every_scale` draws, and what it leaves out."""
    candidates, overlaps = search_image(image, model, samples=samples, seed=seed)
    return choose_candidates(candidates, overlaps, model.description["calibration"], level)


def choose_candidates(
    candidates: list[Candidate], overlaps: Overlaps, calibration: dict[str, Any], level: Level = "auto"
) -> Found:
    """How likely each candidate is to be right, and which of them count."""
    first = estimate_alone(candidates, calibration, measure_agreement(candidates, overlaps))
    kept, inside = drop_rivals(candidates, first, overlaps)
    probability = first.copy()
    if kept:
        features = particle_features(candidates, first, kept, inside)
        probability[kept] = estimate_probability(features, calibration["particle"], PARTICLE_FEATURES)
    return Found(candidates, probability, choose_level(candidates, kept, inside, probability, level))


def search_image(
    image: np.ndarray, model: FieldModel, *, samples: int, seed: int = 0
) -> tuple[list[Candidate], Overlaps]:
    """What may be a particle at any scale of an image, fibres joined across their crossings, and what overlaps what."""
    description = model.description
    masks = draw_masks(samples, description["dropout_channels"], description["dropout_rate"], seed)
    pyramid = Pyramid(image)
    weigh = partial(estimate_alone, calibration=description["calibration"])
    found = find_candidates(pyramid, model, masks, read_settings(model), weigh)
    likely = [one for one, p in zip(found, weigh(found), strict=True) if p >= _HOPELESS]
    candidates = [one for _, level in groupby(likely, key=attrgetter("level")) for one in join_crossings([*level])]
    return candidates, find_overlaps(candidates, {one.level: pyramid.shape(one.level) for one in candidates})


def estimate_alone(
    candidates: Sequence[Candidate], calibration: dict[str, Any], agreement: np.ndarray | float = 0.0
) -> np.ndarray:
    """How likely each candidate is by itself to match a true particle: float (n,)."""
    return estimate_probability(candidate_features(candidates, agreement), calibration["candidate"], CANDIDATE_FEATURES)


def candidate_features(candidates: Sequence[Candidate], agreement: np.ndarray | float) -> np.ndarray:
    """`CANDIDATE_FEATURES` (n, 10) of candidates."""
    own = np.array([one.features for one in candidates]).reshape(-1, len(FEATURES))
    size = own[:, FEATURES.index("log_diameter")]
    own[:, FEATURES.index("contrast")] = np.abs(own[:, FEATURES.index("contrast")])
    level = np.array([one.level for one in candidates])
    return np.column_stack([own, size**2, level, np.broadcast_to(agreement, size.shape)])


def particle_features(
    candidates: Sequence[Candidate], probability: np.ndarray, kept: Sequence[int], inside: Container[int]
) -> np.ndarray:
    """`PARTICLE_FEATURES` (n, 4) of the candidates that are kept: how each compares with the others of its image."""
    left = [candidates[index] for index in kept]
    clipped = np.clip(probability[kept], 1e-6, 1 - 1e-6)
    bright = np.array([one.features[FEATURES.index("contrast")] for one in left]) > 0
    total = clipped.sum()
    share = clipped[bright].sum() / total
    same = np.where(bright, share, 1 - share)
    size = np.array([one.features[FEATURES.index("log_diameter")] + one.level * np.log(2) for one in left])
    nested = np.array([index in inside for index in kept], float)
    order = np.argsort(size)
    middle = size[order][np.searchsorted(np.cumsum(clipped[order]), total / 2)]
    return np.column_stack([np.log(clipped / (1 - clipped)), same, (size - middle) ** 2, nested])


def read_settings(model: FieldModel) -> FieldSettings:
    """How the fields of a model are read.

    Raises
    ------
    ModelError
        When another version of emscout wrote it.
    """
    try:
        return FieldSettings(**model.description["settings"])
    except TypeError as error:
        name = model.description["name"]
        raise ModelError(f"{name}: this model is of another version of emscout; train or export it anew.") from error


def draw_particles(shape: tuple[int, ...], found: Found, indices: Sequence[int]) -> Segmentation:
    """Labels of some candidates in an image of that shape, smaller ones on larger ones, and of their cores."""
    only_cores = found.choice.level == "smallest" and found.choice.nested == "cores"
    cores = found.choice.cores
    if only_cores:
        indices = [index for index in indices if index in cores]
    drawn = [cores[index] if only_cores else found.candidates[index] for index in indices]
    labels, uncertainty = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    core_labels = np.zeros(shape, np.int32) if found.choice.nested == "cores" and not only_cores else None
    for place in np.argsort(areas_px2(drawn), kind="stable")[::-1]:
        row, col, mask, information = at_image_size(drawn[place])
        area = labels[row : row + mask.shape[0], col : col + mask.shape[1]]
        mask = mask[: area.shape[0], : area.shape[1]]
        area[mask] = place + 1
        told = uncertainty[row : row + mask.shape[0], col : col + mask.shape[1]]
        told[mask] = information[: area.shape[0], : area.shape[1]][mask]
        if core_labels is not None and indices[place] in cores:
            row, col, mask, _ = at_image_size(cores[indices[place]])
            area = core_labels[row : row + mask.shape[0], col : col + mask.shape[1]]
            area[mask[: area.shape[0], : area.shape[1]]] = place + 1
    # What is wholly covered by others has no pixel left.
    present = np.bincount(labels.ravel(), minlength=len(drawn) + 1)[1:] > 0
    number = np.append(0, np.where(present, np.cumsum(present), 0)).astype(np.int32)
    return Segmentation(
        number[labels],
        uncertainty,
        found.probability[list(indices)][present],
        None if core_labels is None else number[core_labels],
    )


def at_image_size(one: Candidate) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Row, column, mask and information of a candidate in pixels of the image."""
    if one.level >= 0:
        factor = 2**one.level
        information = one.information.repeat(factor, 0).repeat(factor, 1)
        return one.row * factor, one.col * factor, enlarge_mask(one.mask, one.level), information
    odd = one.row % 2, one.col % 2
    mask = np.pad(one.mask, ((odd[0], 0), (odd[1], 0)))
    information = np.pad(one.information, ((odd[0], 1), (odd[1], 1)), mode="edge")[::2, ::2]
    small = enlarge_mask(mask, one.level)
    return one.row // 2, one.col // 2, small, information[: small.shape[0], : small.shape[1]]
