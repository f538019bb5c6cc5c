"""``emscout train``: a network of one's own, from labelled images."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from emscout.cli.options import takes_options
from emscout.errors import EmscoutError
from emscout.training.options import TrainingOptions, read_options

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Train a network on labelled images of your own.")


@app.callback()
def _train() -> None:
    """Train a network on labelled images of your own."""


@app.command()
@takes_options(TrainingOptions)
def particles(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help="Folder with images and their labels.", metavar="DATA")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run.", metavar="RUN")],
    options: TrainingOptions,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in RUN, with its options save those given here.")
    ] = False,
) -> None:
    """Train the network that finds particles on labelled images of your own.

    DATA holds images/ and labels/ with label images of the same names, or COCO, ImageJ ROI or Labelme files beside the
    images; images that [bold]sources.csv[/] (name, source) calls one source are never on both sides of the split.

    Writes to RUN: [bold]model.onnx[/] to use with [bold]--model[/], [bold]model.md[/] with its scores on images kept
    for validation, pictures of those, and logs for TensorBoard. Interrupted, it goes on with [bold]--resume[/].

    Example: [bold]emscout train particles labelled/ -o run --minutes 60[/]
    """
    try:
        from emscout.training.particles import train
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "tensorboard", "onnx", "onnxscript"):
            raise
        raise EmscoutError(
            f"Training needs {error.name}, which is not installed: pip install 'emscout[train]'."
        ) from error

    if resume:
        sources = {name: context.get_parameter_source(name) for name in asdict(options)}
        given = {
            name: getattr(options, name) for name, source in sources.items() if source and source.name != "DEFAULT"
        }
        options = replace(options, **read_options(out) | given)
    screen = Console(highlight=False)
    logging.basicConfig(level=logging.WARNING)
    logger = logging.getLogger("emscout.training")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(RichHandler(console=screen, show_path=False, show_level=False))
    screen.print_json(json.dumps(asdict(options)))
    with Progress(
        BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), console=screen, transient=True
    ) as bar:
        task = bar.add_task("", total=1.0)

        def show(fraction: float, message: str) -> None:
            bar.update(task, completed=fraction, description=message)
            if not screen.is_terminal:
                screen.print(f"{fraction:4.0%} {message}")

        try:
            path = train(data, out, options, resume=resume, progress=show)
        except KeyboardInterrupt:
            bar.stop()
            screen.print(
                "Interrupted. The same command with --resume goes on from the last checkpoint.", soft_wrap=True
            )
            raise typer.Exit(130) from None
    screen.print(
        f"Model: [bold]{escape(str(path))}[/], its card beside it. Use it with --model {escape(str(path))}",
        soft_wrap=True,
    )
