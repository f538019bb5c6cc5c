"""``emscout train particles``: a network that finds particles, trained on labelled images of your own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from emscout.cli.options import takes_options
from emscout.cli.screen import make_screen
from emscout.cli.train.session import needs_torch, options_given, training_session
from emscout.training.options import TrainingOptions, read_options

__all__ = ["particles"]


@takes_options(TrainingOptions)
def particles(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help="Folder with images and their labels.", metavar="DATA")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run.", metavar="RUN")],
    options: TrainingOptions,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in RUN; options given here replace its own.")
    ] = False,
) -> None:
    """Train the network that finds particles on your own labelled images.

    DATA contains images/ and labels/ with label images of the same names, or COCO, ImageJ ROI or Labelme files beside
    the images; images with the same source in [bold]sources.csv[/] (name, source) are never on both sides of the split.

    Writes to RUN: [bold]model.onnx[/] to use with [bold]--model[/], [bold]model.md[/] with its scores on the
    validation images, pictures of those, and logs for TensorBoard. If interrupted, continue with [bold]--resume[/].

    Example: [bold]emscout train particles labelled/ -o run --minutes 60[/]
    """
    with needs_torch():
        from emscout.training.particles import train

    if resume:
        options = replace(options, **read_options(out) | options_given(context, options))
    screen = make_screen()
    with training_session(screen, out, options) as show:
        path = train(data, out, options, resume=resume, progress=show)
    screen.print(
        f"Model: [bold]{escape(str(path))}[/], its card beside it. Use it with --model {escape(str(path))}",
        soft_wrap=True,
    )
