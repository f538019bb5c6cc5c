"""Cluster tiles: standardise their statistics, reduce them, cluster, and number the clusters by brightness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from emscout.errors import UsageError

__all__ = [
    "CLUSTERERS",
    "LINKAGES",
    "METRICS",
    "REDUCTIONS",
    "assess_cluster_counts",
    "build_tree",
    "check_linkage",
    "cluster_tiles",
    "cut_tree",
    "order_clusters",
    "reduce_dimensions",
    "standardise",
]

REDUCTIONS = ("none", "pca", "nmf")
LINKAGES = ("complete", "average", "single", "ward")
METRICS = ("euclidean", "cosine")

MOST_IN_TREE = 1500
"""A tree needs the distances of all pairs, so it is built from a random sample of at most this many points."""

MOST_FITTED = 20_000
"""k-means and mixtures are fitted to at most this many points; the others join the nearest cluster."""

_COUNTS = range(2, 9)
_KEPT_VARIANCE = 0.95
_NMF_COMPONENTS = 5
_STARTS = 5
_HALVINGS = 5
_MOST_JUDGED = 1000


def standardise(values: np.ndarray) -> np.ndarray:
    """Give each column of (n, f) zero mean and unit standard deviation; a constant column becomes 0."""
    values = np.asarray(values, float)
    spread = values.std(0)
    # Rounding errors give a column of equal numbers a spread that is not quite 0.
    constant = spread <= 1e-12 * np.abs(values).max(0, initial=0)
    return np.where(constant, 0.0, (values - values.mean(0)) / np.where(constant, 1.0, spread))


def reduce_dimensions(points: np.ndarray, method: str = "none", seed: int = 0) -> np.ndarray:
    """Describe points by fewer numbers.

    Parameters
    ----------
    points : ndarray, shape (n, f)
        Standardised.
    method : {"none", "pca", "nmf"}
    seed : int
        Random seed for the start of NMF.

    Returns
    -------
    ndarray, shape (n, n_components)
        The components that keep 95 % of the variance (PCA), or 5 components (NMF).

    Raises
    ------
    UsageError
        When the method is unknown.
    """
    if method not in REDUCTIONS:
        raise UsageError(f"There is no reduction '{method}': choose one of {', '.join(REDUCTIONS)}.")
    if method == "none":
        return points
    most = min(points.shape)
    if method == "pca":
        from sklearn.decomposition import PCA

        if most == 1 or not points.any():
            return points
        return np.asarray(PCA(_KEPT_VARIANCE, svd_solver="full").fit_transform(points))
    from sklearn.decomposition import NMF

    model = NMF(min(_NMF_COMPONENTS, most), init="nndsvda", random_state=seed, max_iter=500, tol=1e-3)
    return np.asarray(model.fit_transform(points - points.min(0)))


def build_tree(points: np.ndarray, linkage: str = "complete", metric: str = "euclidean") -> np.ndarray:
    """Agglomerative tree of points (n, f) as `scipy.cluster.hierarchy.linkage` gives it (n - 1, 4); needs n² memory."""
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import pdist, squareform

    check_linkage(linkage, metric)
    if metric == "cosine":
        directions = _to_unit_length(points)
        distances = squareform(np.clip(1 - directions @ directions.T, 0, None), checks=False)
    else:
        distances = pdist(points)
    return hierarchy.linkage(distances, linkage)  # type: ignore[arg-type]


def cut_tree(tree: np.ndarray, n_clusters: int) -> np.ndarray:
    """Cut a tree into clusters: labels 0 to n_clusters - 1 of its points (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_points = len(tree) + 1
    merges = np.arange(n_points - n_clusters)
    children = tree[merges, :2].astype(int)
    parents = np.repeat(n_points + merges, 2)
    nodes = n_points + len(merges)
    links = coo_array((np.ones(len(parents)), (children.ravel(), parents)), shape=(nodes, nodes))
    return np.unique(connected_components(links, directed=False)[1][:n_points], return_inverse=True)[1]


def cluster_kmeans(points: np.ndarray, n_clusters: int, *, linkage: str, metric: str, seed: int) -> np.ndarray:
    """k-means; with the cosine metric on the directions of the points."""
    from sklearn.cluster import KMeans

    points = _to_unit_length(points) if metric == "cosine" else points
    model = KMeans(n_clusters, n_init=_STARTS, random_state=seed).fit(_sample(points, MOST_FITTED, seed))
    return np.asarray(model.predict(points))


def cluster_agglomerative(points: np.ndarray, n_clusters: int, *, linkage: str, metric: str, seed: int) -> np.ndarray:
    """Cut the tree of at most `MOST_IN_TREE` points; all other points join the nearest centre."""
    chosen = _sample_index(len(points), MOST_IN_TREE, seed)
    labels = cut_tree(build_tree(points[chosen], linkage, metric), n_clusters)
    if len(chosen) == len(points):
        return labels
    space = _to_unit_length(points) if metric == "cosine" else points
    joined = _nearest(space, _centres(space[chosen], labels))
    joined[chosen] = labels
    return joined


def cluster_mixture(points: np.ndarray, n_clusters: int, *, linkage: str, metric: str, seed: int) -> np.ndarray:
    """A Gaussian mixture; each component has its own covariance."""
    from sklearn.mixture import GaussianMixture

    points = _to_unit_length(points) if metric == "cosine" else points
    model = GaussianMixture(n_clusters, reg_covar=1e-3, random_state=seed).fit(_sample(points, MOST_FITTED, seed))
    return np.asarray(model.predict(points))


CLUSTERERS: dict[str, Callable[..., np.ndarray]] = {
    "kmeans": cluster_kmeans,
    "agglomerative": cluster_agglomerative,
    "gaussian_mixture": cluster_mixture,
}


def order_clusters(labels: np.ndarray, meaning: np.ndarray) -> np.ndarray:
    """Renumber labels (n,) as 1, 2, … in the order of the mean ``meaning`` (n,) of their tiles."""
    _, labels = np.unique(labels, return_inverse=True)
    means = np.bincount(labels, meaning) / np.bincount(labels)
    return np.argsort(np.argsort(means, kind="stable"), kind="stable")[labels] + 1


def check_linkage(linkage: str, metric: str) -> None:
    """Raise a UsageError when linkage and metric are unknown or do not go together."""
    if linkage not in LINKAGES:
        raise UsageError(f"There is no linkage '{linkage}': choose one of {', '.join(LINKAGES)}.")
    if metric not in METRICS:
        raise UsageError(f"There is no metric '{metric}': choose one of {', '.join(METRICS)}.")
    if linkage == "ward" and metric != "euclidean":
        raise UsageError(
            "The linkage 'ward' needs euclidean distances: choose another linkage, or the metric 'euclidean'."
        )


def cluster_tiles(
    values: np.ndarray,
    brightness: np.ndarray,
    n_clusters: int,
    *,
    clusterer: str = "kmeans",
    reduction: str = "pca",
    linkage: str = "average",
    metric: str = "euclidean",
    seed: int = 0,
) -> np.ndarray:
    """Cluster the tiles of all images together by their statistics.

    Parameters
    ----------
    values : ndarray, shape (n, f)
        One row per tile, one column per statistic, in any unit; finite.
    brightness : ndarray, shape (n,)
        Mean grey value of each tile, by which the clusters are numbered.
    n_clusters : int
    clusterer : str
        One of `CLUSTERERS`.
    reduction : str
        One of `REDUCTIONS`, see `reduce_dimensions`.
    linkage, metric : str
        One of `LINKAGES` (agglomerative only) and one of `METRICS`.
    seed : int
        Random seed.

    Returns
    -------
    ndarray of int, shape (n,)
        1 (darkest) to ``n_clusters`` (brightest).

    Raises
    ------
    UsageError
        When a name is unknown, or there are fewer different tiles than clusters.
    """
    if clusterer not in CLUSTERERS:
        raise UsageError(f"There is no clusterer '{clusterer}': choose one of {', '.join(CLUSTERERS)}.")
    check_linkage(linkage, metric)
    _check_count(values, n_clusters)
    points = reduce_dimensions(standardise(values), reduction, seed)
    labels = CLUSTERERS[clusterer](points, n_clusters, linkage=linkage, metric=metric, seed=seed)
    return order_clusters(labels, brightness)


def assess_cluster_counts(
    points: np.ndarray,
    *,
    clusterer: str = "kmeans",
    linkage: str = "average",
    metric: str = "euclidean",
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how well separated and how repeatable clusterings into 2 to 8 clusters are.

    This is advice and not an answer: silhouette and stability reward clusters that are compact and far apart, which
    crystals need not be.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Standardised and reduced; a random sample of 1000 is used.
    clusterer, linkage, metric, seed
        See `cluster_tiles`.

    Returns
    -------
    DataFrame
        ``n_clusters`` (as many as half of the points can fill), ``silhouette`` (-1 to 1) and ``stability``: the
        mean adjusted Rand index between the labels that two disjoint random halves give to all points.
    """
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    points = _sample(points, _MOST_JUDGED, seed)
    space = _to_unit_length(points) if metric == "cosine" else points
    rng = np.random.default_rng(seed)
    halves = [np.array_split(rng.permutation(len(points)), 2) for _ in range(_HALVINGS)]
    fewest = min((len(np.unique(points[half], axis=0)) for pair in halves for half in pair), default=0)
    rows = []
    for n_clusters in _COUNTS:
        if n_clusters > fewest:
            break
        cluster = CLUSTERERS[clusterer]
        labels = cluster(points, n_clusters, linkage=linkage, metric=metric, seed=seed)
        silhouette = silhouette_score(points, labels, metric=metric) if len(np.unique(labels)) > 1 else np.nan
        agreements = []
        for pair in halves:
            votes = []
            for half in pair:
                own = cluster(points[half], n_clusters, linkage=linkage, metric=metric, seed=seed)
                votes.append(_nearest(space, _centres(space[half], own)))
            agreements.append(adjusted_rand_score(*votes))
        rows.append((n_clusters, float(silhouette), float(np.mean(agreements))))
    return pd.DataFrame(rows, columns=["n_clusters", "silhouette", "stability"])


def _check_count(values: np.ndarray, n_clusters: int) -> None:
    if n_clusters < 1:
        raise UsageError(f"The number of clusters must be 2 or more, not {n_clusters}.")
    if n_clusters > len(values):
        raise UsageError(
            f"{len(values)} tile(s) cannot form {n_clusters} clusters: ask for fewer clusters or a finer grid."
        )
    different = len(np.unique(values[: MOST_FITTED * 5], axis=0))
    if n_clusters > different:
        raise UsageError(
            f"The {len(values)} tiles have only {different} distinct set(s) of statistics, which cannot form "
            f"{n_clusters} clusters: ask for fewer clusters, or check whether the images are empty."
        )


def _to_unit_length(points: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(length > 0, length, 1)


def _sample_index(n_points: int, most: int, seed: int) -> np.ndarray:
    if n_points <= most:
        return np.arange(n_points)
    return np.sort(np.random.default_rng(seed).choice(n_points, most, replace=False))


def _sample(points: np.ndarray, most: int, seed: int) -> np.ndarray:
    return points[_sample_index(len(points), most, seed)]


def _centres(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.stack([points[labels == label].mean(0) for label in range(labels.max() + 1)])


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index of the nearest centre of each point, without (n, k, d) differences in memory."""
    return np.argmin((centres**2).sum(1) - 2 * points @ centres.T, axis=1)
