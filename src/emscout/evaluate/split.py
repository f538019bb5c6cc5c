"""Split of images into training and validation sets, by source: the same for all commands."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from emscout.errors import ReadError, UsageError

__all__ = ["SPLIT_SEED", "VALIDATION_SHARE", "read_sources", "split_by_source", "split_images"]

SPLIT_SEED = 2021
"""Random seed: all runs on the same images keep the same ones for validation."""

VALIDATION_SHARE = 0.19
"""Default share of the images kept for validation."""


def split_by_source(sources: Sequence[tuple[str, str]], validation: int, seed: int) -> tuple[list[str], list[str]]:
    """Split names into training and validation: whole sources go to validation until it holds ``validation`` names.

    The sources are ordered by their seeded SHA-256, so that the split does not depend on the order of the files.
    """
    by_source: dict[str, list[str]] = {}
    for name, source in sources:
        by_source.setdefault(source, []).append(name)
    ordered = sorted(by_source, key=lambda source: hashlib.sha256(f"{seed}:{source}".encode()).hexdigest())
    held: list[str] = []
    kept: list[str] = []
    for source in ordered:
        (held if len(held) < validation else kept).extend(by_source[source])
    return sorted(kept), sorted(held)


def read_sources(folder: Path, names: Sequence[str]) -> list[tuple[str, str]] | None:
    """Name and source of each image, from ``sources.csv`` (columns name and source, or doi); None without that file.

    Raises
    ------
    ReadError
        When a column is missing, or one of ``names`` is.
    """
    path = folder / "sources.csv"
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    column = "source" if rows and "source" in rows[0] else "doi"
    try:
        sources = {row["name"]: row[column] for row in rows}
        return [(name, sources[name]) for name in names]
    except KeyError as error:
        raise ReadError(
            f"'{path}' does not give the source of each image ({error} is missing): it needs the columns name and "
            "source, and one row for each image (its name without suffix)."
        ) from error


def split_images(folder: Path, names: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """Split the names of a folder's labelled images into training and validation sets, by source where known.

    Raises
    ------
    UsageError
        When one side would be empty.
    """
    sources = read_sources(folder, names) or [(name, name) for name in names]
    training, validation = split_by_source(sources, max(1, round(share * len(names))), seed)
    if not training:
        raise UsageError(
            f"'{folder}' holds {len(names)} labelled image(s) of one source: training needs at least two sources, one "
            "of them for validation. A large image can be cut in two."
        )
    return training, validation
