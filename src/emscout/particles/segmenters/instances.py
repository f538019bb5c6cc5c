"""From the network's maps to particles: pixels vote for their particle's centre, and follow the centres found.

After Neven et al., "Instance segmentation by jointly optimizing spatial embeddings and clustering bandwidth",
CVPR 2019. Theirs takes one seed pixel after the other; here all pixels vote at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

__all__ = ["FEATURES", "Instances", "Settings", "draw_instances", "find_instances"]

FEATURES = ("mean_information_nats", "mean_seed", "seed_deviation", "mean_gaussian", "log_area")
"""What is known of each particle beside its outline: what its probability is calculated from."""

_MARGIN_PX = 32
"""A particle cut by the image's edge may have its centre this far outside."""


@dataclass(frozen=True)
class Settings:
    """How maps are read; chosen on validation images and kept in the model file. Lengths at the network's scale."""

    foreground: float = 0.32
    """Seed score above which a pixel belongs to some particle."""
    lowest_mean_seed: float = 0.55
    """Mean seed score below which a particle is not believed."""
    smallest_diameter_px: float = 3.0
    vote_blur_px: float = 1.5
    """Standard deviation of the blur under which votes for one centre become one peak."""
    reach: float = 1.5
    """Radius around a peak within which votes are its own, over the radius at which its Gaussian is a half."""
    first_look_px: int = 256
    """Longer side of the whole image in the first pass."""
    preferred_diameter_px: float = 16.0
    """Typical diameter of the particles in the second pass, within the bounds of the image's longer side there."""
    shortest_px: int = 120
    longest_px: int = 704
    overview_margin: float = 0.05
    """An overview is taken where the mean seed score of its particles is higher by this than in the second pass."""
    max_uncertainty: float = 0.7
    """Mean mutual information of a particle, in nats, above which it is rather dropped; ln 2 bounds it."""


@dataclass(frozen=True)
class Instances:
    """Particles found in maps (5, h, w), at the network's scale.

    ``place`` (2, h, w) is where each pixel says its centre lies, ``seed`` (h, w) its score, ``labels`` (h, w) int32 the
    particle it belongs to; ``centres`` (n, 2) and ``sharpness`` (n,) in 1/px² describe the Gaussian of each particle,
    ``features`` (n, 5) are `FEATURES`.
    """

    place: np.ndarray
    seed: np.ndarray
    labels: np.ndarray
    centres: np.ndarray
    sharpness: np.ndarray
    features: np.ndarray

    @property
    def diameters_px(self) -> np.ndarray:
        """Equivalent circular diameters (n,)."""
        return np.sqrt(np.bincount(self.labels.ravel(), minlength=len(self.centres) + 1)[1:] * (4 / np.pi))


def find_instances(maps: np.ndarray, coordinate_unit_px: float, settings: Settings) -> Instances:
    """Find the particles of one image.

    Parameters
    ----------
    maps : ndarray of float32, shape (5, h, w)
        Offsets (row, col) in units of ``coordinate_unit_px``, log of the bandwidth, seed score and mutual information.
    coordinate_unit_px : float
    settings : Settings

    Returns
    -------
    Instances
    """
    shape = maps.shape[1:]
    place = maps[:2] * np.float32(coordinate_unit_px)
    place[0] += np.arange(shape[0], dtype=np.float32)[:, None]
    place[1] += np.arange(shape[1], dtype=np.float32)
    row, col = np.nonzero(maps[3] > settings.foreground)
    points, seed, information = place[:, row, col].T, maps[3, row, col], maps[4, row, col]
    log_sharpness = maps[2, row, col] - 2 * np.log(coordinate_unit_px)

    centres, sharpness = _vote(points, log_sharpness, seed, shape, settings)
    owner, gaussian = _follow(points, centres, sharpness)
    features = _describe(owner, len(centres), seed, gaussian, information)
    area = np.exp(features[:, 4])
    believed = (features[:, 1] >= settings.lowest_mean_seed) & (area >= np.pi / 4 * settings.smallest_diameter_px**2)

    # The votes' peak is a rough centre: each particle's own pixels know better.
    centres = np.stack([_mean(owner, points[:, axis], len(centres)) for axis in (0, 1)], 1)[believed]
    sharpness = np.exp(_mean(owner, log_sharpness, len(sharpness)))[believed]
    owner, gaussian = _follow(points, centres, sharpness)
    features = _describe(owner, len(centres), seed, gaussian, information)
    labels = np.zeros(shape, np.int32)
    labels[row, col] = owner + 1
    return Instances(place, maps[3], labels, centres, sharpness, features)


