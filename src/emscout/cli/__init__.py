"""The command line: parse, call a wing, show progress, say what came out."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from emscout.cli.analyze import analyze
from emscout.cli.app import app as start_app
from emscout.cli.classify import classify
from emscout.cli.evaluate import app as evaluate
from emscout.cli.figures import figures
from emscout.cli.find_similar import find_similar
from emscout.cli.info import info
from emscout.cli.locate import locate
from emscout.cli.movie import movie
from emscout.cli.scale import scale
from emscout.cli.train import app as train
from emscout.errors import EmscoutError, UsageError

__all__ = ["main"]

app = typer.Typer(
    name="emscout",
    help="Electron micrographs in, measured particles out. Everything stays on this computer.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command()(info)
app.command()(analyze)
app.command()(locate)
app.command()(movie)
app.command()(scale)
app.command()(classify)
app.command()(find_similar)
app.command()(figures)
app.command("app")(start_app)
app.add_typer(evaluate, name="evaluate")
app.add_typer(train, name="train")


def _print_version(asked: bool) -> None:
    if asked:
        from emscout import __version__

        typer.echo(f"emscout {__version__}")
        raise typer.Exit


@app.callback()
def _emscout(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Electron micrographs in, measured particles out. Everything stays on this computer."""


def main() -> None:
    """Run the command line; exit 0 for done, 1 for failed work, 2 for wrong usage."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app()
    except EmscoutError as error:
        errors.print(f"[bold red]emscout:[/] {escape(str(error))}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except Exception as fault:
        record = Path(tempfile.gettempdir()) / "emscout-fault.txt"
        record.write_text(traceback.format_exc(), encoding="utf-8")
        errors.print(
            f"[bold red]emscout:[/] a fault in emscout itself ({type(fault).__name__}); please report it with {record}"
        )
        sys.exit(1)
