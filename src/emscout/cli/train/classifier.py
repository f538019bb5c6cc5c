"""``emscout train classifier``: a classifier for pictures of your own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from emscout.cli.options import takes_options
from emscout.cli.screen import for_terminal, make_screen
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
        Path | None, typer.Argument(help="Folder with one subfolder for each category, or a CSV.", metavar="DATA")
    ] = None,
    dataset: Annotated[
        Literal["nffa"] | None,
        typer.Option(
            help="Download published pictures first, into DATA or RUN/nffa: 21,283 scanning electron micrographs in "
            "ten categories (Aversa et al. 2018, CC BY, 11 GB)."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in RUN; options given here replace its own.")
    ] = False,
) -> None:
    """Train a classifier on your own labelled pictures.

    DATA contains one folder of pictures for each category, or is a CSV (path, category, source). Pictures with the same
    source in [bold]sources.csv[/] (file, source), and near-duplicates, are never on both sides of the split; exact
    copies are dropped.

    Writes to RUN: [bold]model.onnx[/] to use with [bold]emscout classify --model[/], [bold]model.md[/] with its scores
    on held-out pictures, [bold]report.html[/] with these scores, confusions and calibration.

    Example: [bold]emscout train classifier specimens/ -o run[/]
    """
    with needs_torch():
        from emscout.training.classifier import train_classifier

    if data is None and dataset is None and resume:
        raise UsageError("`resume=True` needs the pictures too: give DATA as before, or `dataset=nffa`.")
    if data is None and dataset is None:
        raise UsageError("DATA is missing: give a folder with one subfolder for each category, or `dataset=nffa`.")
    if resume and (dataset is None or (out / "options.json").exists()):
        options = replace(options, **read_options(out, ClassifierOptions) | options_given(context, options))
    check_run(out)  # before gigabytes are downloaded
    screen = make_screen()
    with training_session(screen, out, options) as show, needs_torch():
        if dataset is not None:
            data = download_nffa(data or out / "nffa", progress=lambda done, what: show(done, f"downloading {what}"))
        assert data is not None
        trained = train_classifier(data, out, options, resume=resume, progress=show)
    screen.print(for_terminal(trained.accuracy), soft_wrap=True)
    for failure in trained.failures:
        screen.print(f"[red]left out:[/] {for_terminal(failure)}", soft_wrap=True)
    screen.print(f"Report: [bold]{escape(str(out / 'report.html'))}[/]", soft_wrap=True)
    screen.print(
        f"Model: [bold]{escape(str(trained.model))}[/], its card beside it. "
        f"Use it with --model {escape(str(trained.model))}",
        soft_wrap=True,
    )
    if trained.failures:
        raise typer.Exit(1)
