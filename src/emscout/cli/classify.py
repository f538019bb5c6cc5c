"""``emscout classify``: micrographs in, the category of each out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.markup import escape
from rich.table import Column, Table

from emscout.cli.options import Overwrite, Workers, takes_options
from emscout.cli.progress import kept_when_interrupted, progress_bar
from emscout.cli.screen import for_terminal, make_screen, make_table
from emscout.specimens.classify import SpecimenOptions, categorize

__all__ = ["classify"]

_MAX_ROWS_SHOWN = 20


@takes_options(SpecimenOptions)
def classify(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or patterns such as 'scan_*.tif'.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    options: SpecimenOptions,
    overwrite: Overwrite = False,
    workers: Workers = None,
) -> None:
    """Find the category of each image.

    Writes to OUT: [bold]classes.csv[/] (one row per image: category, probability of each, entropy, and whether the
    model knows pictures of this kind) and [bold]report.html[/] with the evidence for each.

    The model that comes with emscout distinguishes imaging techniques; for categories of your own, train one with
    [bold]emscout train classifier[/].

    If interrupted, repeat the command to continue.

    Example: [bold]emscout classify figures/ -o sorted[/]
    """
    screen = make_screen()
    with kept_when_interrupted(screen, out), progress_bar() as show:
        report = categorize(paths, out, options, overwrite=overwrite, workers=workers, progress=show)
    classes = report.tables["classes"]
    screen.print(_table(classes.head(_MAX_ROWS_SHOWN)))
    if len(classes) > _MAX_ROWS_SHOWN:
        screen.print(f"… and {len(classes) - _MAX_ROWS_SHOWN} more in {escape(str(out / 'classes.csv'))}")
    for notice in report.warnings:
        screen.print(f"[yellow]{notice.code}:[/] {escape(notice.image)}: {for_terminal(notice)}", soft_wrap=True)
    failed = classes[classes["status"] == "failed"]
    for message in failed["error"]:
        screen.print(f"[red]failed:[/] {for_terminal(message)}", soft_wrap=True)
    screen.print(f"Report: [bold]{escape(str(out / 'report.html'))}[/]", soft_wrap=True)
    if len(failed):
        raise typer.Exit(1)


def _table(classes: pd.DataFrame) -> Table:
    table = make_table(
        Column("image", overflow="fold", min_width=16),
        Column("category"),
        Column("probability", justify="right"),
        Column("next", no_wrap=True),
    )
    columns = [name for name in classes if str(name).startswith("p_")]
    for row in classes.to_dict("records"):
        if row["status"] == "failed":
            table.add_row(escape(row["image"]), "[red]failed[/]", "", "")
            continue
        first, second = sorted(columns, key=lambda name: -row[name])[:2]
        named = escape(row["category"]) or f"[yellow]none of these[/] ({escape(str(first)[2:])}?)"
        table.add_row(
            escape(row["image"]), named, f"{row['probability']:.2f}", f"{escape(str(second)[2:])} {row[second]:.2f}"
        )
    return table
