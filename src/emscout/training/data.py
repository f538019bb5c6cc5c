"""Labelled micrographs for training: normalised, held on the device as padded stacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from emscout.errors import NothingToFindError, ReadError
from emscout.io import read
from emscout.io.labels import LabelledImage
from emscout.particles.segmenters.bayesian import normalise_grey
from emscout.synthetic.particles import OUTLINES, make_micrograph
from emscout.training.network import STRIDE_PX

OUTSIDE_GREY = 0.449
"""Grey of the canvas outside the image: zero to the network."""

PREFERRED_DIAMETER_PX = 40.0
"""The median particle diameter, in pixels of the image given to the network, around which views are zoomed."""

LARGEST_SIDE_PX = 1024
"""Larger micrographs are shrunk as far as their particles allow, then cut into pieces."""

SYNTHETIC_SHARE = 0.2
"""Synthetic micrographs trained on beside each real one."""

EXAMPLE_SIDE_PX = 256

_MOST_PARTICLES = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Labelled:
    """Micrographs of different sizes, padded to one size at the lower and right edges.

    ``images`` (N, H, W) uint8, ``labels`` (N, H, W) int16, ``shapes`` (N, 2) the true sizes, ``diameters`` (N,) the
    median equivalent circular diameter in px, ``centres`` one (M, 2) array of (row, col) an image.
    """

    images: Tensor
    labels: Tensor
    shapes: Tensor
    diameters: Tensor
    centres: list[Tensor]


def read_labelled(image: LabelledImage) -> tuple[np.ndarray, np.ndarray]:
    """Grey image in 0..1 (H, W) float32 and its label map (H, W) int32.

    Raises
    ------
    ReadError
        When either cannot be read, or they do not go together.
    """
    micrograph = read(image.path, resample=False)
    try:
        grey = normalise_grey(micrograph.image)
    except NothingToFindError as error:
        raise ReadError(f"'{image.path}' has a single grey value: remove it.") from error
    return np.where(np.isfinite(grey), grey, np.float32(OUTSIDE_GREY)), image.draw(micrograph.image.shape)


def load_labelled(images: Sequence[LabelledImage], device: torch.device, seed: int) -> Labelled:
    """Read images and truth onto the device, and add synthetic micrographs drawn with ``seed``."""
    pieces = [piece for image in images for piece in _cut(*_shrink(*read_labelled(image)))]
    pieces += _draw_synthetic(round(SYNTHETIC_SHARE * len(images)), np.random.default_rng(seed))
    height, width = (max(grey.shape[axis] for grey, _ in pieces) for axis in (0, 1))
    stack = np.zeros((len(pieces), height, width), np.uint8)
    labels = np.zeros((len(pieces), height, width), np.int16)
    diameters, centres = [], []
    for index, (grey, truth) in enumerate(pieces):
        rows, cols = grey.shape
        stack[index, :rows, :cols] = np.rint(grey * 255)
        values, compact, counts = np.unique(np.append(0, truth), return_inverse=True, return_counts=True)
        if len(values) > _MOST_PARTICLES:
            raise ReadError(f"An image holds more than {_MOST_PARTICLES} particles: cut it into smaller ones.")
        compact = compact[1:].reshape(truth.shape)
        labels[index, :rows, :cols] = compact
        diameters.append(_median_diameter(counts[1:]))
        row, col = np.nonzero(compact)
        weights = np.bincount(compact[row, col], minlength=len(values))[1:]
        middle = [np.bincount(compact[row, col], axis, len(values))[1:] / weights for axis in (row, col)]
        centres.append(torch.tensor(np.stack(middle, 1), dtype=torch.float32, device=device))
    return Labelled(
        torch.from_numpy(stack).to(device),
        torch.from_numpy(labels).to(device),
        torch.tensor([grey.shape for grey, _ in pieces], dtype=torch.float32, device=device),
        torch.tensor(diameters, dtype=torch.float32, device=device),
        centres,
    )


def draw_examples(images: Sequence[LabelledImage], count: int) -> list[np.ndarray]:
    """Whole grey images in 0..1, shrunk to `EXAMPLE_SIDE_PX` and cut to multiples of the network's stride."""
    examples = []
    for image in images[:: max(1, len(images) // count)][:count]:
        grey, _ = read_labelled(image)
        height, width = (
            max(STRIDE_PX, round(side * EXAMPLE_SIDE_PX / max(grey.shape)) // STRIDE_PX * STRIDE_PX)
            for side in grey.shape
        )
        examples.append(np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR)))
    return examples


def _draw_synthetic(count: int, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Synthetic micrographs of all kinds; unlike hand-drawn outlines, theirs are exact to the pixel."""
    for _ in range(count):
        diameter_px = 40 * random.uniform(0.2, 1) ** 1.5
        shapes = random.choice(list(OUTLINES), random.integers(1, 4), replace=False)
        micrograph, truth, _ = make_micrograph(
            n_particles=int(min(400, random.uniform(0.05, 0.35) * 512**2 / diameter_px**2)),
            diameter_px=(diameter_px, diameter_px * random.uniform(0.03, 0.4)),
            shapes=tuple(map(str, shapes)),
            polarity=str(random.choice(["dark", "bright"])),
            contrast=random.uniform(0.1, 0.5),
            noise=random.uniform(0.01, 0.12),
            vignetting=random.uniform(0, 0.4),
            touching=bool(random.random() < 0.5),
            seed=int(random.integers(2**31)),
        )
        yield normalise_grey(micrograph.image), truth


def _median_diameter(areas: np.ndarray) -> float:
    return float(np.median(2 * np.sqrt(areas / np.pi))) if len(areas) else PREFERRED_DIAMETER_PX


def _shrink(grey: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink a large image, but not its particles below twice the diameter they will mostly be met at."""
    areas = np.bincount(truth.ravel())[1:]
    zoom = max(LARGEST_SIDE_PX / max(grey.shape), 2 * PREFERRED_DIAMETER_PX / _median_diameter(areas[areas > 0]))
    if zoom >= 1:
        return grey, truth
    size = (max(1, round(grey.shape[1] * zoom)), max(1, round(grey.shape[0] * zoom)))
    smaller = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(smaller), np.asarray(Image.fromarray(truth).resize(size, Image.Resampling.NEAREST))


def _cut(grey: np.ndarray, truth: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rows, cols = (np.linspace(0, side, -(-side // LARGEST_SIDE_PX) + 1).astype(int) for side in grey.shape)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(cols):
            yield grey[top:bottom, left:right], truth[top:bottom, left:right]
