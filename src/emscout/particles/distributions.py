"""Many particles, few numbers: summaries with intervals, histograms, the radial distribution function."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from emscout.errors import UsageError

__all__ = ["histogram", "radial_distribution", "size_distribution", "summarize_particles"]

_DIAMETER = "equivalent_circular_diameter_px"
# Below this many particles a bootstrap says nothing.
_FEWEST_FOR_INTERVAL = 3
# Values held at once while resampling or counting pairs: some tens of megabytes.
_CHUNK = 1_000_000


_SAME = 1e-9
"""Values that differ by no more than this part of them are one size: no bins lie between their last digits."""


def summarize_particles(
    table: pd.DataFrame,
    shape: tuple[int, int],
    nm_per_px: float | None,
    *,
    field_px2: int | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, float]:
    """Summarize the particles of one image.

    Parameters
    ----------
    table : DataFrame
        As from `measure_particles`; only pixel columns are used.
    shape : (int, int)
        Height and width of the field in pixels.
    nm_per_px : float or None
        Pixel size; where known, the number density is also given per µm². All other physical columns come from
        `to_physical`.
    field_px2 : int or None
        Area in which particles could be seen, where it is less than ``shape``: without banner and scale bar.
    seed, resamples : int
        Of the bootstrap. The same seed gives the same numbers.

    Returns
    -------
    dict of str to float
        ``count`` and ``count_border``, then, each with ``_low`` and ``_high`` (95 % percentile bootstrap interval):

        - ``number_density_per_px2`` (and ``number_density_per_um2``): particles per area of field. A particle cut by
          the border counts half, which is unbiased for a field much larger than a particle (of the particles that meet
          the border, half belong to this field and half to its neighbours);
        - ``coverage``: fraction of the field covered, all particles;
        - over particles not cut by the border: ``d10_px``, ``d50_px``, ``d90_px`` (percentiles by number, linear
          interpolation), ``mean_diameter_px`` (by number), ``area_weighted_mean_diameter_px`` (Σd³/Σd²),
          ``std_diameter_px`` (n - 1), all of the equivalent circular diameter, and ``mean_aspect_ratio``.

        NaN stands for what too few particles cannot say: intervals below three, a standard deviation below two, a
        diameter of none.
    """
    border = table["touches_border"].to_numpy(dtype=bool)
    inside = table.loc[~border]
    field = shape[0] * shape[1] if field_px2 is None else field_px2
    rng = np.random.default_rng(seed)

    figures = _field_figures(table["area_px2"].to_numpy(dtype=float), border, field, rng, resamples)
    if nm_per_px is not None:
        figures["number_density_per_um2"] = figures["number_density_per_px2"] * (1000 / nm_per_px) ** 2
    figures |= _size_figures(inside[_DIAMETER].to_numpy(dtype=float), inside["aspect_ratio"].to_numpy(), rng, resamples)

    summary: dict[str, float] = {"count": len(table), "count_border": int(border.sum())}
    for name, values in figures.items():
        summary[name], summary[f"{name}_low"], summary[f"{name}_high"] = (float(value) for value in values)
    return summary


def _with_interval(value: np.ndarray | float, resampled: np.ndarray) -> np.ndarray:
    low, high = np.percentile(resampled, [2.5, 97.5]) if len(resampled) else (math.nan, math.nan)
    return np.array([value, low, high], dtype=float)


def _field_figures(
    areas_px2: np.ndarray, border: np.ndarray, field_px2: int, rng: np.random.Generator, resamples: int
) -> dict[str, np.ndarray]:
    """Number density and coverage: their number of particles is itself a sample, so it is resampled as Poisson."""
    weights = np.where(border, 0.5, 1.0)
    if len(areas_px2) < _FEWEST_FOR_INTERVAL:
        resampled = np.empty((2, 0))
    else:
        counts = rng.poisson(len(areas_px2), resamples)
        resampled = np.empty((2, resamples))
        for i, count in enumerate(counts):
            drawn = rng.integers(len(areas_px2), size=count)
            resampled[:, i] = weights[drawn].sum(), areas_px2[drawn].sum()
    return {
        "number_density_per_px2": _with_interval(weights.sum() / field_px2, resampled[0] / field_px2),
        "coverage": _with_interval(areas_px2.sum() / field_px2, np.minimum(resampled[1] / field_px2, 1.0)),
    }


def _size_figures(
    diameters_px: np.ndarray, aspect_ratios: np.ndarray, rng: np.random.Generator, resamples: int
) -> dict[str, np.ndarray]:
    names = (
        "d10_px",
        "d50_px",
        "d90_px",
        "mean_diameter_px",
        "area_weighted_mean_diameter_px",
        "std_diameter_px",
        "mean_aspect_ratio",
    )

    def figures(d: np.ndarray, aspect: np.ndarray) -> np.ndarray:
        """Rows of samples in, one column a sample out."""
        spread = d.std(axis=1, ddof=1) if d.shape[1] > 1 else np.full(len(d), math.nan)
        return np.stack(
            [
                *np.percentile(d, [10, 50, 90], axis=1),
                d.mean(axis=1),
                (d**3).sum(axis=1) / (d**2).sum(axis=1),
                spread,
                aspect.mean(axis=1),
            ]
        )

    n = len(diameters_px)
    if n == 0:
        return dict.fromkeys(names, np.full(3, math.nan))
    values = figures(diameters_px[None], aspect_ratios[None])[:, 0]
    resampled = [np.empty((len(names), 0))]
    if n >= _FEWEST_FOR_INTERVAL:
        rows = max(1, _CHUNK // n)
        for start in range(0, resamples, rows):
            drawn = rng.integers(n, size=(min(rows, resamples - start), n))
            resampled.append(figures(diameters_px[drawn], aspect_ratios[drawn]))
    samples = np.concatenate(resampled, axis=1)
    return {name: _with_interval(*pair) for name, pair in zip(names, zip(values, samples, strict=True), strict=True)}


def histogram(values: np.ndarray, quantity: str, unit: str) -> pd.DataFrame:
    """Count values in bins of equal width between the least and the greatest.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Values that are not finite are left out.
    quantity, unit : str
        Written in every row.

    Returns
    -------
    DataFrame
        ``quantity``, ``bin_low``, ``bin_high``, ``unit``, ``count``. Rice's rule gives the number of bins, 2·n^(1/3)
        rounded up; equal values make one bin of zero width. A bin holds its lower edge, the last one both.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        counts, edges = np.empty(0, dtype=np.int64), np.empty(1)
    elif np.ptp(values) <= _SAME * np.abs(values).max():
        counts, edges = np.array([len(values)]), values[[0, 0]]
    else:
        n_bins = math.ceil(round(2 * len(values) ** (1 / 3), 9))
        counts, edges = np.histogram(values, bins=n_bins)
    return pd.DataFrame(
        {
            "quantity": pd.Series([quantity] * len(counts), dtype="str"),
            "bin_low": edges[:-1],
            "bin_high": edges[1:],
            "unit": pd.Series([unit] * len(counts), dtype="str"),
            "count": counts,
        }
    )


