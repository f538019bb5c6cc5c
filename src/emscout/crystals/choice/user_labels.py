"""What the user shows: tiles like this one, and a classifier that learns from a handful of answers.

The classifier is a Gaussian process over tiles (Rasmussen & Williams 2006, chapter 3). What it thinks before the first
answer is the score of `emscout.crystals.choice.propose`; its kernel says how sets of images were seen to differ, so
that five answers tell which way this set does. Answers of an earlier grid count as those of this one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from emscout.crystals.choice.propose import TileModel, load_tile_model, moderate
from emscout.errors import OutputError, ReadError, UsageError

__all__ = ["Knowledge", "fit_knowledge", "least_sure", "load_knowledge", "rank", "rank_similar", "save_knowledge"]

_FORMAT = "emscout crystal knowledge"
_VERSION = 1
_STEPS = 50
_CHUNK = 50_000


@dataclass(frozen=True)
class Knowledge:
    """Answers, as they are kept from grid to grid.

    Parameters
    ----------
    model : str
        Name of the tile model that read the signs.
    examples : tuple of tuple of float
        Signs of the tiles that were answered for, see `emscout.crystals.choice.propose.read_signs`.
    crystal : tuple of bool
        Whether each is crystal.
    """

    model: str
    examples: tuple[tuple[float, ...], ...]
    crystal: tuple[bool, ...]


def rank_similar(values: np.ndarray, examples: Sequence[int]) -> np.ndarray:
    """How much tiles look like examples.

    Parameters
    ----------
    values : ndarray, shape (n, f)
        Standardised statistics, or signs.
    examples : sequence of int
        Rows of ``values``, at least one.

    Returns
    -------
    ndarray, shape (n,)
        Cosine similarity to the nearest example, -1 to 1.
    """
    if not len(examples):
        raise UsageError("Nothing is like no example: show at least one tile.")
    length = np.linalg.norm(values, axis=1, keepdims=True)
    directions = values / np.where(length > 0, length, 1)
    return (directions @ directions[np.asarray(examples, int)].T).max(axis=1)


def fit_knowledge(
    signs: np.ndarray,
    positive: Sequence[int],
    negative: Sequence[int],
    *,
    before: Knowledge | None = None,
    model: TileModel | None = None,
) -> Knowledge:
    """Learn from tiles that are crystal and tiles that are none.

    Parameters
    ----------
    signs : ndarray, shape (n, n_signs)
        Of the tiles of this set.
    positive, negative : sequence of int
        Rows of ``signs``.
    before : Knowledge, optional
        What was known already.
    model : TileModel, optional

    Raises
    ------
    UsageError
        When there is no example at all, or a tile is both.
    """
    model = model or load_tile_model()
    if set(positive) & set(negative):
        raise UsageError("A tile cannot be crystal and no crystal at once: give it to `like` or to `unlike`.")
    rows = np.asarray([*positive, *negative], int)
    examples = tuple(tuple(row) for row in signs[rows].tolist())
    crystal = (True,) * len(positive) + (False,) * len(negative)
    if before is not None:
        examples, crystal = before.examples + examples, before.crystal + crystal
    if not examples:
        raise UsageError("Nothing can be learned from no example: show at least one tile.")
    return Knowledge(model.name, examples, crystal)


def rank(signs: np.ndarray, knowledge: Knowledge | None, model: TileModel | None = None) -> np.ndarray:
    """How crystal-like tiles (n, n_signs) are after the answers, 0 to 1; ½ and more is a target.

    Without knowledge this is `emscout.crystals.choice.propose.score_tiles`.
    """
    model = model or load_tile_model()
    shown = np.array(knowledge.examples if knowledge else (), float).reshape(-1, signs.shape[1])
    answers = np.array(knowledge.crystal if knowledge else (), float)
    pull, shrink = _find_mode(_relate(shown, shown, model), shown @ model.mean, answers)
    scores = np.empty(len(signs))
    for start in range(0, len(signs), _CHUNK):
        part = signs[start : start + _CHUNK]
        relation = _relate(part, shown, model)
        own = np.einsum("ni,ij,nj->n", part, model.covariance, part, optimize=True) + model.local_variance
        variance = own - np.einsum("ni,ij,nj->n", relation, shrink, relation, optimize=True)
        scores[start : start + _CHUNK] = moderate(part @ model.mean + relation @ pull, np.maximum(variance, 0))
    return scores


def least_sure(scores: np.ndarray, asked: Sequence[int] = ()) -> int:
    """Index of the tile whose score is nearest to ½, none of those already asked about.

    Raises
    ------
    UsageError
        When there is none left.
    """
    doubt = np.abs(np.asarray(scores, float) - 0.5)
    doubt[np.asarray(asked, int)] = np.nan
    if np.isnan(doubt).all():
        raise UsageError("Every tile has been answered for: there is none left to ask about.")
    return int(np.nanargmin(doubt))


def save_knowledge(knowledge: Knowledge, path: Path) -> None:
    """Write knowledge as JSON.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    content = {"format": _FORMAT, "version": _VERSION, **asdict(knowledge)}
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written ({error.strerror}): choose another place.") from error


