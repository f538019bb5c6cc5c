"""Decide which tiles are crystal: cluster, score, propose a cluster, and take the labels of the user into account."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emscout.crystals.choice.cluster import cluster_tiles, reduce_dimensions, standardise
from emscout.crystals.choice.film import DEEP, MOSTLY_FILM, find_noise_tiles, is_only_noise, measure_depth
from emscout.crystals.choice.presets import Preset
from emscout.crystals.choice.propose import Proposal, are_next_to, compute_predictors, propose_target
from emscout.crystals.choice.user_labels import (
    UserLabels,
    collect_labels,
    most_uncertain,
    score_with_labels,
    similarity_to,
)
from emscout.crystals.tiles.network import PARTICLE_SHARE
from emscout.errors import NothingToFindError, UsageError

__all__ = [
    "HALF_SHARE",
    "TARGET_SCORE",
    "Decision",
    "assign_clusters",
    "choose_target_tiles",
    "combine_scores",
    "decide",
    "find_tile",
    "is_distinct",
]

TARGET_SCORE = 0.5
"""Tiles with this score or more are targets."""

# Chosen by eye on four sets of graphite and asbestos. Of 70 labelled micrographs with large particles the cluster
# decides 4, which lowers the mean tile F1 there by 0.005.
_RARE, _RICH, _DARKER, _BESIDE_BARS, _MORE_BESIDE_BARS, _LIKELIER = 0.12, 4.0, 0.015, 0.3, 1.5, 1.5

HALF_SHARE = 0.2
"""Share of particle in a tile, by the network, that gives a score of ½: a tile is positive above a fifth."""

_WORTH_LABELS = 10  # the weight of the network, or of the depth, as a number of labels


@dataclass(frozen=True, eq=False)
class Decision:
    """Which tiles are crystal, and why.

    Parameters
    ----------
    tiles : DataFrame
        As given, with ``cluster`` (Int64, missing where black), ``score`` (NaN where black), ``target`` and, where
        examples of crystals were given, ``similarity`` to the nearest of them.
    proposal : Proposal
        The cluster that is proposed, whether or not it decided the targets.
    points : ndarray, shape (n, d)
        The tiles that are not black, standardised and reduced, as they were clustered.
    labels : UserLabels or None
        All labels that were taken into account.
    question : int or None
        Row of the most uncertain tile; ``None`` when every tile is labelled.
    by_depth : bool
        Whether the score measures how far tiles lie below the film, see `emscout.crystals.choice.film.measure_depth`.
    """

    tiles: pd.DataFrame
    proposal: Proposal
    points: np.ndarray
    labels: UserLabels | None
    question: int | None
    by_depth: bool

    @property
    def usable(self) -> np.ndarray:
        """Rows of the tiles that are not black, in the order of ``points``."""
        return np.flatnonzero(~self.tiles["black"].to_numpy(bool))


def decide(
    tiles: pd.DataFrame,
    features: np.ndarray,
    recipe: Preset,
    *,
    target: int | None = None,
    like: Sequence[int] = (),
    unlike: Sequence[int] = (),
    labels: UserLabels | None = None,
    seed: int = 0,
) -> Decision:
    """Decide which tiles are crystal.

    Parameters
    ----------
    tiles : DataFrame
        From `emscout.crystals.survey.survey_images`.
    features : ndarray, shape (n_tiles, n_features)
        From the same survey.
    recipe : Preset
        How tiles are clustered.
    target : int, optional
        The cluster that is crystal; by default each tile is judged by itself.
    like, unlike : sequence of int
        Rows of tiles that the user labels as crystal, and as not crystal.
    labels : UserLabels, optional
        Labels from another set.
    seed : int
        Random seed of the clustering.

    Raises
    ------
    NothingToFindError
        When every tile is black.
    UsageError
        When there are fewer tiles than clusters, there is no cluster ``target``, or a labelled tile is black.
    """
    tiles = assign_clusters(tiles, recipe, seed)
    usable = np.flatnonzero(tiles["cluster"].notna().to_numpy(bool))
    points = standardise(tiles.iloc[usable][list(recipe.statistics)].to_numpy(float))
    predictors = compute_predictors(features[usable])
    crystal, not_crystal = (_places(usable, rows, tiles) for rows in (like, unlike))
    if crystal or not_crystal:
        labels = collect_labels(predictors, crystal, not_crystal, before=labels)
    scores = score_with_labels(predictors, labels)
    n_labels = len(labels.examples) if labels else 0
    depth = None if PARTICLE_SHARE in tiles else measure_depth(tiles)
    if PARTICLE_SHARE in tiles:
        # The network was trained on particles that stand out; it finds many in faint and noisy film.
        share = np.where(find_noise_tiles(tiles)[0], 0.0, tiles[PARTICLE_SHARE].to_numpy(float))
        scores = combine_scores(share[usable], HALF_SHARE, scores, n_labels)
    elif depth is not None:
        scores = combine_scores(depth[usable], DEEP, scores, n_labels)
    # A labelled tile keeps its label.
    scores[crystal], scores[not_crystal] = 1.0, 0.0
    tiles["score"] = _at(usable, scores, len(tiles))
    if crystal:
        tiles["similarity"] = _at(usable, similarity_to(points, crystal), len(tiles))
    proposal = propose_target(tiles)
    if target is None and labels is None and PARTICLE_SHARE not in tiles and depth is None:
        tiles["target"] = choose_target_tiles(tiles, proposal)
    elif target is None:
        tiles["target"] = (tiles["score"] >= TARGET_SCORE).to_numpy(bool)
    elif 1 <= target <= recipe.n_clusters:
        tiles["target"] = (tiles["cluster"] == target).fillna(False).to_numpy(bool)
    else:
        raise UsageError(f"There is no cluster {target}: clusters are numbered 1 to  {recipe.n_clusters}.")
    labelled = [*crystal, *not_crystal]
    question = None
    if len(usable) > len(set(labelled)):
        question = int(usable[most_uncertain(scores, labelled)])
    return Decision(
        tiles, proposal, reduce_dimensions(points, recipe.reduction, seed), labels, question, depth is not None
    )


def combine_scores(evidence: np.ndarray, half: float, scores: np.ndarray, n_labels: int) -> np.ndarray:
    """Combine scores with other evidence: at first the evidence alone counts, and with every label the scores more.

    Parameters
    ----------
    evidence : ndarray, shape (n,)
        0 or more, such as the fraction of each tile that the network finds to be particle.
    half : float
        Evidence that gives a score of ½.
    scores : ndarray, shape (n,)
        Scores without the evidence, 0 to 1.
    n_labels : int
        Number of tiles that the user has labelled.
    """
    weight = n_labels / (n_labels + _WORTH_LABELS)
    return (1 - weight) * evidence / (evidence + half) + weight * scores


def assign_clusters(tiles: pd.DataFrame, recipe: Preset, seed: int) -> pd.DataFrame:
    """Add the column ``cluster`` to the table of tiles: 1 (darkest) to ``n_clusters``, missing where black.

    Raises
    ------
    NothingToFindError
        When every tile is black.
    UsageError
        When there are fewer different tiles than clusters.
    """
    usable = np.flatnonzero(~tiles["black"].to_numpy(bool))
    if not len(usable):
        raise NothingToFindError(
            f"All {len(tiles)} tiles are black, so there is no film to search: choose images beside the grid bars, or "
            "set `keep_black=True` if the black areas are specimen."
        )
    clusters = pd.array([pd.NA] * len(tiles), dtype="Int64")
    clusters[usable] = cluster_tiles(
        tiles.iloc[usable][list(recipe.statistics)].to_numpy(float),
        tiles["mean"].to_numpy(float)[usable],
        recipe.n_clusters,
        clusterer=recipe.clusterer,
        reduction=recipe.reduction,
        linkage=recipe.linkage,
        metric=recipe.metric,
        seed=seed,
    )
    return tiles.assign(cluster=clusters)


def choose_target_tiles(tiles: pd.DataFrame, proposal: Proposal) -> np.ndarray:
    """Choose the target tiles without labels of the user.

    Targets are tiles with a score of ½ or more, and on film that shows only noise also the tiles that are a little
    rougher. But where the proposed cluster is distinct (see `is_distinct`), its tiles are the targets and no others: on
    an overview a cluster that is rare, dark and rich in contrast says more than the features of single tiles.

    Parameters
    ----------
    tiles : DataFrame
        With ``cluster`` and ``score``.
    proposal : Proposal
        For the same tiles.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    if all(is_only_noise(part) for _, part in tiles[tiles["cluster"].notna()].groupby("image")):
        return np.zeros(len(tiles), bool)
    if is_distinct(tiles, proposal):
        return (tiles["cluster"] == proposal.cluster).fillna(False).to_numpy(bool)
    likely, (_, faint) = (tiles["score"] >= TARGET_SCORE).to_numpy(bool), find_noise_tiles(tiles)
    largest = (tiles["cluster"] == tiles["cluster"].mode().min()).fillna(False).to_numpy(bool)
    if largest.sum() < MOSTLY_FILM * tiles["cluster"].notna().sum():
        return likely
    faint &= ~largest
    # Where most faint tiles are rims of tiles with high scores, the score alone is right for this kind of specimen.
    return likely | faint if (faint & ~are_next_to(tiles, likely)).sum() > 0.5 * faint.sum() else likely


