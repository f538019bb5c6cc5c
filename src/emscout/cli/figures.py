"""``emscout figures``: papers and figures in, measured micrographs out."""

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
from emscout.literature.mine import LiteratureOptions, mine
from emscout.units import spell_length

__all__ = ["figures"]

_MAX_ROWS_SHOWN = 30


@takes_options(LiteratureOptions)
def figures(
    paths: Annotated[
        list[str], typer.Argument(help="PDFs, articles (HTML, JATS XML), figures; folders or patterns of these.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    options: LiteratureOptions,
    overwrite: Overwrite = False,
    workers: Workers = None,
) -> None:
    """Split the figures of papers into panels and measure the micrographs among them.

    Plots, drawings and photographs are not measured; scale bars and captions give the pixel size. An inset is a panel
    of its own. An article in HTML or XML needs its pictures in the same folder; when each article has its own folder,
    give 'papers/*/*'.

    Writes to OUT: [bold]figures.csv[/] (one row per panel), [bold]panels/[/] (each as PNG), [bold]reports/[/] (one page
    per document), [bold]overviews/[/] (each figure with its panels marked) and [bold]measured/[/] (every particle).

    If interrupted, repeat the command to continue.

    Example: [bold]emscout figures papers/ -o mined[/]
    """
    screen = make_screen()
    with kept_when_interrupted(screen, out), progress_bar() as show:
        report = mine(paths, out, options, overwrite=overwrite, workers=workers, progress=show)
    table = report.tables["figures"]
    panels, failed = table[table["kind"].notna()], table[table["status"] == "failed"]
    measured = panels[panels["count"].notna()]
    if len(measured):
        screen.print(_table(measured.head(_MAX_ROWS_SHOWN)))
    if len(measured) > _MAX_ROWS_SHOWN:
        screen.print(f"… and {len(measured) - _MAX_ROWS_SHOWN} more in {escape(str(out / 'figures.csv'))}")
    kinds = ", ".join(
        f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in panels["kind"].value_counts().items()
    )
    counts = {"document": table["document"].nunique(), "panel": len(panels)}
    summary = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())
    screen.print(f"{summary}{': ' if kinds else ''}{kinds}")
    for notice in report.warnings:
        screen.print(f"[yellow]{notice.code}:[/] {escape(notice.image)}: {for_terminal(notice)}", soft_wrap=True)
    for message in failed["error"]:
        screen.print(f"[red]failed:[/] {for_terminal(message)}", soft_wrap=True)
    if len(panels):
        screen.print(f"Reports: [bold]{escape(str(out / 'reports'))}[/]", soft_wrap=True)
    if len(failed):
        raise typer.Exit(1)


def _table(measured: pd.DataFrame) -> Table:
    table = make_table(
        Column("panel", overflow="fold", min_width=16),
        Column("technique"),
        Column("scale bar", no_wrap=True),
        Column("particles", justify="right"),
        Column("median\ndiameter", no_wrap=True),
    )
    for row in measured.to_dict("records"):
        nm, px = row["d50_nm"], row["d50_px"]
        table.add_row(
            escape(row["image"]),
            row["technique"] or "",
            row["scale"] or "[yellow]none[/]",
            str(row["count"]),
            spell_length(nm) if pd.notna(nm) else "" if pd.isna(px) else f"{px:.3g} px",
        )
    return table
