"""A linear head on frozen features: fitted, calibrated and scored in seconds, without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from emscout.evaluate.classification import score_categories
from emscout.specimens.accuracy import tabulate_scores
from emscout.specimens.head_settings import choose_settings, cross_predict, split_folds
from emscout.specimens.heads import Head, fit_head, fit_temperature, probabilities, set_threshold
from emscout.specimens.novelty import fit_novelty, fit_out_of_distribution
from emscout.training.classifier_data import Pictures, near_duplicate_share

__all__ = [
    "Judged",
    "compare_splits",
    "doubt_few",
    "fit_on_folds",
    "fit_on_split",
    "learning_curve",
    "tabulate_predictions",
]

LEARNING_SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)

FEW = 30
"""Held-out pictures, and fewer, say little."""

Tick = Callable[[], None]


@dataclass(frozen=True)
class Judged:
    """A head and its scores.

    Parameters
    ----------
    head : Head
    tables : dict of str to DataFrame
        Of `emscout.specimens.accuracy.tabulate_scores`, on pictures of sources not trained on; ``predictions``.
    how : str
        On which pictures, in words.
    doubt : str
        A sentence where they are too few to say much; empty where not.
    """

    head: Head
    tables: dict[str, pd.DataFrame]
    how: str
    doubt: str = ""


def doubt_few(n_validation: int, n_test: int) -> str:
    """A sentence where a split keeps too few pictures for calibration and testing."""
    if min(n_validation, n_test) > FEW:
        return ""
    return (
        f"Only {_count(n_validation)} to calibrate the probabilities, and {_count(n_test)} to test: too few for "
        "reliable scores. With `folds=5` (`network=frozen`) every picture is used for both."
    )


def _count(n: int) -> str:
    return f"{n} picture{'s' * (n != 1)}"


def fit_on_split(
    pictures: Pictures,
    n_statistics: int,
    *,
    seed: int,
    column: str = "side",
    foreign: np.ndarray | None = None,
    tick: Tick | None = None,
) -> Judged:
    """Fit to the training pictures, calibrate on the validation pictures, score on the test pictures.

    The settings are chosen by cross-validation over sources within the training pictures. With the features of
    ``foreign`` pictures (m, F), those that are not micrographs are recognised too. ``tick`` is that of
    `choose_settings`.
    """
    train, validation, test = (pictures.of_side(side, column) for side in ("train", "validation", "test"))
    names, sources = _labels(pictures)
    features = pictures.features
    settings = choose_settings(features[train], names[train], sources[train], n_statistics, seed=seed, tick=tick)
    head = fit_novelty(fit_head(features[train], names[train], sources[train], n_statistics, settings), features[train])
    order = np.array(head.categories)
    known = validation[np.isin(names[validation], order)]
    logits, novelty = head.predict(features[known])
    head = set_threshold(head, novelty, logits, np.searchsorted(order, names[known]))
    if foreign is not None:
        head, _ = fit_out_of_distribution(head, features[train], sources[train], foreign, seed=seed)
    logits, novelty = head.predict(features[test])
    probability = probabilities(logits, head.temperature)
    how = f"the {_count(len(test))} for testing, none of whose sources or near-duplicates was trained on"
    tables = tabulate_predictions(pictures, test, probability, novelty, list(order))
    return Judged(head, tables, how, doubt_few(len(validation), len(test)))


def fit_on_folds(
    pictures: Pictures,
    n_statistics: int,
    *,
    folds: int,
    seed: int,
    foreign: np.ndarray,
    tick: Tick | None = None,
) -> Judged:
    """Score every picture with a head that has not seen its source, then fit to all.

    Within each fold the settings are chosen anew, and the temperature that calibrates a picture is that of the other
    folds, so that no score knows the picture it is of. Of few pictures there may be fewer folds (`split_folds`).
    """
    names, sources = _labels(pictures)
    order = np.array(pictures.categories)
    truth = np.searchsorted(order, names)
    logits, novelty = cross_predict(pictures.features, names, sources, n_statistics, folds=folds, seed=seed, tick=tick)
    probability = _calibrate_crosswise(logits, truth, sources, folds, seed)
    settings = choose_settings(pictures.features, names, sources, n_statistics, seed=seed, tick=tick)
    head = fit_novelty(fit_head(pictures.features, names, sources, n_statistics, settings), pictures.features)
    # A head that saw more is surer of pictures like these, never of others: held-out ones set its threshold.
    head = set_threshold(head, novelty, logits, truth)
    head, taken_for_foreign = fit_out_of_distribution(head, pictures.features, sources, foreign, seed=seed)
    novelty = np.where(taken_for_foreign, np.inf, novelty / head.threshold)
    rows = np.arange(len(names))
    made = len(split_folds(names, sources, folds, seed))
    how = f"all {len(names)} pictures, each by a head that was trained on none of its source ({made} folds)"
    return Judged(head, tabulate_predictions(pictures, rows, probability, novelty, list(order)), how)


def _calibrate_crosswise(
    logits: np.ndarray, truth: np.ndarray, sources: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    probability = np.empty(logits.shape)
    for seen, held in split_folds(truth, sources, folds, seed):
        probability[held] = probabilities(logits[held], fit_temperature(logits[seen], truth[seen]))
    return probability


def compare_splits(
    pictures: Pictures, n_statistics: int, *, seed: int, by_source: Judged | None = None, tick: Tick | None = None
) -> pd.DataFrame:
    """Scores of a frozen head on the split by source and on the naive random one, side by side.

    ``by_source`` spares the first where `fit_on_split` has given it already.
    """
    rows = []
    for column, name in (("side", "by source"), ("naive_side", "random, as most papers quote")):
        known = by_source if column == "side" else None
        judged = known or fit_on_split(pictures, n_statistics, seed=seed, column=column, tick=tick)
        scores = judged.tables["scores"].iloc[0].to_dict()
        rows.append({"split": name} | scores | {"twins_in_training": near_duplicate_share(pictures, column)})
    return pd.DataFrame(rows)


def learning_curve(pictures: Pictures, n_statistics: int, head: Head, *, seed: int) -> pd.DataFrame:
    """Scores on the validation and test pictures of heads fitted to a growing part of the training sources."""
    train = pictures.of_side("train")
    held = np.setdiff1d(np.arange(len(pictures.table)), train)
    names, sources = _labels(pictures)
    order = np.random.default_rng(seed).permutation(np.unique(sources[train]))
    rows = []
    for share in LEARNING_SHARES:
        part = train[np.isin(sources[train], order[: max(1, round(share * len(order)))])]
        if len(np.unique(names[part])) < 2:
            continue
        fitted = fit_head(pictures.features[part], names[part], sources[part], n_statistics, head.settings)
        probability = np.zeros((len(held), len(pictures.categories)))
        logits, _ = fitted.predict(pictures.features[held])
        columns = np.searchsorted(pictures.categories, fitted.categories)
        probability[:, columns] = probabilities(logits, head.temperature)
        rows.append({"n": len(part)} | _two(score_categories(names[held].tolist(), probability, pictures.categories)))
    return pd.DataFrame(rows, columns=["n", "accuracy", "macro_f1"])


def _two(scores: dict) -> dict:
    return {name: scores[name] for name in ("accuracy", "macro_f1")}


def _labels(pictures: Pictures) -> tuple[np.ndarray, np.ndarray]:
    return pictures.table["category"].to_numpy(str), np.array(pictures.sources)


def tabulate_predictions(
    pictures: Pictures, rows: np.ndarray, probability: np.ndarray, novelty: np.ndarray, categories: list[str]
) -> dict[str, pd.DataFrame]:
    """Tables of an evaluation of some of the pictures, and what was said of each.

    Parameters
    ----------
    pictures : Pictures
    rows : ndarray of int, shape (n,)
    probability : ndarray, shape (n, K)
    novelty : ndarray, shape (n,)
    categories : list of K str
    """
    part = pictures.table.iloc[rows]
    known = novelty <= 1
    named = np.where(known, np.array(categories)[probability.argmax(axis=1)], "")
    columns = pd.DataFrame(probability, columns=[f"p_{name}" for name in categories])
    predictions = pd.concat(
        [
            part[["path", "category", "source", "group"]].reset_index(drop=True),
            pd.Series(named, name="named"),
            columns,
            pd.Series(known, name="known"),
            pd.Series(novelty, name="novelty"),
        ],
        axis=1,
    )
    tables = tabulate_scores(part["category"].tolist(), probability, categories, known)
    return tables | {"predictions": predictions}
