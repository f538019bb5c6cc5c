"""From overview images to a folder of targets: the function behind ``emscout locate``, and the steps it takes.

Whoever asks again of the same images (the app, at every click) keeps what `survey_set` gives and repeats `judge_set`
alone: no file is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.compute import Progress
from emscout.crystals import results
from emscout.crystals.choice.decide import Decision, decide, find_tile
from emscout.crystals.choice.propose import SCORE_STATISTICS
from emscout.crystals.choice.user_labels import Knowledge, load_knowledge
from emscout.crystals.navigation.stage import place_on_stage
from emscout.crystals.navigation.targets import merge_targets
from emscout.crystals.options import LocateOptions
from emscout.crystals.survey import Survey, survey_images
from emscout.crystals.tiles.grid import Lattice, cut_grid, cut_tiles
from emscout.crystals.tiles.network import PARTICLE_SHARE
from emscout.errors import ReadError
from emscout.io import find_images, read_series
from emscout.io.files import sha256_of
from emscout.io.run_folder import claim_folder, describe_run, list_sources
from emscout.micrograph import Micrograph, Report
from emscout.tables import to_physical
from emscout.units import parse_length, parse_length_px

__all__ = ["ImageSet", "LocateOptions", "check_folder", "gather_set", "judge_set", "locate", "save_set", "survey_set"]

_STEPS_PER_TILE = 4


@dataclass(frozen=True, eq=False)
class ImageSet:
    """What is searched, and what was known before.

    Parameters
    ----------
    paths : tuple of str
        As the user gave them.
    sources : tuple of dict
        ``image``, ``path`` and ``frame`` of each image.
    knowledge : Knowledge or None
        What was learned on another set.
    knowledge_sha256 : str or None
        Of the file it was in.
    """

    paths: tuple[str, ...]
    sources: tuple[dict[str, Any], ...]
    knowledge: Knowledge | None
    knowledge_sha256: str | None


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
    images = gather_set(paths, options)
    check_folder(out, images, options, overwrite=overwrite)
    survey = survey_set(images, options, progress=progress)
    decision, targets = judge_set(images, survey, options)
    return save_set(out, images, survey, decision, targets, options, overwrite=overwrite, progress=progress)


def gather_set(paths: Sequence[str | Path], options: LocateOptions) -> ImageSet:
    """Find the images and read what was learned before; `locate` says what is raised."""
    knowledge, sha256 = None, None
    if options.knowledge is not None:
        knowledge, sha256 = load_knowledge(Path(options.knowledge)), sha256_of(Path(options.knowledge))
    sources = list_sources(find_images(paths), read_series)
    return ImageSet(tuple(str(path) for path in paths), tuple(sources), knowledge, sha256)


def check_folder(out: Path, images: ImageSet, options: LocateOptions, *, overwrite: bool) -> None:
    """Make sure that the results may go to ``out``, before any work is done.

    Raises
    ------
    OutputError
        When it holds other results and ``overwrite`` is not set.
    """
    _claim(out, _describe(images, options), overwrite=overwrite, only_look=True)


def survey_set(images: ImageSet, options: LocateOptions, *, progress: Progress | None = None) -> Survey:
    """Read every image once and take the statistics of its tiles.

    These depend on how images are cut and which statistics are asked for, not on the number of clusters, on examples
    or on what is known.

    Raises
    ------
    ReadError
        When no image can be read.
    UsageError
        When a tile would be too small.
    """
    recipe = options.recipe
    asked = (PARTICLE_SHARE,) if options.network else ()
    names = tuple(dict.fromkeys((*recipe.statistics, *SCORE_STATISTICS, *asked)))
    survey = survey_images(
        images.sources,
        lambda source: _open(source, options),
        _layer(options),
        names,
        even=recipe.flatten,
        leave_out_black=recipe.leave_out_black,
        trust=options.trust,
        progress=progress,
    )
    if survey.tiles.empty:
        raise ReadError(f"No image of this set can be read. {survey.images[0]['error']}")
    return survey


def judge_set(images: ImageSet, survey: Survey, options: LocateOptions) -> tuple[Decision, pd.DataFrame]:
    """Say what is crystal, from what is known of the tiles.

    Parameters
    ----------
    images : ImageSet
    survey : Survey
        From `survey_set`, with the same cut and statistics.
    options : LocateOptions
        Whose clusters, target and examples count.

    Returns
    -------
    decision : Decision
        Its table of tiles has ``target_rank`` too.
    targets : DataFrame
        See `emscout.crystals.navigation.targets.merge_targets`; in nm where calibrated, and on the stage where that is
        known.
    """
    decision = decide(
        survey.tiles,
        survey.looks,
        options.recipe,
        target=options.target,
        like=[find_tile(address, survey.tiles) for address in options.like or ()],
        unlike=[find_tile(address, survey.tiles) for address in options.unlike or ()],
        knowledge=images.knowledge,
        seed=options.seed,
    )
    targets, ranks = merge_targets(decision.tiles, survey.lattices, survey.black)
    ranked = decision.tiles.assign(target_rank=pd.Series(ranks, dtype="Int64").where(ranks > 0))
    return replace(decision, tiles=ranked), _to_physical(targets, survey)


def save_set(
    out: Path,
    images: ImageSet,
    survey: Survey,
    decision: Decision,
    targets: pd.DataFrame,
    options: LocateOptions,
    *,
    overwrite: bool,
    progress: Progress | None = None,
) -> Report:
    """Write tables, pictures and the report of what `judge_set` said to ``out``.

    Raises
    ------
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.
    """
    run = _describe(images, options)
    _claim(out, run, overwrite=overwrite)
    return results.save_run(
        out,
        survey,
        decision,
        targets,
        run,
        recipe=options.recipe,
        options=options,
        paths=images.paths,
        progress=progress,
    )


def _describe(images: ImageSet, options: LocateOptions) -> dict[str, Any]:
    return describe_run("locate", images.sources, asdict(options), knowledge_sha256=images.knowledge_sha256)


def _claim(out: Path, run: dict[str, Any], *, overwrite: bool, only_look: bool = False) -> None:
    claim_folder(out, run, results.FILES, results.FOLDERS, grows=False, overwrite=overwrite, only_look=only_look)


def _open(source: dict[str, Any], options: LocateOptions) -> Micrograph:
    nm = None if options.pixel_size is None else parse_length(options.pixel_size, px_allowed=False)[0]
    return read_series(source["path"], pixel_size_nm=nm)[source["frame"] or 0]


def _layer(options: LocateOptions) -> Callable[[Micrograph], Lattice]:
    """What lays the windows of a micrograph."""
    n_rows, n_cols = options.grid_shape

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
