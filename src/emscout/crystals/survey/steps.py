"""The three steps in which an image is surveyed; between them the set as a whole is summarised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.crystals.navigation.targets import edge_pixels
from emscout.crystals.survey.images import Images, ImageSource, Task, widen
from emscout.crystals.tiles.background import (
    black_share,
    bright_level,
)
from emscout.crystals.tiles.grid import Lattice
from emscout.crystals.tiles.network import ENCODER_STATISTICS, PARTICLE_SHARE, encode_tiles, particle_share
from emscout.crystals.tiles.statistics import Levels, calculate_statistics, choose_levels
from emscout.crystals.tiles.tile_features import FEATURES, Contrast, measure_features, sample_grey
from emscout.io.files import sha256_of
from emscout.micrograph import Micrograph
from emscout.report.overlay import shrink_image, stretch_contrast
from emscout.scale import read_scale

__all__ = ["Header", "Opening", "SmallImage", "Summary", "inspect_image", "measure_tiles", "summarise_image"]

# A tile with a larger share of its pixels in bars and their margins is left out.
_BLACK_SHARE = 0.25


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


@dataclass(frozen=True, eq=False)
class Opening:
    """What the first step needs to know; ``reads_scale`` is True for the first image of a stack."""

    source: ImageSource
    reads_scale: bool


@dataclass(frozen=True, eq=False)
class Header:
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
class Summary:
    """Result of the second step: what the set needs to know of an image, and what is kept of it."""

    picture: SmallImage
    levels: Levels | None
    sample: np.ndarray
    bar_edge: np.ndarray


def inspect_image(task: Opening, *, images: Images) -> Header:
    """First step: open the image, read the printed scale in the first image of a stack, measure how bright film is."""
    path = task.source.file and Path(task.source.file["path"])
    sha256 = sha256_of(path) if path else None
    micrograph = images.open(task.source)
    image, is_calibrated = micrograph.image, micrograph.scale is not None
    if task.reads_scale and not is_calibrated:
        micrograph = replace(micrograph, scale=read_scale(micrograph), recorded=micrograph.calibration)
    without_pixels = replace(micrograph, image=np.empty((0, 0), image.dtype))
    shape = (image.shape[0], image.shape[1])
    return Header(without_pixels, is_calibrated, shape, image.dtype, bright_level(image), sha256)


def summarise_image(task: Task, *, images: Images, side_px: int, n_images: int) -> Summary:
    """Second step: prepare the image, reduce it for pictures, and sample its grey values."""
    values, even, black = images.prepare(task)
    shrink = math.ceil(max(values.shape) / side_px)
    grey = stretch_contrast(shrink_image(images.open(task.source).image, shrink))
    return Summary(
        SmallImage(grey, shrink_image(values, shrink).astype(np.float16), shrink),
        choose_levels([values]) if np.isfinite(values).any() else None,
        sample_grey(even, n_images),
        edge_pixels(black),
    )


def measure_tiles(
    task: Task, *, images: Images, statistics: tuple[str, ...], levels: Levels, contrast: Contrast
) -> tuple[pd.DataFrame, np.ndarray]:
    """Third step: the table of the tiles of an image, and their features (n_tiles, n_features)."""
    values, even, black = images.prepare(task)
    lattice = task.lattice
    table = _positions(task.source.name, lattice)
    table["black_share"] = black_share(black, lattice).ravel()
    table["black"] = (black_share(widen(black), lattice).ravel() > _BLACK_SHARE) & images.exclude_black
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
