"""Survey a set of images: find what is black, correct the illumination, and take statistics of all tiles.

Each image is processed on its own in three steps. After each step the set as a whole gives what the next one needs: the
brightness of film, then the grey levels and the contrast of all images.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy import ndimage

from emscout.compute import Progress, map_tasks
from emscout.crystals.navigation.stage import stage_position_um
from emscout.crystals.navigation.targets import edge_pixels
from emscout.crystals.tiles.background import (
    black_share,
    bright_level,
    correct_illumination,
    find_grid_bars,
    find_stripes,
)
from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.histogram import N_LEVELS
from emscout.crystals.tiles.network import ENCODER_STATISTICS, PARTICLE_SHARE, encode_tiles, particle_share
from emscout.crystals.tiles.statistics import Levels, calculate_statistics, choose_levels
from emscout.crystals.tiles.tile_features import FEATURES, Contrast, measure_contrast, measure_features, sample_grey
from emscout.errors import ModelError, ReadError, UsageError, user_message
from emscout.io.files import sha256_of
from emscout.micrograph import Micrograph, Notice
from emscout.report.overlay import shrink_image, stretch_contrast
from emscout.scale import NoScale, ScaleReading, annotation_mask, calibrate, read_scale
from emscout.scale.calibrate import Trust

__all__ = ["POSITION", "ImageSource", "SmallImage", "Survey", "survey_images"]

POSITION = ("image", "row", "col", "top_px", "left_px", "height_px", "width_px", "black_share")
"""Columns of the table of tiles before the statistics."""

# The brightness falls off beside a bar more slowly than the mask of the bar says: a margin of this share of the image's
# longer side does not count, and a tile with more than this share of its pixels in bar and margin is left out.
_MARGIN, _BLACK_SHARE = 0.01, 0.25
# An image dimmer than this share of the brightest shows only a bar, and says nothing about the brightness of film.
_DIM = 0.25
# A smaller share of film, a sliver at the corner of a bar, says nothing about the illumination.
_MIN_FILM = 0.005
# Sides of the pictures that are kept for drawing; smaller for many images, because all of them stay in memory.
_PICTURE_SIDE_PX, _SMALL_SIDE_PX, _FEW_IMAGES = 1024, 512, 24
_KEPT_BYTES = 1_000_000_000
_N_STEPS = 3

_LOG = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class ImageSource:
    """An image of a set, which is loaded when it is needed.

    Parameters
    ----------
    name : str
        Unique in the set.
    load : callable
        ``load()`` gives the Micrograph; picklable where images are surveyed in several processes.
    stack : str
        Images with the same ``stack`` are frames of one stack: the printed scale is read in the first of them.
    file : dict or None
        ``path`` and ``frame`` of an image in a file; they become columns of the table of images, with its ``sha256``.
    """

    name: str
    load: Callable[[], Micrograph]
    stack: str
    file: dict[str, Any] | None = None

    @property
    def place(self) -> str:
        """What an error message calls the image: its path, or its name."""
        return self.file["path"] if self.file else self.name


@dataclass(frozen=True, eq=False)
class SmallImage:
    """An image reduced by a whole factor, for pictures.

    Parameters
    ----------
    grey : ndarray of uint8, shape (h, w)
        As recorded, with stretched contrast.
    even : ndarray of float16, shape (h, w)
        On the grey scale of the set; NaN where it does not show the specimen.
    shrink : int
        The factor.
    """

    grey: np.ndarray
    even: np.ndarray
    shrink: int


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
        `POSITION`, ``black`` (bool) and a column per statistic; the tiles of an image in rows from its upper left.
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


@dataclass(frozen=True, eq=False)
class _Opening:
    """What the first step needs to know; ``reads_scale`` is True for the first image of a stack."""

    source: ImageSource
    reads_scale: bool


@dataclass(frozen=True, eq=False)
class _Task:
    """What the later steps need to know of an image."""

    source: ImageSource
    scale: ScaleReading | NoScale
    lattice: Lattice
    bright: float


@dataclass(frozen=True, eq=False)
class _Header:
    """Result of the first step: what is known of an image without its pixels.

    ``micrograph`` is without pixels too. ``is_calibrated`` says whether its scale was read before the survey.
    """

    micrograph: Micrograph
    is_calibrated: bool
    shape: tuple[int, int]
    dtype: np.dtype
    bright: float
    sha256: str | None


@dataclass(frozen=True, eq=False)
class _Summary:
    """Result of the second step: what the set needs to know of an image, and what is kept of it."""

    picture: SmallImage
    levels: Levels | None
    sample: np.ndarray
    bar_edge: np.ndarray


@dataclass(frozen=True)
class _Failure:
    """Result of a step that failed."""

    error: str


class _Cache:
    """Remembers what was made of an image, as far as memory allows; in another process it starts empty."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}
        self._free = _KEPT_BYTES

    def __reduce__(self) -> tuple[Any, ...]:
        return _Cache, ()

    def get(self, name: str, make: Callable[[], tuple[Any, int]]) -> Any:
        """What was made under this name; ``make()`` gives it, and its size in bytes."""
        if name in self._kept:
            return self._kept[name]
        made, size = make()
        if size <= self._free:
            self._kept[name] = made
            self._free -= size
        return made


