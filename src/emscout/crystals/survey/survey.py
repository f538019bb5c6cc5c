"""Survey a set of images: find what is black, correct the illumination, and take statistics of all tiles.

Each image is processed on its own in three steps. After each step the set as a whole gives what the next one needs: the
brightness of film, then the grey levels and the contrast of all images.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from emscout.compute import Progress, map_tasks
from emscout.crystals.navigation.stage import stage_position_um
from emscout.crystals.survey.images import Images, ImageSource, Task
from emscout.crystals.survey.steps import (
    Header,
    Opening,
    SmallImage,
    inspect_image,
    measure_tiles,
    summarise_image,
)
from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.histogram import N_LEVELS
from emscout.crystals.tiles.statistics import Levels
from emscout.crystals.tiles.tile_features import FEATURES, measure_contrast
from emscout.errors import ModelError, ReadError, UsageError, user_message
from emscout.micrograph import Micrograph, Notice
from emscout.scale import NoScale, ScaleReading, calibrate, read_scale
from emscout.scale.calibrate import Trust

__all__ = ["Survey", "survey_images"]

# An image dimmer than this share of the brightest shows only a bar, and says nothing about the brightness of film.
_DIM = 0.25
# Sides of the pictures that are kept for drawing; smaller for many images, because all of them stay in memory.
_PICTURE_SIDE_PX, _SMALL_SIDE_PX, _FEW_IMAGES = 1024, 512, 24
_N_STEPS = 3

_LOG = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass
class Survey:
    """What is known of a set of images before anything is decided.

    Parameters
    ----------
    images : list of dict
        A row per image: ``image``, where it is in a file ``path``, ``frame`` and ``sha256``, then ``height_px``,
        ``width_px``, ``nm_per_px``, ``calibration_source``, ``calibration_note``, ``stage_x_um``, ``stage_y_um``,
        ``status`` (``ok`` or ``failed``) and ``error``.
    tiles : DataFrame
        ``image``, ``row``, ``col``, ``top_px``, ``left_px``, ``height_px``, ``width_px``, ``black_share``, ``black``
        (bool) and a column per statistic; the tiles of an image in rows from its upper left.
    features : ndarray of float32, shape (n_tiles, n_features)
        See `emscout.crystals.tiles.tile_features`.
    lattices, bar_edges, pictures : dict
        By image name: its windows; the pixels at the edge of its bars, see
        `emscout.crystals.navigation.targets.edge_pixels`; the reduced image.
    warnings : list of Notice
        About the pixel sizes.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    tiles: pd.DataFrame = field(default_factory=pd.DataFrame)
    features: np.ndarray = field(default_factory=lambda: np.empty((0, len(FEATURES)), np.float32))
    lattices: dict[str, Lattice] = field(default_factory=dict)
    bar_edges: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, SmallImage] = field(default_factory=dict)
    warnings: list[Notice] = field(default_factory=list)


@dataclass(frozen=True)
class _Failure:
    """Result of a step that failed."""

    error: str


