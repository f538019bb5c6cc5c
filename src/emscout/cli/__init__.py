"""The command line: parse, call a wing, show progress, say what came out."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

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
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app()
    except EmscoutError as error:
        errors.print(f"[bold red]emscout:[/] {for_terminal(error)}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except MemoryError:
        errors.print(
            "[bold red]emscout:[/] this needs more memory than the computer has free: try fewer or smaller images."
        )
        sys.exit(1)
    except Exception as fault:
        if isinstance(fault, OSError) and fault.filename:
            errors.print(
                f"[bold red]emscout:[/] '{escape(str(fault.filename))}' cannot be read or written ({fault.strerror})."
            )
            sys.exit(1)
        record = Path(tempfile.gettempdir()) / "emscout-fault.txt"
        record.write_text(traceback.format_exc(), encoding="utf-8")
        errors.print(
            f"[bold red]emscout:[/] a fault in emscout itself ({type(fault).__name__}); please report it with {record}"
        )
        sys.exit(1)
