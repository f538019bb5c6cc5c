"""From image files to the table of tiles: read, find what is black, even out the light, take statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from emscout.compute import Progress
from emscout.crystals.navigation.stage import stage_position_um
from emscout.crystals.tiles.background import black_share, bright_level, find_black, find_stripes, flatten
from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.histogram import N_LEVELS
from emscout.crystals.tiles.network import ENCODER_STATISTICS, PARTICLE_SHARE, encode_tiles, particle_share
from emscout.crystals.tiles.statistics import Levels, calculate_statistics, choose_levels
from emscout.crystals.tiles.tile_features import LOOKS, describe_tiles, measure_contrast
from emscout.errors import EmscoutError, UsageError
from emscout.io.files import sha256_of
from emscout.micrograph import Micrograph
from emscout.report.overlay import shrink_image, stretch_contrast
from emscout.scale import NoScale, ScaleReading, annotation_mask, choose_calibration, read_scale
from emscout.scale.calibrate import Trust

__all__ = ["POSITION", "SmallImage", "Survey", "survey_images"]

POSITION = ("image", "row", "col", "top_px", "left_px", "height_px", "width_px", "black_share")
"""Columns of the table of tiles before the statistics."""

# Beside a bar light falls off slowly, more slowly than the mask of the bar tells: so much of the image's longer side
# around it does not count, and a tile with more than that share of its pixels there is left out.
_MARGIN, _BLACK_SHARE = 0.01, 0.25
# Dimmer images show nothing but bar, and say nothing about how bright film is.
_DIM = 0.25
# A sliver of film at the corner of a bar says nothing about how light falls on it.
_LEAST_FILM = 0.005
# Of the pictures that are kept for drawing; smaller ones of many images, which all stay in memory.
_PICTURE_SIDE_PX, _SMALL_SIDE_PX, _FEW_IMAGES = 1024, 512, 24
_KEPT_BYTES = 1_000_000_000
_SAMPLE = 200_000


@dataclass(frozen=True, eq=False)
class SmallImage:
    """An image made smaller by a whole factor, for pictures.

    Parameters
    ----------
    grey : ndarray of uint8, shape (h, w)
        As recorded, its contrast stretched.
    even : ndarray of float16, shape (h, w)
        On the grey scale of the set; NaN where it says nothing of the specimen.
    shrink : int
    """

    grey: np.ndarray
    even: np.ndarray
    shrink: int


@dataclass
class Survey:
    """What is known of a set of images.

    Parameters
    ----------
    images : list of dict
        A row an image: ``image``, ``path``, ``frame``, ``sha256``, ``height_px``, ``width_px``, ``nm_per_px``,
        ``calibration_source``, ``calibration_note``, ``stage_x_um``, ``stage_y_um``, ``status`` (``ok`` or ``failed``)
        and ``error``.
    tiles : DataFrame
        `POSITION`, ``black`` (bool), a column a statistic; the tiles of an image in rows from its upper left.
    looks : ndarray of float32, shape (n_tiles, n_looks)
        How each tile looks, see `emscout.crystals.tiles.tile_features`.
    lattices, black, pictures : dict
        By image name: its windows; where it is black, bool (H, W); the image in small.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    tiles: pd.DataFrame = field(default_factory=pd.DataFrame)
    looks: np.ndarray = field(default_factory=lambda: np.empty((0, len(LOOKS)), np.float32))
    lattices: dict[str, Lattice] = field(default_factory=dict)
    black: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, SmallImage] = field(default_factory=dict)


