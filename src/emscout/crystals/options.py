"""Options of locating crystals."""

from __future__ import annotations

import re
from dataclasses import field, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge

from emscout.crystals.choice.cluster import check_linkage
from emscout.crystals.choice.presets import PRESETS, Preset
from emscout.crystals.tiles.network import ENCODER, ENCODER_STATISTICS
from emscout.crystals.tiles.statistics import STATISTICS
from emscout.errors import UsageError
from emscout.options import options_class
from emscout.scale.calibrate import Trust
from emscout.units import parse_length

__all__ = ["CrystalOptions"]


@options_class
class CrystalOptions:
    """Options of `locate`; every field is also an option of the command.

    The preset decides fields that are ``None``.

    Raises
    ------
    UsageError
        When a length, a name or an address is not understood.
    """

    grid: str | None = field(
        default=None,
        metadata={"help": "Number of tiles in an image, down and across; 20x20 by default.", "metavar": "ROWSxCOLS"},
    )
    tile: str | None = field(
        default=None,
        metadata={"help": "Side of a tile instead of their number, e.g. 500nm or 50px.", "metavar": "LENGTH"},
    )
    sliding: bool = field(
        default=False, metadata={"help": "Slide the tile over the image instead of cutting a grid: finer, but slower."}
    )
    step: str | None = field(
        default=None,
        metadata={
            "help": "Step of a sliding tile, e.g. 4px; a quarter of its side by default.",
            "metavar": "LENGTH",
        },
    )
    preset: Literal["default", "janus2018"] = field(
        default="default",
        metadata={
            "help": "Preset for the options below: default, or janus2018 (a published method).",
            "metavar": "NAME",
        },
    )
    statistics: str | None = field(
        default=None,
        metadata={
            "help": f"Statistics by which tiles are clustered, separated by commas: {', '.join(STATISTICS)}; or "
            f"{ENCODER}, the 128 features of the particle network's encoder.",
            "metavar": "NAMES",
        },
    )
    reduce: Literal["pca", "nmf", "none"] | None = field(
        default=None, metadata={"help": "How the statistics are reduced to fewer numbers."}
    )
    clusterer: Literal["kmeans", "agglomerative", "gaussian_mixture"] | None = field(
        default=None,
        metadata={
            "help": "How tiles are clustered: kmeans (the default), agglomerative or gaussian_mixture.",
            "metavar": "NAME",
        },
    )
    clusters: Annotated[int, Ge(1)] | None = field(
        default=None, metadata={"help": "Number of clusters; 3 by default.", "metavar": "N"}
    )
    linkage: Literal["complete", "average", "single", "ward"] | None = field(
        default=None,
        metadata={"help": "Linkage of agglomerative clusters: complete, average, single or ward.", "metavar": "NAME"},
    )
    metric: Literal["euclidean", "cosine"] | None = field(
        default=None, metadata={"help": "Distance between tiles: euclidean or cosine.", "metavar": "NAME"}
    )
    network: bool = field(
        default=False,
        metadata={
            "help": "Also use the particle network: tiles with particles are targets. Takes a few seconds per image."
        },
    )
    target: Annotated[int, Ge(1)] | None = field(
        default=None, metadata={"help": "The cluster that is crystal, instead of the automatic choice.", "metavar": "N"}
    )
    like: list[str] | None = field(
        default=None,
        metadata={"help": "A tile that is crystal, as image:row,col; may be repeated.", "metavar": "TILE"},
    )
    unlike: list[str] | None = field(
        default=None,
        metadata={"help": "A tile that is not crystal, as image:row,col; may be repeated.", "metavar": "TILE"},
    )
    knowledge: str | None = field(default=None, metadata={"help": "Labels saved from another grid.", "metavar": "FILE"})
    save_knowledge: str | None = field(
        default=None, metadata={"help": "Where to save the labels given by `like` and `unlike`.", "metavar": "FILE"}
    )
    keep_black: bool = field(
        default=False, metadata={"help": "Keep black tiles (grid bars, apertures) instead of leaving them out."}
    )
    pixel_size: str | None = field(
        default=None,
        metadata={"help": "Pixel size, e.g. 5nm: used instead of the one in the files.", "metavar": "LENGTH"},
    )
    trust: Trust | None = field(
        default=None,
        metadata={"help": "Pixel size to use where the file and the printed scale bar disagree: metadata or bar."},
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "Random seed: the same seed gives the same clusters."}
    )

    def __post_init__(self) -> None:
        if self.grid is not None and (self.tile is not None or self.sliding):
            raise UsageError("`grid` cannot be combined with `tile` or `sliding=True`: leave one out.")
        if self.step is not None and not self.sliding:
            raise UsageError("`step` needs `sliding=True`: add it, or leave the step out.")
        if self.save_knowledge is not None and not (self.like or self.unlike or self.knowledge):
            raise UsageError("`save_knowledge` saves labels of examples: give some with `like` and `unlike`.")
        for length in (self.tile, self.step):
            if length is not None:
                parse_length(length)
        if self.pixel_size is not None:
            parse_length(self.pixel_size, px_allowed=False)
        _parse_grid(self.grid)
        for name in self.recipe.statistics:
            if name not in STATISTICS and name not in ENCODER_STATISTICS:
                raise UsageError(f"There is no statistic '{name}'; choose from {', '.join(STATISTICS)}, {ENCODER}.")
        check_linkage(self.recipe.linkage, self.recipe.metric)

    @property
    def recipe(self) -> Preset:
        """The preset with what was asked for otherwise."""
        asked: dict[str, Any] = {
            "statistics": None if self.statistics is None else _statistics_of(self.statistics),
            "reduction": self.reduce,
            "clusterer": self.clusterer,
            "n_clusters": self.clusters,
            "linkage": self.linkage,
            "metric": self.metric,
            "exclude_black": False if self.keep_black else None,
        }
        return replace(PRESETS[self.preset], **{name: value for name, value in asked.items() if value is not None})

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of tiles in an image."""
        return _parse_grid(self.grid) or PRESETS[self.preset].grid

    @property
    def pixel_size_nm(self) -> float | None:
        return None if self.pixel_size is None else parse_length(self.pixel_size, px_allowed=False)[0]


def _statistics_of(names: str) -> tuple[str, ...]:
    asked = [name.strip() for name in names.split(",")]
    return tuple(each for name in asked for each in (ENCODER_STATISTICS if name == ENCODER else (name,)))


def _parse_grid(grid: str | None) -> tuple[int, int] | None:
    if grid is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*[x×X]\s*(\d+)\s*", grid)
    if match is None:
        raise UsageError(f"'{grid}' is not a grid: give the number of rows and columns of tiles, such as 20x20.")
    return int(match[1]), int(match[2])
