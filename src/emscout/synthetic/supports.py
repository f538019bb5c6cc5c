"""What particles lie on: uneven supports, lacey and holey films."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from emscout.synthetic.imaging import fractal_field, smooth_field

__all__ = ["fractal_support", "holey_film", "lacey_film", "pile"]


def fractal_support(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Thickness of a porous support, in parts of it 0 (vacuum): float32 (H, W), about 1 where it is thick."""
    field = fractal_field(shape, rng, exponent=rng.uniform(1.2, 2.2), longest_px=rng.uniform(20, 160))
    outer = fractal_field(shape, rng, exponent=2.2, longest_px=400)
    ramp = 0.6 * rng.uniform(0, 1) * field + outer + rng.uniform(-0.6, 1.8)
    solid = np.clip(ramp * rng.uniform(1.5, 6), 0, 1)
    return (solid * np.maximum(0.12, 0.5 + rng.uniform(0.1, 0.35) * field)).astype(np.float32)


def pile(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Thickness of a heap of soft grains or flakes: float32 (H, W), about 1 where it is thick."""
    total = np.zeros(shape, np.float32)
    scale = rng.uniform(0.06, 0.3) * min(shape)
    flat = rng.random() < 0.35
    centre = rng.uniform(0.2, 0.8, 2) * shape
    extent = rng.uniform(0.25, 0.9) * max(shape)
    count = int(np.clip(0.9 * extent**2 / scale**2, 6, 60))
    places = centre + rng.standard_normal((count, 2)) * extent / 2
    for place in places:
        half = scale * math.exp(0.4 * rng.standard_normal())
        across = half * (rng.uniform(0.1, 0.4) if flat and rng.random() < 0.6 else rng.uniform(0.6, 1))
        top, left = (max(0, int(c - half)) for c in place)
        bottom, right = (min(n, int(c + half) + 1) for c, n in zip(place, shape, strict=True))
        if bottom <= top or right <= left:
            continue
        row = np.arange(top, bottom, dtype=np.float32)[:, None] - place[0]
        col = np.arange(left, right, dtype=np.float32)[None] - place[1]
        turn = rng.uniform(0, math.pi)
        u = (col * math.cos(turn) + row * math.sin(turn)) / half
        v = (row * math.cos(turn) - col * math.sin(turn)) / across
        height = np.maximum(1 - u * u - v * v, 0) ** (0.25 if flat else 0.5)
        total[top:bottom, left:right] += height * rng.uniform(0.15, 0.6)
    return total / max(float(np.quantile(total, 0.97)), 0.2)


def holey_film(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Thickness of a film with round holes: float32 (H, W), 0 in holes, 1 elsewhere, somewhat more at their rims."""
    radius = rng.uniform(0.05, 0.4) * min(shape)
    pitch = radius * rng.uniform(2.3, 3.4)
    depth = np.full(shape, 1e3, np.float32)
    row, col = (np.arange(n, dtype=np.float32) for n in shape)
    start = rng.uniform(-pitch, 0, 2)
    regular = rng.random() < 0.4
    for y in np.arange(start[0], shape[0] + radius, pitch):
        for x in np.arange(start[1], shape[1] + radius, pitch):
            place = np.array([y, x]) + (0 if regular else rng.uniform(-0.35, 0.35, 2) * pitch)
            size = radius if regular else radius * math.exp(0.35 * rng.standard_normal())
            stretch = 1.0 if regular else rng.uniform(0.75, 1.3)
            depth = np.minimum(depth, np.hypot(row[:, None] - place[0], (col[None] - place[1]) * stretch) - size)
    return _film(depth, rng)


def lacey_film(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Thickness of a net of strands around rounded holes: float32 (H, W), 0 in holes."""
    pitch = rng.uniform(0.12, 0.5) * min(shape)
    count = max(4, int(shape[0] * shape[1] / pitch**2 * 2.2))
    points = rng.uniform(-pitch, 1, (count, 2)) * (np.array(shape) + pitch) + pitch * rng.uniform(-0.5, 0.5)
    step = 2
    row, col = (np.arange(0, n + step, step, dtype=np.float32) for n in shape)
    distance = np.stack([np.hypot(row[:, None] - y, col[None] - x) for y, x in points])
    nearest = np.partition(distance, 1, axis=0)[:2]
    to_border = (nearest[1] - nearest[0]) / 2
    field = np.repeat(np.repeat(to_border, step, 0), step, 1)[: shape[0], : shape[1]]
    field = ndimage.gaussian_filter(field, 2.0)
    width = pitch * rng.uniform(0.05, 0.22) * (1 + 0.4 * smooth_field(shape, rng))
    return _film(width - field, rng)


def _film(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From the depth inside the film in px (below 0 in holes) to its thickness."""
    softness = rng.uniform(0.8, 2.5)
    solid = np.clip(depth / softness + 0.5, 0, 1)
    rim = rng.uniform(0, 0.8) * np.exp(-(np.abs(depth) / rng.uniform(1.5, 5)))
    return (solid * (1 + rim)).astype(np.float32)
