"""Scores of found crystals: tiles and clusters against labels, and the recall of the first targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

__all__ = ["FIRST", "PARTICLE_SHARE", "recall_of_first", "score_clusters", "score_target"]

PARTICLE_SHARE = 0.2
"""A tile is positive when a larger share of it is crystal."""

FIRST = (10, 20, 50)
_NEIGHBOURS = np.ones((3, 3))


def score_target(target: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of target tiles (n,), both bool; NaN where there is nothing to score."""
    hits = int((target & positive).sum())
    called, true = int(target.sum()), int(positive.sum())
    return {
        "n_positive": true,
        "n_target": called,
        "f1": _ratio(2 * hits, called + true),
        "precision": _ratio(hits, called),
        "recall": _ratio(hits, true),
    }


def score_clusters(cluster: np.ndarray, label: Sequence[str] | np.ndarray) -> dict[str, float]:
    """Adjusted Rand index, homogeneity and completeness of a clustering (n,) against labels (n,) of any kind.

    References
    ----------
    Hubert & Arabie (1985), doi:10.1007/BF01908075; Rosenberg & Hirschberg (2007), aclanthology.org/D07-1043.
    """
    from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure

    homogeneity, completeness, _ = homogeneity_completeness_v_measure(label, cluster)
    return {
        "adjusted_rand": float(adjusted_rand_score(label, cluster)),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
    }


def recall_of_first(tiles: pd.DataFrame, targets: pd.DataFrame) -> dict[str, float]:
    """Recall of the 10, 20 and 50 best targets over all images.

    Parameters
    ----------
    tiles : DataFrame
        ``image``, ``row``, ``col``, ``top_px``, ``left_px``, ``height_px``, ``width_px``, ``target_rank`` and
        ``positive`` (bool).
    targets : DataFrame
        ``rank``, ``image``, ``row_px``, ``col_px``.

    Returns
    -------
    dict of str to float
        ``recall_10`` …: the share of the true crystals in which one of the first 10 targets has its centre; a crystal
        is a group of positive tiles that touch, also across a corner. ``tile_recall_10`` …: the share of the positive
        tiles that belong to the first 10 targets. NaN where no tile is positive.
    """
    crystal = _number_crystals(tiles)
    found: dict[int, int] = {}
    for one in targets.sort_values("rank").to_dict("records"):
        for number in _crystals_at(tiles, crystal, one["image"], one["row_px"], one["col_px"]):
            found.setdefault(number, one["rank"])
    positive = tiles["positive"].to_numpy(bool)
    rank = tiles["target_rank"].astype("Float64").to_numpy(float, na_value=np.inf)
    count = int(crystal.max(initial=0))
    scores = {f"recall_{n}": _ratio(sum(rank <= n for rank in found.values()), count) for n in FIRST}
    return scores | {
        f"tile_recall_{n}": _ratio(int((positive & (rank <= n)).sum()), int(positive.sum())) for n in FIRST
    }


def _number_crystals(tiles: pd.DataFrame) -> np.ndarray:
    """Number of the true crystal to which each tile belongs, from 1; 0 for none."""
    numbers = np.zeros(len(tiles), int)
    positions = tiles.reset_index(drop=True)
    for _, part in positions.groupby("image", sort=False):
        row, col = part["row"].to_numpy(), part["col"].to_numpy()
        marked = np.zeros((row.max() + 1, col.max() + 1), bool)
        marked[row, col] = part["positive"].to_numpy(bool)
        groups = ndimage.label(marked, _NEIGHBOURS)[0][row, col]
        numbers[part.index] = np.where(groups > 0, groups + numbers.max(), 0)
    return numbers


def _crystals_at(tiles: pd.DataFrame, crystal: np.ndarray, image: str, row_px: float, col_px: float) -> np.ndarray:
    """Crystals with a tile that holds this place; the centre of the first pixel is (0, 0)."""
    down, right = row_px + 0.5 - tiles["top_px"].to_numpy(), col_px + 0.5 - tiles["left_px"].to_numpy()
    inside = (down >= 0) & (down <= tiles["height_px"].to_numpy()) & (right >= 0)
    inside &= (right <= tiles["width_px"].to_numpy()) & (tiles["image"].to_numpy() == image)
    return np.unique(crystal[inside & (crystal > 0)])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
