"""Labelled pictures: one folder a category, or a CSV; duplicates, near-duplicates, and how they are split."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.errors import ReadError, UsageError
from emscout.io.files import sha256_of
from emscout.io.find import images_in, natural_key
from emscout.specimens.features import normalise_rows

__all__ = [
    "SHARES",
    "drop_duplicates",
    "find_near_duplicates",
    "find_pictures",
    "group_pictures",
    "split_at_random",
    "split_groups",
]

SHARES = {"train": 0.7, "validation": 0.2, "test": 0.1}
"""Of the pictures, in each category."""

COSINE = 0.9
"""Pictures whose features have at least this cosine are near-duplicates."""

HASH_BITS = 3
"""Pictures whose hashes differ by at most this many bits and whose features have `HASH_COSINE` are so, too."""

HASH_COSINE = 0.8

_BLOCK = 1024


def find_pictures(data: Path) -> pd.DataFrame:
    """List labelled pictures: ``path``, ``category``, ``source`` (empty where it is not known).

    Parameters
    ----------
    data : Path
        A folder that holds one folder of pictures a category, and optionally ``sources.csv`` (a column ``file`` or
        ``name``, and ``source``, ``specimen`` or ``doi``); or a CSV with the columns ``path`` (or ``file``),
        ``category`` (or ``label``) and optionally ``source``; its paths are relative to its folder.

    Raises
    ------
    UsageError
        When there is nothing of that kind.
    ReadError
        When a CSV cannot be read or lacks a column.
    """
    if data.is_file():
        rows = _rows_of_csv(data)
    elif data.is_dir():
        rows = _rows_of_folders(data)
    else:
        raise UsageError(
            f"'{data}' does not exist: give a folder with one subfolder of pictures for each category, or a CSV."
        )
    table = pd.DataFrame(rows, columns=["path", "category", "source"])
    if table["category"].nunique() < 2:
        names = ", ".join(table["category"].unique()) or "none"
        raise UsageError(
            f"'{data}' holds pictures of fewer than two categories ({names}): put each category into a folder of its "
            "own."
        )
    return table


def _rows_of_folders(data: Path) -> list[tuple[Path, str, str]]:
    sources = _sources_of(data / "sources.csv")
    folders = sorted((f for f in data.iterdir() if f.is_dir() and not f.name.startswith(".")), key=natural_key)
    return [
        (path, folder.name, sources.get(path.name) or sources.get(path.stem, ""))
        for folder in folders
        for path in images_in(folder)
    ]


def _rows_of_csv(path: Path) -> list[tuple[Path, str, str]]:
    rows = _read_csv(path)
    columns = list(rows[0]) if rows else []
    place = next((name for name in ("path", "file", "image") if name in columns), None)
    label = next((name for name in ("category", "label", "class") if name in columns), None)
    if place is None or label is None:
        raise ReadError(f"'{path}' does not give the category of each picture: it needs the columns path and category.")
    source = _source_column(columns)
    return [
        (path.parent / row[place], row[label].strip(), (row[source] or "") if source else "")
        for row in rows
        if row[place] and row[label] and row[label].strip()
    ]


def _sources_of(path: Path) -> dict[str, str]:
    """Source of each picture by file name; empty where there is no such file."""
    if not path.is_file():
        return {}
    rows = _read_csv(path)
    columns = list(rows[0]) if rows else []
    name = next((one for one in ("file", "name", "path", "image") if one in columns), None)
    source = _source_column(columns)
    if name is None or source is None:
        raise ReadError(f"'{path}' does not give the source of each picture: it needs the columns file and source.")
    return {Path(row[name]).name: row[source] or "" for row in rows if row[name]}


def _source_column(columns: Collection[str]) -> str | None:
    return next((name for name in ("source", "specimen", "doi", "paper") if name in columns), None)


def _read_csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(f"'{path}' cannot be read as a CSV: save it as CSV in UTF-8.") from error


def drop_duplicates(table: pd.DataFrame) -> tuple[pd.DataFrame, int, list[str]]:
    """Keep one of each set of files of the same bytes.

    Parameters
    ----------
    table : DataFrame
        Of `find_pictures`.

    Returns
    -------
    kept : DataFrame
        With the column ``sha256``.
    dropped : int
    notes : list of str
        A sentence for copies under different categories, of which none is kept.
    """
    table = table.assign(sha256=[_sha256_or_path(path) for path in table["path"]])
    labels = table.groupby("sha256")["category"].nunique()
    ambiguous = table["sha256"].isin(labels[labels > 1].index)
    notes = []
    for _, copies in table[ambiguous].groupby("sha256", sort=False):
        names = " and ".join(f"'{path}'" for path in copies["path"])
        notes.append(f"{names} are the same file under different categories.")
    kept = table[~ambiguous].drop_duplicates("sha256").reset_index(drop=True)
    return kept, len(table) - len(kept), notes


def _sha256_or_path(path: Path) -> str:
    """Checksum of a file; one that cannot be read is kept, and reported when it is opened."""
    try:
        return sha256_of(path)
    except OSError:
        return str(path)


def find_near_duplicates(features: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Find pairs (m, 2) of rows that show nearly the same.

    Parameters
    ----------
    features : ndarray, shape (n, F)
        Standardised, so that the cosine counts what distinguishes pictures.
    hashes : ndarray of uint64, shape (n,)
        Of `emscout.specimens.features.picture_hash`.
    """
    rows = normalise_rows(features)
    pairs = []
    for start in range(0, len(rows), _BLOCK):
        cosine = rows[start : start + _BLOCK] @ rows.T
        differing = np.bitwise_count(hashes[start : start + _BLOCK, None] ^ hashes[None])
        alike = (cosine >= COSINE) | ((differing <= HASH_BITS) & (cosine >= HASH_COSINE))
        first, second = np.nonzero(alike)
        pairs.append(np.stack([first + start, second], axis=1)[second > first + start])
    return np.concatenate(pairs) if pairs else np.empty((0, 2), int)


