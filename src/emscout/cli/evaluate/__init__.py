"""``emscout evaluate``: how right it is, on images whose truth is known; one module a question."""

from __future__ import annotations

import typer

from emscout.cli.evaluate.classes import classes
from emscout.cli.evaluate.locate import locate
from emscout.cli.evaluate.movie import movie
from emscout.cli.evaluate.particles import particles
from emscout.cli.evaluate.scale import scale

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Score what is found on labelled images of your own.")
app.command()(particles)
app.command()(locate)
app.command()(classes)
app.command()(movie)
app.command()(scale)


@app.callback()
def _evaluate() -> None:
    """Score what is found on labelled images of your own."""
