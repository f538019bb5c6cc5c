"""Particles against truth: label maps, and what is measured from them.

Two families of scores, never to be mixed up. The *paper's protocol* is that of BPartIS (Yildirim & Cole, 2021,
doi:10.1021/acs.jcim.0c01455): its precision counts duplicates as false, and its AP is not COCO's. The *field's way*
matches one to one (StarDist, Cellpose; panoptic quality after Kirillov et al., 2019, doi:10.1109/CVPR.2019.00963).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

__all__ = [
    "Pairs",
    "evaluate",
    "find_matched",
    "histogram_distance",
    "iou_pairs",
    "keep_predicted",
    "rms_difference",
    "score_matched",
    "score_pairs",
    "score_paper",
    "summarize",
]

PAPER_THRESHOLDS = np.arange(20) / 20
MATCHED_THRESHOLDS = np.arange(10, 20) / 20
MIN_TRUE_PARTICLES = 30  # fewer make no distribution


class Pairs(NamedTuple):
    """Every overlapping pair of a true and a predicted particle."""

    true: np.ndarray  # index of the true particle, 0..n_true-1
    predicted: np.ndarray  # index of the predicted one
    iou: np.ndarray
    n_true: int
    n_predicted: int


def iou_pairs(true_labels: np.ndarray, labels: np.ndarray) -> Pairs:
    """Intersection over union of every overlapping pair of particles.

    Parameters
    ----------
    true_labels, labels : ndarray of int, shape (H, W)
        Label maps with 0 as background; numbers may have gaps.

    Returns
    -------
    Pairs
        Pairs that do not overlap are left out: their IoU is 0.

    Raises
    ------
    ValueError
        When the two maps differ in shape.
    """
    if true_labels.shape != labels.shape:
        raise ValueError(f"The truth is {true_labels.shape} pixels and the labels are {labels.shape}.")
    true_names, true_index = np.unique(true_labels, return_inverse=True)
    names, index = np.unique(labels, return_inverse=True)
    table = sparse.coo_matrix(
        (np.ones(true_index.size, np.int64), (true_index.ravel(), index.ravel())),
        shape=(len(true_names), len(names)),
    ).tocsr()
    true_area = np.asarray(table.sum(axis=1)).ravel()
    area = np.asarray(table.sum(axis=0)).ravel()
    row, col = table.nonzero()
    overlap = np.asarray(table[row, col]).ravel()
    iou = overlap / (true_area[row] + area[col] - overlap)
    inside = (true_names[row] != 0) & (names[col] != 0)
    # With 0 among the names it comes first, and particles count from the one after it.
    true_offset, offset = int(0 in true_names), int(0 in names)
    return Pairs(
        row[inside] - true_offset,
        col[inside] - offset,
        iou[inside],
        len(true_names) - true_offset,
        len(names) - offset,
    )


def keep_predicted(pairs: Pairs, keep: np.ndarray) -> Pairs:
    """The same image with only those predicted particles for which ``keep`` (bool, (n_predicted,)) is true."""
    kept = keep[pairs.predicted]
    number = np.cumsum(keep) - 1
    return Pairs(
        pairs.true[kept], number[pairs.predicted[kept]], pairs.iou[kept], pairs.n_true, int(np.count_nonzero(keep))
    )


def find_matched(pairs: Pairs) -> np.ndarray:
    """Whether each predicted particle meets a true one at IoU > 0.5: bool (n_predicted,)."""
    return np.isin(np.arange(pairs.n_predicted), pairs.predicted[pairs.iou > 0.5])


def score_paper(true_labels: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Score one image by the BPartIS paper's protocol.

    At each threshold t of 0.00, 0.05 … 0.95 a pair matches when IoU > t. A true particle with a match is a true
    positive; a predicted one without any is a false positive, and so is each match of a true particle beyond the first.

    Parameters
    ----------
    true_labels, labels : ndarray of int, shape (H, W)
        Label maps with 0 as background.

    Returns
    -------
    dict
        ``ap``: trapezoid area of monotone precision over recall (that precision where neither changes with t);
        ``ap50``, ``ap75``: precision at 0.5 and 0.75; ``mean_iou``: mean over predicted particles of their best IoU
        where it exceeds 0.5, else 0. All zeros without a prediction or without truth.
    """
    return _score_paper(iou_pairs(true_labels, labels))


