"""Tiles that look alike: standardise, reduce, cluster, and number the clusters by what they show."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from emscout.errors import UsageError

__all__ = [
    "CLUSTERERS",
    "LINKAGES",
    "METRICS",
    "REDUCTIONS",
    "choose_advice",
    "cluster_tiles",
    "cut_tree",
    "grow_tree",
    "order_clusters",
    "reduce",
    "standardise",
]

REDUCTIONS = ("none", "pca", "nmf")
LINKAGES = ("complete", "average", "single", "ward")
METRICS = ("euclidean", "cosine")

MOST_IN_TREE = 1500
"""A tree needs the distances of all pairs: of more points a seeded sample this large grows it."""

MOST_FITTED = 20_000
"""k-means and mixtures are fitted to at most this many points; the others join the nearest."""

_KEPT_VARIANCE = 0.95
_NMF_COMPONENTS = 5
_STARTS = 5
_HALVINGS = 5
_MOST_JUDGED = 1000


def standardise(values: np.ndarray) -> np.ndarray:
    """Give each column of (n, f) zero mean and unit standard deviation; a constant column becomes 0."""
    values = np.asarray(values, float)
    spread = values.std(0)
    # A column of equal numbers has a spread of rounding errors, not of 0.
    constant = spread <= 1e-12 * np.abs(values).max(0, initial=0)
    return np.where(constant, 0.0, (values - values.mean(0)) / np.where(constant, 1.0, spread))


def reduce(points: np.ndarray, method: str = "none", n_components: int | None = None, seed: int = 0) -> np.ndarray:
    """Describe points (n, f) by fewer numbers.

    Parameters
    ----------
    points : ndarray of shape (n, f)
        Standardised.
    method : {"none", "pca", "nmf"}
    n_components : int, optional
        By default as many as keep 95 % of the variance (PCA), or 5 (NMF).
    seed : int
        Of the start of NMF.

    Returns
    -------
    ndarray of shape (n, n_components)

    Raises
    ------
    UsageError
        When there are fewer points or columns than components.
    """
    if method not in REDUCTIONS:
        raise UsageError(f"There is no reduction '{method}': choose one of {', '.join(REDUCTIONS)}.")
    if method == "none":
        return points
    most = min(points.shape)
    if n_components is not None and not 1 <= n_components <= most:
        raise UsageError(
            f"{n_components} components cannot be made of {points.shape[0]} tiles and {points.shape[1]} statistics: "
            f"ask for 1 to {most}."
        )
    if method == "pca":
        from sklearn.decomposition import PCA

        if most == 1 or not points.any():
            return points
        reduced = PCA(_KEPT_VARIANCE if n_components is None else n_components, svd_solver="full").fit_transform(points)
        return np.asarray(reduced)
    from sklearn.decomposition import NMF

    model = NMF(n_components or min(_NMF_COMPONENTS, most), init="nndsvda", random_state=seed, max_iter=500, tol=1e-3)
    return np.asarray(model.fit_transform(points - points.min(0)))


def grow_tree(points: np.ndarray, linkage: str = "complete", metric: str = "euclidean") -> np.ndarray:
    """The agglomerative tree of points (n, f), as `scipy.cluster.hierarchy` writes it (n - 1, 4); n² memory."""
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import pdist, squareform

    _check(linkage, metric)
    if metric == "cosine":
        directions = _to_unit_length(points)
        distances = squareform(np.clip(1 - directions @ directions.T, 0, None), checks=False)
    else:
        distances = pdist(points)
    return hierarchy.linkage(distances, linkage)  # type: ignore[arg-type]


def cut_tree(tree: np.ndarray, n_clusters: int) -> np.ndarray:
    """Labels 0 … n_clusters - 1 of the points of a tree."""
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
    """k-means; on the directions of the points with the cosine metric."""
    from sklearn.cluster import KMeans

    points = _to_unit_length(points) if metric == "cosine" else points
    model = KMeans(n_clusters, n_init=_STARTS, random_state=seed).fit(_sample(points, MOST_FITTED, seed))
    return np.asarray(model.predict(points))


def cluster_agglomerative(points: np.ndarray, n_clusters: int, *, linkage: str, metric: str, seed: int) -> np.ndarray:
    """The tree of at most `MOST_IN_TREE` points, cut; all others join the nearest centre."""
    chosen = _sample_index(len(points), MOST_IN_TREE, seed)
    labels = cut_tree(grow_tree(points[chosen], linkage, metric), n_clusters)
    if len(chosen) == len(points):
        return labels
    space = _to_unit_length(points) if metric == "cosine" else points
    joined = _nearest(space, _centres(space[chosen], labels))
    joined[chosen] = labels
    return joined


def cluster_mixture(points: np.ndarray, n_clusters: int, *, linkage: str, metric: str, seed: int) -> np.ndarray:
    """A mixture of Gaussians, each with its own covariance."""
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
    """Number clusters 1, 2, … in the order of the mean ``meaning`` of their tiles; any labels (n,) will do."""
    _, labels = np.unique(labels, return_inverse=True)
    means = np.bincount(labels, meaning) / np.bincount(labels)
    return np.argsort(np.argsort(means, kind="stable"), kind="stable")[labels] + 1


def cluster_tiles(
    values: np.ndarray,
    brightness: np.ndarray,
    n_clusters: int,
    *,
    clusterer: str = "kmeans",
    reduction: str = "pca",
    n_components: int | None = None,
    linkage: str = "average",
    metric: str = "euclidean",
    seed: int = 0,
) -> np.ndarray:
    """Group the tiles of all images together, by their statistics.

    Parameters
    ----------
    values : ndarray of shape (n, f)
        A row a tile, a column a statistic, in any unit; finite.
    brightness : ndarray of shape (n,)
        The mean of each tile, which orders the clusters.
    n_clusters : int
    clusterer : str
        One of `CLUSTERERS`.
    reduction, n_components
        See `reduce`.
    linkage, metric : str
        One of `LINKAGES` (agglomerative alone) and of `METRICS`.
    seed : int

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
    _check(linkage, metric)
    _check_count(values, n_clusters)
    points = reduce(standardise(values), reduction, n_components, seed)
    labels = CLUSTERERS[clusterer](points, n_clusters, linkage=linkage, metric=metric, seed=seed)
    return order_clusters(labels, brightness)


