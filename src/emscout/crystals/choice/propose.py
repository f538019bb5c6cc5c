"""Which tiles hold crystals, when nobody has labelled any: a score for each tile, and a cluster to take.

The score comes from a small fixed model: two networks of one hidden layer that see how a tile looks and how it stands
among the tiles of its set, and what is known of how sets differ from one another. `tile_model.json` holds its numbers
and says what they were learned on.
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

from emscout.crystals.tiles.tile_features import LOOKS, MAPS
from emscout.errors import ModelError, NothingToFindError

__all__ = [
    "SCORE_STATISTICS",
    "Proposal",
    "TileModel",
    "beside",
    "compare",
    "load_tile_model",
    "measure_spread",
    "moderate",
    "propose_target",
    "read_signs",
    "score_tiles",
]

SCORE_STATISTICS = ("mean", "standard_deviation", "quantile_01")
"""What must be in the table of tiles to say what is crystal, whatever tiles are clustered by."""

SHIPPED_MODEL = Path(__file__).with_name("tile_model.json")

_FARTHEST = 4.0
_MOST_SPREADS = 5.0
_CHUNK = 50_000
_LEAST_SPREAD = 1e-6
# The rule for rare crystals was set by eye on overviews without labels, and kept from harming labelled ones.
_FAR_SHARE = 0.1
_RARE = 0.12  # of the tiles; labelled images show little of film with so few crystals, so the networks know it badly
_FILM = 0.6  # of the grey range: film is bright
_FAR_WEIGHT = 10.0
_FAR_SUREST = 3.0
_SUREST = 5.8  # in logits: 0.997


@dataclass(frozen=True, eq=False)
class TileModel:
    """What was learned of crystals in general.

    Parameters
    ----------
    name : str
        Changes whenever the numbers do.
    centre, spread : ndarray, shape (n_inputs,)
        By which inputs are standardised.
    layers : list of (ndarray, ndarray, ndarray, float)
        Of each network the weights (n_inputs, n_hidden) and biases of the hidden layer, those of the output.
    components : ndarray, shape (n_inputs, n_components)
        Directions in which tiles of a set differ, of the standardised inputs.
    mean, covariance : ndarray, shapes (n_signs,) and (n_signs, n_signs)
        How much each sign speaks for crystal, and how that varies from set to set.
    local_variance, local_length : float
        How much tiles that look alike have in common beyond that, and how much alike that is.
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
def load_tile_model(path: Path = SHIPPED_MODEL) -> TileModel:
    """Read the shipped model, or another of the same make.

    Raises
    ------
    ModelError
        When the file is missing, damaged, or of other looks.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        looks = tuple(content["looks"])
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
        raise ModelError(f"'{path}' is no readable tile model: install emscout again.") from error
    if looks != LOOKS or len(model.centre) != len(LOOKS) + 4 * len(MAPS):
        raise ModelError(f"'{path}' was made for other looks of tiles: make it again with benchmarks/locator_model.py.")
    return model


def measure_spread(looks: np.ndarray) -> np.ndarray:
    """How tiles (n, n_looks) of a set lie: their 10, 50 and 90 % quantiles (3, n_maps) of each map."""
    return np.quantile(looks[:, : len(MAPS)], (0.1, 0.5, 0.9), axis=0)


def compare(looks: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Inputs (n, n_inputs) of the model: looks of the tiles, those beside the set's, and the set's own."""
    low, middle, high = spread
    width = high - low + _LEAST_SPREAD
    beside = (looks - np.tile(middle, looks.shape[1] // len(MAPS))) / np.tile(width, looks.shape[1] // len(MAPS))
    of_set = np.broadcast_to(spread.ravel(), (len(looks), spread.size))
    return np.concatenate([looks[:, : len(MAPS)], np.clip(beside, -_FARTHEST, _FARTHEST), of_set], axis=1)


def read_signs(looks: np.ndarray, model: TileModel | None = None) -> np.ndarray:
    """What the model reads in the tiles of a set.

    Parameters
    ----------
    looks : ndarray, shape (n, n_looks)
        Of all tiles of all images that are not black, see `emscout.crystals.tiles.tile_features.describe_tiles`.
    model : TileModel, optional

    Returns
    -------
    ndarray, shape (n, n_signs)
        1, the networks' logit of crystal, and components of the looks.
    """
    model = model or load_tile_model()
    if not len(looks):
        return np.empty((0, len(model.mean)))
    spread = measure_spread(looks)
    far_below, far_above = (LOOKS.index(f"{name}@1") for name in ("far_below", "far_above"))
    darker, brighter = (float((looks[:, far] > _FAR_SHARE).mean()) for far in (far_below, far_above))
    rare = brighter < darker < _RARE and spread[1, MAPS.index("grey")] > _FILM
    signs = np.ones((len(looks), len(model.mean)))
    for start in range(0, len(looks), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        inputs = (compare(looks[chunk], spread) - model.centre) / model.spread
        inputs = np.clip(inputs, -_MOST_SPREADS, _MOST_SPREADS)
        votes = [
            1 / (1 + np.exp(-(np.maximum(inputs @ hidden + bias, 0) @ out + last)))
            for hidden, bias, out, last in model.layers
        ]
        vote = np.clip(np.mean(votes, axis=0), 1e-9, 1 - 1e-9)
        logit = np.log(vote / (1 - vote))
        if rare:
            logit = np.maximum(logit, _judge_rare(looks[chunk, far_below]))
        signs[chunk, 1] = np.clip(logit, -_SUREST, _SUREST)
        signs[chunk, 2:] = np.clip(inputs @ model.components, -_FARTHEST, _FARTHEST)
    return signs


def _judge_rare(far_below: np.ndarray) -> np.ndarray:
    """Least logit of tiles by their share of what is far darker than the film, where hardly any tile has such."""
    return np.minimum(_FAR_WEIGHT * (far_below - 2 * _FAR_SHARE), _FAR_SUREST)


def score_tiles(signs: np.ndarray, model: TileModel | None = None) -> np.ndarray:
    """How crystal-like tiles (n, n_signs) are, 0 to 1; ½ and more is a target."""
    model = model or load_tile_model()
    variance = np.einsum("ni,ij,nj->n", signs, model.covariance, signs, optimize=True) + model.local_variance
    return moderate(signs @ model.mean, variance)


def moderate(logit: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Probability of a logit that is not known for sure (MacKay 1992, doi:10.1162/neco.1992.4.5.720)."""
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
        A row a cluster: ``cluster``, ``n_tiles``, ``share`` (of all that are not black), ``contrast`` (median standard
        deviation over that of the calmest quarter of all tiles), ``near_black`` (share of its tiles beside black ones),
        ``crystal_score`` (mean of its tiles) and ``score``, by which the proposal is made.
    """

    cluster: int
    confidence: float
    scores: pd.DataFrame


def propose_target(tiles: pd.DataFrame) -> Proposal:
    """Propose the cluster that is crystal: its tiles look like crystals, it is rare, and it is not the bars' edge.

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
        raise NothingToFindError("All tiles are black: there is no film to look for crystals on.")
    deviation = tiles["standard_deviation"].to_numpy(float)
    calm = float(np.quantile(deviation[seen], 0.125))
    described = pd.DataFrame(
        {
            "cluster": tiles["cluster"].to_numpy()[seen].astype(int),
            "contrast": deviation[seen] / (calm or 1.0),
            "near_black": beside(tiles, tiles["black"].to_numpy(bool))[seen],
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
    # What fills the set is its background, and what keeps to the bars is their edge, however much contrast it has.
    scores["score"] = scores["crystal_score"] * (1 - scores["share"] ** 4) * (1 - scores["near_black"])
    ranked = scores["score"].sort_values(ascending=False, kind="stable")
    best = float(ranked.iloc[0])
    second = float(ranked.iloc[1]) if len(ranked) > 1 else 0.0
    confidence = (best - second) / best if best > 0 else 0.0
    return Proposal(int(ranked.index[0]), confidence, scores.reset_index())


def beside(tiles: pd.DataFrame, which: np.ndarray) -> np.ndarray:
    """Whether a tile is one of those, or touches one, corners included: bool (n,)."""
    found = np.zeros(len(tiles), bool)
    for places in tiles.groupby("image", sort=False).indices.values():
        row, col = (tiles[name].to_numpy(int)[places] for name in ("row", "col"))
        among = np.zeros((row.max() + 1, col.max() + 1), bool)
        among[row, col] = which[places]
        found[places] = ndimage.binary_dilation(among, np.ones((3, 3), bool))[row, col]
    return found
