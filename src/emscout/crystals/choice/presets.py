"""Named recipes for finding crystals."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A recipe: how images are cut into tiles, and how these are described and clustered.

    Parameters
    ----------
    grid : tuple of int
        Rows and columns of tiles in an image.
    statistics : tuple of str
        Statistics by which tiles are clustered.
    correct_illumination : bool
        Whether uneven illumination is corrected first; False takes the grey values as recorded.
    exclude_black : bool
        Whether black tiles are left out before clustering.
    reduction : {"none", "pca", "nmf"}
    clusterer, linkage, metric : str
    n_clusters : int
    """

    grid: tuple[int, int]
    statistics: tuple[str, ...]
    correct_illumination: bool
    exclude_black: bool
    reduction: str
    clusterer: str
    linkage: str
    metric: str
    n_clusters: int


PRESETS = {
    "default": Preset(
        grid=(20, 20),
        statistics=(
            "mean",
            "standard_deviation",
            "relative_standard_deviation",
            "skewness",
            "quantile_05",
            "quantile_95",
            "interquartile_range",
            "entropy",
            "gradient_energy",
        ),
        correct_illumination=True,
        exclude_black=True,
        reduction="pca",
        clusterer="kmeans",
        linkage="average",
        metric="euclidean",
        n_clusters=3,
    ),
    # Janus, M. (2018). The Micro-Crystal Locator. Jheronimus Academy of Data Science, chapters 8.5 and 12.7: kurtosis
    # as excess, the mode as the fullest of 1024 bins over a tile's own range, 4 x 4 tiles of whole pixels.
    "janus2018": Preset(
        grid=(4, 4),
        statistics=("standard_deviation", "relative_standard_deviation", "mean", "skewness", "kurtosis", "mode_1024"),
        correct_illumination=False,
        exclude_black=False,
        reduction="none",
        clusterer="agglomerative",
        linkage="complete",
        metric="cosine",
        n_clusters=3,
    ),
}
