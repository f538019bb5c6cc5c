"""The report of a search: the picture asked for, and those most like it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emscout.report.html import as_uri, write_html

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["write_similar_page"]


def write_similar_page(
    path: Path,
    *,
    image: str,
    picture: np.ndarray,
    folder: str,
    found: pd.DataFrame,
    pictures: Sequence[np.ndarray | None],
    notes: Sequence[str],
) -> None:
    """Write a page that needs no other file and no network.

    Parameters
    ----------
    path : Path
        The file to write.
    image : str
        Name of the picture searched for.
    picture : ndarray of uint8, shape (h, w, 3)
        That picture, small.
    folder : str
        The folder that was searched.
    found : DataFrame
        ``rank``, ``path``, ``similarity``.
    pictures : sequence of ndarray or None
        Those found, small; None where a file is gone.
    notes : sequence of str
        What could not be read.
    """
    rows = [
        row | {"name": _shorten(row["path"], folder), "picture": "" if one is None else as_uri(one, "JPEG")}
        for row, one in zip(found.to_dict("records"), pictures, strict=True)
    ]
    write_html(
        path,
        Path(__file__).with_suffix(".html"),
        image=image,
        picture=as_uri(picture, "JPEG"),
        folder=folder,
        rows=rows,
        notes=notes,
    )


def _shorten(path: str, folder: str) -> str:
    """A path relative to the folder that was searched."""
    place, start = Path(path), Path(folder).resolve()
    return place.relative_to(start).as_posix() if place.is_relative_to(start) else place.name
