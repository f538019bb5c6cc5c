"""Runs into a folder: how every task processes many images and writes its results.

A run claims its folder OUT, does one source after the other (or several at once in processes), keeps what is finished
so that a stopped run goes on where it was, and writes tables only as a whole. One bad source never ends a run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from emscout.compute import Progress, map_tasks
from emscout.errors import user_message
from emscout.io.files import image_names, sha256_of, write_atomic
from emscout.io.run_folder import claim_folder, describe_run, failed_row, write_json

__all__ = ["FINISHED", "Finished", "Outputs", "Run", "list_files", "write_evaluation", "write_table"]

_LOG = logging.getLogger(__name__)

FINISHED = ".finished"
"""The folder in OUT that holds what is done of each source."""

Source = dict[str, Any]


@dataclass(frozen=True)
class Outputs:
    """Names of what a command writes into its folder.

    Parameters
    ----------
    files, folders : tuple of str
        They are removed where results of other options or of other sources go.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...] = ()


class Finished:
    """The finished sources of a run, under ``OUT/.finished``: a JSON file for each, written last.

    Parameters
    ----------
    out : Path
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / FINISHED

    def load(self, name: str, source: Source) -> Any:
        """The result of the same source with the same bytes; ``None`` if there is none."""
        try:
            kept = json.loads((self._folder / f"{name}.json").read_text(encoding="utf-8"))
            return kept["result"] if kept["source"] == source else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, name: str, source: Source, result: Any) -> None:
        """Keep the result (JSON-like) of a source."""
        write_json(self._folder / f"{name}.json", {"source": source, "result": result})


@dataclass(frozen=True)
class Run:
    """A run of a command on its sources, into a folder.

    Parameters
    ----------
    command : str
        Of emscout.
    out : Path
    sources : sequence of dict
        Each with its name under `key`, ``path``, and what else tells it from others.
    options : dataclass or dict
        What shapes the result.
    outputs : Outputs
    depends : mapping
        What else the result depends on, JSON-like: checksums of models, say.
    grows : bool
        Whether sources may be added to the results of others, because each is done on its own.
    key : str
        Name of the field of a source that names it.
    """

    command: str
    out: Path
    sources: Sequence[Source]
    options: Any
    outputs: Outputs
    depends: Mapping[str, Any]
    grows: bool = True
    key: str = "image"

    def describe(self) -> dict[str, Any]:
        """Everything needed to run it again; see `emscout.io.run_folder.describe_run`."""
        options = asdict(self.options) if not isinstance(self.options, Mapping) else dict(self.options)
        return describe_run(self.command, self.sources, options, **self.depends)

    def claim(self, *, overwrite: bool, only_look: bool = False) -> dict[str, Any]:
        """Make sure that no other results in the folder are lost or mixed with these; return the description.

        Raises
        ------
        OutputError
            When the folder cannot be written, or holds other results and ``overwrite`` is not set.
        """
        described = self.describe()
        claim_folder(
            self.out,
            described,
            self.outputs.files,
            (*self.outputs.folders, FINISHED),
            grows=self.grows,
            overwrite=overwrite,
            only_look=only_look,
        )
        return described

    def map(
        self,
        work: Callable[[Source], Any],
        *,
        failed: Callable[[Source, str], Any] = failed_row,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> list[Any]:
        """Process every source and return the results in their order.

        Parameters
        ----------
        work : callable
            ``work(source)``, picklable; gives the result of one source.
        failed : callable
            ``failed(source, sentence)``, picklable; the result of a source that came to nothing.
        workers, progress
            As for `emscout.compute.map_tasks`.
        """
        return map_tasks(
            partial(_do_one, work=work, failed=failed),
            self.sources,
            workers=workers,
            name=lambda source: source[self.key],
            on_crash=lambda source: failed(source, _crash_message(source)),
            progress=progress,
        )


def _do_one(source: Source, *, work: Callable[[Source], Any], failed: Callable[[Source, str], Any]) -> Any:
    """Process one source; an error becomes its result."""
    try:
        return work(source)
    except Exception as error:
        _LOG.debug("while working on %s", source["path"], exc_info=True)
        return failed(source, user_message(error, source["path"]))


def _crash_message(source: Source) -> str:
    return f"'{source['path']}' ended its process, most likely because it ran out of memory: try `workers=1`."


def list_files(paths: Sequence[Path], *, key: str = "image", checksum: bool = False) -> list[Source]:
    """One source for each file: its name in the run, its path, and its SHA-256 if asked for."""
    names = image_names([(path, None) for path in paths])
    return [
        {key: name, "path": str(path.resolve())} | ({"sha256": sha256_of(path)} if checksum else {})
        for name, path in zip(names, paths, strict=True)
    ]


def write_table(
    out: Path, name: str, table: pd.DataFrame, *, parquet: bool = False, float_format: str | None = "%.7g"
) -> None:
    """Write a table as CSV, the same bytes everywhere, and as Parquet where that is asked for.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    with write_atomic(out / f"{name}.csv") as path:
        table.to_csv(path, index=False, float_format=float_format, lineterminator="\n")
    if parquet:
        with write_atomic(out / f"{name}.parquet") as path:
            table.to_parquet(path, index=False)


def write_evaluation(
    out: Path,
    tables: Mapping[str, pd.DataFrame],
    plots: Mapping[str, Callable[[Path], None]] | None = None,
    *,
    float_format: str | None = "%.6g",
) -> None:
    """Write the tables of an evaluation as CSV, those that have columns, and its plots.

    Parameters
    ----------
    out : Path
    tables : mapping of str to DataFrame
    plots : mapping of str to callable
        Name of the file, and ``plot(path)``, which draws it.
    float_format : str or None
        Of the numbers in the tables.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    for name, table in tables.items():
        if len(table.columns):
            write_table(out, name, table, float_format=float_format)
    for name, plot in (plots or {}).items():
        with write_atomic(out / name) as path:
            plot(path)
