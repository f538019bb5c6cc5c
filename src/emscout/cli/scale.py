"""``emscout scale``: the scale that is printed in each image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.markup import escape
from rich.table import Column, Table

from emscout.cli.options import Overwrite, Workers
from emscout.cli.progress import kept_when_interrupted, progress_bar
from emscout.cli.screen import for_terminal, make_screen, make_table
from emscout.scale.read_scales import read_scales
from emscout.units import spell_length

__all__ = ["scale"]

_MAX_ROWS_SHOWN = 40


def scale(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or patterns such as 'figure_*.png'.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    overwrite: Overwrite = False,
    workers: Workers = None,
) -> None:
    """Read the scale bars that are printed in images.

    A scale is claimed only where a bar and the length beside it are read without doubt; otherwise the reason is given.

    Writes to OUT: [bold]scales.csv[/] (one row per image), [bold]pictures/[/] of what was read, and
    [bold]contact_sheet.png[/] with all of them.

    If interrupted, repeat the command to continue.

    Example: [bold]emscout scale figures/ -o scales[/]
    """
    screen = make_screen()
    with kept_when_interrupted(screen, out), progress_bar() as show:
        report = read_scales(paths, out, overwrite=overwrite, workers=workers, progress=show)
    scales = report.tables["scales"]
    screen.print(_table(scales.head(_MAX_ROWS_SHOWN)))
    if len(scales) > _MAX_ROWS_SHOWN:
        screen.print(f"… and {len(scales) - _MAX_ROWS_SHOWN} more in {escape(str(out / 'scales.csv'))}")
    failed = scales[scales["failed"]]
    for reason in failed["reason"]:
        screen.print(f"[red]failed:[/] {for_terminal(reason)}", soft_wrap=True)
    read = int(scales["value"].notna().sum())
    screen.print(f"A scale was read in {read} of {len(scales)} images. Table: {escape(str(out / 'scales.csv'))}")
    if len(failed):
        raise typer.Exit(1)


def _table(scales: pd.DataFrame) -> Table:
    table = make_table(
        Column("image", overflow="fold", min_width=16),
        Column("bar", justify="right", no_wrap=True),
        Column("length", justify="right", no_wrap=True),
        Column("pixel size", justify="right", no_wrap=True),
        Column("confidence", justify="right"),
        Column("no scale, because", overflow="fold"),
    )
    for row in scales.to_dict("records"):
        if pd.isna(row["value"]):
            reason = "[red]failed, see below[/]" if row["failed"] else escape(row["reason"])
            table.add_row(escape(row["image"]), "", "", "", "", reason)
            continue
        table.add_row(
            escape(row["image"]),
            f"{row['value']:g} {row['unit']}",
            f"{row['length_px']:.1f} px",
            spell_length(row["nm_per_px"], digits=4),
            f"{row['confidence']:.2f}",
            "",
        )
    return table
