"""Learn from tiles that the user labels as crystal or not crystal.

The classifier is a Gaussian process over tiles (Rasmussen & Williams 2006, chapter 3). Before the first label it gives
the score of `emscout.crystals.choice.propose`; its kernel describes how sets of images differ, so that about five
labels adapt it to this set. Labels from an earlier grid count like those of this one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from emscout.crystals.choice.propose import TileModel, load_tile_model, moderated_probability
from emscout.errors import ReadError, UsageError
from emscout.io.files import write_atomic

__all__ = [
    "UserLabels",
    "collect_labels",
    "load_user_labels",
    "most_uncertain",
    "save_user_labels",
    "score_with_labels",
    "similarity_to",
]

_FORMAT = "emscout crystal knowledge"
_VERSION = 1
_STEPS = 50
_CHUNK = 50_000


@dataclass(frozen=True)
class UserLabels:
    """Tiles that the user has labelled; they can be saved and used on the next grid.

    Parameters
    ----------
    model : str
        Name of the tile model that computed the predictors.
    examples : tuple of tuple of float
        Predictors of the labelled tiles, see `emscout.crystals.choice.propose.compute_predictors`.
    crystal : tuple of bool
        Whether each of them is crystal.
    """

    model: str
    examples: tuple[tuple[float, ...], ...]
    crystal: tuple[bool, ...]


def similarity_to(values: np.ndarray, examples: Sequence[int]) -> np.ndarray:
    """Similarity of tiles to examples.

    Parameters
    ----------
    values : ndarray, shape (n, f)
        Standardised statistics.
    examples : sequence of int
        Rows of ``values``, at least one.

    Returns
    -------
    ndarray, shape (n,)
        Cosine similarity to the nearest example, -1 to 1.
    """
    if not len(examples):
        raise UsageError("There is no example to compare with: label at least one tile.")
    length = np.linalg.norm(values, axis=1, keepdims=True)
    directions = values / np.where(length > 0, length, 1)
    return (directions @ directions[np.asarray(examples, int)].T).max(axis=1)


def collect_labels(
    predictors: np.ndarray,
    positive: Sequence[int],
    negative: Sequence[int],
    *,
    before: UserLabels | None = None,
    model: TileModel | None = None,
) -> UserLabels:
    """Collect the labels of tiles of this set, and earlier ones.

    Parameters
    ----------
    predictors : ndarray, shape (n, n_predictors)
        Of the tiles of this set.
    positive, negative : sequence of int
        Rows of ``predictors`` that are crystal, and that are not.
    before : UserLabels, optional
        Labels from another set.
    model : TileModel, optional
        That computed the predictors; by default the shipped one.

    Raises
    ------
    UsageError
        When there is no label at all, or a tile has both.
    """
    model = model or load_tile_model()
    if set(positive) & set(negative):
        raise UsageError("A tile cannot be crystal and not crystal at once: give it to `like` or to `unlike`.")
    rows = np.asarray([*positive, *negative], int)
    examples = tuple(tuple(row) for row in predictors[rows].tolist())
    crystal = (True,) * len(positive) + (False,) * len(negative)
    if before is not None:
        examples, crystal = before.examples + examples, before.crystal + crystal
    if not examples:
        raise UsageError("There is nothing to learn from: label at least one tile.")
    return UserLabels(model.name, examples, crystal)


def score_with_labels(predictors: np.ndarray, labels: UserLabels | None, model: TileModel | None = None) -> np.ndarray:
    """Score tiles by what the labels teach.

    Parameters
    ----------
    predictors : ndarray, shape (n, n_predictors)
    labels : UserLabels or None
        Without labels the score is that of `emscout.crystals.choice.propose.score_tiles`.
    model : TileModel, optional
        That computed the predictors; by default the shipped one.

    Returns
    -------
    ndarray, shape (n,)
        0 to 1; tiles with ½ or more are targets.
    """
    model = model or load_tile_model()
    labelled = np.array(labels.examples if labels else (), float).reshape(-1, predictors.shape[1])
    crystal = np.array(labels.crystal if labels else (), float)
    weights, shrink = _find_mode(_covariance(labelled, labelled, model), labelled @ model.mean, crystal)
    scores = np.empty(len(predictors))
    for start in range(0, len(predictors), _CHUNK):
        part = predictors[start : start + _CHUNK]
        shared = _covariance(part, labelled, model)
        own = np.einsum("ni,ij,nj->n", part, model.covariance, part, optimize=True) + model.local_variance
        variance = own - np.einsum("ni,ij,nj->n", shared, shrink, shared, optimize=True)
        logit = part @ model.mean + shared @ weights
        scores[start : start + _CHUNK] = moderated_probability(logit, np.maximum(variance, 0))
    return scores


def most_uncertain(scores: np.ndarray, labelled: Sequence[int] = ()) -> int:
    """Index of the tile whose score is nearest to ½, among those that are not yet labelled.

    Raises
    ------
    UsageError
        When every tile is labelled.
    """
    distance = np.abs(np.asarray(scores, float) - 0.5)
    distance[np.asarray(labelled, int)] = np.nan
    if np.isnan(distance).all():
        raise UsageError("Every tile is labelled: there is none left to ask about.")
    return int(np.nanargmin(distance))


def save_user_labels(labels: UserLabels, path: Path) -> None:
    """Write labels as JSON.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    content = {"format": _FORMAT, "version": _VERSION, **asdict(labels)}
    with write_atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_user_labels(path: Path) -> UserLabels:
    """Read a file that `save_user_labels` wrote.

    Raises
    ------
    ReadError
        When the file is missing, damaged or of another kind.
    UsageError
        When the labels belong to another tile model, whose predictors mean something else.
    """
    model = load_tile_model()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"'{path}' cannot be read ({error.strerror}): check the path.") from error
    except ValueError as error:
        raise ReadError(
            f"'{path}' is damaged or not a knowledge file: give one that `save_knowledge` wrote."
        ) from error
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (_FORMAT, _VERSION):
        raise ReadError(f"'{path}' is not a knowledge file of this emscout: give one that `save_knowledge` wrote.")
    if content.get("model") != model.name:
        raise UsageError(
            f"'{path}' was made with other statistics (those of {content.get('model')}; this emscout uses those of "
            f"{model.name}): label tiles again with `like` and `unlike`."
        )
    try:
        examples, crystal = np.array(content["examples"], float), list(content["crystal"])
        whole = examples.shape == (len(crystal), len(model.mean)) and len(crystal) > 0
        whole = whole and bool(np.isfinite(examples).all()) and all(isinstance(answer, bool) for answer in crystal)
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise ReadError(f"'{path}' is damaged: its examples are incomplete. Give another file, or label tiles again.")
    return UserLabels(model.name, tuple(tuple(row) for row in examples.tolist()), tuple(crystal))


