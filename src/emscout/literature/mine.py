"""From papers and figures to measured micrographs: the function behind ``emscout figures``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from emscout.compute import Progress, map_tasks
from emscout.errors import user_message
from emscout.io.files import image_names, sha256_of
from emscout.io.run_folder import claim_folder, describe_run, failed_row, write_json
from emscout.literature import results
from emscout.literature.sources.open import find_documents, open_document
from emscout.literature.take_apart import take_apart
from emscout.micrograph import Report
from emscout.models import load_model
from emscout.particles.analyze import AnalyzeOptions
from emscout.particles.segment import DEFAULT_MODEL, WATERSHED

__all__ = ["FigureOptions", "mine"]

_LOG = logging.getLogger(__name__)


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
        Table ``figures`` (`emscout.literature.results.COLUMNS`). A document that failed has its sentence in
        ``error``; it never ends the run.

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
    claim_folder(out, run, results.FILES, results.FOLDERS, grows=True, overwrite=overwrite)
    parts = map_tasks(
        partial(_mine_document, out=out, options=options, run=run | {"inputs": []}),
        sources,
        workers=workers,
        name=lambda source: source["document"],
        on_crash=_crashed,
        progress=progress,
    )
    table = results.save_table([row for rows in parts for row in rows], out)
    return Report({"figures": table}, run["options"], run, out)


def _mine_document(
    source: dict[str, str], *, out: Path, options: FigureOptions, run: dict[str, Any]
) -> list[dict[str, Any]]:
    """Do one document and return its rows; every error becomes a row's ``status`` and ``error``."""
    try:
        document = open_document(Path(source["path"]))
        key = source | {"sha256": _sha256(document.files)}
        finished = out / ".finished" / f"{source['document']}.json"
        if (rows := results.load_finished(finished, key)) is not None:
            return rows
        rows = take_apart(document, source["document"], out, options.for_particles())
        results.save_document(rows, source["document"], out, options.for_particles(), run)
        # Last, because it says that all the others are there.
        write_json(finished, {"source": key, "rows": rows})
        return rows
    except Exception as error:
        _LOG.debug("while taking %s apart", source["path"], exc_info=True)
        return [failed_row(source, user_message(error, source["path"]))]


def _crashed(source: dict[str, str]) -> list[dict[str, Any]]:
    return [
        failed_row(
            source,
            f"The process that worked on {source['path']} was killed, most likely out of memory: try `workers=1`.",
        )
    ]


def _sha256(files: Sequence[Path]) -> str:
    return hashlib.sha256("".join(sha256_of(file) for file in files).encode()).hexdigest()
