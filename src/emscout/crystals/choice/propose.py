"""Score tiles without labels of the user, and propose the cluster that is crystal.

The score comes from a small fixed model: two networks with one hidden layer, and a prior for how sets differ. Inputs
are the features of a tile, and how they compare with those of the other tiles of its set.
`tile_model.json` holds its numbers and says on what they were trained.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from emscout.crystals.tiles.tile_features import FEATURES, MAPS
from emscout.errors import ModelError, NothingToFindError

__all__ = [
    "SCORE_STATISTICS",
    "Proposal",
    "TileModel",
    "are_next_to",
    "compute_predictors",
    "feature_quantiles",
    "load_tile_model",
    "make_inputs",
    "moderated_probability",
    "propose_target",
    "read_tile_model",
    "score_tiles",
]

SCORE_STATISTICS = ("mean", "standard_deviation", "quantile_01")
"""Statistics that the decision needs in the table of tiles, in addition to those by which tiles are clustered."""

SHIPPED_MODEL = Path(__file__).with_name("tile_model.json")

_FARTHEST = 4.0
_MOST_SPREADS = 5.0
_CHUNK = 50_000
_LEAST_SPREAD = 1e-6
# The rule for rare crystals was set by eye on overviews without labels, and checked not to harm labelled ones.
_FAR_SHARE = 0.1
_RARE = 0.12  # of the tiles; few labelled images show film with so few crystals, so the networks know it badly
_FILM = 0.6  # of the grey range: film is bright
_FAR_WEIGHT = 10.0
_MAX_FAR_LOGIT = 3.0
_MAX_LOGIT = 5.8  # a probability of 0.997


@dataclass(frozen=True, eq=False)
class TileModel:
    """A model of crystals in general.

    Parameters
    ----------
    name : str
        Changes whenever the numbers do.
    centre, spread : ndarray, shape (n_inputs,)
        Mean and standard deviation by which inputs are standardised.
    layers : list of (ndarray, ndarray, ndarray, float)
        For each network the weights (n_inputs, n_hidden) and biases of the hidden layer, and those of the output.
    components : ndarray, shape (n_inputs, n_components)
        Principal components of the standardised inputs.
    mean, covariance : ndarray, shapes (n_predictors,) and (n_predictors, n_predictors)
        Weight of each predictor, and how the weights vary from set to set.
    local_variance, local_length : float
        Variance and length scale of what similar tiles have in common beyond that.
    """

    name: str
    centre: np.ndarray
    spread: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray, np.ndarray, float]]
    components: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    local_variance: float
    local_length: float


@cache
def load_tile_model() -> TileModel:
    """The shipped model, read once.

    Raises
    ------
    ModelError
        When the file is missing or damaged.
    """
    return read_tile_model(SHIPPED_MODEL)


def read_tile_model(path: Path) -> TileModel:
    """Read a model that ``benchmarks/crystals_model.py`` made.

    Raises
    ------
    ModelError
        When the file is missing, damaged, or made for other features.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        features = tuple(content["features"])
        arrays = {
            name: np.array(content[name], float) for name in ("centre", "spread", "components", "mean", "covariance")
        }
        layers = [
            (np.array(hidden, float), np.array(bias, float), np.array(out, float), float(last))
            for hidden, bias, out, last in content["layers"]
        ]
        model = TileModel(
            content["name"],
            layers=layers,
            local_variance=content["local"][0],
            local_length=content["local"][1],
            **arrays,
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelError(f"'{path}' is not a readable tile model: install emscout again.") from error
    if features != FEATURES or len(model.centre) != len(FEATURES) + 4 * len(MAPS):
        raise ModelError(f"'{path}' was made for other features: make it again with benchmarks/crystals_model.py.")
    return model


def feature_quantiles(features: np.ndarray) -> np.ndarray:
    """10, 50 and 90 % quantiles (3, n_maps) of each map in the tiles of a set, from their features (n, n_features)."""
    return np.quantile(features[:, : len(MAPS)], (0.1, 0.5, 0.9), axis=0)


def make_inputs(features: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Inputs (n, n_inputs) of the networks: features of tiles, the same relative to the set, quantiles of the set."""
    low, middle, high = spread
    width = high - low + _LEAST_SPREAD
    beside = (features - np.tile(middle, features.shape[1] // len(MAPS))) / np.tile(
        width, features.shape[1] // len(MAPS)
    )
    of_set = np.broadcast_to(spread.ravel(), (len(features), spread.size))
    return np.concatenate([features[:, : len(MAPS)], np.clip(beside, -_FARTHEST, _FARTHEST), of_set], axis=1)


def compute_predictors(features: np.ndarray, model: TileModel | None = None) -> np.ndarray:
    """Predictors of the tiles of a set, from which `score_tiles` makes their score.

    Parameters
    ----------
    features : ndarray, shape (n, n_features)
        Of all tiles of all images that are not black, see `emscout.crystals.tiles.tile_features.measure_features`.
    model : TileModel, optional

    Returns
    -------
    ndarray, shape (n, n_predictors)
        1, the logit of crystal from the networks, and principal components of the features.
    """
    model = model or load_tile_model()
    if not len(features):
        return np.empty((0, len(model.mean)))
    spread = feature_quantiles(features)
    far_below, far_above = (FEATURES.index(f"{name}@1") for name in ("far_below", "far_above"))
    darker, brighter = (float((features[:, far] > _FAR_SHARE).mean()) for far in (far_below, far_above))
    rare = brighter < darker < _RARE and spread[1, MAPS.index("grey")] > _FILM
    predictors = np.ones((len(features), len(model.mean)))
    for start in range(0, len(features), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        inputs = (make_inputs(features[chunk], spread) - model.centre) / model.spread
        inputs = np.clip(inputs, -_MOST_SPREADS, _MOST_SPREADS)
        votes = [
            1 / (1 + np.exp(-(np.maximum(inputs @ hidden + bias, 0) @ out + last)))
            for hidden, bias, out, last in model.layers
        ]
        vote = np.clip(np.mean(votes, axis=0), 1e-9, 1 - 1e-9)
        logit = np.log(vote / (1 - vote))
        if rare:
            logit = np.maximum(logit, _rare_logit(features[chunk, far_below]))
        predictors[chunk, 1] = np.clip(logit, -_MAX_LOGIT, _MAX_LOGIT)
        predictors[chunk, 2:] = np.clip(inputs @ model.components, -_FARTHEST, _FARTHEST)
    return predictors


def _rare_logit(far_below: np.ndarray) -> np.ndarray:
    """Smallest logit of tiles by their share of pixels far darker than the film, where few tiles have such pixels."""
    return np.minimum(_FAR_WEIGHT * (far_below - 2 * _FAR_SHARE), _MAX_FAR_LOGIT)


def score_tiles(predictors: np.ndarray, model: TileModel | None = None) -> np.ndarray:
    """Score of tiles by their predictors (n, n_predictors), 0 to 1 (n,); tiles with ½ or more are targets."""
    model = model or load_tile_model()
    variance = np.einsum("ni,ij,nj->n", predictors, model.covariance, predictors, optimize=True) + model.local_variance
    return moderated_probability(predictors @ model.mean, variance)


def moderated_probability(logit: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Probability from the mean and variance of a logit (MacKay 1992, doi:10.1162/neco.1992.4.5.720)."""
    return 1 / (1 + np.exp(-logit / np.sqrt(1 + np.pi * variance / 8)))


@dataclass(frozen=True, eq=False)
class Proposal:
    """The cluster that is proposed as crystal.

    Parameters
    ----------
    cluster : int
    confidence : float
        0 (a toss-up) to 1.
    scores : DataFrame
        One row per cluster: ``cluster``, ``n_tiles``, ``share`` (of the tiles that are not black), ``contrast`` (median
        standard deviation, relative to the smoothest tiles of the set), ``near_black`` (share of its tiles next to
        black ones), ``crystal_score`` (mean score of its tiles) and ``score``, by which the cluster is proposed.
    """

    cluster: int
    confidence: float
    scores: pd.DataFrame


def propose_target(tiles: pd.DataFrame) -> Proposal:
    """Propose the cluster that is crystal: its tiles have high scores, it is rare, and it is not the edge of a bar.

    Parameters
    ----------
    tiles : DataFrame
        ``image``, ``row``, ``col``, ``black``, ``cluster`` (missing where black), ``score`` and `SCORE_STATISTICS`.

    Raises
    ------
    NothingToFindError
        When every tile is black.
    """
    seen = tiles["cluster"].notna().to_numpy(bool)
    if not seen.any():
        raise NothingToFindError("All tiles are black: there is no film to search.")
    deviation = tiles["standard_deviation"].to_numpy(float)
    calm = float(np.quantile(deviation[seen], 0.125))
    described = pd.DataFrame(
        {
            "cluster": tiles["cluster"].to_numpy()[seen].astype(int),
            "contrast": deviation[seen] / (calm or 1.0),
            "near_black": are_next_to(tiles, tiles["black"].to_numpy(bool))[seen],
            "crystal_score": tiles["score"].to_numpy(float)[seen],
        }
    )
    by_cluster = described.groupby("cluster")
    scores = by_cluster.agg(
        n_tiles=("contrast", "size"),
        contrast=("contrast", "median"),
        near_black=("near_black", "mean"),
        crystal_score=("crystal_score", "mean"),
    )
    scores.insert(1, "share", scores["n_tiles"] / len(described))
    # A cluster that fills the set is background, and one along the bars is their edge, at any contrast.
    scores["score"] = scores["crystal_score"] * (1 - scores["share"] ** 4) * (1 - scores["near_black"])
    ranked = scores["score"].sort_values(ascending=False, kind="stable")
    best = float(ranked.iloc[0])
    second = float(ranked.iloc[1]) if len(ranked) > 1 else 0.0
    confidence = (best - second) / best if best > 0 else 0.0
    return Proposal(int(ranked.index[0]), confidence, scores.reset_index())


def are_next_to(tiles: pd.DataFrame, which: np.ndarray) -> np.ndarray:
    """Whether each tile is one of ``which`` (n,), or touches one, also across a corner: bool (n,)."""
    found = np.zeros(len(tiles), bool)
    for places in tiles.groupby("image", sort=False).indices.values():
        row, col = (tiles[name].to_numpy(int)[places] for name in ("row", "col"))
        among = np.zeros((row.max() + 1, col.max() + 1), bool)
        among[row, col] = which[places]
        found[places] = ndimage.binary_dilation(among, np.ones((3, 3), bool))[row, col]
    return found