def choose_advice(
    points: np.ndarray,
    counts: Iterable[int] = range(2, 9),
    *,
    clusterer: str = "kmeans",
    linkage: str = "average",
    metric: str = "euclidean",
    seed: int = 0,
) -> pd.DataFrame:
    """How well separated and how repeatable clusterings into 2, 3, … clusters are: advice, no answer.

    Silhouette and stability reward clusters that are compact and far apart; crystals need be neither.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Standardised and reduced; a seeded sample of 1000 is judged.
    counts : iterable of int
        Numbers of clusters; those that half of the points cannot fill are left out.
    clusterer, linkage, metric, seed
        See `cluster_tiles`.

    Returns
    -------
    DataFrame
        ``n_clusters``, ``silhouette`` (-1 to 1) and ``stability``: the mean adjusted Rand index between the labels
        that two disjoint random halves give all points.
    """
    from sklearn.metrics import adjusted_rand_score, silhouette_score

    points = _sample(points, _MOST_JUDGED, seed)
    space = _to_unit_length(points) if metric == "cosine" else points
    rng = np.random.default_rng(seed)
    halves = [np.array_split(rng.permutation(len(points)), 2) for _ in range(_HALVINGS)]
    fewest = min((len(np.unique(points[half], axis=0)) for pair in halves for half in pair), default=0)
    rows = []
    for n_clusters in counts:
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


def _check(linkage: str, metric: str) -> None:
    if linkage not in LINKAGES:
        raise UsageError(f"There is no linkage '{linkage}': choose one of {', '.join(LINKAGES)}.")
    if metric not in METRICS:
        raise UsageError(f"There is no metric '{metric}': choose one of {', '.join(METRICS)}.")
    if linkage == "ward" and metric != "euclidean":
        raise UsageError("The linkage 'ward' is made for euclidean distances: choose another linkage, or that metric.")


def _check_count(values: np.ndarray, n_clusters: int) -> None:
    if n_clusters < 1:
        raise UsageError(f"{n_clusters} is no number of clusters: ask for 2 or more.")
    if n_clusters > len(values):
        raise UsageError(
            f"{n_clusters} clusters cannot be made of {len(values)} tile(s): ask for fewer clusters or a finer grid."
        )
    different = len(np.unique(values[: MOST_FITTED * 5], axis=0))
    if n_clusters > different:
        raise UsageError(
            f"The {len(values)} tiles are of only {different} kind(s), so they cannot be parted into {n_clusters} "
            "clusters: ask for fewer, or look whether the images are empty."
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
    """Index of the nearest centre of each point, without the (n, k, d) differences in memory."""
    return np.argmin((centres**2).sum(1) - 2 * points @ centres.T, axis=1)
