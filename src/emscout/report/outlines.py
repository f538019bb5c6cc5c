"""Outlines of particles along the edges of their pixels."""

from __future__ import annotations

import numpy as np

__all__ = ["trace_outlines"]


def trace_outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Outer outlines of a particle, the largest first.

    An outline runs along pixel edges, so that the polygon's area is the number of pixels in it, holes included.

    Parameters
    ----------
    mask : ndarray of bool, shape (H, W)
        True inside the particle; pixels that meet at a corner belong together.

    Returns
    -------
    list of ndarray of int, shape (n, 2)
        (row, col) of the corners, clockwise as seen on the screen; (0, 0) is the outer corner of the first
        pixel, so that pixel (r, c) reaches from (r, c) to (r + 1, c + 1). One for each piece of the particle.
    """
    successors = _directed_edges(mask)
    outlines = []
    for start in sorted(successors):
        if start not in successors:
            continue
        # No loop crosses itself where it starts: nothing of it lies above.
        outline = _follow(successors, start)
        # Clockwise loops go round a piece, the others round a hole.
        area = _area_px2(outline)
        if area > 0:
            outlines.append((area, outline))
    return [outline for _, outline in sorted(outlines, key=lambda item: -item[0])]


def _directed_edges(mask: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Steps along the pixel edges with the particle on the right, by the corner where they start."""
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    inside = padded[1:-1, 1:-1]
    steps = (
        (inside & ~padded[:-2, 1:-1], (0, 0), (0, 1)),  # along the top, to the right
        (inside & ~padded[1:-1, 2:], (0, 1), (1, 1)),  # down the right side
        (inside & ~padded[2:, 1:-1], (1, 1), (1, 0)),  # along the bottom, to the left
        (inside & ~padded[1:-1, :-2], (1, 0), (0, 0)),  # up the left side
    )
    successors: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for edge, first, last in steps:
        for row, col in np.argwhere(edge).tolist():
            successors.setdefault((row + first[0], col + first[1]), []).append((row + last[0], col + last[1]))
    return successors


def _follow(successors: dict[tuple[int, int], list[tuple[int, int]]], start: tuple[int, int]) -> np.ndarray:
    """Take one closed loop out of the steps; its corners, without those on a straight line."""
    corners = []
    here, heading = start, (0, 0)
    while True:
        ahead = successors[here]
        # Where two pixels meet at a corner, turning left goes on around both of them.
        left = (here[0] - heading[1], here[1] + heading[0])
        there = left if len(ahead) > 1 and left in ahead else ahead[0]
        ahead.remove(there)
        if not ahead:
            del successors[here]
        new_heading = (there[0] - here[0], there[1] - here[1])
        if new_heading != heading:
            corners.append(here)
        here, heading = there, new_heading
        if here == start:
            return np.array(corners)


def _area_px2(corners: np.ndarray) -> float:
    """Shoelace formula; positive when clockwise on the screen."""
    row, col = corners[:, 0], corners[:, 1]
    return 0.5 * float(np.sum(col * np.roll(row, -1) - np.roll(col, -1) * row))