def _score_paper(pairs: Pairs) -> dict[str, float]:
    if pairs.n_predicted == 0 or pairs.n_true == 0:
        return dict.fromkeys(("ap", "ap50", "ap75", "mean_iou"), 0.0)
    precision, recall = np.zeros(len(PAPER_THRESHOLDS)), np.zeros(len(PAPER_THRESHOLDS))
    for i, threshold in enumerate(PAPER_THRESHOLDS):
        match = pairs.iou > threshold
        true_positive = len(np.unique(pairs.true[match]))
        unmatched = pairs.n_predicted - len(np.unique(pairs.predicted[match]))
        duplicates = int(match.sum()) - true_positive
        if true_positive:
            precision[i] = true_positive / (true_positive + unmatched + duplicates)
        recall[i] = true_positive / pairs.n_true
    best = np.zeros(pairs.n_predicted)
    np.maximum.at(best, pairs.predicted, pairs.iou)
    if np.ptp(precision) == 0 and np.ptp(recall) == 0:
        ap = precision[0]
    else:
        monotone = np.maximum.accumulate(precision)  # from low t to high: the maximum of itself and all at lower t
        ap = np.trapezoid(monotone[::-1], recall[::-1])
    return {
        "ap": float(ap),
        "ap50": float(precision[10]),
        "ap75": float(precision[15]),
        "mean_iou": float(np.where(best > 0.5, best, 0.0).mean()),
    }


