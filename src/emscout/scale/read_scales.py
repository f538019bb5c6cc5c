"""From images to a table of printed scales: the function behind ``emscout scale``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.compute import Progress
from emscout.io import find_images, read_series
from emscout.io.files import sha256_of, write_atomic
from emscout.micrograph import Report
from emscout.report.overlay import write_png
from emscout.runs import Finished, Outputs, Run, list_files, write_table
from emscout.scale.colour import read_scale
from emscout.scale.pictures import contact_sheet, draw_reading
from emscout.scale.reading import NoScale, ScaleReading

__all__ = ["COLUMNS", "read_scales", "reading_row"]

COLUMNS = (
    *("image", "value", "unit", "x0_px", "x1_px", "row_px", "length_px", "nm_per_px", "relative_error", "confidence"),
    *("style", "reason"),
)
"""Columns of ``scales.csv``."""

_OUTPUTS = Outputs(("scales.csv", "contact_sheet.png"), ("pictures",))
_SHEET = 100  # images on the contact sheet


def read_scales(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Read the printed scale of every image; write ``scales.csv``, a picture of each reading and a contact sheet.

    Parameters
    ----------
    paths : sequence of str or Path
        Files, folders and glob patterns. Of a stack the first frame is read.
    out : str or Path
        Folder for the results. Images that it already holds results for, from unchanged files, are skipped.
    overwrite : bool
        Replace results of other images in ``out``.
    workers : int or None
        Number of processes; ``None`` takes one per core when there are many images.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Report
        Table ``scales``, one row per image: the columns of ``scales.csv``, and ``failed``. Where no scale is claimed,
        or the file cannot be read, ``reason`` says why and the rest is empty.

    Raises
    ------
    UsageError
        When there is no image to work on.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.

    Examples
    --------
    >>> import emscout as em
    >>> report = em.read_scales(["figures"], "scales")                       # doctest: +SKIP
    >>> report.tables["scales"][["image", "value", "unit", "nm_per_px"]]     # doctest: +SKIP
    """
    out = Path(out)
    run = Run("scale", out, list_files(find_images(paths)), {}, _OUTPUTS, {})
    described = run.claim(overwrite=overwrite)
    rows = run.map(partial(_read_source, out=out), failed=_failed, workers=workers, progress=progress)
    scales = pd.DataFrame(rows)
    write_table(out, "scales", scales[list(COLUMNS)], float_format=None)
    pictures = [out / "pictures" / f"{row['image']}.png" for row in rows if not row["failed"]]
    with write_atomic(out / "contact_sheet.png") as path:
        write_png(path, contact_sheet(pictures[:_SHEET]))
    return Report({"scales": scales}, {}, described, out)


def reading_row(reading: ScaleReading | NoScale) -> dict[str, Any]:
    """The `COLUMNS` of a reading, but for the image's name."""
    if isinstance(reading, NoScale):
        return {**dict.fromkeys(COLUMNS[1:]), "reason": reading.reason}
    bar = reading.bar
    return {
        "value": reading.value,
        "unit": reading.unit,
        "x0_px": round(bar.x0, 2),
        "x1_px": round(bar.x1, 2),
        "row_px": round(bar.row_px, 2),
        "length_px": round(bar.length_px, 2),
        "nm_per_px": reading.nm_per_px,
        "relative_error": reading.relative_error,
        "confidence": round(reading.confidence, 3),
        "style": bar.style,
        "reason": "",
    }


def _read_source(source: dict[str, Any], *, out: Path) -> dict[str, Any]:
    """Do one image, unless it is finished; its row."""
    source = source | {"sha256": sha256_of(Path(source["path"]))}
    finished = Finished(out)
    if (row := finished.load(source["image"], source)) is None:
        micrograph = read_series(source["path"])[0]
        reading = read_scale(micrograph)
        with write_atomic(out / "pictures" / f"{source['image']}.png") as path:
            write_png(path, draw_reading(micrograph.image, reading, source["image"]))
        row = {"image": source["image"], **reading_row(reading), "failed": False}
        finished.save(source["image"], source, row)
    return row


def _failed(source: dict[str, Any], reason: str) -> dict[str, Any]:
    return {"image": source["image"], **dict.fromkeys(COLUMNS[1:]), "reason": reason, "failed": True}
