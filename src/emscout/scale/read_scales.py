"""From images to a table of printed scales: the function behind ``emscout scale``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.compute import Progress, map_tasks
from emscout.errors import user_message
from emscout.io import find_images, read_series
from emscout.io.files import image_names, write_atomic
from emscout.io.run_folder import claim_folder, describe_run
from emscout.micrograph import Report
from emscout.report.overlay import write_png
from emscout.scale.colour import read_scale
from emscout.scale.pictures import contact_sheet, draw_reading
from emscout.scale.reading import ScaleReading

__all__ = ["COLUMNS", "read_scales", "reading_row"]

_LOG = logging.getLogger(__name__)

COLUMNS = (
    *("image", "value", "unit", "x0_px", "x1_px", "row_px", "length_px", "nm_per_px", "relative_error", "confidence"),
    *("style", "reason"),
)
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
        Files, folders and glob patterns. A stack is looked at in its first frame.
    out : str or Path
        Folder for the results.
    overwrite : bool
        Replace results of other images in ``out``.
    workers : int or None
        Number of processes; ``None`` takes one per core when there are many images.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Report
        Table ``scales``, one row an image, with the `COLUMNS`. Where no scale is claimed, or the file cannot be read,
        ``reason`` says why and the rest is empty.
    """
    out = Path(out)
    files = find_images(paths)
    names = image_names([(path, None) for path in files])
    sources: list[dict[str, Any]] = [
        {"image": name, "path": str(path.resolve()), "frame": None} for name, path in zip(names, files, strict=True)
    ]
    run = describe_run("scale", sources, {})
    claim_folder(out, run, ("scales.csv", "contact_sheet.png"), ("pictures",), grows=False, overwrite=overwrite)
    rows = map_tasks(
        partial(_read_source, out=out),
        sources,
        workers=workers,
        name=lambda source: source["image"],
        on_crash=lambda source: _failed(source, "It ended its process, most likely for want of memory."),
        progress=progress,
    )
    scales = pd.DataFrame(rows)
    with write_atomic(out / "scales.csv") as path:
        scales[list(COLUMNS)].to_csv(path, index=False)
    pictures = [out / "pictures" / f"{name}.png" for name in names]
    with write_atomic(out / "contact_sheet.png") as path:
        write_png(path, contact_sheet([picture for picture in pictures if picture.exists()][:_SHEET]))
    return Report({"scales": scales}, {}, run, out)


def reading_row(reading: Any) -> dict[str, Any]:
    """The `COLUMNS` of a reading, but for the image's name."""
    if not isinstance(reading, ScaleReading):
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
    try:
        micrograph = read_series(source["path"])[0]
        reading = read_scale(micrograph)
        with write_atomic(out / "pictures" / f"{source['image']}.png") as path:
            write_png(path, draw_reading(micrograph.image, reading, source["image"]))
    except Exception as error:
        _LOG.debug("while reading the scale of %s", source["path"], exc_info=True)
        return _failed(source, user_message(error, source["path"]))
    return {"image": source["image"], **reading_row(reading), "failed": False}


def _failed(source: dict[str, Any], reason: str) -> dict[str, Any]:
    return {"image": source["image"], **dict.fromkeys(COLUMNS[1:]), "reason": reason, "failed": True}
