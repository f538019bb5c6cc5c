"""From papers and figures to measured micrographs: the function behind ``emscout figures``."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from emscout.compute import Progress, map_tasks
from emscout.errors import EmscoutError, tell_error
from emscout.io.files import image_names, sha256_of, write_atomic
from emscout.io.run_folder import claim_folder, describe_run, failed_row, write_json
from emscout.literature.boxes import Box
from emscout.literature.captions import scale_bar_nm, technique_of, text_of_panel
from emscout.literature.documents import Document, Figure, find_documents, open_document
from emscout.literature.gutters import luminance
from emscout.literature.kinds import kind_of_panel
from emscout.literature.letters import letters_among, read_letters, read_text
from emscout.literature.panels import cut_at_letters, find_panels
from emscout.literature.scales import scale_of_panel
from emscout.micrograph import Micrograph, Report
from emscout.models import load_model
from emscout.particles import results
from emscout.particles.analyze import AnalyzeOptions, measure_image
from emscout.particles.segment import DEFAULT_MODEL, WATERSHED
from emscout.report.figures_page import draw_panels, write_figures_page

__all__ = ["COLUMNS", "FigureOptions", "mine"]

_LOG = logging.getLogger(__name__)
_FILES = ("figures.csv",)
_FOLDERS = (".finished", "panels", "overviews", "measured", "reports")
# Techniques whose pictures are grey and filled as micrographs are, but show no particles to be measured.
_NOT_MEASURED = ("diffraction", "elemental map", "AFM", "fluorescence", "optical")

COLUMNS = (
    *("document", "doi", "page", "figure", "panel", "image"),
    *("top_px", "left_px", "height_px", "width_px"),
    *("caption", "panel_caption", "kind", "technique"),
    *("scale", "nm_per_px", "calibration_source", "scale_note"),
    *("count", "count_border", "d50_px", "d50_nm", "status", "error", "path"),
)
"""Columns of ``figures.csv``: one row a panel; one with an error for a document or figure that failed."""


@dataclass(frozen=True)
class FigureOptions:
    """What shapes the result of `mine`; every field is a flag of the command too.

    Raises
    ------
    UsageError
        When a value makes no sense.
    """

    model: str = field(
        default=DEFAULT_MODEL,
        metadata={
            "help": f"How particles are found: the network {DEFAULT_MODEL}, an .onnx file of your own, or {WATERSHED}.",
            "metavar": "NAME|PATH",
        },
    )
    samples: int = field(
        default=30, metadata={"help": "Monte-Carlo samples of the network: more for a smoother uncertainty."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of the Monte-Carlo samples and the bootstrap intervals."})

    def __post_init__(self) -> None:
        self.for_particles()

    def for_particles(self) -> AnalyzeOptions:
        """The options of the wing that measures the micrographs."""
        # The pixel size of a panel is decided here, with the caption; its bar is not to overrule that.
        return AnalyzeOptions(model=self.model, samples=self.samples, seed=self.seed, trust="metadata")


def mine(
    paths: Sequence[str | Path],
    out: str | Path,
    options: FigureOptions | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Take papers and figures apart and measure the micrographs in them.

    Parameters
    ----------
    paths : sequence of str or Path
        PDFs, articles in HTML or JATS XML with their pictures beside them, pictures of figures; folders and glob
        patterns of these.
    out : str or Path
        Folder for the results. Documents it holds already, made with the same options from the same bytes, are not
        done again.
    options : FigureOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from other documents.
    workers : int or None
        Number of processes; ``None`` takes one per core when there are many documents.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Report
        Table ``figures`` (`COLUMNS`). A document that failed has its sentence in ``error``; it never ends the run.

    Raises
    ------
    UsageError
        When there is nothing to work on.
    ModelError
        When the network cannot be loaded.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.
    """
    options = options or FigureOptions()
    out = Path(out)
    files = find_documents(paths)
    names = image_names([(file, None) for file in files])
    sources = [{"document": name, "path": str(file.resolve())} for name, file in zip(names, files, strict=True)]
    model_sha256 = None if options.model == WATERSHED else load_model(options.model).sha256
    run = describe_run("figures", sources, asdict(options), model_sha256=model_sha256)
    claim_folder(out, run, _FILES, _FOLDERS, grows=True, overwrite=overwrite)
    parts = map_tasks(
        partial(_mine_document, out=out, options=options, run=run | {"inputs": []}),
        sources,
        workers=workers,
        name=lambda source: source["document"],
        on_crash=_crashed,
        progress=progress,
    )
    table = _table([row for rows in parts for row in rows])
    with write_atomic(out / "figures.csv") as path:
        table.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")
    return Report({"figures": table}, run["options"], run, out)


def _table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    for name in ("page", "top_px", "left_px", "height_px", "width_px", "count", "count_border"):
        table[name] = table[name].astype("Int64")
    return table


