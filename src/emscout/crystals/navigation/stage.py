"""Stage position of an image from its metadata, and of places in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from emscout.units import nm_per_unit

__all__ = ["place_on_stage", "stage_position_um"]

_UM_PER_M = 1e6
_NM_PER_UM = 1e3


def stage_position_um(metadata: Mapping[str, Any]) -> tuple[float, float] | None:
    """Stage x and y from the metadata of Velox, TIA, DigitalMicrograph, FEI, Zeiss or TVIPS files.

    Parameters
    ----------
    metadata : mapping
        As `emscout.read` gives it.

    Returns
    -------
    (float, float) or None
        In µm. ``None`` where the file has no position, or where both are exactly 0, which programs write for unknown.
    """
    for x, y in _candidates(metadata):
        if x is not None and y is not None and (x, y) != (0, 0):
            return x, y
    return None


def place_on_stage(
    row_px: np.ndarray, col_px: np.ndarray, shape: tuple[int, int], nm_per_px: float, stage_um: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Stage position of places in an image.

    The axes of the image are taken to be parallel to those of the stage: x to the right, y upwards. Files rarely record
    how the image is rotated against the stage; with a rotation the error grows with the distance from the centre of
    the image.

    Parameters
    ----------
    row_px, col_px : ndarray, shape (n,)
        The centre of the first pixel is (0, 0).
    shape : tuple of int
        Height and width of the image in pixels.
    nm_per_px : float
        Pixel size.
    stage_um : (float, float)
        Stage x and y of the centre of the image in µm.

    Returns
    -------
    x_um, y_um : ndarray, shape (n,)
    """
    um_per_px = nm_per_px / _NM_PER_UM
    x_um = stage_um[0] + (np.asarray(col_px) - (shape[1] - 1) / 2) * um_per_px
    y_um = stage_um[1] - (np.asarray(row_px) - (shape[0] - 1) / 2) * um_per_px
    return x_um, y_um


def _candidates(metadata: Mapping[str, Any]) -> Iterator[tuple[float | None, float | None]]:
    velox = _at(metadata, "Stage", "Position")
    yield _metres(_at(velox, "x")), _metres(_at(velox, "y"))
    tia = _at(metadata, "ExperimentalDescription")
    yield _with_unit(_at(tia, "Stage X")), _with_unit(_at(tia, "Stage Y"))
    for image in (_at(metadata, "ImageList") or {}).values():
        # DigitalMicrograph writes µm without the unit.
        gatan = _at(image, "ImageTags", "Microscope Info", "Stage Position")
        yield _number(_at(gatan, "Stage X")), _number(_at(gatan, "Stage Y"))
    for maker in ("FEI_HELIOS", "FEI_SFEG"):
        fei = _at(metadata, maker, "Stage")
        yield _metres(_at(fei, "StageX")), _metres(_at(fei, "StageY"))
    zeiss = _at(metadata, "CZ_SEM")
    yield _with_unit(_at(zeiss, "ap_stage_at_x")), _with_unit(_at(zeiss, "ap_stage_at_y"))
    tvips = _at(metadata, "TVIPS", "TemStagePosition")
    if isinstance(tvips, list) and len(tvips) >= 2:
        yield _metres(tvips[0]), _metres(tvips[1])


def _at(tree: Any, *names: str) -> Any:
    for name in names:
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _metres(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else number * _UM_PER_M


def _with_unit(value: Any) -> float | None:
    """From ``'0.147 um'`` or from ``['Stage at X', 34.1591, 'mm']``."""
    parts = value.split() if isinstance(value, str) else list(value)[-2:] if isinstance(value, list | tuple) else []
    if len(parts) != 2:
        return None
    number, factor = _number(parts[0]), nm_per_unit(str(parts[1]))
    return None if number is None or factor is None else number * factor / _NM_PER_UM
