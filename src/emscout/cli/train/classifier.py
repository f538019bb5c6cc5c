"""``emscout train classifier``: what tells the categories of one's own pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from emscout.cli.options import takes_options
from emscout.cli.screen import make_screen
from emscout.cli.train.session import needs_torch, options_given, training_session
from emscout.errors import UsageError
from emscout.training.classifier_options import ClassifierOptions
from emscout.training.nffa import download_nffa
from emscout.training.options import check_run, read_options

__all__ = ["classifier"]


@takes_options(ClassifierOptions)
def classifier(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run.", metavar="RUN")],
    options: ClassifierOptions,
    data: Annotated[
        Path | None, typer.Argument(help="Folder with one folder a category, or a CSV.", metavar="DATA")
    ] = None,
    dataset: Annotated[
        Literal["nffa"] | None,
        typer.Option(
            help="Fetch published pictures first, into DATA or else RUN/nffa: 21,283 scanning electron micrographs in "
            "ten categories (Aversa et al. 2018, CC BY, 11 GB)."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in RUN, with its options save those given here.")
    ] = False,
) -> None:
    """Train what tells the categories of labelled pictures of your own.

    DATA holds one folder of pictures a category, or is a CSV (path, category, source). Pictures that
    [bold]sources.csv[/] (file, source) calls one source, and near-twins, are never on both sides of the split; exact
    copies are dropped.

    Writes to RUN: [bold]model.onnx[/] to use with [bold]emscout classify --model[/], [bold]model.md[/] with its scores
    on pictures it has not seen, [bold]report.html[/] with what it confuses, beside a random split.

    Example: [bold]emscout train classifier specimens/ -o run[/]
    """
    with needs_torch():
        from emscout.training.classifier import train_classifier

    if data is None and dataset is None and resume:
        raise UsageError("--resume needs the pictures too: give DATA as before, or --dataset nffa.")
    if data is None and dataset is None:
        raise UsageError("What to train on is missing: give a folder with one folder a category, or --dataset nffa.")
    if resume and (dataset is None or (out / "options.json").exists()):
        options = replace(options, **read_options(out, ClassifierOptions) | options_given(context, options))
    check_run(out)  # before gigabytes are fetched
    screen = make_screen()
    with training_session(screen, out, options) as show, needs_torch():
        if dataset is not None:
            data = download_nffa(data or out / "nffa", progress=lambda done, what: show(done, f"fetching {what}"))
        assert data is not None
        trained = train_classifier(data, out, options, resume=resume, progress=show)
    screen.print(trained.accuracy, soft_wrap=True, markup=False)
    for failure in trained.failures:
        screen.print(f"[red]left out:[/] {escape(failure)}", soft_wrap=True)
    screen.print(f"Report: [bold]{escape(str(out / 'report.html'))}[/]", soft_wrap=True)
    screen.print(
        f"Model: [bold]{escape(str(trained.model))}[/], its card beside it. "
        f"Use it with --model {escape(str(trained.model))}",
        soft_wrap=True,
    )
    if trained.failures:
        raise typer.Exit(1)