def group_pictures(sources: Sequence[str], near_duplicates: np.ndarray) -> np.ndarray:
    """Number (n,) of the group of each picture: pictures of one source, and near-duplicates, are in one group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = np.asarray(sources, dtype=object)
    known = np.flatnonzero(names != "")
    _, first, which = np.unique(names[known].astype(str), return_index=True, return_inverse=True)
    edges = np.concatenate([np.stack([known[first[which]], known], axis=1), near_duplicates.reshape(-1, 2)])
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(len(names), len(names)))
    return connected_components(graph, directed=False)[1]


def split_groups(categories: Sequence[str], groups: Sequence[int], names: Sequence[str], seed: int) -> np.ndarray:
    """Side of each picture, by whole groups, so that every category has about its shares of `SHARES`.

    The largest groups are placed first, each where it is needed most; groups of one size in the order of their seeded
    SHA-256, so that nothing depends on the order of the files.

    Parameters
    ----------
    categories, groups, names : sequences of n
        ``names`` are unique.
    seed : int

    Returns
    -------
    ndarray of str, shape (n,)
        ``train``, ``validation`` or ``test``.
    """
    labels, group = np.asarray(categories), np.asarray(groups)
    kinds = np.unique(labels)
    counts = pd.crosstab(group, labels).reindex(columns=kinds, fill_value=0)
    first = pd.Series(list(names)).groupby(group).min()
    order = sorted(
        counts.index,
        key=lambda one: (
            -int(counts.loc[one].to_numpy().sum()),
            hashlib.sha256(f"{seed}:{first[one]}".encode()).hexdigest(),
        ),
    )
    sides = list(SHARES)
    wanted = np.outer(list(SHARES.values()), counts.sum().to_numpy(float))
    total = wanted.copy()
    side_of = {}
    for one in order:
        content = counts.loc[one].to_numpy(float)
        # How far each side still is from what it wants of the categories of this group.
        want = (wanted / np.maximum(total, 1e-9)) @ (content / content.sum())
        chosen = int(np.argmax(np.round(want, 9)))
        wanted[chosen] -= content
        side_of[one] = sides[chosen]
    return np.array([side_of[one] for one in group])


def split_at_random(categories: Sequence[str], seed: int) -> np.ndarray:
    """Side of each picture at random within its category, regardless of sources: what most papers report."""
    labels = np.asarray(categories)
    sides = np.empty(len(labels), dtype=object)
    generator = np.random.default_rng(seed)
    for kind in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == kind))
        ends = np.round(np.cumsum(list(SHARES.values())) * len(rows)).astype(int)
        for side, part in zip(SHARES, np.split(rows, ends[:-1]), strict=True):
            sides[part] = side
    return sides.astype(str)
