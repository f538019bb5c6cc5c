"""From the table of tiles to what is crystal: cluster, score, propose, and heed what the user says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emscout.crystals.choice.cluster import cluster_tiles, reduce, standardise
from emscout.crystals.choice.film import DEEP, MOSTLY_FILM, is_noise, measure_depth, noise_and_more
from emscout.crystals.choice.presets import Preset
from emscout.crystals.choice.propose import Proposal, beside, propose_target, read_signs
from emscout.crystals.choice.user_labels import Knowledge, fit_knowledge, least_sure, rank, rank_similar
from emscout.crystals.tiles.network import PARTICLE_SHARE
from emscout.errors import NothingToFindError, UsageError

__all__ = [
    "HALF_SHARE",
    "TARGET_SCORE",
    "Decision",
    "choose_target",
    "cluster_set",
    "decide",
    "find_tile",
    "stands_apart",
    "trust",
]

TARGET_SCORE = 0.5
"""A tile that scores so much is a target."""

# Chosen on four sets of graphite and asbestos, by eye; of 70 labelled micrographs with large particles they let 4 be
# decided by the cluster, which costs 0.005 of the mean tile F1 there.
_RARE, _RICH, _DARKER, _BESIDE_BARS, _MORE_BESIDE_BARS, _LIKELIER = 0.12, 4.0, 0.015, 0.3, 1.5, 1.5

HALF_SHARE = 0.2
"""Part of a tile the network takes for particle that counts as a half: over a fifth makes a tile positive."""

_WORTH_ANSWERS = 10  # what the network or the depth says


@dataclass(frozen=True, eq=False)
class Decision:
    """What is crystal, and why.

    Parameters
    ----------
    tiles : DataFrame
        As given, with ``cluster`` (Int64, missing where black), ``score`` (NaN where black), ``target`` and, where
        examples of crystals were given, ``similarity`` to the nearest of them.
    proposal : Proposal
        Which cluster is proposed, whether or not it was heeded.
    points : ndarray, shape (n, d)
        The tiles that are not black, standardised and reduced: what was clustered.
    knowledge : Knowledge or None
        What was learned, from examples or a file.
    question : int or None
        Row of the tile whose answer would tell most; ``None`` when there is none left to ask about.
    by_depth : bool
        Whether the score says how far tiles lie below the film, see `emscout.crystals.choice.film.measure_depth`.
    """

    tiles: pd.DataFrame
    proposal: Proposal
    points: np.ndarray
    knowledge: Knowledge | None
    question: int | None
    by_depth: bool

    @property
    def seen(self) -> np.ndarray:
        """Rows of the tiles that are not black, in the order of ``points``."""
        return np.flatnonzero(~self.tiles["black"].to_numpy(bool))


def decide(
    tiles: pd.DataFrame,
    looks: np.ndarray,
    recipe: Preset,
    *,
    target: int | None = None,
    like: Sequence[int] = (),
    unlike: Sequence[int] = (),
    knowledge: Knowledge | None = None,
    seed: int = 0,
) -> Decision:
    """Decide which tiles are crystal.

    Parameters
    ----------
    tiles : DataFrame
        From `emscout.crystals.survey.survey_images`.
    looks : ndarray, shape (n_tiles, n_looks)
        From there too.
    recipe : Preset
        How tiles are clustered.
    target : int, optional
        The cluster that is crystal; by default tiles are judged one by one.
    like, unlike : sequence of int
        Rows of tiles the user calls crystal, and no crystal.
    knowledge : Knowledge, optional
        What was learned on another set.
    seed : int

    Raises
    ------
    NothingToFindError
        When every tile is black.
    UsageError
        When there are fewer tiles than clusters, no cluster ``target``, or an example is black.
    """
    tiles = cluster_set(tiles, recipe, seed)
    seen = np.flatnonzero(tiles["cluster"].notna().to_numpy(bool))
    points = standardise(tiles.iloc[seen][list(recipe.statistics)].to_numpy(float))
    signs = read_signs(looks[seen])
    examples = [_places(seen, rows, tiles) for rows in (like, unlike)]
    if any(examples):
        knowledge = fit_knowledge(signs, examples[0], examples[1], before=knowledge)
    scores = rank(signs, knowledge)
    n_answers = len(knowledge.examples) if knowledge else 0
    depth = None if PARTICLE_SHARE in tiles else measure_depth(tiles)
    if PARTICLE_SHARE in tiles:
        # The network, made for particles that stand out, fills faint and noisy film with them.
        share = np.where(noise_and_more(tiles)[0], 0.0, tiles[PARTICLE_SHARE].to_numpy(float))
        scores = trust(share[seen], HALF_SHARE, scores, n_answers)
    elif depth is not None:
        scores = trust(depth[seen], DEEP, scores, n_answers)
    # An answer holds for its tile, whatever is learned from the others.
    scores[examples[0]], scores[examples[1]] = 1.0, 0.0
    tiles["score"] = _at(seen, scores, len(tiles))
    if examples[0]:
        tiles["similarity"] = _at(seen, rank_similar(points, examples[0]), len(tiles))
    proposal = propose_target(tiles)
    if target is None and knowledge is None and PARTICLE_SHARE not in tiles and depth is None:
        tiles["target"] = choose_target(tiles, proposal)
    elif target is None:
        tiles["target"] = (tiles["score"] >= TARGET_SCORE).to_numpy(bool)
    elif 1 <= target <= recipe.n_clusters:
        tiles["target"] = (tiles["cluster"] == target).fillna(False).to_numpy(bool)
    else:
        raise UsageError(f"There is no cluster {target} to target: they are numbered 1 to {recipe.n_clusters}.")
    asked = [*examples[0], *examples[1]]
    question = None
    if len(seen) > len(set(asked)):
        question = int(seen[least_sure(scores, asked)])
    return Decision(
        tiles, proposal, reduce(points, recipe.reduction, seed=seed), knowledge, question, depth is not None
    )


def trust(evidence: np.ndarray, half: float, scores: np.ndarray, n_answers: int) -> np.ndarray:
    """Scores of tiles by other evidence: that alone at first, and with every answer of the user's more of theirs.

    Parameters
    ----------
    evidence : ndarray, shape (n,)
        0 or more, such as the part of each tile the network takes for particle.
    half : float
        Evidence that counts as a half.
    scores : ndarray, shape (n,)
        Without it, 0..1.
    n_answers : int
    """
    weight = n_answers / (n_answers + _WORTH_ANSWERS)
    return (1 - weight) * evidence / (evidence + half) + weight * scores


def cluster_set(tiles: pd.DataFrame, recipe: Preset, seed: int) -> pd.DataFrame:
    """The table of tiles with the column ``cluster``: 1 (darkest) to the number asked for, missing where black.

    Raises
    ------
    NothingToFindError
        When every tile is black.
    UsageError
        When there are fewer different tiles than clusters.
    """
    seen = np.flatnonzero(~tiles["black"].to_numpy(bool))
    if not len(seen):
        raise NothingToFindError(
            f"All {len(tiles)} tiles are black: there is no film to search; choose images beside the grid bars, or "
            "add `keep_black=True` if what looks black is specimen."
        )
    clusters = pd.array([pd.NA] * len(tiles), dtype="Int64")
    clusters[seen] = cluster_tiles(
        tiles.iloc[seen][list(recipe.statistics)].to_numpy(float),
        tiles["mean"].to_numpy(float)[seen],
        recipe.n_clusters,
        clusterer=recipe.clusterer,
        reduction=recipe.reduction,
        linkage=recipe.linkage,
        metric=recipe.metric,
        seed=seed,
    )
    return tiles.assign(cluster=clusters)


def choose_target(tiles: pd.DataFrame, proposal: Proposal) -> np.ndarray:
    """Which tiles are targets as long as nobody has said anything: bool (n,).

    Tiles that score enough, and on film that shows nothing but noise those a little rougher. But where the proposed
    cluster stands apart, its tiles and no others: on the film of an overview a group that is rare, dark and rich in
    contrast says more than the look of single tiles.

    Parameters
    ----------
    tiles : DataFrame
        With ``cluster`` and ``score``.
    proposal : Proposal
        Of the same tiles.
    """
    if all(is_noise(part) for _, part in tiles[tiles["cluster"].notna()].groupby("image")):
        return np.zeros(len(tiles), bool)
    if stands_apart(tiles, proposal):
        return (tiles["cluster"] == proposal.cluster).fillna(False).to_numpy(bool)
    likely, (_, faint) = (tiles["score"] >= TARGET_SCORE).to_numpy(bool), noise_and_more(tiles)
    largest = (tiles["cluster"] == tiles["cluster"].mode().min()).fillna(False).to_numpy(bool)
    if largest.sum() < MOSTLY_FILM * tiles["cluster"].notna().sum():
        return likely
    faint &= ~largest
    # Where most of the faint tiles are the rims of what looks like crystals, the score knows this kind of specimen.
    return likely | faint if (faint & ~beside(tiles, likely)).sum() > 0.5 * faint.sum() else likely


def stands_apart(tiles: pd.DataFrame, proposal: Proposal) -> bool:
    """Whether the proposed cluster is rare, darker than any other, rich in contrast and no bars' edge."""
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
        and best["cluster"] == min(clusters)  # the rim of something darker is no crystal of its own
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
        When it is no such address, or there is no such tile.
    """
    match = re.fullmatch(r"(.+):(\d+),(\d+)", address)
    if match is None:
        raise UsageError(f"'{address}' is no tile: give image:row,col as the report shows it, such as scan_1:3,12.")
    image, row, col = match[1], int(match[2]), int(match[3])
    of_image = tiles[tiles["image"] == image]
    if of_image.empty:
        names = ", ".join(dict.fromkeys(tiles["image"]))
        raise UsageError(f"There is no image '{image}' in this set for '{address}': it has {names}.")
    found = of_image.index[(of_image["row"] == row) & (of_image["col"] == col)]
    if found.empty:
        raise UsageError(
            f"'{address}' is no tile: those of {image} are 0,0 to {of_image['row'].max()},{of_image['col'].max()}."
        )
    return int(found[0])


def _at(places: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
    """Values at their places among NaN."""
    column = np.full(length, np.nan)
    column[places] = values
    return column


def _places(seen: np.ndarray, rows: Sequence[int], tiles: pd.DataFrame) -> list[int]:
    """Where rows of the table stand among the tiles that are not black."""
    for row in rows:
        if tiles["black"].iloc[row]:
            address = "{image}:{row},{col}".format(**tiles.iloc[row])
            raise UsageError(f"The tile {address} is black and was left out: choose another, or add `keep_black=True`.")
    return np.searchsorted(seen, np.asarray(rows, int)).tolist()
