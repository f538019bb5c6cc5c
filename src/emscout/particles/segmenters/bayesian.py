"""Particles by the Bayesian network: quick passes over the whole image find their scale, a thorough one finds them.

After Yildirim & Cole, "Bayesian Particle Instance Segmentation for Electron Microscopy Image Quantification",
J. Chem. Inf. Model. 61 (2021) 1136, doi:10.1021/acs.jcim.0c01455. Monte-Carlo dropout repeats the tail of the network
only, and its masks are drawn here, so that a seed gives the same bytes everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emscout.errors import ModelError, NothingToFindError, UsageError
from emscout.micrograph import Segmentation
from emscout.models import Model, load_model
from emscout.particles.segmenters.instances import FEATURES, Instances, Settings, draw_instances, find_instances
from emscout.particles.segmenters.outlines import refine_outlines

__all__ = ["filter_particles", "mean_uncertainty", "segment_bayesian", "select_particles"]

TILE_PX = 512
OVERLAP_PX = 128
"""Neighbouring tiles share this much; the sides of a tile are multiples of the network's stride."""

_DISAGREEMENT = 1.25
"""Where the second pass asks for another zoom than the first by more than this factor, there is a third."""

_OVERVIEWS = (1.0, 0.5, 0.25)
"""The first pass sees the whole image at this many times its size: particles that fill it, whose parts pass
for particles in larger views, are believed in small ones."""

_TINY_PX = 10.0
"""Particles that seem smaller in the first pass are measured once more at a higher zoom."""


def segment_bayesian(
    image: np.ndarray,
    *,
    model: str | Path = "particles-v2",
    samples: int = 30,
    diameter_px: float | None = None,
    seed: int = 0,
) -> Segmentation:
    """Find particles and say how sure each of them is.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values; what is not finite is taken for no image.
    model : str or Path
        A name in `emscout.models.MODELS`, or the path of an ONNX file written by ``emscout train``.
    samples : int
        Monte-Carlo samples, at least 1; with one sample alone there is no uncertainty (all zero).
    diameter_px : float or None
        Typical diameter of the particles; estimated where it is not given.
    seed : int
        Of the dropout masks.

    Returns
    -------
    Segmentation
        All particles found, doubtful ones too (see `filter_particles`): ``uncertainty`` is the mutual information of
        each pixel's seed score in nats, ``score`` the probability that a particle matches a true one at IoU ≥ 0.5.

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite value.
    UsageError
        When ``samples`` or ``diameter_px`` makes no sense.
    ModelError
        When the model cannot be loaded.
    """
    if samples < 1:
        raise UsageError(f"The number of samples must be 1 or more, not {samples}.")
    if diameter_px is not None and not 0 < diameter_px < np.inf:
        raise UsageError(f"A typical diameter of {diameter_px} px makes no sense: give a positive one.")
    loaded = load_model(model)
    labels, uncertainty, features = predict_particles(
        image, loaded, samples=samples, diameter_px=diameter_px, seed=seed
    )
    return Segmentation(labels, uncertainty, estimate_probability(features, loaded.description["calibration"]))


