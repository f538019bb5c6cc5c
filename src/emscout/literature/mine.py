"""From papers and figures to measured micrographs: the function behind ``emscout figures``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from emscout.compute import Progress
from emscout.io.files import sha256_of
from emscout.io.run_folder import failed_row
from emscout.literature import results
from emscout.literature.measure import measure_document
from emscout.literature.sources.open import find_documents, open_document
from emscout.micrograph import Report
from emscout.options import options_class
from emscout.particles.analyze import ParticleOptions
from emscout.particles.segment import DEFAULT_MODEL, WATERSHED, model_checksum
from emscout.runs import Finished, Run, list_files

__all__ = ["LiteratureOptions", "mine"]


@options_class
class LiteratureOptions:
    """Options of `mine`; every field is also an option of the command.

    Raises
    ------
    UsageError
        When a value makes no sense.
    """

    model: str = field(
        default=DEFAULT_MODEL,
        metadata={
            "help": f"How particles are found: {DEFAULT_MODEL} (the network that comes with emscout), {WATERSHED} (no "
            "network), the path of your own .onnx file, or package.module:function (your own segmenter).",
            "metavar": "NAME|PATH",
        },
    )
    samples: Annotated[int, Ge(1)] = field(
        default=30,
        metadata={"help": "Number of Monte-Carlo samples of the network: more samples give a smoother uncertainty."},
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "Random seed of the Monte-Carlo samples and the bootstrap intervals."}
    )

    def __post_init__(self) -> None:
        self.for_particles()

    def for_particles(self) -> ParticleOptions:
        """The options with which the micrographs are measured."""
        # The pixel size of a panel is decided here, with the caption; its bar must not overrule that.
        return ParticleOptions(model=self.model, samples=self.samples, seed=self.seed, trust="metadata")


def mine(
    paths: Sequence[str | Path],
    out: str | Path,
    options: LiteratureOptions | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Split the figures of papers into panels and measure the micrographs among them.

    Parameters
    ----------
    paths : sequence of str or Path
        PDFs, articles in HTML or JATS XML with their pictures beside them, pictures of figures; folders and glob
        patterns of these.
    out : str or Path
        Folder for the results. Documents that it already holds results for, with the same options and from unchanged
        files, are skipped.
    options : LiteratureOptions, optional
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
        ``error``; it does not stop the run.

    Raises
    ------
    UsageError
        When there is nothing to work on.
    ModelError
        When the network cannot be loaded.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.

    Examples
    --------
    >>> import emscout as em
    >>> report = em.mine(["papers"], "mined")                                   # doctest: +SKIP
    >>> report.tables["figures"][["image", "kind", "scale", "count"]]           # doctest: +SKIP
    """
    options, out = options or LiteratureOptions(), Path(out)
    sources = list_files(find_documents(paths), key="document")
    depends = {"model_sha256": model_checksum(options.model)}
    run = Run("figures", out, sources, options, results.OUTPUTS, depends, key="document")
    described = run.claim(overwrite=overwrite)
    work = partial(_mine_document, out=out, options=options, run=described | {"inputs": []})
    parts = run.map(work, failed=_failed, workers=workers, progress=progress)
    return results.save_run([row for rows in parts for row in rows], out, described)


def _mine_document(
    source: dict[str, str], *, out: Path, options: LiteratureOptions, run: dict[str, Any]
) -> list[dict[str, Any]]:
    """Do one document, unless it is finished; its rows."""
    name, finished = source["document"], Finished(out)
    with open_document(Path(source["path"])) as document:
        source = source | {"sha256": _sha256(document.files)}
        if (rows := finished.load(name, source)) is None:
            rows = measure_document(document, name, out, options.for_particles())
            results.save_document(rows, name, out, options.for_particles(), run)
            finished.save(name, source, rows)  # last, because it says that all the others are there
    return rows


def _failed(source: dict[str, str], sentence: str) -> list[dict[str, Any]]:
    return [failed_row(source, sentence)]


def _sha256(files: Sequence[Path]) -> str:
    return hashlib.sha256("".join(sha256_of(file) for file in files).encode()).hexdigest()
