"""``emscout evaluate``: how right it is, on images whose truth is known; one module a question."""

from __future__ import annotations

import typer

from emscout.cli.evaluate.locate import locate
from emscout.cli.evaluate.particles import particles

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Score what is found on labelled images of your own.")
app.command()(particles)
app.command()(locate)


@app.callback()
def _evaluate() -> None:
    """Score what is found on labelled images of your own."""
