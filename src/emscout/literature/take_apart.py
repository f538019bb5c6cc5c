"""Take a document apart: its figures, their panels, and what each panel shows; a row a panel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from emscout.errors import EmscoutError
from emscout.io.files import sha256_of, write_atomic
from emscout.io.run_folder import failed_row
from emscout.literature.kinds import kind_of_panel
from emscout.literature.panels.boxes import Box
from emscout.literature.panels.find import cut_at_letters, find_panels
from emscout.literature.panels.insets import find_insets
from emscout.literature.panels.letters import letters_among, read_letters, read_text
from emscout.literature.panels.surfaces import luminance
from emscout.literature.report import draw_panels
from emscout.literature.scales import scale_of_panel
from emscout.literature.sources.captions import scale_bar_nm, technique_of, text_of_panel
from emscout.literature.sources.document import Document, Figure
from emscout.micrograph import Micrograph
from emscout.particles.analyze import AnalyzeOptions, save_result
from emscout.particles.find import find_particles

__all__ = ["take_apart"]

# Techniques whose pictures are grey and filled as micrographs are, but show no particles to be measured.
_NOT_MEASURED = ("diffraction", "elemental map", "AFM", "fluorescence", "optical")
_BESIDE_PX = 12


def take_apart(document: Document, name: str, out: Path, options: AnalyzeOptions) -> list[dict[str, Any]]:
    """Take the figures of a document apart, measure their micrographs and save the pictures.

    Parameters
    ----------
    document : Document
    name : str
        What the names of its panels begin with.
    out : Path
        Folder for the results.
    options : AnalyzeOptions
        How the micrographs are measured.

    Returns
    -------
    list of dict
        A row a panel, with ``overview`` naming the picture of its figure, and ``measured`` what was measured; what
        fails on the way is a row too.
    """
    rows: list[dict[str, Any]] = []
    about = {"document": name, "doi": document.doi, "path": str(document.path)}
    figures = document.figures
    taken: set[str] = set()
    while True:
        figure = None
        try:
            figure = next(figures, None)
            if figure is None:
                return rows
            stem = _unused(name, figure, taken)
            place = about | {"page": figure.page, "figure": figure.number, "caption": figure.caption}
            rows += _take_figure_apart(figure, stem, place, out, options)
        except EmscoutError as error:
            rows.append(failed_row(about | ({} if figure is None else {"page": figure.page}), str(error)))


def _unused(document: str, figure: Figure, taken: set[str]) -> str:
    """A name that no other figure of the document has."""
    page = "" if figure.page is None else f"_page{figure.page}"
    stem = f"{document}_fig{figure.number}" if figure.number else f"{document}{page}"
    unused, number = stem, 2
    while unused in taken:
        unused, number = f"{stem}-{number}", number + 1
    taken.add(unused)
    return unused


def _take_figure_apart(
    figure: Figure, stem: str, place: dict[str, Any], out: Path, options: AnalyzeOptions
) -> list[dict[str, Any]]:
    image = figure.load()
    lines = read_text(image)
    panels = cut_at_letters(image, find_panels(image), letters_among(lines))
    letters = read_letters(image, panels, lines)
    rows = []
    for number, (box, letter) in enumerate(zip(panels, letters, strict=True), 1):
        about = place | {
            "panel": letter,
            "image": f"{stem}_{letter or number}",
            "panel_caption": text_of_panel(figure.caption, letter),
            "technique": technique_of(figure.caption, letter),
        }
        rows += _take_panel_apart(image, box, about, out, options)
    with write_atomic(out / "overviews" / f"{stem}.jpg") as path:
        draw_panels(path, image, rows)
    return [row | {"overview": f"{stem}.jpg"} for row in rows]


def _take_panel_apart(
    image: np.ndarray, box: Box, about: dict[str, Any], out: Path, options: AnalyzeOptions
) -> list[dict[str, Any]]:
    """The row of a panel, and one for each picture that is inset into a micrograph."""
    panel = np.array(image[box.slices])
    kind = kind_of_panel(panel)
    insets = find_insets(panel) if kind == "micrograph" else []
    pictures = [np.ascontiguousarray(panel[inset.picture.slices]) for inset in insets]
    for inset in insets:
        panel[inset.framed.slices] = _colour_around(panel, inset.framed)
    hidden = np.zeros(panel.shape[:2], bool)
    for inset in insets:
        hidden[inset.framed.slices] = True
    row = about | _place(box) | {"kind": kind}
    rows = [row | _measure_panel(panel, row, scale_bar_nm(about["caption"], about["panel"]), hidden, out, options)]
    for number, (inset, picture) in enumerate(zip(insets, pictures, strict=True), 1):
        suffix = f"-inset{number if len(insets) > 1 else ''}"
        row = about | {"panel": (about["panel"] + suffix).removeprefix("-"), "image": about["image"] + suffix}
        row |= _place(inset.picture.shifted(box.top, box.left)) | {"kind": kind_of_panel(picture)}
        # What the caption says of the bar is about that of the panel.
        rows.append(row | _measure_panel(picture, row, None, None, out, options))
    return rows


def _place(box: Box) -> dict[str, int]:
    return {"top_px": box.top, "left_px": box.left, "height_px": box.height, "width_px": box.width}


def _colour_around(panel: np.ndarray, box: Box) -> np.ndarray:
    """What is usual beside a place."""
    beside = Box(box.top - _BESIDE_PX, box.left - _BESIDE_PX, box.bottom + _BESIDE_PX, box.right + _BESIDE_PX)
    beside = beside.within(Box(0, 0, *panel.shape[:2]))
    ring = np.ones(panel.shape[:2], bool)[beside.slices]
    ring[box.shifted(-beside.top, -beside.left).slices] = False
    return np.median(panel[beside.slices][ring], axis=0)


def _measure_panel(
    panel: np.ndarray,
    row: dict[str, Any],
    caption_nm: float | None,
    hidden: np.ndarray | None,
    out: Path,
    options: AnalyzeOptions,
) -> dict[str, Any]:
    """Save the picture of a panel; of a micrograph find the scale and measure the particles."""
    path = out / "panels" / f"{row['image']}.png"
    with write_atomic(path) as temporary:
        Image.fromarray(panel).save(temporary)
    if row["kind"] != "micrograph" or row["technique"] in _NOT_MEASURED:
        return {"status": "left out", "error": ""}
    scale = scale_of_panel(panel, caption_nm)
    facts: dict[str, Any] = {"scale": scale.length, "scale_note": scale.note}
    grey = np.rint(luminance(panel)).astype(np.uint8)
    source = {"image": row["image"], "path": str(path), "frame": None, "sha256": sha256_of(path)}
    micrograph = Micrograph(grey, scale.calibration, path=path, scale=scale.reading, recorded=scale.calibration)
    try:
        # The scale is decided, with the caption: the bar is not to overrule that.
        found = find_particles(micrograph, replace(options, trust=None), hidden=hidden)
    except EmscoutError as error:
        return facts | {"status": "failed", "error": str(error)}
    found = replace(found, summary=found.summary | {"calibration_note": scale.note})
    measured = save_result(source, found, out / "measured" / row["document"])
    names = ("nm_per_px", "calibration_source", "count", "count_border", "d50_px", "d50_nm", "status", "error")
    return facts | {name: _plain(measured.get(name)) for name in names} | {"measured": measured}


def _plain(value: Any) -> Any:
    """As JSON has it: numpy's numbers as Python's, NaN as nothing."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value
