"""``emscout info``: what image files contain, according to their headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from emscout.cli.screen import for_terminal, make_screen, make_table
from emscout.units import spell_length

__all__ = ["info"]


def info(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or patterns such as 'scan_*.tif'.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list with one object for each file.")] = False,
) -> None:
    """Show what image files contain: size, frames, data type, pixel size and its source.

    Reads headers only, so it is fast on large files. A file without a pixel size is [italic]uncalibrated[/]. For a file
    that cannot be read the reason is given, and the exit code is 1.
    """
    from emscout.io import find_images, inspect

    rows = [inspect(path) for path in find_images(paths)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        screen = make_screen()
        screen.print(_table(rows))
        for row in rows:
            if row["error"]:
                screen.print(f"[red]problem:[/] {for_terminal(row['error'])}", soft_wrap=True)
    if any(row["error"] for row in rows):
        raise typer.Exit(1)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = make_table(
        Column("file", overflow="fold"), "frames", "height × width", "type", Column("pixel size", no_wrap=True), "from"
    )
    for row in rows:
        name = escape(Path(row["path"]).name)
        if row["error"]:
            size = "" if row["height_px"] is None else f"{row['height_px']} × {row['width_px']} px"
            table.add_row(name, str(row["frames"] or ""), size, row["dtype"], "[red]see below[/]", "")
            continue
        nm_per_px = row["nm_per_px"]
        table.add_row(
            name,
            str(row["frames"]),
            f"{row['height_px']} × {row['width_px']} px",
            row["dtype"],
            "[yellow]uncalibrated[/]" if nm_per_px is None else spell_length(nm_per_px, digits=4),
            row["calibration_source"] or "",
        )
    return table
