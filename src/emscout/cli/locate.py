"""``emscout locate``: overview images in, where the crystals are out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.markup import escape
from rich.table import Column, Table

from emscout.cli.options import Overwrite, Workers, takes_options
from emscout.cli.progress import progress_bar
from emscout.cli.screen import for_terminal, make_screen, make_table
from emscout.crystals.find import group_notices
from emscout.crystals.locate import CrystalOptions
from emscout.crystals.locate import locate as locate_crystals

__all__ = ["locate"]

_MAX_ROWS_SHOWN = 12


@takes_options(CrystalOptions)
def locate(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or patterns such as 'Tile_*.tif': one set.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    options: CrystalOptions,
    overwrite: Overwrite = False,
    workers: Workers = None,
) -> None:
    """Find the crystals on overview images of a grid.

    Every image is cut into tiles. The tiles of all images are clustered by statistics of their grey values, and those
    that look like crystals become targets. Grid bars and apertures are found first and left out.

    Writes to OUT: [bold]report.html[/] to look at targets and correct them, [bold]targets.csv[/] (one row per target,
    the best first), [bold]targets.nav[/] for SerialEM, [bold]tiles.csv[/] (one row per tile), [bold]images.csv[/] (one
    row per image), [bold]heat_maps/[/] and a mosaic of the set.

    Example: [bold]emscout locate overview/ -o found --grid 30x30[/]

    Then, with tiles that you clicked in the report: [bold]emscout locate overview/ -o found2 --like scan_1:4,7 --unlike
    scan_1:9,2[/]
    """
    screen = make_screen()
    with progress_bar() as show:
        report = locate_crystals(
            paths,
            out,
            options,
            overwrite=overwrite,
            workers=workers,
            progress=lambda done, total, what: show(done, total, what or "clustering tiles"),
        )
    targets, images, found = report.tables["targets"], report.tables["images"], report.provenance["found"]
    if len(targets):
        screen.print(_table(targets.head(_MAX_ROWS_SHOWN)))
    if len(targets) > _MAX_ROWS_SHOWN:
        screen.print(f"… and {len(targets) - _MAX_ROWS_SHOWN} more in {escape(str(out / 'targets.csv'))}")
    screen.print(
        f"{escape(found['how'])} Proposed: cluster {found['proposed_cluster']}, confidence {found['confidence']:.0%}.",
        soft_wrap=True,
    )
    if found["question"]:
        screen.print(
            f"Most uncertain tile: {escape(found['question'])}. Label it with --like or --unlike.", soft_wrap=True
        )
    for about, notice in group_notices(report.warnings):
        image = f"{escape(about)}: " if about else ""
        screen.print(f"[yellow]{notice.code}:[/] {image}{for_terminal(notice)}", soft_wrap=True)
    failed = images[images["status"] == "failed"]
    for message in failed["error"]:
        screen.print(f"[red]failed:[/] {for_terminal(message)}", soft_wrap=True)
    screen.print(f"Report: [bold]{escape(str(out / 'report.html'))}[/]", soft_wrap=True)
    if len(failed):
        raise typer.Exit(1)


def _table(targets: pd.DataFrame) -> Table:
    table = make_table(
        Column("target", justify="right"),
        Column("image", overflow="fold", min_width=16),
        Column("centre:\nrow, col (px)", no_wrap=True),
        Column("extent (px)", no_wrap=True),
        Column("score", justify="right"),
        Column("to bar (px)", justify="right"),
    )
    for row in targets.to_dict("records"):
        table.add_row(
            str(row["rank"]),
            escape(row["image"]),
            f"{row['row_px']:.0f}, {row['col_px']:.0f}",
            f"{row['height_px']} × {row['width_px']}",
            f"{row['score']:.2f}",
            "" if pd.isna(row["bar_distance_px"]) else f"{row['bar_distance_px']:.0f}",
        )
    return table
