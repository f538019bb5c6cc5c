"""Conversion of tables from pixels to nanometres."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_physical"]

# Suffix in pixels → suffix in nm, and the power of nm_per_px. Longest first: "_per_px2" ends in "_px2" too.
_SUFFIXES = (("_per_px2", "_per_nm2", -2), ("_px2", "_nm2", 2), ("_px", "_nm", 1))
# Sizes of the image itself are counts of pixels, not measurements.
_NOT_LENGTHS = ("height_px", "width_px", "nm_per_px")


def to_physical(table: pd.DataFrame, nm_per_px: float | None) -> pd.DataFrame:
    """Add a ``_nm``, ``_nm2`` or ``_per_nm2`` column after each pixel column.

    Parameters
    ----------
    table : DataFrame
        Columns ending in ``_px``, ``_px2`` or ``_per_px2`` (also before ``_low`` and ``_high``, the ends of
        an interval) are lengths, areas and densities in pixels.
    nm_per_px : float or None
        Pixel size; ``None`` (uncalibrated) returns the table as it is.

    Returns
    -------
    DataFrame
        A new table; the pixel columns stay.
    """
    if nm_per_px is None:
        return table.copy()
    columns = {}
    for name in table.columns:
        columns[name] = table[name]
        if name in _NOT_LENGTHS:
            continue
        stem, end = name, ""
        for ending in ("_low", "_high"):
            if name.endswith(ending):
                stem, end = name.removesuffix(ending), ending
        for px, nm, power in _SUFFIXES:
            if stem.endswith(px):
                columns[stem.removesuffix(px) + nm + end] = table[name] * nm_per_px**power
                break
    return type(table)(columns, index=table.index)
