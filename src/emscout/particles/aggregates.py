"""Which particles touch and so make up one aggregate, and how large the aggregates are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emscout.tables import to_physical

__all__ = ["find_aggregates", "measure_aggregates"]

_GAP_PX = 2
"""Particles whose outlines come so near to each other touch: a blurred edge may be drawn a pixel short."""

_STEPS = [
    (down, right) for down in range(_GAP_PX + 1) for right in range(-_GAP_PX, _GAP_PX + 1) if (down, right) > (0, 0)
]

_STRIP_PX = 512

_COLUMNS = {
    "aggregate": "int64",
    "n_particles": "int64",
    "row_px": "float64",
    "col_px": "float64",
    "area_px2": "int64",
    "equivalent_circular_diameter_px": "float64",
    "radius_of_gyration_px": "float64",
    "touches_border": "bool",
}


def find_aggregates(labels: np.ndarray) -> np.ndarray:
    """The aggregate that each particle belongs to.

    Parameters
    ----------
    labels : ndarray of int, shape (H, W)
        Particles are numbered 1..n, 0 is background.

    Returns
    -------
    ndarray of int64, shape (n,)
        Aggregates are numbered 1..m in the order of their first particles; 0 is a particle that touches no other.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((20, 40), np.int32)
    >>> labels[5:10, 2:8], labels[5:10, 20:30], labels[10:15, 20:30] = 1, 2, 3
    >>> find_aggregates(labels).tolist()
    [0, 1, 1]
    """
    count = int(labels.max(initial=0))
    pairs = set[int]()
    for start in range(0, len(labels), _STRIP_PX):
        strip = labels[start : start + _STRIP_PX + _GAP_PX]
        for down, right in _STEPS:
            one = strip[: len(strip) - down, max(0, -right) : strip.shape[1] - max(0, right)]
            other = strip[down:, max(0, right) : strip.shape[1] - max(0, -right)]
            meet = (one != other) & (one > 0) & (other > 0)
            pairs.update(np.unique(one[meet].astype(np.int64) * (count + 1) + other[meet]).tolist())
    first, second = np.divmod(np.array(sorted(pairs), np.int64), count + 1)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count + 1, count + 1))
    group = connected_components(graph, directed=False)[1][1:]
    touching = np.bincount(group, minlength=1)[group] > 1 if count else np.zeros(0, bool)
    numbers = np.zeros(count, np.int64)
    _, order, number = np.unique(group[touching], return_index=True, return_inverse=True)
    numbers[touching] = np.argsort(np.argsort(order))[number] + 1
    return numbers


def measure_aggregates(particles: pd.DataFrame, labels: np.ndarray, nm_per_px: float | None) -> pd.DataFrame:
    """Measure the aggregates of an image.

    Parameters
    ----------
    particles : DataFrame
        From `emscout.particles.measure.measure_particles`, with its column ``aggregate``.
    labels : ndarray of int, shape (H, W)
    nm_per_px : float or None

    Returns
    -------
    DataFrame
        One row per aggregate of two particles or more: ``aggregate``, ``n_particles``, its centre of mass ``row_px``
        and ``col_px``, projected ``area_px2``, ``equivalent_circular_diameter_px``, ``radius_of_gyration_px`` (root
        mean square distance of its pixels from the centre) and ``touches_border``; with ``_nm`` columns where
        calibrated.
    """
    number = np.zeros(int(labels.max(initial=0)) + 1, np.int64)
    number[particles["label"]] = particles["aggregate"].fillna(0)
    count = int(number.max(initial=0))
    sums = np.zeros((4, count + 1))
    for start in range(0, len(labels), _STRIP_PX):
        group = number[labels[start : start + _STRIP_PX]]
        place = np.nonzero(group)
        rows, cols = place[0] + float(start), place[1].astype(float)
        for index, values in enumerate((None, rows, cols, rows**2 + cols**2)):
            sums[index] += np.bincount(group[place], values, minlength=count + 1)
    area = sums[0, 1:]
    mean_row, mean_col, mean_square = sums[1:, 1:] / area
    members = particles[particles["aggregate"].notna()].groupby("aggregate")
    # A pixel is a square, with a mean square distance of 1/6 from its own centre.
    gyration = np.sqrt(np.maximum(mean_square - mean_row**2 - mean_col**2, 0) + 1 / 6)
    table = pd.DataFrame(
        {
            "aggregate": np.arange(1, count + 1),
            "n_particles": members.size().to_numpy(),
            "row_px": mean_row,
            "col_px": mean_col,
            "area_px2": area,
            "equivalent_circular_diameter_px": 2 * np.sqrt(area / np.pi),
            "radius_of_gyration_px": gyration,
            "touches_border": members["touches_border"].any().to_numpy(),
        }
    )
    return to_physical(table.astype(_COLUMNS), nm_per_px)