def _vote(
    points: np.ndarray, log_sharpness: np.ndarray, seed: np.ndarray, shape: tuple[int, ...], settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Peaks of the votes, strongest first, each of which takes the votes around it: centres (n, 2), sharpness (n,)."""
    size = (shape[0] + 2 * _MARGIN_PX, shape[1] + 2 * _MARGIN_PX)
    cell = np.clip(np.rint(points).astype(np.int64) + _MARGIN_PX, 0, np.array(size) - 1)
    flat = cell[:, 0] * size[1] + cell[:, 1]

    def count(weights: np.ndarray) -> np.ndarray:
        return np.bincount(flat, weights, size[0] * size[1]).reshape(size).astype(np.float32)

    def blur(votes: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(votes, settings.vote_blur_px, mode="constant", truncate=3)

    votes = count(seed)
    density = blur(votes)
    row, col = np.nonzero((density == ndimage.maximum_filter(density, 3)) & (density > 0.1))
    order = np.argsort(-density[row, col], kind="stable")
    row, col = row[order], col[order]
    sharpness = np.exp(blur(count(seed * log_sharpness))[row, col] / density[row, col])
    left = votes.copy()
    kept = []
    for index, reach in enumerate(settings.reach * np.sqrt(np.log(2) / sharpness)):
        middle = np.array([row[index], col[index]])
        low = np.maximum(np.ceil(middle - reach).astype(int), 0)
        window = tuple(slice(a, int(b)) for a, b in zip(low, np.floor(middle + reach) + 1, strict=True))
        rows, cols = np.ogrid[window]
        near = (rows - middle[0]) ** 2 + (cols - middle[1]) ** 2 <= reach**2
        near = near[: size[0] - low[0], : size[1] - low[1]]
        # A peak on the slope of a stronger one finds most of its votes taken.
        if left[window][near].sum() > 0.5 * votes[window][near].sum():
            kept.append(index)
        left[window][near] = 0
    return np.stack([row, col], 1)[kept] - float(_MARGIN_PX), sharpness[kept]


def _follow(points: np.ndarray, centres: np.ndarray, sharpness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whose Gaussian is largest at each point, -1 where none exceeds 0.5: owners (m,) and the Gaussians (m,)."""
    owner = np.full(len(points), -1)
    best = np.full(len(points), 0.5)
    if len(points) and len(centres):
        # A list of ranks, so that one centre alone gives a column too; what is too far is given an index past the last.
        ranks, reach = list(range(1, min(4, len(centres)) + 1)), np.sqrt(np.log(2) / sharpness.min())
        distance, index = cKDTree(centres).query(points, ranks, distance_upper_bound=reach)
        sharpness = np.append(sharpness, 1.0)
        for away, candidate in zip(np.asarray(distance).T, np.asarray(index).T, strict=True):
            gaussian = np.exp(-(away**2) * sharpness[candidate])
            better = gaussian > best
            owner[better], best[better] = candidate[better], gaussian[better]
    return owner, best


def _mean(owner: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Mean of values (m,) over the points of each owner, (count,); NaN for an owner without points."""
    owned = owner >= 0
    with np.errstate(invalid="ignore"):
        return np.bincount(owner[owned], values[owned], count) / np.bincount(owner[owned], minlength=count)


def _describe(
    owner: np.ndarray, count: int, seed: np.ndarray, gaussian: np.ndarray, information: np.ndarray
) -> np.ndarray:
    """`FEATURES` of each particle, (count, 5); NaN where it has no pixel."""
    mean_seed = _mean(owner, seed, count)
    variance = _mean(owner, seed.astype(float) ** 2, count) - mean_seed**2
    area = np.bincount(owner + 1, minlength=count + 1)[1:]
    with np.errstate(divide="ignore"):
        return np.stack(
            [
                _mean(owner, information, count),
                mean_seed,
                np.sqrt(np.maximum(variance, 0)),
                _mean(owner, gaussian, count),
                np.log(area),
            ],
            1,
        )


def draw_instances(instances: Instances, shape: tuple[int, int], foreground: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw particles at the image's resolution, with outlines as smooth as it allows.

    Each particle's membership, the lesser of its Gaussian and the seed score, is enlarged before it is cut at a half.

    Parameters
    ----------
    instances : Instances
    shape : tuple of int
        (height_px, width_px) of the image.
    foreground : float
        Seed score that counts as a half.

    Returns
    -------
    labels : ndarray of int32, shape (H, W)
        1..k without gaps, each in one piece.
    drawn : ndarray of int
        Index into ``instances`` of particle ``i + 1``; particles smaller than a pixel are not drawn.
    """
    zoom = np.array(instances.labels.shape) / shape
    labels = np.zeros(shape, np.int32)
    best = np.full(shape, 0.5, np.float32)
    member_of_seed = np.minimum(instances.seed * np.float32(0.5 / foreground), 1)
    for index, box in enumerate(ndimage.find_objects(instances.labels, len(instances.centres))):
        if box is None:
            continue
        near = tuple(
            slice(max(side.start - 2, 0), min(side.stop + 2, size))
            for side, size in zip(box, instances.labels.shape, strict=True)
        )
        squared = sum(
            (instances.place[axis][near] - np.float32(instances.centres[index, axis])) ** 2 for axis in (0, 1)
        )
        membership = np.minimum(np.exp(-np.float32(instances.sharpness[index]) * squared), member_of_seed[near])
        first = np.floor([side.start for side in near] / zoom).astype(int)
        last = np.minimum(np.ceil([side.stop for side in near] / zoom), shape).astype(int)
        edges = np.concatenate([first * zoom, last * zoom]) - np.tile([side.start for side in near], 2)
        top, left, bottom, right = np.clip(edges, 0, np.tile(membership.shape, 2))
        size = int(last[1] - first[1]), int(last[0] - first[0])
        enlarged = np.asarray(
            Image.fromarray(membership).resize(size, Image.Resampling.BILINEAR, (left, top, right, bottom))
        )
        at = slice(first[0], last[0]), slice(first[1], last[1])
        better = enlarged > best[at]
        labels[at][better] = index + 1
        best[at][better] = enlarged[better]
    return _in_one_piece(labels)


def _in_one_piece(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the largest piece of each particle, fill its holes, and number without gaps."""
    whole = np.zeros_like(labels)
    drawn = []
    for index, box in enumerate(ndimage.find_objects(labels)):
        if box is None:
            continue
        mask = labels[box] == index + 1
        pieces, count = ndimage.label(mask)
        if count > 1:
            mask = pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1
        drawn.append(index)
        whole[box][ndimage.binary_fill_holes(mask) & ((labels[box] == 0) | mask)] = len(drawn)
    return whole, np.array(drawn, int)
