"""``emscout analyze``: micrographs in, measured particles out."""

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
from emscout.particles.analyze import ParticleOptions
from emscout.particles.analyze import analyze as analyze_images
from emscout.units import spell_length

__all__ = ["analyze"]

_MAX_ROWS_SHOWN = 20


@takes_options(ParticleOptions)
def analyze(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or patterns such as 'scan_*.tif'.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    options: ParticleOptions,
    overwrite: Overwrite = False,
    workers: Workers = None,
) -> None:
    """Find and measure the particles in micrographs.

    Writes to OUT: [bold]report.html[/], the tables [bold]particles.csv[/] (one row for each particle) and
    [bold]images.csv[/] (one row for each image), [bold]labels/[/] to open in ImageJ, and [bold]overlays/[/] with the
    outlines.

    If interrupted, repeat the command to continue.

    Example: [bold]emscout analyze scans/ -o results --min-diameter 5nm[/]
    """
    screen = make_screen()
    with kept_when_interrupted(screen, out), progress_bar() as show:
        report = analyze_images(paths, out, options, overwrite=overwrite, workers=workers, progress=show)
    images = report.tables["images"]
    screen.print(_table(images.head(_MAX_ROWS_SHOWN)))
    if len(images) > _MAX_ROWS_SHOWN:
        screen.print(f"… and {len(images) - _MAX_ROWS_SHOWN} more in {escape(str(out / 'images.csv'))}")
    for notice in report.warnings:
        screen.print(f"[yellow]{notice.code}:[/] {escape(notice.image)}: {for_terminal(notice)}", soft_wrap=True)
    failed = images[images["status"] == "failed"]
    for message in failed["error"]:
        screen.print(f"[red]failed:[/] {for_terminal(message)}", soft_wrap=True)
    screen.print(f"Report: [bold]{escape(str(out / 'report.html'))}[/]", soft_wrap=True)
    if len(failed):
        raise typer.Exit(1)


def _table(images: pd.DataFrame) -> Table:
    table = make_table(
        Column("image", overflow="fold"),
        Column("particles", justify="right"),
        Column("cut by\nborder", justify="right"),
        Column("diameter: median\n(D10 – D90)", no_wrap=True),
        Column("pixel size", no_wrap=True),
    )
    for row in images.to_dict("records"):
        if row["status"] == "failed":
            table.add_row(escape(row["image"]), "[red]failed[/]", "", "", "")
            continue
        unit = "px" if pd.isna(row["nm_per_px"]) else "nm"
        spell = spell_length if unit == "nm" else "{:.3g} px".format
        d10, d50, d90 = (row[f"{name}_{unit}"] for name in ("d10", "d50", "d90"))
        table.add_row(
            escape(row["image"]),
            str(int(row["count"])),
            str(int(row["count_border"])),
            "" if pd.isna(d50) else f"{spell(d50)} ({spell(d10)} – {spell(d90)})",
            "[yellow]uncalibrated[/]" if unit == "px" else spell_length(row["nm_per_px"], digits=4),
        )
    return table