def predict_particles(
    image: np.ndarray, model: Model, *, samples: int, diameter_px: float | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `segment_bayesian` finds, before any probability is known: validation calibrates on it.

    Returns
    -------
    labels : ndarray of int32, shape (H, W)
    uncertainty : ndarray of float32, shape (H, W)
        Mutual information in nats.
    features : ndarray of float, shape (n, 5)
        `FEATURES` of each particle.
    """
    grey = normalise_grey(image)
    description = model.description
    settings = read_settings(model)
    grey = np.where(np.isfinite(grey), grey, np.float32(description["outside_grey"]))
    masks = draw_masks(samples, description["dropout_channels"], description["dropout_rate"], seed)

    def predict(zoom: float) -> tuple[np.ndarray, Instances]:
        maps = predict_maps(resize(grey, scaled_shape(grey.shape, zoom)), model, masks)
        return maps, find_instances(maps, description["coordinate_unit_px"], settings)

    if diameter_px is not None:
        maps, instances = predict(choose_zoom(grey.shape, diameter_px, settings))
    else:
        zooms = [settings.first_look_px * part / max(grey.shape) for part in _OVERVIEWS]
        overviews = [predict_without_dropout(grey, zoom, model, settings) for zoom in zooms]
        zoom = choose_zoom(grey.shape, estimate_diameter(grey, model, settings, overviews[0]), settings)
        maps, instances = predict(zoom)
        if len(instances.centres):
            better = choose_zoom(grey.shape, float(np.median(instances.diameters_px)) / zoom, settings)
            if max(better / zoom, zoom / better) > _DISAGREEMENT:
                maps, instances = predict(better)
        surest, zoom = max(zip(overviews, zooms, strict=True), key=lambda pair: mean_seed(pair[0]))
        if mean_seed(surest) > mean_seed(instances) + settings.overview_margin:
            maps, instances = predict(zoom)
    labels, drawn = draw_instances(instances, grey.shape, settings.foreground)
    if maps[4].size < grey.size:
        labels = refine_outlines(labels, grey)
    return labels, resize(maps[4], grey.shape), instances.features[drawn]


def filter_particles(
    segmentation: Segmentation, *, max_uncertainty: float | None = None, min_probability: float | None = None
) -> tuple[Segmentation, Segmentation]:
    """Part the particles one can rely on from the doubtful ones.

    Parameters
    ----------
    segmentation : Segmentation
    max_uncertainty : float or None
        Largest mean mutual information of a particle's pixels, in nats.
    min_probability : float or None
        Smallest score.

    Returns
    -------
    kept, dropped : Segmentation
        Each numbered 1..n without gaps; the map of the uncertainty stays whole in both.
    """
    keep = np.ones(int(segmentation.labels.max(initial=0)), bool)
    if max_uncertainty is not None and segmentation.uncertainty is not None:
        keep &= mean_uncertainty(segmentation) <= max_uncertainty
    if min_probability is not None and segmentation.score is not None:
        keep &= segmentation.score >= min_probability
    return select_particles(segmentation, keep), select_particles(segmentation, ~keep)


def mean_uncertainty(segmentation: Segmentation) -> np.ndarray:
    """Mean mutual information of each particle's pixels, in nats: float64 (n,); NaN without a map of it."""
    count = int(segmentation.labels.max(initial=0))
    if segmentation.uncertainty is None:
        return np.full(count, np.nan)
    labels = segmentation.labels.ravel()
    sums = np.bincount(labels, segmentation.uncertainty.ravel(), count + 1)[1:]
    return sums / np.bincount(labels, minlength=count + 1)[1:]


def select_particles(segmentation: Segmentation, keep: np.ndarray) -> Segmentation:
    """The particles for which ``keep`` (bool, (n,)) is true, numbered anew without gaps."""
    if keep.all():
        return segmentation
    number = np.append(0, np.where(keep, np.cumsum(keep), 0)).astype(np.int32)
    score = None if segmentation.score is None else segmentation.score[keep]
    # Nothing kept is the common case (nothing dropped): zeros that are never touched take no memory.
    labels = number[segmentation.labels] if keep.any() else np.zeros(segmentation.labels.shape, np.int32)
    cores = None if segmentation.cores is None else number[segmentation.cores]
    return replace(segmentation, labels=labels, score=score, cores=cores)


def read_settings(model: Model) -> Settings:
    """How the maps of a model are read.

    Raises
    ------
    ModelError
        When the model finds something else than particles, or another version of emscout wrote it.
    """
    name = model.description["name"]
    try:
        if model.description["task"] == "particles":
            return Settings(**model.description["settings"])
    except TypeError as error:
        raise ModelError(f"{name}: this model is from another version of emscout: train or export it again.") from error
    raise ModelError(f"{name}: this is not a model that finds particles.")


def normalise_grey(image: np.ndarray) -> np.ndarray:
    """Stretch grey values between the 0.5th and 99.5th percentile to 0..1: float32 (H, W), NaN where not finite."""
    grey = image.astype(np.result_type(image.dtype, np.float32))
    finite = np.isfinite(grey)
    values = grey[finite]
    low, high = grey_range(values)
    grey[~finite] = np.nan
    return np.clip((grey - low) / (high - low), 0, 1).astype(np.float32)


def grey_range(values: np.ndarray) -> tuple[float, float]:
    """The 0.5th and 99.5th percentile of finite grey values (n,); their ends where these are the same.

    Raises
    ------
    NothingToFindError
        When there are no values, or all are the same.
    """
    if values.size == 0 or values.min() == values.max():
        raise NothingToFindError("The image has no contrast, so there is nothing to find in it.")
    low, high = np.percentile(values, (0.5, 99.5))
    return (values.min(), values.max()) if low == high else (low, high)


def resize(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resample float32 (H, W) to ``shape``, linearly, over the area of an output pixel where it becomes smaller."""
    return np.asarray(Image.fromarray(values).resize(shape[::-1], Image.Resampling.BILINEAR))


def scaled_shape(shape: tuple[int, ...], zoom: float) -> tuple[int, int]:
    """Sides times zoom, at least one pixel."""
    return max(1, round(shape[0] * zoom)), max(1, round(shape[1] * zoom))


def predict_without_dropout(grey: np.ndarray, zoom: float, model: Model, settings: Settings) -> Instances:
    """Particles of ``grey`` (H, W) at a zoom, by the whole network once, without uncertainty."""
    maps = predict_maps(resize(grey, scaled_shape(grey.shape, zoom)), model, model.full_masks)
    return find_instances(maps, model.description["coordinate_unit_px"], settings)


def mean_seed(instances: Instances) -> float:
    """How much the particles found are believed: the mean of their mean seed scores, 0 where there are none."""
    return float(instances.features[:, FEATURES.index("mean_seed")].mean()) if len(instances.centres) else 0.0


def estimate_diameter(grey: np.ndarray, model: Model, settings: Settings, overview: Instances) -> float | None:
    """Typical (median) diameter in px of the particles of ``grey`` (H, W), None where none is seen.

    ``overview`` is what the first pass found in the whole image. As long as that is nothing, or specks, the middle is
    searched at a higher zoom.
    """
    zoom = settings.first_look_px / max(grey.shape)
    found, seen = None, overview
    while True:
        if len(seen.centres):
            found = float(np.median(seen.diameters_px)) / zoom
        if zoom > 0.25 or (found is not None and found * zoom >= _TINY_PX):
            return found
        zoom *= 4
        side = [min(length, round(settings.first_look_px / zoom)) for length in grey.shape]
        middle = tuple(slice((length - s) // 2, (length + s) // 2) for length, s in zip(grey.shape, side, strict=True))
        seen = predict_without_dropout(grey[middle], zoom, model, settings)


def choose_zoom(shape: tuple[int, ...], diameter_px: float | None, settings: Settings) -> float:
    """How much to enlarge the image so that particles have the preferred diameter; as in the first pass without one.

    Never so little that the whole image has less than the shortest side, nor more than the longest or, in a larger
    image, than its own pixels.
    """
    longest = max(shape)
    zoom = settings.preferred_diameter_px / diameter_px if diameter_px else settings.first_look_px / longest
    return float(np.clip(zoom, settings.shortest_px / longest, max(1.0, settings.longest_px / longest)))


def draw_masks(samples: int, channels: list[int], rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Dropout masks (samples, channels, 1, 1) float32 of both layers: 0, or 1 / (1 - rate) where a channel stays."""
    generator = np.random.default_rng(seed)
    first, second = (
        (generator.random((samples, count, 1, 1)) >= rate).astype(np.float32) / np.float32(1 - rate)
        for count in channels
    )
    return first, second


def predict_maps(grey: np.ndarray, model: Model, masks: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The network's five maps (5, h, w) of ``grey`` (h, w), in overlapping tiles where it is large."""
    stride = model.description["stride_px"]
    height, width = grey.shape
    canvas = np.pad(
        grey, ((0, -height % stride), (0, -width % stride)), constant_values=model.description["outside_grey"]
    )
    tiles = list(product(*(_cut_side(length) for length in canvas.shape)))
    if len(tiles) == 1:
        return model.run(canvas, masks)[:, :height, :width]
    total, weights = np.zeros((5, *canvas.shape), np.float32), np.zeros(canvas.shape, np.float32)
    for tile in tiles:
        maps = model.run(np.ascontiguousarray(canvas[tile]), masks)
        weight = np.minimum.outer(*(_ramp(length) for length in maps.shape[1:]))
        total[:, *tile] += weight * maps
        weights[tile] += weight
    total /= weights
    return total[:, :height, :width]


def _cut_side(length: int) -> list[slice]:
    """Tiles along a side (a multiple of the stride), each starting at a multiple of the stride."""
    if length <= TILE_PX + OVERLAP_PX:
        return [slice(0, length)]
    starts = [*range(0, length - TILE_PX, TILE_PX - OVERLAP_PX), length - TILE_PX]
    return [slice(start, start + TILE_PX) for start in starts]


def _ramp(length: int) -> np.ndarray:
    """Weight of a tile's pixels along a side: rising from either end over the overlap."""
    from_end = np.minimum(np.arange(length), np.arange(length)[::-1]) + 1
    return np.minimum(from_end / OVERLAP_PX, 1).astype(np.float32)


def estimate_probability(
    features: np.ndarray, calibration: dict[str, Any], names: tuple[str, ...] = FEATURES
) -> np.ndarray:
    """Probability (n,) of each particle to match a true one, from named features (n, k) and logistic coefficients."""
    weights = np.array([calibration["weights"].get(name, 0.0) for name in names])
    return 1 / (1 + np.exp(-(features @ weights + calibration["intercept"])))
