"""Score a result against the truth: labelled tiles, or masks of the crystals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emscout.errors import ReadError, UsageError
from emscout.evaluate.crystals import PARTICLE_SHARE, recall_of_first, score_clusters, score_target
from emscout.io import read
from emscout.io.find import images_in

__all__ = ["FILES", "evaluate_crystals"]

FILES = ("scores.csv", "images.csv")
"""Names of the tables as they are saved."""

_YES = {"1", "1.0", "true", "yes", "crystal", "particle", "positive"}
_NO = {"0", "0.0", "false", "no", "film", "empty", "background", "negative"}
_NEEDED = ("image", "row", "col", "top_px", "left_px", "height_px", "width_px", "cluster", "target", "target_rank")


def evaluate_crystals(folder: Path, truth: Path, positive: Sequence[str] = ()) -> dict[str, pd.DataFrame]:
    """Score a folder that `emscout.crystals.locate.locate` wrote.

    Parameters
    ----------
    folder : Path
        Holds ``tiles.csv`` and ``targets.csv``.
    truth : Path
        A CSV file with ``image``, ``row``, ``col`` (of the tile, from 0) and ``label``; tiles that it does not list are
        not scored. Or a folder of masks with the names of the images, above 0 where there is a crystal.
    positive : sequence of str
        Labels that mean crystal; by default 1, true, yes, crystal, particle and positive.

    Returns
    -------
    dict of str to DataFrame
        ``scores``: one row for all tiles pooled and one for the mean over images, which has no counts. ``images``: one
        row per image. F1, precision and recall are empty where no label is known to mean crystal.

    Raises
    ------
    UsageError
        When the truth belongs to other images or another grid.
    ReadError
        When a file cannot be read.
    """
    tiles, targets = (_read_csv(folder / f"{name}.csv", folder) for name in ("tiles", "targets"))
    if missing := [name for name in _NEEDED if name not in tiles]:
        raise ReadError(
            f"'{folder / 'tiles.csv'}' has no column {missing[0]}: give a folder that emscout locate wrote."
        )
    labelled = _label_by_masks(tiles, truth) if truth.is_dir() else _label_by_table(tiles, truth)
    label = labelled["label"]
    labelled["positive"] = label.isin(positive) if positive else label.str.casefold().isin(_YES)
    if positive and not labelled["positive"].any():
        have = ", ".join(sorted(set(label)))
        raise UsageError(f"No tile of '{truth}' has the label {' or '.join(positive)}: it has {have}.")
    # Which of the labels A, B and C means crystal is unknown.
    is_known = bool(positive) or label.str.casefold().isin(_YES | _NO).all()
    return _score(labelled, targets, bool(is_known))


def _score(labelled: pd.DataFrame, targets: pd.DataFrame, is_known: bool) -> dict[str, pd.DataFrame]:
    # Black tiles have no cluster; they count as a group of their own.
    cluster = labelled["cluster"].fillna(0).astype(int).to_numpy()
    rows = []
    for image, part in labelled.groupby("image", sort=False):
        scores = score_target(part["target"].to_numpy(bool), part["positive"].to_numpy(bool))
        rows.append({"image": image, "n_tiles": len(part), **scores})
    images = pd.DataFrame(rows)
    # A mean of counts has no meaning.
    counts = ["n_tiles", "n_positive", "n_target"]
    pooled: dict[str, Any] = {"over": "pooled", "n_tiles": len(labelled)}
    pooled |= score_target(labelled["target"].to_numpy(bool), labelled["positive"].to_numpy(bool))
    pooled |= score_clusters(cluster, labelled["label"].to_numpy()) | recall_of_first(labelled, targets)
    mean = {name: images[name].mean() for name in images.columns if name not in ("image", *counts)}
    table = pd.DataFrame([pooled, {"over": "mean of images", **mean}]).astype(dict.fromkeys(counts, "Int64"))
    if not is_known:
        kept = ["image", "over", "n_tiles", "n_target", "adjusted_rand", "homogeneity", "completeness"]
        for one in (table, images):
            one[one.columns.difference(kept)] = np.nan
    return {"scores": table, "images": images}


def _read_csv(path: Path, folder: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype={"image": str})
    except FileNotFoundError as error:
        raise UsageError(f"'{folder}' does not hold {path.name}: give a folder that emscout locate wrote.") from error
    except (OSError, ValueError) as error:
        raise ReadError(f"'{path}' cannot be read as a table: make it again with emscout locate.") from error


def _label_by_table(tiles: pd.DataFrame, truth: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(truth, dtype={"image": str, "label": str}, skipinitialspace=True)
        table = table[["image", "row", "col", "label"]].dropna()
    except FileNotFoundError as error:
        raise UsageError(
            f"'{truth}' does not exist: give a CSV file of labelled tiles or a folder of masks."
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise ReadError(
            f"'{truth}' is not a table of labelled tiles: it needs the columns image, row, col, label."
        ) from error
    names = set(tiles["image"])
    table["image"] = [name if name in names else Path(name).stem for name in table["image"]]
    table["label"] = table["label"].str.strip()
    if unknown := sorted(set(table["image"]) - names):
        raise UsageError(f"'{truth}' labels the image '{unknown[0]}', which is not in this result.")
    labelled = tiles.merge(table, on=["image", "row", "col"], how="inner", validate="one_to_many")
    if len(labelled) != len(table) or labelled.duplicated(["image", "row", "col"]).any():
        raise UsageError(
            f"'{truth}' labels tiles that are not in this result, or labels one of them twice: it belongs to another "
            "grid."
        )
    return labelled


def _label_by_masks(tiles: pd.DataFrame, truth: Path) -> pd.DataFrame:
    """Tiles of the images that have a mask; ``label`` is 1 where more than a fifth is under the mask."""
    masks = {path.stem: path for path in images_in(truth)}
    parts = []
    for image, part in tiles.groupby("image", sort=False):
        if str(image) not in masks:
            continue
        mask = read(masks[str(image)]).image > 0
        bottom, right = (part[a] + part[b] for a, b in (("top_px", "height_px"), ("left_px", "width_px")))
        if bottom.max() > mask.shape[0] or right.max() > mask.shape[1]:
            raise UsageError(
                f"'{masks[str(image)]}' is {mask.shape[0]} x {mask.shape[1]} px, smaller than the image '{image}': "
                "a mask must have the size of its image."
            )
        sums = np.pad(mask.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        top, left = part["top_px"].to_numpy(), part["left_px"].to_numpy()
        low, far = bottom.to_numpy(), right.to_numpy()
        covered = sums[low, far] - sums[top, far] - sums[low, left] + sums[top, left]
        share = covered / (part["height_px"] * part["width_px"]).to_numpy()
        parts.append(part.assign(label=np.where(share > PARTICLE_SHARE, "1", "0")))
    if not parts:
        raise UsageError(
            f"'{truth}' does not hold a mask for an image of this result: give masks the names of the images."
        )
    return pd.concat(parts, ignore_index=True)
