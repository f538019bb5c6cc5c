"""``emscout evaluate classes``: accuracy of the categories on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from emscout.cli.evaluate.folder import reserve
from emscout.cli.options import Overwrite
from emscout.cli.progress import progress_bar
from emscout.cli.screen import for_terminal, make_screen, make_table, spell_score
from emscout.models import load_category_model
from emscout.specimens.accuracy import FILES, evaluate_classes, save_evaluation, spell_accuracy
from emscout.specimens.features import BACKBONE

__all__ = ["classes"]


def classes(
    data: Annotated[
        Path, typer.Argument(help="Folder with one subfolder for each category, or a CSV.", metavar="DATA")
    ],
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="A shipped model, or the path of an .onnx file.")
    ] = BACKBONE,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for tables and plots.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Classify labelled pictures and score the categories.

    The pictures should be of sources the model was not trained on: its scores on its training pictures are too good.
    Those that are called "none of these" are scored in two ways: by their most probable category, and as wrong.

    Writes to OUT: [bold]scores.csv[/], [bold]categories.csv[/], [bold]confusion.csv[/], [bold]confused.csv[/],
    [bold]predictions.csv[/], and plots of confusions, calibration and coverage.

    Example: [bold]emscout evaluate classes labelled/ --model run/model.onnx -o scores[/]
    """
    sha256 = load_category_model(model).sha256
    claim = reserve(out, "classes", [data], {"model": model}, FILES, overwrite=overwrite, model_sha256=sha256)
    with progress_bar() as show:
        tables, notes, failures = evaluate_classes(data, model, progress=show)
    screen = make_screen()
    scores = tables["scores"].iloc[0]
    table = make_table(
        Column("category"),
        *(Column(name, justify="right") for name in ("pictures", "precision", "recall", "F1")),
        title=f"{escape(model)} on {int(scores['n'])} picture{'s' * int(scores['n'] != 1)}",
    )
    for row in tables["categories"].to_dict("records"):
        cells = (spell_score(row[name]) for name in ("precision", "recall", "f1"))
        table.add_row(escape(row["category"]), str(row["n"]), *cells)
    screen.print(table)
    accuracy = spell_accuracy(scores)
    screen.print(
        f"{accuracy[:1].upper()}{accuracy[1:]}. Macro-F1 {scores['macro_f1']:.3f}, expected calibration error "
        f"(15 bins) {scores['ece']:.3f}.",
        soft_wrap=True,
    )
    for row in tables["confused"].head(5).to_dict("records"):
        confused = f"{row['category']} taken for {row['confused_for']}: {row['count']} ({row['percent']:.1f} %)"
        screen.print(escape(confused))
    for note in notes:
        screen.print(f"[yellow]left out:[/] {for_terminal(note)}", soft_wrap=True)
    for failure in failures:
        screen.print(f"[red]failed:[/] {for_terminal(failure)}", soft_wrap=True)
    if out is not None:
        claim()
        save_evaluation(tables, out)
        screen.print(f"Tables: [bold]{escape(str(out))}[/]", soft_wrap=True)
    if failures:
        raise typer.Exit(1)
