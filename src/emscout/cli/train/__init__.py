"""``emscout train``: networks of one's own; one module a network."""

from __future__ import annotations

import typer

from emscout.cli.train.autoencoder import autoencoder
from emscout.cli.train.classifier import classifier
from emscout.cli.train.particles import particles

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train a network on images of your own.")
app.command()(particles)
app.command()(classifier)
app.command()(autoencoder)


@app.callback()
def _train() -> None:
    """Train a network on images of your own."""
