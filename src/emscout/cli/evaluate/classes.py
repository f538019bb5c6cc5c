"""``emscout evaluate classes``: how right the categories are, on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from emscout.cli.progress import progress_bar
from emscout.specimens.accuracy import evaluate_classes, save_evaluation
from emscout.specimens.features import BACKBONE

__all__ = ["classes"]


def classes(
    data: Annotated[Path, typer.Argument(help="Folder with one folder a category, or a CSV.", metavar="DATA")],
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="A shipped model, or the path of an .onnx file.")
    ] = BACKBONE,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for tables and plots.")] = None,
) -> None:
    """Name the categories of labelled pictures and score them.

    The pictures should be of sources the model was not trained on: its own training pictures flatter it. Every picture
    counts, also those that are called "none of these".

    Writes to OUT: [bold]scores.csv[/], [bold]categories.csv[/], [bold]confusion.csv[/], [bold]confused.csv[/],
    [bold]predictions.csv[/], and plots of confusions, calibration and abstaining.

    Example: [bold]emscout evaluate classes labelled/ --model run/model.onnx -o scores[/]
    """
    with progress_bar() as show:
        tables, notes = evaluate_classes(data, model, progress=show)
    screen = Console(highlight=False)
    scores = tables["scores"].iloc[0]
    table = Table(
        Column("category"),
        *(Column(name, justify="right") for name in ("pictures", "precision", "recall", "F1")),
        title=f"{escape(model)} on {int(scores['n'])} pictures",
    )
    for row in tables["categories"].to_dict("records"):
        cells = ("" if row[name] != row[name] else f"{row[name]:.3f}" for name in ("precision", "recall", "f1"))
        table.add_row(escape(row["category"]), str(row["n"]), *cells)
    screen.print(table)
    screen.print(
        f"Accuracy {scores['accuracy']:.3f}, macro-F1 {scores['macro_f1']:.3f}, expected calibration error (15 bins) "
        f"{scores['ece']:.3f}; {scores['unknown']:.1%} called none of these.",
        soft_wrap=True,
    )
    for row in tables["confused"].head(5).to_dict("records"):
        screen.print(f"{row['category']} taken for {row['confused_for']}: {row['count']} ({row['percent']:.1f} %)")
    for note in notes:
        screen.print(f"[yellow]left out:[/] {escape(note)}", soft_wrap=True)
    if out is not None:
        save_evaluation(tables, out)
        screen.print(f"Tables: [bold]{escape(str(out))}[/]", soft_wrap=True)