def score_matched(true_labels: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Score one image by one-to-one matching.

    Parameters
    ----------
    true_labels, labels : ndarray of int, shape (H, W)
        Label maps with 0 as background.

    Returns
    -------
    dict
        ``n_true``, ``n_predicted``; ``precision_50``, ``recall_50``, ``f1_50``, ``ap_50``, the same at ``_75`` and as
        the mean over 0.5, 0.55 … 0.95 (``_50_95``); ``pq_50``. ``ap`` is TP / (TP + FP + FN). A figure is NaN where it
        has nothing to count: all of them when neither map holds a particle.
    """
    rates = _rates(pd.DataFrame([_counts(iou_pairs(true_labels, labels))])).iloc[0]
    return {str(name): float(value) for name, value in rates.items()}


def _counts(pairs: Pairs) -> dict[str, float]:
    """True positives at each threshold: what is pooled over images.

    Labels do not overlap, so two pairs with IoU > 0.5 share no particle (Kirillov et al., 2019): the pairs above a
    threshold *are* the Hungarian matching, and no assignment has to be solved.
    """
    counts: dict[str, float] = {"n_true": pairs.n_true, "n_predicted": pairs.n_predicted}
    for threshold in MATCHED_THRESHOLDS:
        counts[f"tp_{100 * threshold:.0f}"] = int((pairs.iou > threshold).sum())
    counts["iou_sum_50"] = float(pairs.iou[pairs.iou > 0.5].sum())
    return counts


def _rates(counts: pd.DataFrame) -> pd.DataFrame:
    """Scores of each row of counts."""
    n_true, n_predicted = counts["n_true"], counts["n_predicted"]
    columns = {"n_true": n_true, "n_predicted": n_predicted}
    each: dict[str, list[pd.Series]] = {"precision": [], "recall": [], "f1": [], "ap": []}
    with np.errstate(invalid="ignore", divide="ignore"):
        for threshold in MATCHED_THRESHOLDS:
            tp = counts[f"tp_{100 * threshold:.0f}"]
            each["precision"].append(tp / n_predicted)
            each["recall"].append(tp / n_true)
            each["f1"].append(2 * tp / (n_true + n_predicted))
            each["ap"].append(tp / (n_true + n_predicted - tp))
        for end, part in (("50", slice(0, 1)), ("75", slice(5, 6)), ("50_95", slice(None))):
            for name, values in each.items():
                columns[f"{name}_{end}"] = pd.concat(values[part], axis=1).mean(axis=1)
        columns["pq_50"] = counts["iou_sum_50"] / ((n_true + n_predicted) / 2)
    return pd.DataFrame(columns)


def evaluate(images: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Score many images both ways.

    Parameters
    ----------
    images : iterable of (str, ndarray, ndarray)
        Name, true labels and predicted labels of each image, shape (H, W).

    Returns
    -------
    DataFrame
        One row per image: see `score_pairs`.
    """
    return score_pairs((name, iou_pairs(true_labels, labels)) for name, true_labels, labels in images)


def score_pairs(images: Iterable[tuple[str, Pairs]]) -> pd.DataFrame:
    """Score many images both ways.

    Parameters
    ----------
    images : iterable of (str, Pairs)
        Name and overlaps of each image.

    Returns
    -------
    DataFrame
        One row per image: ``image``, the paper's scores with the prefix ``paper_``, those of `score_matched`, and the
        counts (``tp_50`` … ``tp_95``, ``iou_sum_50``) that `summarize` pools.
    """
    names, paper, counts = [], [], []
    for name, pairs in images:
        names.append(name)
        paper.append({f"paper_{key}": value for key, value in _score_paper(pairs).items()})
        counts.append(_counts(pairs))
    columns = ["n_true", "n_predicted", *(f"tp_{100 * t:.0f}" for t in MATCHED_THRESHOLDS), "iou_sum_50"]
    counted = pd.DataFrame(counts, columns=columns)
    paper_columns = [f"paper_{key}" for key in ("ap", "ap50", "ap75", "mean_iou")]
    return pd.concat(
        [
            pd.DataFrame({"image": names}),
            pd.DataFrame(paper, columns=paper_columns),
            _rates(counted),
            counted.drop(columns=["n_true", "n_predicted"]),
        ],
        axis=1,
    )


def summarize(per_image: pd.DataFrame) -> pd.DataFrame:
    """Figures over all images.

    Parameters
    ----------
    per_image : DataFrame
        From `evaluate`.

    Returns
    -------
    DataFrame
        Two rows: ``mean`` (plain mean over images) and ``pooled`` (over all particles of all images). The paper's
        protocol knows the mean alone; its columns are NaN in ``pooled``. ``n_true``, ``n_predicted`` are sums in both.
    """
    counts = [c for c in per_image.columns if c.startswith("tp_") or c in ("n_true", "n_predicted", "iou_sum_50")]
    sums = per_image[counts].sum().to_frame().T
    pooled = _rates(sums).iloc[0]
    scores = [c for c in per_image.columns if c.startswith("paper_") or (c in pooled.index and not c.startswith("n_"))]
    mean = pd.concat([sums.iloc[0][["n_true", "n_predicted"]], per_image[scores].mean()])
    return pd.DataFrame({"mean": mean, "pooled": pooled.reindex(mean.index)}).T


def histogram_distance(true_values: np.ndarray, values: np.ndarray) -> float:
    """Cosine distance between two histograms, such as of area or of aspect ratio.

    The bins span both samples; their number follows Rice's rule on the truth, ceil(2·n^(1/3)).

    Parameters
    ----------
    true_values, values : ndarray of float, shape (n,) and (m,)
        One value a particle.

    Returns
    -------
    float
        In 0..1; NaN with fewer than 30 true values; 1 when nothing was predicted.
    """
    true_values, values = np.asarray(true_values, float), np.asarray(values, float)
    if len(true_values) < MIN_TRUE_PARTICLES:
        return float("nan")
    if len(values) == 0:
        return 1.0
    bins = int(np.ceil(2 * np.cbrt(len(true_values))))
    edges = np.histogram_bin_edges(np.concatenate([true_values, values]), bins)
    a, b = np.histogram(true_values, edges)[0], np.histogram(values, edges)[0]
    return float(1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def rms_difference(true_function: np.ndarray, function: np.ndarray) -> float:
    """Root-mean-square difference of two functions sampled at the same places, such as two g(r).

    Parameters
    ----------
    true_function, function : ndarray of float, shape (n,)
        Places where either is NaN are left out.

    Returns
    -------
    float
        NaN when no place is left.
    """
    difference = np.asarray(true_function, float) - np.asarray(function, float)
    difference = difference[np.isfinite(difference)]
    return float(np.sqrt(np.mean(difference**2))) if difference.size else float("nan")
