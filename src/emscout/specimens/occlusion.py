"""Evidence for a category: where covering the picture lowers its probability most."""

from __future__ import annotations

import numpy as np

from emscout.models import CategoryModel
from emscout.specimens.heads import probabilities

__all__ = ["map_evidence"]

CELLS = 7
"""Covers along each side; each is two cells wide, so that they overlap."""


def map_evidence(view: np.ndarray, model: CategoryModel, category: int) -> np.ndarray:
    """How much the probability of a category falls when a part of the picture is covered (Zeiler & Fergus 2014).

    Parameters
    ----------
    view : ndarray of uint8, shape (side, side, 3)
        Of `emscout.specimens.views.view_picture`.
    model : CategoryModel
    category : int
        Its number.

    Returns
    -------
    ndarray of float64, shape (CELLS, CELLS)
        Fall of the log-odds, averaged over the covers that lie on a cell; positive where the picture speaks for the
        category.
    """
    edges = np.linspace(0, view.shape[0], CELLS + 1).round().astype(int)
    cover = view.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    covered, places = [view], []
    for row in range(-1, CELLS):
        for col in range(-1, CELLS):
            rows, cols = (slice(max(0, place), place + 2) for place in (row, col))
            rows, cols = slice(rows.start, min(rows.stop, CELLS)), slice(cols.start, min(cols.stop, CELLS))
            one = view.copy()
            one[edges[rows.start] : edges[rows.stop], edges[cols.start] : edges[cols.stop]] = cover
            covered.append(one)
            places.append((rows, cols))
    logits = np.concatenate([model.run(np.stack(covered[i : i + 16]))[0] for i in range(0, len(covered), 16)])
    probability = np.clip(probabilities(logits, model.description["temperature"])[:, category], 1e-6, 1 - 1e-6)
    odds = np.log(probability / (1 - probability))
    total, count = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for place, fall in zip(places, odds[0] - odds[1:], strict=True):
        total[place] += fall
        count[place] += 1
    return total / count
