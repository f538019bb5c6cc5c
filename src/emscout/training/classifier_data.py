"""The pictures a classifier is trained on: read once, copies dropped, near-duplicates found, split by source."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.compute import Progress
from emscout.errors import UsageError
from emscout.io.files import write_atomic
from emscout.specimens.dataset import (
    drop_duplicates,
    find_near_duplicates,
    find_pictures,
    group_pictures,
    split_at_random,
    split_groups,
)
from emscout.specimens.features import compute_features
from emscout.specimens.heads import CLIP

__all__ = ["Pictures", "near_duplicate_share", "prepare_pictures"]

_LOG = logging.getLogger(__name__)

FEWEST = 3
"""Groups of pictures (sources) a category takes to be on all three sides of the split."""


@dataclass(frozen=True)
class Pictures:
    """The pictures to train on and to score on.

    Parameters
    ----------
    table : DataFrame
        ``path``, ``category``, ``source``, ``sha256``, ``group`` (number of the source or set of near-duplicates),
        ``side`` (of the split by source) and ``naive_side`` (of the random one).
    features : ndarray of float32, shape (n, F)
    near_duplicates : ndarray of int, shape (m, 2)
        Pairs of near-duplicates.
    notes : tuple of str
        What was left out on purpose, and why.
    failures : tuple of str
        A sentence for each picture that cannot be used.
    n_duplicates : int
        Exact copies that were dropped.
    """

    table: pd.DataFrame
    features: np.ndarray
    near_duplicates: np.ndarray
    notes: tuple[str, ...]
    failures: tuple[str, ...]
    n_duplicates: int

    @property
    def categories(self) -> list[str]:
        return sorted(self.table["category"].unique())

    @property
    def sources(self) -> list[str]:
        """Of each picture, by what it is grouped with."""
        return [f"group {number}" for number in self.table["group"]]

    def of_side(self, side: str, column: str = "side") -> np.ndarray:
        """Row numbers of one side of a split."""
        return np.flatnonzero((self.table[column] == side).to_numpy())


def prepare_pictures(
    data: Path,
    run: Path,
    encode: Callable[[np.ndarray], np.ndarray],
    *,
    body_sha256: str,
    side_px: int,
    mask_banner: bool,
    seed: int,
    progress: Progress | None = None,
) -> Pictures:
    """Read the pictures of a folder or CSV; what was read before is taken from ``run/features.npz``.

    Parameters
    ----------
    data : Path
        As `emscout.specimens.dataset.find_pictures` takes it.
    run : Path
        Of the training; receives ``pictures.csv`` and ``features.npz``.
    encode, side_px, mask_banner, progress
        As `emscout.specimens.features.compute_features` takes them.
    body_sha256 : str
        Of the network that finds the features: with another, they are found anew.
    seed : int
        Of the splits.

    Raises
    ------
    UsageError
        When no picture can be used, or fewer than two categories have enough of them.
    ReadError
        When a CSV is damaged.
    """
    table, n_duplicates, notes = drop_duplicates(find_pictures(data))
    key = hashlib.sha256(f"{body_sha256} {side_px} {mask_banner} {' '.join(table['sha256'])}".encode()).hexdigest()
    try:
        with np.load(run / "features.npz") as kept:
            if str(kept["key"]) != key:
                raise KeyError("key")
            features, hashes, rows = kept["features"], kept["hashes"], kept["rows"]
            failures = [str(failure) for failure in kept["failures"]]
    except (OSError, KeyError, ValueError):
        described = compute_features(
            list(table["path"]), encode, side_px=side_px, mask_banner=mask_banner, progress=progress
        )
        features, hashes, rows = described.features, described.hashes, described.rows
        failures = list(described.failures.values())
        with write_atomic(run / "features.npz") as path:
            np.savez(path, key=key, features=features, hashes=hashes, rows=rows, failures=np.array(failures, str))
    if not len(rows):
        raise UsageError(f"'{data}' contains no usable picture. {failures[0]}")
    table = table.iloc[rows].reset_index(drop=True)
    spread = features.std(axis=0) + 1e-6
    near_duplicates = find_near_duplicates(np.clip((features - features.mean(axis=0)) / spread, -CLIP, CLIP), hashes)
    table["group"] = group_pictures(table["source"].tolist(), near_duplicates)
    groups = table.groupby("category")["group"].nunique()
    few = sorted(groups[groups < FEWEST].index)
    for name in few:
        n = int((table["category"] == name).sum())
        notes.append(
            f"The category '{name}': it takes pictures of at least {FEWEST} sources, or {FEWEST} that are "
            f"not near-duplicates, and has {n} picture{'s' * (n != 1)} of {groups[name]}."
        )
    kept_rows = np.flatnonzero(~table["category"].isin(few))
    table = table.iloc[kept_rows].reset_index(drop=True)
    if table["category"].nunique() < 2:
        why = [*notes[::-1], *failures, ""][0]
        raise UsageError(f"'{data}' leaves fewer than two categories. {why}".strip())
    place = np.full(len(rows), -1)
    place[kept_rows] = np.arange(len(kept_rows))
    near_duplicates = place[near_duplicates] if len(near_duplicates) else near_duplicates
    near_duplicates = near_duplicates[(near_duplicates >= 0).all(axis=1)]
    names = table["sha256"].tolist()
    table["side"] = split_groups(table["category"].tolist(), table["group"].tolist(), names, seed)
    table["naive_side"] = split_at_random(table["category"].tolist(), seed)
    if n_duplicates:
        _LOG.info("left out: %s", "one exact copy" if n_duplicates == 1 else f"{n_duplicates} exact copies")
    for note in notes:
        _LOG.info("left out: %s", note)
    with write_atomic(run / "pictures.csv") as path:
        table.to_csv(path, index=False, lineterminator="\n")
    return Pictures(table, features[kept_rows], near_duplicates, tuple(notes), tuple(failures), n_duplicates)


def near_duplicate_share(pictures: Pictures, column: str) -> float:
    """Share of the test pictures of a split that have a near-duplicate, or a picture of their source, in training."""
    sides, groups = pictures.table[column], pictures.table["group"]
    seen = set(groups[sides == "train"])
    test = groups[sides == "test"]
    return float(test.isin(seen).mean()) if len(test) else float("nan")