def _mine_document(
    source: dict[str, str], *, out: Path, options: FigureOptions, run: dict[str, Any]
) -> list[dict[str, Any]]:
    """Do one document and return its rows; every error becomes a row's ``status`` and ``error``."""
    try:
        document = open_document(Path(source["path"]))
        key = source | {"sha256": _sha256(document.files)}
        finished = out / ".finished" / f"{source['document']}.json"
        if (rows := _load_finished(finished, key)) is not None:
            return rows
        rows = _take_apart(document, source["document"], out, options)
        _save(rows, source["document"], out, options, run)
        write_json(finished, {"source": key, "rows": rows})
        return rows
    except Exception as error:
        _LOG.debug("while taking %s apart", source["path"], exc_info=True)
        return [failed_row(source, tell_error(error, source["path"]))]


def _crashed(source: dict[str, str]) -> list[dict[str, Any]]:
    return [
        failed_row(source, f"{source['path']} ended its process: it is damaged, or needs more memory than there is.")
    ]


def _sha256(files: Sequence[Path]) -> str:
    return hashlib.sha256("".join(sha256_of(file) for file in files).encode()).hexdigest()


def _load_finished(path: Path, key: dict[str, str]) -> list[dict[str, Any]] | None:
    try:
        finished = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return finished["rows"] if finished.get("source") == key else None


def _take_apart(document: Document, name: str, out: Path, options: FigureOptions) -> list[dict[str, Any]]:
    """The rows of all figures; what fails on the way is a row too."""
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
    figure: Figure, stem: str, place: dict[str, Any], out: Path, options: FigureOptions
) -> list[dict[str, Any]]:
    image = figure.load()
    lines = read_text(image)
    panels = cut_at_letters(image, find_panels(image), letters_among(lines))
    letters = read_letters(image, panels, lines)
    rows = []
    for number, (box, letter) in enumerate(zip(panels, letters, strict=True), 1):
        row = place | {
            "panel": letter,
            "image": f"{stem}_{letter or number}",
            "top_px": box.top,
            "left_px": box.left,
            "height_px": box.height,
            "width_px": box.width,
            "panel_caption": text_of_panel(figure.caption, letter),
            "technique": technique_of(figure.caption, letter),
        }
        rows.append(row | _measure_panel(image, box, row, out, options))
    with write_atomic(out / "overviews" / f"{stem}.jpg") as path:
        draw_panels(path, image, rows)
    return [row | {"overview": f"{stem}.jpg"} for row in rows]


def _measure_panel(
    image: np.ndarray, box: Box, row: dict[str, Any], out: Path, options: FigureOptions
) -> dict[str, Any]:
    """What a panel shows; for a micrograph also its scale and its particles."""
    panel = np.ascontiguousarray(image[box.slices])
    facts: dict[str, Any] = {"kind": kind_of_panel(panel)}
    path = out / "panels" / f"{row['image']}.png"
    with write_atomic(path) as temporary:
        Image.fromarray(panel).save(temporary)
    if facts["kind"] != "micrograph" or row["technique"] in _NOT_MEASURED:
        return facts | {"status": "left out", "error": ""}
    scale = scale_of_panel(panel, scale_bar_nm(row["caption"], row["panel"]))
    facts |= {"scale": scale.length, "scale_note": scale.note}
    grey = np.rint(luminance(panel)).astype(np.uint8)
    source = {"image": row["image"], "path": str(path), "frame": None, "sha256": sha256_of(path)}
    try:
        measured = measure_image(
            source,
            Micrograph(grey, scale.calibration, path=path),
            out / "measured" / row["document"],
            options.for_particles(),
        )
    except EmscoutError as error:
        return facts | {"status": "failed", "error": str(error)}
    names = ("nm_per_px", "calibration_source", "count", "count_border", "d50_px", "d50_nm", "status", "error")
    return facts | {name: _plain(measured.get(name)) for name in names} | {"measured": measured}


def _plain(value: Any) -> Any:
    """As JSON has it: numpy's numbers as Python's, NaN as nothing."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and np.isnan(value) else value


def _save(rows: list[dict[str, Any]], name: str, out: Path, options: FigureOptions, run: dict[str, Any]) -> None:
    """The tables of the measured panels, and the report of one document; rows keep what belongs into the table."""
    measured = [row.pop("measured") for row in rows if "measured" in row]
    overlays = {}
    if measured:
        inputs = [{key: row[key] for key in ("image", "path", "frame")} for row in measured]
        own = describe_run("analyze", inputs, asdict(options.for_particles()), model_sha256=run["model_sha256"])
        results.save_run(out / "measured" / name, measured, own, exports=[])
        overlays = {row["image"]: out / "measured" / name / "overlays" / f"{row['image']}.png" for row in measured}
    overviews = {row["overview"]: out / "overviews" / row["overview"] for row in rows if "overview" in row}
    with write_atomic(out / "reports" / f"{name}.html") as path:
        write_figures_page(path, rows, overviews, overlays, run, details=f"../measured/{name}/report.html")
    for row in rows:
        row.pop("overview", None)