@dataclass(frozen=True, eq=False)
class _Images:
    """Opens images and prepares their grey values, each once where memory allows."""

    correct: bool
    exclude_black: bool
    opened: _Cache = field(default_factory=_Cache)
    prepared: _Cache = field(default_factory=_Cache)

    def open(self, source: ImageSource) -> Micrograph:
        def make() -> tuple[Micrograph, int]:
            micrograph = source.load()
            return micrograph, micrograph.image.nbytes

        return self.opened.get(source.name, make)

    def prepare(self, task: _Task) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Grey values for the statistics, grey values in even illumination, and where the image is black."""

        def make() -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], int]:
            image = self.open(task.source).image
            even, black = _even_out(image, task.bright, self.exclude_black)
            if self.exclude_black:
                even[annotation_mask(image, task.scale)] = np.nan
            return (even if self.correct else image, even, black), even.nbytes + black.nbytes

        return self.prepared.get(task.source.name, make)


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
        Edge of a pixel in nm, which overrules both.
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
    survey, images = Survey(), _Images(correct, exclude_black)

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
    openings = [_Opening(source, first[source.stack] == source.name) for source in sources]
    headers = run(0, partial(_inspect, images=images), openings)
    tasks = _register(survey, sources, headers, images, cut, trust, pixel_size_nm)

    side_px = _PICTURE_SIDE_PX if len(tasks) <= _FEW_IMAGES else _SMALL_SIDE_PX
    work = partial(_summarise, images=images, side_px=side_px, n_images=len(tasks))
    tasks, summaries = _keep_done(survey, tasks, run(1, work, tasks))
    for task, summary in zip(tasks, summaries, strict=True):
        survey.pictures[task.source.name] = summary.picture
        survey.bar_edges[task.source.name] = summary.bar_edge

    levels = _common_levels([summary.levels for summary in summaries if summary.levels is not None])
    contrast = measure_contrast([summary.sample for summary in summaries])
    measure = partial(_measure_tiles, images=images, statistics=tuple(statistics), levels=levels, contrast=contrast)
    tasks, measured = _keep_done(survey, tasks, run(2, measure, tasks))
    survey.tiles = pd.concat([table for table, _ in measured], ignore_index=True)
    survey.features = np.concatenate([features for _, features in measured])
    return survey


def _attempt(task: _Opening | _Task, *, work: Callable[[Any], Result]) -> Result | _Failure:
    """One step of one image; an image that cannot be processed does not end the survey."""
    try:
        return work(task)
    except (UsageError, ModelError):
        raise
    except Exception as error:
        _LOG.debug("while surveying %s", task.source.place, exc_info=True)
        return _Failure(user_message(error, f"'{task.source.place}'"))


def _crashed(task: _Opening | _Task) -> _Failure:
    return _Failure(f"'{task.source.place}' ended its process; it most likely ran out of memory: try `workers=1`.")


def _keep_done(
    survey: Survey, tasks: Sequence[_Task], results: Sequence[Result | _Failure]
) -> tuple[list[_Task], list[Result]]:
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


def _inspect(task: _Opening, *, images: _Images) -> _Header:
    """First step: open the image, read the printed scale in the first image of a stack, measure how bright film is."""
    path = task.source.file and Path(task.source.file["path"])
    sha256 = sha256_of(path) if path else None
    micrograph = images.open(task.source)
    image, is_calibrated = micrograph.image, micrograph.scale is not None
    if task.reads_scale and not is_calibrated:
        micrograph = replace(micrograph, scale=read_scale(micrograph), recorded=micrograph.calibration)
    without_pixels = replace(micrograph, image=np.empty((0, 0), image.dtype))
    shape = (image.shape[0], image.shape[1])
    return _Header(without_pixels, is_calibrated, shape, image.dtype, bright_level(image), sha256)


def _register(
    survey: Survey,
    sources: Sequence[ImageSource],
    headers: Sequence[_Header | _Failure],
    images: _Images,
    cut: Callable[[tuple[int, int], float | None, str], Lattice],
    trust: Trust | None,
    pixel_size_nm: float | None,
) -> list[_Task]:
    """Fill in the rows and windows of all images; the tasks of those that have tiles."""
    fitting: list[tuple[ImageSource, _Header, ScaleReading | NoScale]] = []
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
        _Task(source, scale, survey.lattices[source.name], levels[header.dtype]) for source, header, scale in fitting
    ]


def _describe(header: _Header, micrograph: Micrograph) -> dict[str, Any]:
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


def _summarise(task: _Task, *, images: _Images, side_px: int, n_images: int) -> _Summary:
    """Second step: prepare the image, reduce it for pictures, and sample its grey values."""
    values, even, black = images.prepare(task)
    shrink = math.ceil(max(values.shape) / side_px)
    grey = stretch_contrast(shrink_image(images.open(task.source).image, shrink))
    return _Summary(
        SmallImage(grey, shrink_image(values, shrink).astype(np.float16), shrink),
        choose_levels([values]) if np.isfinite(values).any() else None,
        sample_grey(even, n_images),
        edge_pixels(black),
    )


def _measure_tiles(
    task: _Task, *, images: _Images, statistics: tuple[str, ...], levels: Levels, contrast: Contrast
) -> tuple[pd.DataFrame, np.ndarray]:
    """Third step: the table of the tiles of an image, and their features (n_tiles, n_features)."""
    values, even, black = images.prepare(task)
    lattice = task.lattice
    table = _positions(task.source.name, lattice)
    table["black_share"] = black_share(black, lattice).ravel()
    table["black"] = (black_share(_widen(black), lattice).ravel() > _BLACK_SHARE) & images.exclude_black
    table = table.join(_calculate(values, images.open(task.source).image, lattice, statistics, levels))
    # A tile without recorded pixels cannot be clustered either.
    table["black"] |= table[list(statistics)].isna().any(axis=1)
    return table, measure_features(even, lattice, contrast).reshape(-1, len(FEATURES))


def _calculate(
    values: np.ndarray, image: np.ndarray, lattice: Lattice, statistics: Sequence[str], levels: Levels
) -> pd.DataFrame:
    """Statistics of the grey values, and those that the network takes of the image as it was recorded."""
    plain = [name for name in statistics if name != PARTICLE_SHARE and name not in ENCODER_STATISTICS]
    found = calculate_statistics(values, lattice, plain, levels=levels)
    table = pd.DataFrame(found.reshape(-1, len(plain)), columns=plain)
    if PARTICLE_SHARE in statistics:
        table[PARTICLE_SHARE] = particle_share(image, lattice).ravel()
    if set(ENCODER_STATISTICS) & set(statistics):
        encoded = encode_tiles(image, lattice)
        encoded = encoded.reshape(-1, encoded.shape[2])
        table = table.join(pd.DataFrame(encoded, columns=list(ENCODER_STATISTICS)))
    return table


def _film_level(levels: Sequence[float]) -> float:
    """Brightness of film in the images of one dtype; an image that shows only a bar is dark beside it."""
    known = np.array(levels)
    return float(np.median(known[known >= _DIM * known.max()]))


def _even_out(image: np.ndarray, bright: float, exclude_black: bool) -> tuple[np.ndarray, np.ndarray]:
    """Grey values in even illumination, NaN where they do not show the specimen; and where the image is black."""
    black = find_grid_bars(image, bright)
    if (~black).mean() < _MIN_FILM:
        black[:] = True
    values = correct_illumination(image, black)
    values[find_stripes(image)] = np.nan
    if exclude_black:
        values[_widen(black)] = np.nan
    return values, black


def _widen(black: np.ndarray) -> np.ndarray:
    """The black areas with a margin around them."""
    reach = math.ceil(_MARGIN * max(black.shape))
    return ndimage.maximum_filter(black, 2 * reach + 1) if black.any() else black


def _common_levels(levels: Sequence[Levels]) -> Levels:
    """Grey levels for all images."""
    if not levels:
        return Levels(0, 1)
    if len(set(levels)) == 1:
        return levels[0]
    low = min(one.lowest for one in levels)
    high = max(one.lowest + (N_LEVELS - 1) * one.step for one in levels)
    return Levels(low, (high - low) / (N_LEVELS - 1))


def _positions(image: str, lattice: Lattice) -> pd.DataFrame:
    row, col = (index.ravel() for index in np.indices(lattice.shape))
    return pd.DataFrame(
        {
            "image": image,
            "row": row,
            "col": col,
            "top_px": lattice.rows[row, 0],
            "left_px": lattice.cols[col, 0],
            "height_px": np.diff(lattice.rows[row], axis=1)[:, 0],
            "width_px": np.diff(lattice.cols[col], axis=1)[:, 0],
        }
    )
