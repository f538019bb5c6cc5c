"""Score the reading of printed scales on images whose scales are known."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd

from emscout.compute import Progress
from emscout.errors import ReadError, UsageError
from emscout.evaluate.scale import score_scales
from emscout.evaluate.split import SPLIT_SEED, read_sources, split_by_source
from emscout.io import read_series
from emscout.io.find import images_in
from emscout.scale.colour import read_scale
from emscout.scale.read_scales import reading_row
from emscout.units import nm_per_unit

__all__ = ["FILES", "evaluate_scales"]

FILES = ("scores.csv", "images.csv")
"""Names of what the command writes."""

_COLUMNS = {"name", "nm_per_px"}


def evaluate_scales(
    folder: Path, *, truth: Path | None = None, half: str | None = None, progress: Progress | None = None
) -> dict[str, pd.DataFrame]:
    """Read the scales of a folder's images and score them against a table.

    Parameters
    ----------
    folder : Path
        With the images, in it or in its subfolder ``images``; ``sources.csv`` names the paper of each.
    truth : Path or None
        CSV with the columns ``name`` (of the file, with or without suffix), ``value`` and ``unit`` or ``value_nm``, and
        ``nm_per_px``; an empty value means that there is no usable scale. By default ``scales.csv`` in the folder.
    half : {'first', 'second'} or None
        Only images of one half of the papers, split by a hash of the paper's DOI.
    progress : callable or None

    Returns
    -------
    dict of str to DataFrame
        ``scores`` (one row) and ``images``.

    Raises
    ------
    UsageError, ReadError
        When folder or table are not as described.
    """
    table = _read_truth(truth or folder / "scales.csv")
    files = _files(folder, list(table["image"]))
    if half is not None:
        sources = read_sources(folder, list(table["image"]))
        if sources is None:
            raise UsageError(f"'{folder}' has no sources.csv, without which it cannot be split by paper.")
        first, second = split_by_source(sources, round(len(table) / 2), SPLIT_SEED)
        table = table[table["image"].isin(first if half == "first" else second)]
    rows, seconds = [], 0.0
    for i, name in enumerate(table["image"]):
        if progress:
            progress(i, len(table), name)
        micrograph = read_series(files[name])[0]
        start = time.perf_counter()
        reading = read_scale(micrograph)
        seconds += time.perf_counter() - start
        row = reading_row(reading)
        factor = nm_per_unit(row["unit"])
        length_nm = row["value"] * factor if factor else float("nan")
        rows.append({"image": name, "length_nm": length_nm, **row})
    read = pd.DataFrame(rows)
    images, scores = score_scales(read.astype({"nm_per_px": float}), table)
    scores["seconds_per_image"] = seconds / len(table)
    details = read.drop(columns=["nm_per_px", "length_nm"]).merge(table, on="image", suffixes=("", "_true"))
    return {"scores": pd.DataFrame([scores]), "images": images.merge(details, on="image")}


def _read_truth(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UsageError(f"There is no table of true scales '{path}': write one, or name one with `truth`.")
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ReadError(f"'{path}' cannot be read as a table of scales: {error}.") from error
    has_value = "value_nm" in table or {"value", "unit"} <= set(table.columns)
    if not (set(table.columns) >= _COLUMNS and has_value) or table.empty:
        raise ReadError(f"'{path}' needs the columns name, value and unit (or value_nm), and nm_per_px.")
    if "value_nm" in table:
        length_nm = table["value_nm"].astype(float)
    else:
        factors = [nm_per_unit(unit) if isinstance(unit, str) else None for unit in table["unit"]]
        length_nm = table["value"].astype(float) * pd.Series(factors, index=table.index, dtype=float)
    # Where there is no usable scale, a pixel size would not count either.
    known = {"image": table["name"].astype(str), "length_nm": length_nm}
    return pd.DataFrame({**known, "nm_per_px": table["nm_per_px"].where(length_nm.notna())})


def _files(folder: Path, names: list[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"There is no folder '{folder}'.")
    found: dict[str, Path] = {}
    for place in (folder, folder / "images"):
        if place.is_dir():
            found |= {key: path for path in images_in(place) for key in (path.name, path.stem)}
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"'{folder}' does not hold the image '{missing[0]}' ({len(missing)} missing).")
    return found
