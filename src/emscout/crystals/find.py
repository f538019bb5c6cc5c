"""Where are the crystals on this grid? A set of images in memory: survey, decide, merge targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.compute import Progress
from emscout.crystals.choice.decide import Decision, decide, find_tile, is_distinct
from emscout.crystals.choice.propose import SCORE_STATISTICS
from emscout.crystals.choice.user_labels import UserLabels, load_user_labels, save_user_labels
from emscout.crystals.navigation.stage import place_on_stage
from emscout.crystals.navigation.targets import merge_targets
from emscout.crystals.options import CrystalOptions
from emscout.crystals.survey import ImageSource, Survey, survey_images
from emscout.crystals.tiles.grid import Lattice, cut_grid, cut_tiles
from emscout.crystals.tiles.network import PARTICLE_SHARE
from emscout.errors import UsageError
from emscout.io.files import image_names
from emscout.micrograph import Micrograph, Notice, spell_notices
from emscout.tables import to_physical
from emscout.units import parse_length_px

__all__ = ["CrystalResult", "Tile", "find_crystals", "group_notices", "judge", "survey_sources"]

Tile = str | tuple[str, int, int]
"""A tile: ``"image:row,col"`` or ``(image, row, col)``."""

_STEPS_PER_TILE = 4
_MOST_STATISTICS = 5


@dataclass(frozen=True, eq=False)
class CrystalResult:
    """What `find_crystals` found on a set of images.

    Parameters
    ----------
    tiles : DataFrame
        One row per tile: the columns of ``tiles.csv``.
    targets : DataFrame
        One row per target, the best first: the columns of ``targets.csv``.
    clusters : DataFrame
        One row per cluster: the columns of ``clusters.csv``.
    images : DataFrame
        One row per image: the columns of ``images.csv``; ``path``, ``frame`` and ``sha256`` only for images in files.
    how : str
        What decided the targets, in a sentence.
    question : str
        Address of the most uncertain tile, whose label would help most; empty when every tile is labelled.
    warnings : tuple of Notice
    options : CrystalOptions
        All options, with the labels of the user.
    survey : Survey
        What was measured; it does not depend on labels, target or number of clusters.
    decision : Decision
        The proposed cluster, the points that were clustered, and all labels.
    earlier : UserLabels or None
        Labels from another set.
    """

    tiles: pd.DataFrame
    targets: pd.DataFrame
    clusters: pd.DataFrame
    images: pd.DataFrame
    how: str
    question: str
    warnings: tuple[Notice, ...]
    options: CrystalOptions
    survey: Survey = field(repr=False)
    decision: Decision = field(repr=False)
    earlier: UserLabels | None = field(default=None, repr=False)

    def teach(self, crystal: Iterable[Tile] = (), not_crystal: Iterable[Tile] = ()) -> CrystalResult:
        """Label tiles and decide again, without another survey.

        Parameters
        ----------
        crystal, not_crystal : iterable of Tile
            ``"image:row,col"`` or ``(image, row, col)``, with row and column of the tile counted from 0. A new label
            of a tile replaces an earlier one.

        Returns
        -------
        CrystalResult
            With the labels in ``options.like`` and ``options.unlike``. Labels decide where `CrystalOptions` named a
            cluster as ``target``.

        Raises
        ------
        UsageError
            When there is no such tile, a tile is black, or it is given both labels.
        """
        like, unlike = [_address(tile) for tile in crystal], [_address(tile) for tile in not_crystal]
        new = {*like, *unlike}
        like = [*(tile for tile in self.options.like or () if tile not in new), *like]
        unlike = [*(tile for tile in self.options.unlike or () if tile not in new), *unlike]
        options = replace(self.options, like=like or None, unlike=unlike or None, target=None)
        return judge(self.survey, options, self.earlier)

    def save_labels(self, path: str | Path) -> None:
        """Save all labels as a file that ``knowledge`` of `CrystalOptions` reads on the next grid.

        Raises
        ------
        UsageError
            When nothing is labelled.
        OutputError
            When the file cannot be written.
        """
        if self.decision.labels is None:
            raise UsageError("Nothing is labelled yet: label some tiles with `teach` first.")
        save_user_labels(self.decision.labels, Path(path))


def find_crystals(
    micrographs: Micrograph | Sequence[Micrograph],
    options: CrystalOptions | None = None,
    *,
    progress: Progress | None = None,
    **fields: Any,
) -> CrystalResult:
    """Find the crystals on a set of overview images, which are evaluated together.

    Parameters
    ----------
    micrographs : Micrograph or sequence of Micrograph
        Their printed scale is read, unless `emscout.calibrate` has done so.
    options : CrystalOptions, optional
        Or give its fields by name: ``find_crystals(micrographs, grid="30x30")``.
    progress : callable or None
        Called as ``progress(done, total, name)``.
    **fields
        Fields of `CrystalOptions`.

    Returns
    -------
    CrystalResult
        The same tables as `emscout.locate` gives for the files. An image that cannot be cut into such tiles has its
        sentence in ``images.error``; a set without targets has a warning ``empty``.

    Raises
    ------
    UsageError
        When there is no image, an option is invalid, or options do not fit the set.
    NothingToFindError
        When every tile is black.
    ReadError
        When the file with labels cannot be read.
    ModelError
        When the network cannot be loaded.

    Examples
    --------
    >>> import emscout as em
    >>> from emscout.synthetic.overview import make_overview
    >>> overview = make_overview((1, 2), (200, 200), n_crystals=5, seed=1)
    >>> found = em.find_crystals(list(overview.images.values()), grid="10x10")
    >>> len(found.targets) > 0
    True
    >>> taught = found.teach(not_crystal=[found.question])
    >>> taught.options.unlike == [found.question]
    True
    """
    if options is not None and fields:
        raise UsageError("Give either `options` or its fields by name, not both.")
    options = options or CrystalOptions(**fields)
    if options.save_knowledge is not None:
        raise UsageError("`save_knowledge` belongs to `locate`: save the labels of the result with `save_labels`.")
    images = [micrographs] if isinstance(micrographs, Micrograph) else list(micrographs)
    if not images:
        raise UsageError("There is no image to search: give at least one micrograph.")
    earlier = None if options.knowledge is None else load_user_labels(Path(options.knowledge))
    survey = survey_sources(_sources_of(images), options, progress=progress)
    return judge(survey, options, earlier)


def survey_sources(
    sources: Sequence[ImageSource],
    options: CrystalOptions,
    *,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> Survey:
    """Take the statistics that the options ask for; see `emscout.crystals.survey.survey_images`."""
    recipe = options.recipe
    network = (PARTICLE_SHARE,) if options.network else ()
    return survey_images(
        sources,
        partial(_cut, options=options),
        tuple(dict.fromkeys((*recipe.statistics, *SCORE_STATISTICS, *network))),
        correct=recipe.correct_illumination,
        exclude_black=recipe.exclude_black,
        trust=options.trust,
        pixel_size_nm=options.pixel_size_nm,
        workers=workers,
        progress=progress,
    )


def judge(survey: Survey, options: CrystalOptions, earlier: UserLabels | None = None) -> CrystalResult:
    """Decide what is crystal, from what was surveyed.

    Parameters
    ----------
    survey : Survey
        Made with the same tiles and statistics.
    options : CrystalOptions
        Whose clusters, target and labels count.
    earlier : UserLabels, optional
        Labels from another set.
    """
    decision = decide(
        survey.tiles,
        survey.features,
        options.recipe,
        target=options.target,
        like=[find_tile(address, survey.tiles) for address in options.like or ()],
        unlike=[find_tile(address, survey.tiles) for address in options.unlike or ()],
        labels=earlier,
        seed=options.seed,
    )
    targets, ranks = merge_targets(decision.tiles, survey.lattices, survey.bar_edges)
    tiles = decision.tiles.assign(target_rank=pd.Series(ranks, dtype="Int64").where(ranks > 0))
    warnings = (*survey.warnings, *_notices(tiles, targets, options))
    question = ""
    if decision.question is not None:
        question = _address(tuple(tiles.iloc[decision.question][["image", "row", "col"]]))
    return CrystalResult(
        tiles=tiles,
        targets=_to_physical(targets, survey),
        clusters=_describe_clusters(decision, options.recipe.statistics[:_MOST_STATISTICS]),
        images=_describe_images(survey, tiles, targets, warnings),
        how=_explain(decision, options),
        question=question,
        warnings=warnings,
        options=options,
        survey=survey,
        decision=replace(decision, tiles=tiles),
        earlier=earlier,
    )


def group_notices(notices: Iterable[Notice]) -> list[tuple[str, Notice]]:
    """Notices that say the same once, each with the images it is about: a name, their number, or nothing."""
    images: dict[Notice, list[str]] = {}
    for notice in notices:
        images.setdefault(replace(notice, image=""), []).append(notice.image)
    return [(names[0] if len(names) == 1 else f"{len(names)} images", notice) for notice, names in images.items()]


def _sources_of(micrographs: Sequence[Micrograph]) -> list[ImageSource]:
    """Micrographs by the names that their files would have; several of one file are frames of a stack."""
    paths = [one.path or Path(f"image_{number}") for number, one in enumerate(micrographs, start=1)]
    total, seen = Counter(paths), Counter[Path]()
    frames: list[int | None] = []
    for path in paths:
        frames.append(None if total[path] == 1 else seen[path])
        seen[path] += 1
    names = image_names(list(zip(paths, frames, strict=True)))
    return [
        ImageSource(name, partial(_itself, one), str(path))
        for name, one, path in zip(names, micrographs, paths, strict=True)
    ]


def _itself(micrograph: Micrograph) -> Micrograph:
    return micrograph


def _cut(shape: tuple[int, int], nm_per_px: float | None, place: str, *, options: CrystalOptions) -> Lattice:
    """The windows of an image."""
    n_rows, n_cols = options.grid_shape
    if options.tile is None and not options.sliding:
        return cut_grid(shape, n_rows, n_cols)
    side_px = min(shape) / n_rows if options.tile is None else parse_length_px(options.tile, nm_per_px, place)
    if not options.sliding:
        return cut_tiles(shape, side_px)
    if options.step is None:
        return cut_tiles(shape, side_px, max(1, side_px // _STEPS_PER_TILE))
    return cut_tiles(shape, side_px, parse_length_px(options.step, nm_per_px, place))


def _address(tile: Tile | tuple[Any, ...]) -> str:
    return tile if isinstance(tile, str) else f"{tile[0]}:{tile[1]},{tile[2]}"


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
    # An uncalibrated image has no columns in nm: the widest part gives their order.
    columns = max((list(part.columns) for part in parts), key=len)
    return pd.concat(parts).sort_values("rank").reset_index(drop=True).reindex(columns=columns)


def _describe_clusters(decision: Decision, statistics: Sequence[str]) -> pd.DataFrame:
    """One row per cluster: its tiles, its score, and means of statistics."""
    usable = decision.tiles[decision.tiles["cluster"].notna()]
    means = usable.groupby(usable["cluster"].astype(int))[list(statistics)].mean()
    scores = decision.proposal.scores[["cluster", "n_tiles", "share", "score"]]
    return scores.merge(means, left_on="cluster", right_index=True)


def _describe_images(
    survey: Survey, tiles: pd.DataFrame, targets: pd.DataFrame, warnings: Sequence[Notice]
) -> pd.DataFrame:
    """One row per image, with counts of its tiles and targets and with its warnings."""
    by_image = tiles.groupby("image")
    counts = pd.DataFrame(
        {
            "n_tiles": by_image.size(),
            "n_black": by_image["black"].sum(),
            "n_target_tiles": by_image["target"].sum(),
        }
    )
    counts["n_targets"] = targets["image"].value_counts().reindex(counts.index, fill_value=0)
    images = pd.DataFrame(survey.images)
    if "frame" in images:
        images["frame"] = images["frame"].astype("Int64")
    images = images.merge(counts.astype("Int64"), left_on="image", right_index=True, how="left")
    # A notice without an image is about the whole set.
    images["warnings"] = [
        spell_notices(notice for notice in warnings if notice.image in ("", name)) for name in images["image"]
    ]
    columns = [name for name in images.columns if name not in ("warnings", "status", "error")]
    return images[[*columns, "warnings", "status", "error"]]


def _notices(tiles: pd.DataFrame, targets: pd.DataFrame, options: CrystalOptions) -> list[Notice]:
    """What the user should know about the decision."""
    only_black = tiles.groupby("image", sort=False)["black"].all()
    notices = [
        Notice(
            "black",
            f"All tiles of {name} are black and were left out.",
            "If the black areas are specimen, set `keep_black=True`.",
            str(name),
        )
        for name in only_black.index[only_black]
    ]
    if targets.empty:
        notices.append(
            Notice(
                "empty",
                "No tile stands out as crystal: this may be empty film, or crystals may be much smaller than a tile.",
                "Look at the images; try smaller tiles (`grid`, `tile`), or label a crystal with `like`.",
            )
        )
    return notices


def _explain(decision: Decision, options: CrystalOptions) -> str:
    """What decided the targets."""
    n_labels = len(options.like or ()) + len(options.unlike or ())
    if options.target is not None:
        return f"Targets are the tiles of cluster {options.target}, as requested."
    if n_labels or options.knowledge:
        learned = [f"{n_labels} example{'s' * (n_labels != 1)}"] * bool(n_labels)
        learned += [f"the labels in {options.knowledge}"] * bool(options.knowledge)
        return f"Targets are the tiles that resemble crystals according to {' and '.join(learned)}."
    if decision.by_depth:
        return "Bars are in view, so targets are the tiles that contain something far darker than the film."
    proposed = decision.proposal.cluster
    if is_distinct(decision.tiles, decision.proposal):
        return f"Targets are the tiles of cluster {proposed}, which stands apart: rare, dark and rich in contrast."
    return f"Targets are the tiles that look like crystals; they resemble cluster {proposed} most."