def survey_images(
    sources: Sequence[ImageSource],
    cut: Callable[[tuple[int, int], float | None, str], Lattice],
    statistics: Sequence[str],
    *,
    correct: bool = True,
    exclude_black: bool = True,
    trust: Trust | None = None,
    pixel_size_nm: float | None = None,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> Survey:
    """Take the statistics of all tiles of all images on one grey scale.

    Parameters
    ----------
    sources : sequence of ImageSource
    cut : callable
        ``cut(shape, nm_per_px, place)`` gives the windows of an image; ``place`` is what a message calls the image.
    statistics : sequence of str
        Names of `emscout.crystals.tiles.statistics.STATISTICS`, and columns of `emscout.crystals.tiles.network`.
    correct : bool
        Correct the illumination and bring all images to one brightness; otherwise grey values stay as recorded.
    exclude_black : bool
        Mark tiles that are partly black, and measure nothing under a banner, a scale bar or its label.
    trust : {'metadata', 'bar'} or None
        Which pixel size to take where the file and the printed scale bar disagree.
    pixel_size_nm : float or None
        Pixel size in nm, which overrides both.
    workers : int or None
        Number of processes, as for `emscout.compute.map_tasks`.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Survey
        An image that cannot be read, or cannot be cut into such tiles, has ``status`` failed and no tiles.

    Raises
    ------
    UsageError
        When tiles fit no image, or a statistic is unknown.
    ReadError
        When no image can be read.
    ModelError
        When a statistic needs a network that cannot be loaded.
    """
    survey, images = Survey(), Images(correct, exclude_black)

    def run(step: int, work: Callable[[Any], Result], tasks: Sequence[Any]) -> list[Result | _Failure]:
        def show(done: int, total: int, name: str) -> None:
            if progress is not None:
                progress(step * len(sources) + done, _N_STEPS * len(sources), name)

        return map_tasks(
            partial(_attempt, work=work),
            tasks,
            workers=workers,
            name=lambda task: task.source.name,
            on_crash=_crashed,
            progress=show,
        )

    first = {source.stack: source.name for source in reversed(sources)}
    openings = [Opening(source, first[source.stack] == source.name) for source in sources]
    headers = run(0, partial(inspect_image, images=images), openings)
    tasks = _register(survey, sources, headers, images, cut, trust, pixel_size_nm)

    side_px = _PICTURE_SIDE_PX if len(tasks) <= _FEW_IMAGES else _SMALL_SIDE_PX
    work = partial(summarise_image, images=images, side_px=side_px, n_images=len(tasks))
    tasks, summaries = _keep_done(survey, tasks, run(1, work, tasks))
    for task, summary in zip(tasks, summaries, strict=True):
        survey.pictures[task.source.name] = summary.picture
        survey.bar_edges[task.source.name] = summary.bar_edge

    levels = _common_levels([summary.levels for summary in summaries if summary.levels is not None])
    contrast = measure_contrast([summary.sample for summary in summaries])
    measure = partial(measure_tiles, images=images, statistics=tuple(statistics), levels=levels, contrast=contrast)
    tasks, measured = _keep_done(survey, tasks, run(2, measure, tasks))
    survey.tiles = pd.concat([table for table, _ in measured], ignore_index=True)
    survey.features = np.concatenate([features for _, features in measured])
    return survey


def _attempt(task: Opening | Task, *, work: Callable[[Any], Result]) -> Result | _Failure:
    """One step of one image; an image that cannot be processed does not end the survey."""
    try:
        return work(task)
    except (UsageError, ModelError):
        raise
    except Exception as error:
        _LOG.debug("while surveying %s", task.source.place, exc_info=True)
        return _Failure(user_message(error, f"'{task.source.place}'"))


def _crashed(task: Opening | Task) -> _Failure:
    return _Failure(
        f"'{task.source.place}' ended its process, most likely because it ran out of memory: try `workers=1`."
    )


def _keep_done(
    survey: Survey, tasks: Sequence[Task], results: Sequence[Result | _Failure]
) -> tuple[list[Task], list[Result]]:
    """The tasks that have a result, and their results; the others become failed images.

    Raises
    ------
    ReadError
        When none has a result.
    """
    errors = {
        task.source.name: result.error
        for task, result in zip(tasks, results, strict=True)
        if isinstance(result, _Failure)
    }
    for row in survey.images:
        if row["image"] in errors:
            row |= {"status": "failed", "error": errors[row["image"]]}
    for name in errors:
        for kept in (survey.lattices, survey.bar_edges, survey.pictures):
            kept.pop(name, None)
    if len(errors) == len(tasks):
        raise ReadError(f"No image of this set can be read. {survey.images[0]['error']}")
    done = [task for task in tasks if task.source.name not in errors]
    return done, [result for result in results if not isinstance(result, _Failure)]


def _register(
    survey: Survey,
    sources: Sequence[ImageSource],
    headers: Sequence[Header | _Failure],
    images: Images,
    cut: Callable[[tuple[int, int], float | None, str], Lattice],
    trust: Trust | None,
    pixel_size_nm: float | None,
) -> list[Task]:
    """Fill in the rows and windows of all images; the tasks of those that have tiles."""
    fitting: list[tuple[ImageSource, Header, ScaleReading | NoScale]] = []
    unfit: list[UsageError] = []
    scales: dict[str, ScaleReading | NoScale] = {}
    bright: dict[np.dtype, list[float]] = {}
    for source, header in zip(sources, headers, strict=True):
        row: dict[str, Any] = {"image": source.name, **(source.file or {})}
        survey.images.append(row)
        if isinstance(header, _Failure):
            row |= {"status": "failed", "error": header.error}
            continue
        micrograph = header.micrograph
        if micrograph.scale is None:
            if source.stack not in scales:  # the frames before it cannot be read
                scales[source.stack] = read_scale(images.open(source))
            micrograph = replace(micrograph, scale=scales[source.stack], recorded=micrograph.calibration)
        scales.setdefault(source.stack, micrograph.scale)
        if not header.is_calibrated or trust is not None or pixel_size_nm is not None:
            micrograph = calibrate(micrograph, trust=trust, pixel_size_nm=pixel_size_nm)
        row |= ({"sha256": header.sha256} if source.file else {}) | _describe(header, micrograph)
        try:
            lattice = cut(header.shape, micrograph.nm_per_px, source.place)
        except UsageError as error:
            unfit.append(error)
            sentence = str(error) if source.place in str(error) else f"'{source.place}': {error}"
            row |= {"status": "failed", "error": sentence}
            continue
        survey.lattices[source.name] = lattice
        survey.warnings += [replace(notice, image=source.name) for notice in micrograph.warnings]
        bright.setdefault(header.dtype, []).append(header.bright)
        fitting.append((source, header, micrograph.scale))
    if not fitting:
        raise unfit[0] if unfit else ReadError(f"No image of this set can be read. {survey.images[0]['error']}")
    levels = {dtype: _film_level(values) for dtype, values in bright.items()}
    return [
        Task(source, scale, survey.lattices[source.name], levels[header.dtype]) for source, header, scale in fitting
    ]


def _describe(header: Header, micrograph: Micrograph) -> dict[str, Any]:
    """Columns of the table of images."""
    calibration = micrograph.calibration
    stage_um = stage_position_um(micrograph.metadata) or (None, None)
    return {
        "height_px": header.shape[0],
        "width_px": header.shape[1],
        "nm_per_px": micrograph.nm_per_px,
        "calibration_source": calibration.source if calibration else None,
        "calibration_note": next((n.sentence for n in micrograph.warnings if n.code == "pixel-size"), ""),
        "stage_x_um": stage_um[0],
        "stage_y_um": stage_um[1],
        "status": "ok",
        "error": "",
    }


def _film_level(levels: Sequence[float]) -> float:
    """Brightness of film in the images of one dtype; an image that shows only a bar is dark beside it."""
    known = np.array(levels)
    return float(np.median(known[known >= _DIM * known.max()]))


def _common_levels(levels: Sequence[Levels]) -> Levels:
    """Grey levels for all images."""
    if not levels:
        return Levels(0, 1)
    if len(set(levels)) == 1:
        return levels[0]
    low = min(one.lowest for one in levels)
    high = max(one.lowest + (N_LEVELS - 1) * one.step for one in levels)
    return Levels(low, (high - low) / (N_LEVELS - 1))
