"""Merge neighbouring target tiles into targets, with their position, extent and surroundings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import KDTree

from emscout.crystals.tiles.grid import Lattice

__all__ = ["TARGET_COLUMNS", "cells_of", "edge_pixels", "merge_targets"]

TARGET_COLUMNS = (
    "rank",
    "image",
    "row_px",
    "col_px",
    "top_px",
    "left_px",
    "height_px",
    "width_px",
    "area_px2",
    "n_tiles",
    "score",
    "bar_distance_px",
    "next_crystal_px",
)
_NEIGHBOURS = np.ones((3, 3))


def cells_of(lattice: Lattice) -> Lattice:
    """Cells that do not overlap: each holds the pixels that are nearer to the centre of its window than to any other.

    Tiles of a grid are their own cells. The outermost cells of a sliding window reach to the edges of its positions.
    """
    return Lattice(_own_spans(lattice.rows), _own_spans(lattice.cols))


def edge_pixels(mask: np.ndarray) -> np.ndarray:
    """Row and column of the pixels of a mask (H, W) that touch a pixel outside it, or the border: int32 (n, 2)."""
    if not mask.any():
        return np.empty((0, 2), np.int32)
    return np.argwhere(mask & ~ndimage.binary_erosion(mask)).astype(np.int32)


def _own_spans(spans: np.ndarray) -> np.ndarray:
    if (spans[1:, 0] >= spans[:-1, 1]).all():
        return spans
    middles = (spans[:-1].sum(axis=1) + spans[1:].sum(axis=1)) // 4
    edges = np.concatenate([spans[:1, 0], middles, spans[-1:, 1]])
    return np.stack([edges[:-1], edges[1:]], axis=1)


def merge_targets(
    tiles: pd.DataFrame, lattices: Mapping[str, Lattice], bar_edges: Mapping[str, np.ndarray]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Merge target tiles that touch (also across a corner) and rank the targets.

    Parameters
    ----------
    tiles : DataFrame
        ``image``, ``row``, ``col``, ``target`` (bool) and ``score`` (0 to 1); one row per tile.
    lattices : mapping of str to Lattice
        The windows of each image.
    bar_edges : mapping of str to ndarray of int, shape (n, 2)
        Row and column of the pixels at the edge of grid bars and apertures in each image, see `edge_pixels`.

    Returns
    -------
    targets : DataFrame
        `TARGET_COLUMNS`: the best score first, of equal scores the larger area. The centre is weighted by the score and
        always lies on a tile of the target; ``bar_distance_px`` is its distance to the nearest black pixel (NaN where
        there is none), ``next_crystal_px`` that to the centre of the nearest other target in the same image.
    ranks : ndarray of int, shape (n_tiles,)
        Rank of the target to which each row of ``tiles`` belongs; 0 for none.
    """
    found: list[dict[str, Any]] = []
    number = np.zeros(len(tiles), int)
    image_of, row_of, col_of = (tiles[name].to_numpy() for name in ("image", "row", "col"))
    is_target, score_of = tiles["target"].to_numpy(bool), tiles["score"].to_numpy(float)
    for image, lattice in lattices.items():
        here = np.flatnonzero(is_target & (image_of == image))
        if not len(here):
            continue
        marked, scores = np.zeros(lattice.shape, bool), np.zeros(lattice.shape)
        place = row_of[here], col_of[here]
        marked[place], scores[place] = True, score_of[here]
        groups, count = ndimage.label(marked, _NEIGHBOURS)
        number[here] = groups[place] + len(found)
        cells = cells_of(lattice)
        found_here = [_describe(image, groups == group, scores, cells) for group in range(1, count + 1)]
        _measure_surroundings(found_here, bar_edges.get(image))
        found += found_here
    targets = pd.DataFrame(found, columns=list(TARGET_COLUMNS))
    order = targets.sort_values(["score", "area_px2"], ascending=False, kind="stable").index.to_numpy()
    rank_of = np.zeros(len(targets) + 1, int)
    rank_of[order + 1] = np.arange(1, len(targets) + 1)
    targets = targets.loc[order].reset_index(drop=True)
    targets["rank"] = np.arange(1, len(targets) + 1)
    return targets, rank_of[number]


def _describe(image: str, group: np.ndarray, scores: np.ndarray, cells: Lattice) -> dict[str, Any]:
    rows, cols = np.nonzero(group)
    # The centre of the first pixel is (0, 0).
    centres = np.stack([(cells.rows[rows].sum(axis=1) - 1) / 2, (cells.cols[cols].sum(axis=1) - 1) / 2], axis=1)
    areas = cells.areas[rows, cols]
    weights = scores[rows, cols] * areas
    centre = np.average(centres, axis=0, weights=weights if weights.any() else areas)
    low = np.stack([cells.rows[rows, 0], cells.cols[cols, 0]], axis=1) - 0.5
    high = np.stack([cells.rows[rows, 1], cells.cols[cols, 1]], axis=1) - 0.5
    if not ((low <= centre) & (centre <= high)).all(axis=1).any():
        # The centre of a bent crystal may lie beside it.
        centre = centres[((centres - centre) ** 2).sum(axis=1).argmin()]
    top, left = cells.rows[rows, 0].min(), cells.cols[cols, 0].min()
    return {
        "rank": 0,
        "image": image,
        "row_px": centre[0],
        "col_px": centre[1],
        "top_px": int(top),
        "left_px": int(left),
        "height_px": int(cells.rows[rows, 1].max() - top),
        "width_px": int(cells.cols[cols, 1].max() - left),
        "area_px2": int(areas.sum()),
        "n_tiles": len(rows),
        "score": float(scores[rows, cols].max()),
        "bar_distance_px": np.nan,
        "next_crystal_px": np.nan,
    }


def _measure_surroundings(targets: list[dict[str, Any]], bar_edge: np.ndarray | None) -> None:
    """Fill in the distances to the nearest bar and to the nearest other target."""
    centres = np.array([(one["row_px"], one["col_px"]) for one in targets])
    if bar_edge is not None and len(bar_edge):
        for one, distance in zip(targets, _nearest(bar_edge, centres, 1), strict=True):
            one["bar_distance_px"] = float(distance)
    if len(targets) > 1:
        for one, distance in zip(targets, _nearest(centres, centres, 2), strict=True):
            one["next_crystal_px"] = float(distance)


def _nearest(places: np.ndarray, centres: np.ndarray, rank: int) -> np.ndarray:
    """Distance of each centre (n, 2) to the nearest (``rank`` 1) or second nearest (2) of the places (m, 2)."""
    distances, _ = KDTree(places).query(centres, k=[rank])
    return np.asarray(distances)[:, 0]
