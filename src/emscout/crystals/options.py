"""What a user may ask of the locator; the flags of the command and the form of the app are made from it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from emscout.crystals.choice.cluster import CLUSTERERS, LINKAGES, METRICS
from emscout.crystals.choice.presets import PRESETS, Preset
from emscout.crystals.tiles.network import ENCODER, ENCODER_STATISTICS
from emscout.crystals.tiles.statistics import STATISTICS
from emscout.errors import UsageError
from emscout.scale.calibrate import Trust
from emscout.units import parse_length

__all__ = ["LocateOptions"]


@dataclass(frozen=True)
class LocateOptions:
    """What shapes the result of `locate`; every field is a flag of the command too.

    What is ``None`` is decided by the preset.

    Raises
    ------
    UsageError
        When a length, a name or an address is not understood.
    """

    grid: str | None = field(
        default=None,
        metadata={"help": "Tiles of an image, down and across; 20x20 by default.", "metavar": "ROWSxCOLS"},
    )
    tile: str | None = field(
        default=None,
        metadata={"help": "Side of a tile instead, e.g. 500nm or 50px.", "metavar": "LENGTH"},
    )
    sliding: bool = field(
        default=False, metadata={"help": "Slide the tile over the image instead of cutting a grid: finer, and slower."}
    )
    step: str | None = field(
        default=None,
        metadata={
            "help": "How far a sliding tile moves, e.g. 4px; a quarter of its side by default.",
            "metavar": "LENGTH",
        },
    )
    preset: str = field(
        default="default",
        metadata={"help": f"A recipe for everything below: {' or '.join(PRESETS)}.", "metavar": "NAME"},
    )
    statistics: str | None = field(
        default=None,
        metadata={
            "help": f"What tiles are clustered by, with commas: {', '.join(STATISTICS)}; or {ENCODER}, "
            "the 128 features of the particle network's encoder.",
            "metavar": "NAMES",
        },
    )
    reduce: Literal["pca", "nmf", "none"] | None = field(
        default=None, metadata={"help": "How the statistics are reduced to fewer numbers."}
    )
    clusterer: str | None = field(
        default=None, metadata={"help": f"{', '.join(CLUSTERERS)}; kmeans by default.", "metavar": "NAME"}
    )
    clusters: int | None = field(default=None, metadata={"help": "Number of clusters; 3 by default.", "metavar": "N"})
    linkage: str | None = field(
        default=None, metadata={"help": f"Of the agglomerative tree: {', '.join(LINKAGES)}.", "metavar": "NAME"}
    )
    metric: str | None = field(default=None, metadata={"help": f"{' or '.join(METRICS)}.", "metavar": "NAME"})
    network: bool = field(
        default=False,
        metadata={"help": "Ask the particle network too: what it takes for particle is target. Some seconds an image."},
    )
    target: int | None = field(
        default=None, metadata={"help": "The cluster that is crystal, instead of the rule's choice.", "metavar": "N"}
    )
    like: list[str] | None = field(
        default=None,
        metadata={"help": "A tile that is crystal, as image:row,col; as often as wanted.", "metavar": "TILE"},
    )
    unlike: list[str] | None = field(
        default=None,
        metadata={"help": "A tile that is no crystal, as image:row,col; as often as wanted.", "metavar": "TILE"},
    )
    knowledge: str | None = field(
        default=None, metadata={"help": "What was learned on another grid: a saved file.", "metavar": "FILE"}
    )
    save_knowledge: str | None = field(
        default=None, metadata={"help": "Where to save what is learned from `like` and `unlike`.", "metavar": "FILE"}
    )
    keep_black: bool = field(
        default=False, metadata={"help": "Keep black tiles (grid bars, apertures) instead of leaving them out."}
    )
    pixel_size: str | None = field(
        default=None,
        metadata={"help": "Edge of a pixel, e.g. 5nm: used instead of what the files say.", "metavar": "LENGTH"},
    )
    trust: Trust | None = field(
        default=None,
        metadata={"help": "Which pixel size to take where file and printed scale bar disagree: metadata or bar."},
    )
    seed: int = field(default=0, metadata={"help": "Of whatever is random: the same seed gives the same clusters."})

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"There is no preset '{self.preset}': choose {' or '.join(PRESETS)}.")
        if self.grid is not None and (self.tile is not None or self.sliding):
            raise UsageError(
                "`grid` cuts an image into tiles; `tile` and `sliding=True` do it otherwise: leave one out."
            )
        if self.step is not None and not self.sliding:
            raise UsageError("`step` belongs to `sliding=True`: add it, or leave the step out.")
        if self.seed < 0:
            raise UsageError("`seed` is a whole number, 0 or more.")
        if self.save_knowledge is not None and not (self.like or self.unlike or self.knowledge):
            raise UsageError("`save_knowledge` saves what examples teach: give some with `like` and `unlike`.")
        for length in (self.tile, self.step):
            if length is not None:
                parse_length(length)
        if self.trust not in (None, "metadata", "bar"):
            raise UsageError(f"`trust` is metadata or bar, not '{self.trust}'.")
        if self.pixel_size is not None:
            parse_length(self.pixel_size, px_allowed=False)
        _parse_grid(self.grid)
        for name in self.recipe.statistics:
            if name not in STATISTICS and name not in ENCODER_STATISTICS:
                raise UsageError(f"There is no statistic '{name}'; choose from {', '.join(STATISTICS)}, {ENCODER}.")

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
            "leave_out_black": False if self.keep_black else None,
        }
        return replace(PRESETS[self.preset], **{name: value for name, value in asked.items() if value is not None})

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of tiles an image."""
        return _parse_grid(self.grid) or PRESETS[self.preset].grid


def _statistics_of(names: str) -> tuple[str, ...]:
    asked = [name.strip() for name in names.split(",")]
    return tuple(each for name in asked for each in (ENCODER_STATISTICS if name == ENCODER else (name,)))


def _parse_grid(grid: str | None) -> tuple[int, int] | None:
    if grid is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*[x×X]\s*(\d+)\s*", grid)
    if match is None:
        raise UsageError(f"'{grid}' is no grid: give rows and columns of tiles, such as 20x20.")
    return int(match[1]), int(match[2])