def size_distribution(table: pd.DataFrame) -> pd.DataFrame:
    """Histograms of diameter and aspect ratio of the particles not cut by the border.

    Parameters
    ----------
    table : DataFrame
        As from `measure_particles`. Diameters are in nm where the table has them, else in px.

    Returns
    -------
    DataFrame
        The rows of `histogram` for ``equivalent_circular_diameter`` (unit nm or px) and ``aspect_ratio`` (no unit).
    """
    inside = table.loc[~table["touches_border"].to_numpy(dtype=bool)]
    diameter = _DIAMETER.removesuffix("_px")
    unit = "nm" if f"{diameter}_nm" in table else "px"
    return pd.concat(
        [
            histogram(inside[f"{diameter}_{unit}"].to_numpy(), diameter, unit),
            histogram(inside["aspect_ratio"].to_numpy(), "aspect_ratio", ""),
        ],
        ignore_index=True,
    )


def radial_distribution(
    centroids: np.ndarray,
    shape: tuple[int, int],
    *,
    areas_px2: np.ndarray | None = None,
    dr_px: float | None = None,
    r_max_px: float | None = None,
) -> pd.DataFrame:
    """Radial distribution function g(r) of the centroids, corrected for the edges of the field.

    Give it all particles, those cut by the border too: leaving them out would thin the rim of the field.

    Parameters
    ----------
    centroids : ndarray, shape (n, 2)
        Row and column in pixels, within the field.
    shape : (int, int)
        Height and width of the field in pixels.
    areas_px2 : ndarray, shape (n,), or None
        Areas of the particles: set the width of the bins where `dr_px` does not, to a quarter of the square root of
        their mean.
    dr_px : float or None
        Width of a bin.
    r_max_px : float or None
        Where the last bin ends at the latest; by default five times the mean distance ``sqrt(field / n)`` between
        particles, and half the shorter side of the field at most. Never more than half the diagonal: wider circles
        can lie outside altogether, which nothing corrects.

    Returns
    -------
    DataFrame
        ``r_px`` (middle of the bin), ``g`` (1 for particles thrown at random), ``g_error`` (``g / sqrt(pairs)``: pairs
        counted as if independent; NaN where there are none), ``pairs`` (number of pairs in the bin). Without rows for
        fewer than two particles or a field too small for one bin.

    Raises
    ------
    UsageError
        When neither `dr_px` nor `areas_px2` sets a width.

    Notes
    -----
    Each pair counts by the inverse of the fraction of the circle around one particle through the other that lies in
    the field (Ripley, J. Appl. Probab. 13 (1976) 255), exact for a rectangle, from both of its ends.
    """
    centroids = np.asarray(centroids, dtype=float).reshape(-1, 2)
    n, field = len(centroids), float(shape[0] * shape[1])
    if dr_px is None and areas_px2 is not None and len(areas_px2):
        dr_px = math.sqrt(float(np.mean(areas_px2))) / 4
    if n < 2:
        return pd.DataFrame({"r_px": [], "g": [], "g_error": [], "pairs": []}, dtype=float).astype({"pairs": "int64"})
    if dr_px is None or not dr_px > 0:
        raise UsageError("The radial distribution needs a bin width: give dr_px, or the particles' areas_px2.")
    if r_max_px is None:
        r_max_px = min(5 * math.sqrt(field / n), min(shape) / 2)
    r_max_px = min(r_max_px, math.hypot(*shape) / 2)
    edges = np.arange(int(r_max_px / dr_px + 1e-9) + 1) * dr_px

    weighted, ends = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1, dtype=np.int64)
    if len(ends):
        tree = cKDTree(centroids)
        neighbours = max(1.0, n * math.pi * edges[-1] ** 2 / field)
        step = max(1, int(_CHUNK / neighbours))
        for start in range(0, n, step):
            some = centroids[start : start + step]
            pairs = cKDTree(some).sparse_distance_matrix(tree, edges[-1], output_type="ndarray")
            pairs = pairs[pairs["i"] + start != pairs["j"]]
            bins = (pairs["v"] / dr_px).astype(np.int64)
            in_range = bins < len(ends)
            bins, pairs = bins[in_range], pairs[in_range]
            weights = 1 / _fraction_inside(some[pairs["i"]], pairs["v"], shape)
            weighted += np.bincount(bins, weights, minlength=len(ends))
            ends += np.bincount(bins, minlength=len(ends))
    ring_px2 = math.pi * np.diff(edges**2)
    g = weighted * field / (n * (n - 1) * ring_px2)
    with np.errstate(divide="ignore", invalid="ignore"):
        g_error = np.where(ends > 0, g / np.sqrt(ends / 2), math.nan)
    return pd.DataFrame({"r_px": edges[:-1] + dr_px / 2, "g": g, "g_error": g_error, "pairs": ends // 2})


def _fraction_inside(points: np.ndarray, r: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fraction of the circle of radius `r` around each point that lies in the field, pixel edges included."""
    height, width = shape
    to_sides = np.stack(
        [points[:, 0] + 0.5, points[:, 1] + 0.5, height - 0.5 - points[:, 0], width - 0.5 - points[:, 1]]
    )
    # Half the angle of the arc that lies beyond each side, in order around the field.
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.arccos(np.minimum(np.where(r > 0, np.maximum(to_sides, 0) / r, 1.0), 1.0))
    # Arcs beyond neighbouring sides share what lies beyond the corner; opposite ones share nothing.
    twice = np.maximum(beyond + np.roll(beyond, 1, axis=0) - math.pi / 2, 0)
    return 1 - (2 * beyond.sum(axis=0) - twice.sum(axis=0)) / (2 * math.pi)
