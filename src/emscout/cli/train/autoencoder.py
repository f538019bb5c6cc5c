"""``emscout train autoencoder``: a network that finds the particles of one movie, trained without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from emscout.cli.options import takes_options
from emscout.cli.screen import make_screen
from emscout.cli.train.session import needs_torch, options_given, training_session
from emscout.training.autoencoder_options import AutoencoderOptions
from emscout.training.options import read_options

__all__ = ["autoencoder"]


@takes_options(AutoencoderOptions)
def autoencoder(
    context: typer.Context,
    movie: Annotated[Path, typer.Argument(help="A stack, or a folder of frames.", metavar="MOVIE")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run.", metavar="RUN")],
    options: AutoencoderOptions,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in RUN; options given here replace its own.")
    ] = False,
) -> None:
    """Train a network on a movie, without labels, that finds its particles.

    Sub-images are cut from the frames, flipped and rotated, and an autoencoder that is too narrow to reproduce
    their noise learns to reproduce them. Its reconstruction of a frame, smoothed and thresholded, gives the particles.

    Writes to RUN: [bold]model.onnx[/] to use with [bold]emscout movie --model[/], its card [bold]model.md[/], and for
    each epoch [bold]reconstructions/epoch_001.png[/] (a frame it was not trained on, beside its reconstruction) and
    [bold]epochs/epoch_001.onnx[/]: choose the one whose picture keeps the particles and not the noise. If
    interrupted, continue with [bold]--resume[/].

    Example: [bold]emscout train autoencoder movie.tif -o run[/]
    """
    with needs_torch():
        from emscout.training.autoencoder import train

    if resume:
        options = replace(options, **read_options(out, AutoencoderOptions) | options_given(context, options))
    screen = make_screen()
    with training_session(screen, out, options) as show:
        path = train(movie, out, options, resume=resume, progress=show)
    screen.print(
        f"Model: [bold]{escape(str(path))}[/], its card beside it; for every epoch a picture in "
        f"{escape(str(out / 'reconstructions'))} and a model in {escape(str(out / 'epochs'))}. "
        f"Use one with emscout movie --model {escape(str(path))}",
        soft_wrap=True,
    )
