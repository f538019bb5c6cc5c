"""From overview images to a folder of targets: the function behind ``emscout locate``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from emscout.compute import Progress
from emscout.crystals import results
from emscout.crystals.cluster import CLUSTERERS, LINKAGES, METRICS
from emscout.crystals.decide import decide, find_tile
from emscout.crystals.grid import Lattice, cut_grid, cut_tiles
from emscout.crystals.knowledge import load_knowledge
from emscout.crystals.network import ENCODER, ENCODER_STATISTICS, PARTICLE_SHARE
from emscout.crystals.presets import PRESETS, Preset
from emscout.crystals.propose import SCORE_STATISTICS
from emscout.crystals.stage import place_on_stage
from emscout.crystals.statistics import STATISTICS
from emscout.crystals.survey import Survey, survey_images
from emscout.crystals.targets import merge_targets
from emscout.errors import ReadError, UsageError
from emscout.io import find_images, read_series
from emscout.io.files import sha256_of
from emscout.io.run_folder import claim_folder, describe_run, list_sources
from emscout.micrograph import Micrograph, Report
from emscout.tables import to_physical
from emscout.units import parse_length, parse_length_px

__all__ = ["LocateOptions", "locate"]

_STEPS_PER_TILE = 4


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
        default=None, metadata={"help": "Where to save what is learned from --like and --unlike.", "metavar": "FILE"}
    )
    keep_black: bool = field(
        default=False, metadata={"help": "Keep black tiles (grid bars, apertures) instead of leaving them out."}
    )
    pixel_size: str | None = field(
        default=None,
        metadata={"help": "Edge of a pixel, e.g. 5nm: used instead of what the files say.", "metavar": "LENGTH"},
    )
    seed: int = field(default=0, metadata={"help": "Of whatever is random: the same seed gives the same clusters."})

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"There is no preset '{self.preset}': choose {' or '.join(PRESETS)}.")
        if self.grid is not None and (self.tile is not None or self.sliding):
            raise UsageError("--grid cuts an image into tiles; --tile and --sliding do it otherwise: leave one out.")
        if self.step is not None and not self.sliding:
            raise UsageError("--step belongs to --sliding: add it, or leave the step out.")
        if self.seed < 0:
            raise UsageError("--seed is a whole number, 0 or more.")
        if self.save_knowledge is not None and not (self.like or self.unlike or self.knowledge):
            raise UsageError("--save-knowledge saves what examples teach: give some with --like and --unlike.")
        for length in (self.tile, self.step):
            if length is not None:
                parse_length(length)
        if self.pixel_size is not None:
            parse_length(self.pixel_size, px_allowed=False)
        _grid_of(self)
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


def _statistics_of(names: str) -> tuple[str, ...]:
    asked = [name.strip() for name in names.split(",")]
    return tuple(each for name in asked for each in (ENCODER_STATISTICS if name == ENCODER else (name,)))


def _grid_of(options: LocateOptions) -> tuple[int, int]:
    if options.grid is None:
        return PRESETS[options.preset].grid
    match = re.fullmatch(r"\s*(\d+)\s*[x×X]\s*(\d+)\s*", options.grid)
    if match is None:
        raise UsageError(f"'{options.grid}' is no grid: give rows and columns of tiles, such as 20x20.")
    return int(match[1]), int(match[2])


def locate(
    paths: Sequence[str | Path],
    out: str | Path,
    options: LocateOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Find the crystals on a set of overview images, which are judged together.

    Parameters
    ----------
    paths : sequence of str or Path
        Files, folders and glob patterns; each frame of a stack is an image.
    out : str or Path
        Folder for the results.
    options : LocateOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from other images.
    progress : callable or None
        Called as ``progress(done, total, what)``.

    Returns
    -------
    Report
        Tables ``targets``, ``tiles``, ``images``, ``clusters`` and ``advice``. An image that cannot be read has its
        sentence in ``images.error``; it does not end the run.

    Raises
    ------
    UsageError
        When there is no image to work on, or options do not fit the set.
    NothingToFindError
        When every tile is black.
    ReadError
        When no image can be read, or the knowledge file.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.
    """
    options, out = options or LocateOptions(), Path(out)
    recipe = options.recipe
    before = None if options.knowledge is None else load_knowledge(Path(options.knowledge))
    sources = list_sources(find_images(paths), read_series)
    knowledge_sha256 = None if options.knowledge is None else sha256_of(Path(options.knowledge))
    run = describe_run("locate", sources, asdict(options), knowledge_sha256=knowledge_sha256)
    claim = partial(claim_folder, out, run, results.FILES, results.FOLDERS, grows=False, overwrite=overwrite)
    claim(only_look=True)
    asked = (PARTICLE_SHARE,) if options.network else ()
    names = tuple(dict.fromkeys((*recipe.statistics, *SCORE_STATISTICS, "mean", *asked)))
    survey = survey_images(
        sources,
        lambda source: _open(source, options),
        _layer(options),
        names,
        even=recipe.flatten,
        leave_out_black=recipe.leave_out_black,
        progress=progress,
    )
    if survey.tiles.empty:
        raise ReadError(f"No image of this set can be read. {survey.images[0]['error']}")
    decision = decide(
        survey.tiles,
        survey.looks,
        recipe,
        target=options.target,
        like=[find_tile(address, survey.tiles) for address in options.like or ()],
        unlike=[find_tile(address, survey.tiles) for address in options.unlike or ()],
        knowledge=before,
        seed=options.seed,
    )
    targets, ranks = merge_targets(decision.tiles, survey.lattices, survey.black)
    targets = _to_physical(targets, survey)
    ranked = decision.tiles.assign(target_rank=pd.Series(ranks, dtype="Int64").where(ranks > 0))
    claim()
    return results.save_run(
        out,
        survey,
        replace(decision, tiles=ranked),
        targets,
        run,
        recipe=recipe,
        options=options,
        paths=[str(path) for path in paths],
        progress=progress,
    )