def is_distinct(tiles: pd.DataFrame, proposal: Proposal) -> bool:
    """Whether the proposed cluster is rare, darker than any other, rich in contrast, and not the edge of a bar."""
    scores = proposal.scores
    brightness = tiles["mean"].groupby(tiles["cluster"].astype("Int64")).mean().to_dict()
    clusters = {row["cluster"]: row for row in scores.to_dict("records")}
    best, film = clusters[proposal.cluster], max(clusters.values(), key=lambda row: row["share"])
    likely, beside = (
        float(np.average(scores[name], weights=scores["share"])) for name in ("crystal_score", "near_black")
    )
    return bool(
        best["share"] <= _RARE
        and film["share"] >= MOSTLY_FILM
        and best["cluster"] == min(clusters)  # otherwise it may be the rim of something darker
        and best["contrast"] >= max(_RICH, scores["contrast"].max())
        and brightness[best["cluster"]] <= (1 - _DARKER) * brightness[film["cluster"]]
        and best["near_black"] <= max(_BESIDE_BARS, _MORE_BESIDE_BARS * beside)
        and best["crystal_score"] >= _LIKELIER * likely
    )


def find_tile(address: str, tiles: pd.DataFrame) -> int:
    """Row of the tile that ``image:row,col`` names.

    Raises
    ------
    UsageError
        When this is not an address, or there is no such tile.
    """
    match = re.fullmatch(r"(.+):(\d+),(\d+)", address)
    if match is None:
        raise UsageError(f"'{address}' is not a tile: give image:row,col as the report shows it, such as scan_1:3,12.")
    image, row, col = match[1], int(match[2]), int(match[3])
    of_image = tiles[tiles["image"] == image]
    if of_image.empty:
        names = ", ".join(dict.fromkeys(tiles["image"]))
        raise UsageError(f"There is no image '{image}' in this set for '{address}': it has {names}.")
    found = of_image.index[(of_image["row"] == row) & (of_image["col"] == col)]
    if found.empty:
        raise UsageError(
            f"'{address}' is not a tile: {image} has the tiles 0,0 to {of_image['row'].max()},{of_image['col'].max()}."
        )
    return int(found[0])


def _at(places: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
    """A column of NaN with the values at their places."""
    column = np.full(length, np.nan)
    column[places] = values
    return column


def _places(usable: np.ndarray, rows: Sequence[int], tiles: pd.DataFrame) -> list[int]:
    """Positions of rows of the table among the tiles that are not black."""
    for row in rows:
        if tiles["black"].iloc[row]:
            address = "{image}:{row},{col}".format(**tiles.iloc[row])
            raise UsageError(f"The tile {address} is black and was left out: choose another, or set `keep_black=True`.")
    return np.searchsorted(usable, np.asarray(rows, int)).tolist()