def survey_images(
    sources: Sequence[dict[str, Any]],
    open_image: Callable[[dict[str, Any]], Micrograph],
    lay: Callable[[Micrograph], Lattice],
    statistics: Sequence[str],
    *,
    even: bool = True,
    leave_out_black: bool = True,
    trust: Trust | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Take the statistics of all tiles of all images, on one grey scale.

    Parameters
    ----------
    sources : sequence of dict
        ``image``, ``path`` and ``frame`` of each image.
    open_image : callable
        Reads the micrograph of a source.
    lay : callable
        The windows of a micrograph.
    statistics : sequence of str
        Names of `emscout.crystals.tiles.statistics.STATISTICS`, and columns of `emscout.crystals.tiles.network`.
    even : bool
        Take out uneven light and bring images to one brightness; else grey values stay as they were recorded.
    leave_out_black : bool
        Mark tiles that are partly black, and measure nothing that lies under a banner, a scale bar or its label.
    trust : {'metadata', 'bar'} or None
        Which pixel size to take where file and printed scale bar disagree.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Survey
        An image that cannot be read, or not be cut into such tiles, has ``status`` failed and no tiles.

    Raises
    ------
    UsageError
        When tiles fit no image, or a statistic is unknown.
    """
    report = progress or (lambda done, total, name: None)
    survey = Survey()
    micrographs = _Shelf(open_image)
    bright: dict[np.dtype, list[float]] = {}
    readable: list[dict[str, Any]] = []
    unfit: list[UsageError] = []
    scale_bars: dict[str, ScaleReading | NoScale] = {}
    for done, source in enumerate(sources):
        report(done, 3 * len(sources), source["image"])
        row, micrograph = _describe(source, micrographs)
        survey.images.append(row)
        if micrograph is not None:
            # Of a stack the first frame that can be read tells the scale of all.
            bar = scale_bars.get(source["path"]) or read_scale(micrograph)
            scale_bars[source["path"]] = bar
            calibration, row["calibration_note"] = choose_calibration(micrograph, trust=trust, reading=bar)
            row["nm_per_px"] = calibration.nm_per_px if calibration else None
            row["calibration_source"] = calibration.source if calibration else None
            try:
                survey.lattices[row["image"]] = lay(replace(micrograph, calibration=calibration))
            except UsageError as error:
                unfit.append(error)
                sentence = str(error) if source["path"] in str(error) else f"'{source['path']}': {error}"
                row |= {"status": "failed", "error": sentence}
                continue
            bright.setdefault(micrograph.image.dtype, []).append(bright_level(micrograph.image))
            readable.append(source)
    if unfit and not readable:
        raise unfit[0]

    def prepare(source: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        image = micrographs(source).image
        printed = annotation_mask(image, scale_bars[source["path"]]) & leave_out_black
        values, black = _prepare(image, _bright_of_set(bright[image.dtype]), leave_out_black)
        values[printed] = np.nan
        return values if even else image, values, black

    side_px = _PICTURE_SIDE_PX if len(readable) <= _FEW_IMAGES else _SMALL_SIDE_PX
    prepared, scales, samples = _Shelf(prepare), [], []
    for done, source in enumerate(readable, start=len(sources)):
        report(done, 3 * len(sources), source["image"])
        values, evened, survey.black[source["image"]] = prepared(source)
        shrink = math.ceil(max(values.shape) / side_px)
        grey = stretch_contrast(shrink_image(micrographs(source).image, shrink))
        survey.pictures[source["image"]] = SmallImage(grey, shrink_image(values, shrink).astype(np.float16), shrink)
        if np.isfinite(values).any():
            scales.append(choose_levels([values]))
        samples.append(evened[_every_few(evened.size)])
    scale, contrast = _common(scales), measure_contrast(samples) if samples else None
    parts, looks = [], []
    for done, source in enumerate(readable, start=2 * len(sources)):
        report(done, 3 * len(sources), source["image"])
        values, evened, black = prepared(source)
        lattice = survey.lattices[source["image"]]
        table = _positions(source["image"], lattice)
        table["black_share"] = black_share(black, lattice).ravel()
        table["black"] = (black_share(_widened(black), lattice).ravel() > _BLACK_SHARE) & leave_out_black
        parts.append(table.join(_measure(values, micrographs(source).image, lattice, statistics, scale)))
        if contrast is not None:
            looks.append(describe_tiles(evened, lattice, contrast).reshape(-1, len(LOOKS)))
        # What the camera did not record is as little to be clustered as what is black.
        parts[-1]["black"] |= parts[-1][list(statistics)].isna().any(axis=1)
    if parts:
        survey.tiles, survey.looks = pd.concat(parts, ignore_index=True), np.concatenate(looks)
    return survey


def _measure(
    values: np.ndarray, image: np.ndarray, lattice: Lattice, statistics: Sequence[str], scale: Levels
) -> pd.DataFrame:
    """The statistics of grey values, and what the network sees in the image as it was recorded."""
    plain = [name for name in statistics if name != PARTICLE_SHARE and name not in ENCODER_STATISTICS]
    found = calculate_statistics(values, lattice, plain, levels=scale)
    table = pd.DataFrame(found.reshape(-1, len(plain)), columns=plain)
    if PARTICLE_SHARE in statistics:
        table[PARTICLE_SHARE] = particle_share(image, lattice).ravel()
    if set(ENCODER_STATISTICS) & set(statistics):
        encoded = encode_tiles(image, lattice)
        encoded = encoded.reshape(-1, encoded.shape[2])
        table = table.join(pd.DataFrame(encoded, columns=list(ENCODER_STATISTICS)))
    return table


class _Shelf:
    """Remembers what was made of a source, as far as memory allows; the rest is made again."""

    def __init__(self, make: Callable[[dict[str, Any]], Any]) -> None:
        self._make = make
        self._kept: dict[str, Any] = {}
        self._free = _KEPT_BYTES

    def __call__(self, source: dict[str, Any]) -> Any:
        if source["image"] in self._kept:
            return self._kept[source["image"]]
        made = self._make(source)
        arrays = made if isinstance(made, tuple) else (made.image,)
        size = sum(array.nbytes for array in arrays)
        if size <= self._free:
            self._kept[source["image"]] = made
            self._free -= size
        return made


def _describe(source: dict[str, Any], open_image: Callable[[dict[str, Any]], Micrograph]) -> tuple[dict, Any]:
    """The row of an image, and the image itself unless it cannot be read."""
    path = Path(source["path"])
    try:
        row, micrograph = source | {"sha256": sha256_of(path)}, open_image(source)
    except OSError as error:
        return source | {"status": "failed", "error": f"{path} cannot be read ({error.strerror})."}, None
    except MemoryError:
        return source | {"status": "failed", "error": f"{path} needs more memory than this computer has free."}, None
    except EmscoutError as error:
        return source | {"status": "failed", "error": str(error)}, None
    stage_um = stage_position_um(micrograph.metadata) or (None, None)
    row |= {
        "height_px": micrograph.image.shape[0],
        "width_px": micrograph.image.shape[1],
        "nm_per_px": None,
        "calibration_source": None,
        "calibration_note": "",
        "stage_x_um": stage_um[0],
        "stage_y_um": stage_um[1],
        "status": "ok",
        "error": "",
    }
    return row, micrograph


def _bright_of_set(levels: Sequence[float]) -> float:
    """The level of film in the images of one grey scale: an image of nothing but bar is dark beside it."""
    known = np.array(levels)
    return float(np.median(known[known >= _DIM * known.max()]))


def _prepare(image: np.ndarray, bright: float, leave_out_black: bool) -> tuple[np.ndarray, np.ndarray]:
    """Grey values in even light, NaN where they say nothing of the specimen, and where it is black."""
    black = find_black(image, bright)
    if (~black).mean() < _LEAST_FILM:
        black[:] = True
    values = flatten(image, black)
    values[find_stripes(image)] = np.nan
    if leave_out_black:
        values[_widened(black)] = np.nan
    return values, black


def _widened(black: np.ndarray) -> np.ndarray:
    """What is black, with a margin around it."""
    reach = math.ceil(_MARGIN * max(black.shape))
    return ndimage.maximum_filter(black, 2 * reach + 1) if black.any() else black


def _every_few(size: int) -> tuple[slice, slice]:
    """Picks enough pixels of an image of that many to know its contrast by."""
    step = max(1, math.isqrt(size // _SAMPLE))
    return slice(None, None, step), slice(None, None, step)


def _common(scales: Sequence[Levels]) -> Levels:
    """Grey levels that suit all images."""
    if not scales:
        return Levels(0, 1)
    if len(set(scales)) == 1:
        return scales[0]
    low = min(scale.lowest for scale in scales)
    high = max(scale.lowest + (N_LEVELS - 1) * scale.step for scale in scales)
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