def _open(source: dict[str, Any], options: LocateOptions) -> Micrograph:
    nm = None if options.pixel_size is None else parse_length(options.pixel_size, px_allowed=False)[0]
    return read_series(source["path"], pixel_size_nm=nm)[source["frame"] or 0]


def _layer(options: LocateOptions) -> Callable[[Micrograph], Lattice]:
    """What lays the windows of a micrograph."""
    n_rows, n_cols = _grid_of(options)

    def to_px(length: str, micrograph: Micrograph) -> float:
        return parse_length_px(length, micrograph.nm_per_px, str(micrograph.path))

    def lay(micrograph: Micrograph) -> Lattice:
        shape = micrograph.image.shape
        if options.tile is None and not options.sliding:
            return cut_grid(shape, n_rows, n_cols)
        side_px = min(shape) / n_rows if options.tile is None else to_px(options.tile, micrograph)
        if not options.sliding:
            return cut_tiles(shape, side_px)
        step_px = max(1, side_px // _STEPS_PER_TILE) if options.step is None else to_px(options.step, micrograph)
        return cut_tiles(shape, side_px, step_px)

    return lay


def _to_physical(targets: pd.DataFrame, survey: Survey) -> pd.DataFrame:
    """Add lengths in nm where an image is calibrated, and stage positions where its file has one."""
    rows = {row["image"]: row for row in survey.images}
    parts = []
    for image, part in targets.groupby("image", sort=False):
        row = rows[str(image)]
        part = to_physical(part, row["nm_per_px"])
        if row["nm_per_px"] is not None and row["stage_x_um"] is not None:
            shape, stage_um = (row["height_px"], row["width_px"]), (row["stage_x_um"], row["stage_y_um"])
            centre = part["row_px"].to_numpy(), part["col_px"].to_numpy()
            part["stage_x_um"], part["stage_y_um"] = place_on_stage(*centre, shape, row["nm_per_px"], stage_um)
        parts.append(part)
    if not parts:
        return targets
    # An uncalibrated image has no columns in nm: the widest part says their order.
    columns = max((list(part.columns) for part in parts), key=len)
    return pd.concat(parts).sort_values("rank").reset_index(drop=True).reindex(columns=columns)