def load_knowledge(path: Path, model: TileModel | None = None) -> Knowledge:
    """Read what `save_knowledge` wrote.

    Raises
    ------
    ReadError
        When the file is missing, damaged or foreign.
    UsageError
        When it was learned with another tile model, whose signs mean something else.
    """
    model = model or load_tile_model()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReadError(f"'{path}' cannot be read ({error.strerror}): look where it was saved.") from error
    except ValueError as error:
        raise ReadError(f"'{path}' is damaged or no knowledge file: give one that `save_knowledge` wrote.") from error
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (_FORMAT, _VERSION):
        raise ReadError(f"'{path}' is no knowledge file of this emscout: give one that `save_knowledge` wrote.")
    if content.get("model") != model.name:
        raise UsageError(
            f"'{path}' was learned from other statistics (those of {content.get('model')}, here are those of "
            f"{model.name}): teach it again with `like` and `unlike`."
        )
    try:
        examples, crystal = np.array(content["examples"], float), list(content["crystal"])
        whole = examples.shape == (len(crystal), len(model.mean)) and len(crystal) > 0
        whole = whole and bool(np.isfinite(examples).all()) and all(isinstance(answer, bool) for answer in crystal)
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise ReadError(f"'{path}' is damaged: its examples are incomplete. Give another, or teach it again.")
    return Knowledge(model.name, tuple(tuple(row) for row in examples.tolist()), tuple(crystal))


def _relate(tiles: np.ndarray, others: np.ndarray, model: TileModel) -> np.ndarray:
    """Covariance (n, m) of the logits of tiles and others before any answer."""
    looks, other_looks = tiles[:, 2:], others[:, 2:]
    distance2 = (looks**2).sum(1)[:, None] + (other_looks**2).sum(1) - 2 * looks @ other_looks.T
    near = np.exp(-np.maximum(distance2, 0) / looks.shape[1] / (2 * model.local_length**2))
    return tiles @ model.covariance @ others.T + model.local_variance * near


def _find_mode(relation: np.ndarray, before: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What answers pull with (m,), and how they shrink the variance (m, m): Laplace's approximation by Newton steps."""
    pull, logit, one = np.zeros(len(answers)), before, np.eye(len(answers))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-logit))
        root = np.sqrt(chance * (1 - chance) + 1e-9)
        goal = root**2 * (logit - before) + answers - chance
        inner = one + root[:, None] * relation * root
        pull = goal - root * np.linalg.solve(inner, root * (relation @ goal))
        step = before + relation @ pull - logit
        logit = logit + step
        if not len(step) or np.abs(step).max() < 1e-6:
            break
    chance = 1 / (1 + np.exp(-logit))
    root = np.sqrt(chance * (1 - chance) + 1e-9)
    return pull, root[:, None] * np.linalg.solve(one + root[:, None] * relation * root, np.diag(root))
