"""Views to train on: pieces of real micrographs and synthetic ones drawn anew, with the fields a network shall find."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from emscout.particles.segmenters.fields import contrast_channels
from emscout.synthetic.imaging import add_annotations, degrade
from emscout.synthetic.kinds import KINDS
from emscout.training.real_sets import RealImage, Truth

__all__ = ["SET_WEIGHTS", "Batch", "Pool", "View", "draw_batch", "load_pool", "make_batch"]

SIDE_PX = 256

SYNTHETIC_SHARE = 0.5

SET_WEIGHTS = {
    "emps": 12.0,
    "stem_boxes": 3.0,
    "soot_tem": 1.2,
    "powder_sem": 1.2,
    "tetrahedra_tem": 1.0,
    "catalyst_tomo": 0.8,
    "nanocomposite_sem": 0.8,
    "superalloy_sem": 0.8,
    "tem_masks": 0.6,
}
"""How often real views come from each set; sets of one laboratory shall not outweigh the many of the literature."""

KIND_WEIGHTS = {
    "on support": 13,
    "raft": 10,
    "wire": 10,
    "agglomerate": 10,
    "core-shell": 8,
    "tiny": 7,
    "on film": 7,
    "rod": 7,
    "round": 6,
    "cube": 6,
    "platelet": 6,
    "fills the frame": 6,
    "mixed sizes": 5,
    "empty": 3,
    "grains": 2,
}

_SMALLEST_PX2 = 4
"""What is left of a particle in a view with fewer pixels is neither particle nor background."""


class View(NamedTuple):
    """``grey`` float32 in 0..1, ``labels`` int32, ``cores`` int32, and where each is known (bool), all (S, S)."""

    grey: np.ndarray
    labels: np.ndarray
    cores: np.ndarray
    matter_known: np.ndarray
    instances_known: np.ndarray
    cores_known: np.ndarray


class Batch(NamedTuple):
    """Of a step: ``channels`` (B, 2, S, S), ``targets`` (B, 4, S, S) after `FIELDS`, ``weights`` (B, 4, S, S)."""

    channels: Tensor
    targets: Tensor
    weights: Tensor
    labels: list[np.ndarray]


@dataclass(frozen=True)
class _Held:
    truth: Truth
    halves: list[np.ndarray]
    """The image at 1, 1/2, 1/4 … of its size."""
    diameters_px: np.ndarray
    centres: np.ndarray


@dataclass(frozen=True)
class Pool:
    """Real micrographs in memory, by set."""

    by_set: dict[str, list[_Held]]


def load_pool(images: Sequence[RealImage]) -> Pool:
    """Read images into memory."""
    by_set: dict[str, list[_Held]] = {}
    for image in images:
        truth = image.read()
        halves = [truth.grey]
        while min(halves[-1].shape) > 200 and len(halves) < 4:
            halves.append(cv2.pyrDown(halves[-1]))
        areas = np.bincount(truth.labels.ravel())
        names = np.flatnonzero(areas[1:]) + 1
        row, col = np.nonzero(truth.labels)
        owner = truth.labels[row, col]
        sums = np.stack([np.bincount(owner, axis, len(areas))[names] for axis in (row, col)], 1)
        centres = sums / areas[names][:, None]
        diameters = 2 * np.sqrt(areas[names] / math.pi)
        by_set.setdefault(image.name.split("/")[0], []).append(_Held(truth, halves, diameters, centres))
    return Pool(by_set)


def draw_real(pool: Pool, rng: np.random.Generator) -> View:
    """A view of a real micrograph: turned, mirrored, stretched, zoomed, with other light, noise and annotations."""
    names = [name for name in SET_WEIGHTS if name in pool.by_set]
    weights = np.array([SET_WEIGHTS[name] for name in names])
    held = pool.by_set[str(rng.choice(names, p=weights / weights.sum()))]
    one = held[int(rng.integers(len(held)))]
    grey, labels, matter_known, instances_known = _cut(one, rng)
    if rng.random() < 0.1:
        grey = 1 - grey
    grey = degrade(grey, rng, strength=rng.uniform(0, 0.9))
    if rng.random() < 0.3:
        grey, _, opaque = add_annotations(grey, rng)
        labels = np.where(opaque, 0, labels)
        matter_known, instances_known = matter_known | opaque, instances_known | opaque
    # Nobody has outlined cores in real images: only the background is known to be none.
    return View(grey, labels, np.zeros_like(labels), matter_known, instances_known, matter_known & (labels == 0))


def _cut(one: _Held, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    height, width = one.truth.grey.shape
    drawn = rng.random()
    if drawn < 0.35 or not len(one.diameters_px):
        zoom = SIDE_PX / max(height, width) * math.exp(rng.uniform(math.log(0.9), math.log(3.5)))
    elif drawn < 0.65:
        zoom = float(rng.choice([1.0, 0.5, 0.5, 0.25] if max(height, width) > 900 else [1.0, 1.0, 0.5]))
        zoom *= math.exp(rng.uniform(-0.35, 0.35))
    else:
        typical = float(one.diameters_px[rng.integers(len(one.diameters_px))])
        zoom = math.exp(rng.uniform(math.log(5), math.log(90))) / typical
    zoom = float(np.clip(zoom, 0.8 * SIDE_PX / max(height, width), 2.5))
    slack = np.maximum(np.array([height, width]) - SIDE_PX / zoom, 0) / 2
    if len(one.centres) and rng.random() < 0.75:
        centre = one.centres[rng.integers(len(one.centres))] + rng.uniform(-0.35, 0.35, 2) * SIDE_PX / zoom
    else:
        centre = rng.uniform(0, 1, 2) * (height, width)
    middle = np.array([height, width]) / 2
    centre = np.clip(centre, middle - slack, middle + slack)
    angle = math.pi / 2 * int(rng.integers(4)) + (rng.uniform(-0.6, 0.6) if rng.random() < 0.4 else 0.0)
    stretch = math.exp(rng.uniform(-0.15, 0.15)) if rng.random() < 0.4 else 1.0
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = turn @ np.diag([stretch * mirror, 1 / stretch]) / zoom  # from (col, row) of the view to those of the image
    level = int(np.clip(math.floor(math.log2(1 / zoom) + 0.25), 0, len(one.halves) - 1))
    shrink = one.halves[level].shape[1] / width, one.halves[level].shape[0] / height
    offset = centre[::-1] - matrix @ np.full(2, SIDE_PX / 2)
    full = np.concatenate([matrix, offset[:, None]], 1)
    smaller = np.diag(shrink) @ full
    size, flags = (SIDE_PX, SIDE_PX), cv2.WARP_INVERSE_MAP
    fill = int(np.median(one.halves[-1]))
    grey = cv2.warpAffine(one.halves[level], smaller, size, flags=cv2.INTER_LINEAR | flags, borderValue=fill)
    near = cv2.INTER_NEAREST | flags
    labels = cv2.warpAffine(one.truth.labels.astype(np.float32), full, size, flags=near).astype(np.int32)
    matter_known, instances_known = (
        cv2.warpAffine(known.astype(np.uint8), full, size, flags=near) > 0
        for known in (one.truth.matter_known, one.truth.instances_known)
    )
    return grey.astype(np.float32) / 255, labels, matter_known, instances_known


def draw_synthetic(rng: np.random.Generator) -> View:
    """A synthetic micrograph of a kind drawn by `KIND_WEIGHTS`."""
    weights = np.array([KIND_WEIGHTS[name] for name in KINDS], float)
    drawn = KINDS[str(rng.choice(list(KINDS), p=weights / weights.sum()))]((SIDE_PX, SIDE_PX), rng)
    everywhere = np.ones(drawn.labels.shape, bool)
    return View(drawn.image.astype(np.float32) / 255, drawn.labels, drawn.cores, everywhere, everywhere, everywhere)


def make_batch(views: Sequence[View]) -> Batch:
    """What the network is given, and what it shall find, of some views."""
    channels = np.stack([contrast_channels(view.grey) for view in views])
    parts = [_make_targets(view) for view in views]
    return Batch(
        torch.from_numpy(channels),
        torch.from_numpy(np.stack([targets for targets, _, _ in parts])),
        torch.from_numpy(np.stack([weights for _, weights, _ in parts])),
        [labels for _, _, labels in parts],
    )


def _make_targets(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets and weights (4, S, S) float32, and the labels without what is too small to be known."""
    labels = view.labels
    areas = np.bincount(labels.ravel())
    specks = (areas < _SMALLEST_PX2)[labels] & (labels > 0)
    labels = np.where(specks, 0, labels)
    known = view.matter_known & ~specks
    matter = labels > 0
    right, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    cut = np.zeros(labels.shape, bool)
    cut[:, 1:] |= right
    cut[:, :-1] |= right
    cut[1:] |= down
    cut[:-1] |= down
    border = cut & matter
    # One of two touching rims is enough to part them: distances are counted from there.
    apart = matter.copy()
    both = right & (labels[:, 1:] > 0) & (labels[:, :-1] > 0)
    apart[:, :-1] &= ~both
    both = down & (labels[1:] > 0) & (labels[:-1] > 0)
    apart[:-1] &= ~both
    distance = cv2.distanceTransform(apart.astype(np.uint8), cv2.DIST_L2, 5) + 0.5 * matter
    # A particle that another crosses is seen in pieces, each with a crest of its own.
    pieces, count = ndimage.label(apart)
    farthest = np.full(count + 1, 1.0, np.float32)
    np.maximum.at(farthest, pieces.ravel(), distance.ravel())
    # Half a pixel less, so that the crest of something thin is not broken where it is narrower by one pixel.
    ridge = np.where(matter, np.minimum(distance / (farthest - 0.5)[pieces], 1), 0)
    ridge[matter & ~apart] = 0.0
    core = view.cores > 0
    # Small particles count for more than their few pixels, and so does what parts particles that nearly touch.
    balance = np.clip(np.sqrt(300 / np.maximum(areas, 1)), 0.7, 4).astype(np.float32)
    balance[0] = 1
    weight = balance[labels]
    number = np.where(matter, labels, 0).astype(np.float32)
    kernel = np.ones((5, 5), np.uint8)
    highest = cv2.dilate(number, kernel)
    lowest = -cv2.dilate(np.where(matter, -number, -1e9).astype(np.float32), kernel)
    weight = weight + 2.0 * (~matter & (highest > 0) & (highest != lowest))
    whole = known & (view.instances_known | ~matter)
    targets = np.stack([matter, ridge, border, core]).astype(np.float32)
    weights = np.stack([weight * known, weight * whole, (1 + 2 * border) * whole, view.cores_known & known])
    return targets, weights.astype(np.float32), labels


def draw_batch(pool: Pool, size: int, rng: np.random.Generator, synthetic_share: float = SYNTHETIC_SHARE) -> Batch:
    """A batch of real views and synthetic ones."""
    views = []
    for _ in range(size):
        views.append(draw_synthetic(rng) if rng.random() < synthetic_share else draw_real(pool, rng))
    return make_batch(views)