def _covariance(tiles: np.ndarray, others: np.ndarray, model: TileModel) -> np.ndarray:
    """Prior covariance (n, m) of the logits of tiles and others."""
    components, other_components = tiles[:, 2:], others[:, 2:]
    distance2 = (components**2).sum(1)[:, None] + (other_components**2).sum(1) - 2 * components @ other_components.T
    near = np.exp(-np.maximum(distance2, 0) / components.shape[1] / (2 * model.local_length**2))
    return tiles @ model.covariance @ others.T + model.local_variance * near


def _find_mode(covariance: np.ndarray, prior: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the labels (m,), and how these shrink the variance (m, m): Laplace's approximation by Newton steps."""
    weights, logit, one = np.zeros(len(labels)), prior, np.eye(len(labels))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-logit))
        root = np.sqrt(chance * (1 - chance) + 1e-9)
        goal = root**2 * (logit - prior) + labels - chance
        inner = one + root[:, None] * covariance * root
        weights = goal - root * np.linalg.solve(inner, root * (covariance @ goal))
        step = prior + covariance @ weights - logit
        logit = logit + step
        if not len(step) or np.abs(step).max() < 1e-6:
            break
    chance = 1 / (1 + np.exp(-logit))
    root = np.sqrt(chance * (1 - chance) + 1e-9)
    return weights, root[:, None] * np.linalg.solve(one + root[:, None] * covariance * root, np.diag(root))
