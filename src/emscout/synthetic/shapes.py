"""Outlines of particles as functions of place, and where particles lie: scattered, in clusters, chains and rafts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Outline", "bumpy", "disc", "ellipse", "polygon", "rod", "rounded_box", "scatter", "spread_sizes"]

Depth = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Outline:
    """An outline around (0, 0).

    Parameters
    ----------
    depth : callable
        Distance in px to the outline of places (u, v) in px, u along the particle and v across it: positive inside.
    reach_px : float
        Of the farthest point of the outline from (0, 0).
    inradius_px : float
        Greatest depth.
    half_length_px, half_width_px : float
        Half of the sides along u and v.
    """

    depth: Depth
    reach_px: float
    inradius_px: float
    half_length_px: float
    half_width_px: float


def disc(radius_px: float) -> Outline:
    """A circle."""
    return Outline(lambda u, v: radius_px - np.hypot(u, v), radius_px, radius_px, radius_px, radius_px)


def ellipse(half_length_px: float, half_width_px: float) -> Outline:
    """An ellipse; its depth is exact on the outline and along its axes."""

    def depth(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        scaled = np.hypot(u / half_length_px, v / half_width_px)
        steep = np.hypot(u / half_length_px**2, v / half_width_px**2)
        return np.minimum(scaled * (1 - scaled) / np.maximum(steep, 1e-6), half_width_px * (1 - scaled * 0.5))

    return Outline(
        depth, max(half_length_px, half_width_px), min(half_length_px, half_width_px), half_length_px, half_width_px
    )


def rounded_box(half_length_px: float, half_width_px: float, corner_px: float) -> Outline:
    """A rectangle with round corners."""
    corner_px = min(corner_px, half_length_px, half_width_px)

    def depth(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        a, b = np.abs(u) - (half_length_px - corner_px), np.abs(v) - (half_width_px - corner_px)
        outside = np.hypot(np.maximum(a, 0), np.maximum(b, 0))
        return corner_px - outside - np.minimum(np.maximum(a, b), 0)

    reach = math.hypot(half_length_px, half_width_px)
    return Outline(depth, reach, min(half_length_px, half_width_px), half_length_px, half_width_px)


def rod(half_length_px: float, radius_px: float, waist: float = 0.0) -> Outline:
    """A rod with round ends; a ``waist`` above 0 makes its ends thicker, one below 0 makes them thinner."""
    straight = max(half_length_px - radius_px, 0.0)

    def depth(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        along = np.abs(u)
        width = radius_px
        if waist:
            width = radius_px * (1 + waist * (np.minimum(along / half_length_px, 1) ** 2 - 0.5))
        return width - np.hypot(np.maximum(along - straight, 0), v)

    widest = radius_px * (1 + abs(waist) / 2)
    return Outline(depth, half_length_px + widest - radius_px, radius_px, half_length_px, widest)


def polygon(
    radius_px: float, sides: int, rng: np.random.Generator, *, uneven: float = 0.0, corner: float = 0.1
) -> Outline:
    """A convex polygon of mean inscribed radius ``radius_px``; ``corner`` is the rounding as a fraction of it."""
    angles = 2 * math.pi * (np.arange(sides) + uneven * rng.uniform(-0.5, 0.5, sides)) / sides
    reaches = radius_px * (1 + uneven * rng.uniform(-0.4, 0.4, sides))
    sharp = 8.0 / max(corner * radius_px, 0.15)

    def depth(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        inside = np.stack([reach - u * math.cos(a) - v * math.sin(a) for a, reach in zip(angles, reaches, strict=True)])
        least = inside.min(0)
        return least - np.log(np.exp(np.clip((least - inside) * sharp, -30, 0)).sum(0)) / sharp

    reach = radius_px * (1 + 0.4 * uneven) / math.cos(math.pi / sides) * (1 + uneven)
    return Outline(depth, reach, radius_px * (1 - 0.3 * uneven), radius_px, radius_px)


def bumpy(radius_px: float, rng: np.random.Generator, roughness: float = 0.2, orders: int = 6) -> Outline:
    """A round particle with a wavy outline."""
    order = np.arange(2, 2 + orders)
    strength = roughness * rng.standard_normal(orders) / order
    phase = rng.uniform(0, 2 * math.pi, orders)

    def depth(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        angle = np.arctan2(v, u)
        radius = radius_px * (
            1 + sum(s * np.cos(n * angle + p) for s, n, p in zip(strength, order, phase, strict=True))
        )
        return np.maximum(radius, 0.3 * radius_px) - np.hypot(u, v)

    swing = float(np.abs(strength).sum())
    return Outline(depth, radius_px * (1 + swing), radius_px * max(0.3, 1 - 0.6 * swing), radius_px, radius_px)


def spread_sizes(mean: float, relative_spread: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """Log-normal sizes (count,) of a median ``mean``."""
    return mean * np.exp(relative_spread * np.clip(rng.standard_normal(count), -2.5, 2.5))


def scatter(
    shape: tuple[int, int],
    reaches_px: np.ndarray,
    rng: np.random.Generator,
    *,
    gap_px: float = 1.5,
    clustered: float = 0.0,
    overlap: float = 0.0,
    tries: int = 8,
) -> np.ndarray:
    """Centres (n, 2), as row and col, for circles that do not meet; NaN where a circle found no room.

    Parameters
    ----------
    shape : (int, int)
    reaches_px : ndarray of float, shape (n,)
    rng : Generator
    gap_px : float
        Least distance between circles.
    clustered : float
        Chance of each circle to be put against one that is there already.
    overlap : float
        By which part of the smaller radius circles of a cluster overlap.
    tries : int
        Places tried for each circle.
    """
    count = len(reaches_px)
    centres = np.full((count, 2), np.nan)
    sides = np.array(shape, float)
    placed = 0
    taken = np.empty((count, 3))
    for index, reach in enumerate(reaches_px):
        attached = placed > 0 and rng.random() < clustered
        allowed = gap_px
        if attached:
            anchor = taken[rng.integers(placed, size=tries)]
            turn = rng.uniform(0, 2 * math.pi, tries)
            apart = anchor[:, 2] + reach - overlap * np.minimum(anchor[:, 2], reach)
            centre = anchor[:, :2] + apart[:, None] * np.stack([np.sin(turn), np.cos(turn)], 1)
            allowed = -overlap * reach - 0.5
        else:
            centre = rng.uniform(-0.3 * reach, sides + 0.3 * reach, (tries, 2))
        there = taken[:placed]
        distance = np.hypot(*(centre[:, None] - there[None, :, :2]).transpose(2, 0, 1)) - there[None, :, 2] - reach
        free = (distance >= allowed).all(1) & (centre > -reach).all(1) & (centre < sides + reach).all(1)
        if free.any():
            chosen = centre[free.argmax()]
            centres[index] = chosen
            taken[placed] = (*chosen, reach)
            placed += 1
    return centres
