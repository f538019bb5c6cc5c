"""The command line: parse options, call a task, show progress, print the results."""

from __future__ import annotations

import sys
import tempfile
import traceback
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from emscout.cli.commands import make_group
from emscout.cli.screen import for_terminal
from emscout.errors import EmscoutError, UsageError

__all__ = ["app", "main"]

_COMMANDS = {
    "info": "emscout.cli.info:info",
    "analyze": "emscout.cli.analyze:analyze",
    "locate": "emscout.cli.locate:locate",
    "movie": "emscout.cli.movie:movie",
    "scale": "emscout.cli.scale:scale",
    "classify": "emscout.cli.classify:classify",
    "find-similar": "emscout.cli.find_similar:find_similar",
    "figures": "emscout.cli.figures:figures",
    "app": "emscout.cli.app:app",
    "evaluate": "emscout.cli.evaluate:app",
    "train": "emscout.cli.train:app",
}


def _print_version(asked: bool) -> None:
    if asked:
        from emscout import __version__

        typer.echo(f"emscout {__version__}")
        raise typer.Exit


def _emscout(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Electron micrographs in, measured particles out. Everything stays on this computer."""


app = make_group(
    "emscout",
    "Electron micrographs in, measured particles out. Everything stays on this computer.",
    _COMMANDS,
    _emscout,
)


def main() -> None:
    """Run the command line; exit 0 for done, 1 for failed work, 2 for wrong usage."""
    try:
        app()
    except EmscoutError as error:
        _fail(for_terminal(error), code=2 if isinstance(error, UsageError) else 1)
    except MemoryError:
        _fail("this computer ran out of memory: try fewer or smaller images.")
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            _fail(f"'{escape(str(error.filename))}' cannot be read or written ({error.strerror}).")
        with tempfile.NamedTemporaryFile(
            "w", prefix="emscout-error-", suffix=".txt", delete=False, encoding="utf-8"
        ) as record:
            traceback.print_exc(file=record)
        _fail(f"internal error ({type(error).__name__}); please report it with the file {escape(record.name)}")


def _fail(sentence: str, code: int = 1) -> NoReturn:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]emscout:[/] {sentence}")
    sys.exit(code)
