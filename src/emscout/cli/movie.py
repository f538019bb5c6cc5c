"""``emscout movie``: frames in, what happened to the particles out."""

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
from emscout.micrograph import Report
from emscout.movies.follow import MovieOptions, follow

__all__ = ["movie"]

# Paragraphs of the summary that are shown; the others are in the report.
_SHOWN = ("Particles", "Sizes", "Why", "The law", "Errors")


@takes_options(MovieOptions)
def movie(
    path: Annotated[Path, typer.Argument(help="A stack or a video, or a folder of frames.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    options: MovieOptions,
    overwrite: Overwrite = False,
    workers: Workers = None,
) -> None:
    """Follow the particles of an in situ movie: drift, tracks, events, and the law by which they grow.

    Writes to OUT: [bold]report.html[/] with pictures and a summary; [bold]drift.csv[/] (one row per frame),
    [bold]tracks.csv[/] (one row per particle and frame, with every measurement), [bold]events.csv[/] (which particles
    merged, split, vanished …), [bold]curves.csv[/] (number, mean radius, coverage and volume against time),
    [bold]particles.csv[/] (why each changed), [bold]growth.csv[/] and [bold]shapes.csv[/] (laws of growth and size
    distributions), [bold]warnings.csv[/]; [bold]labels/[/] for ImageJ.

    If interrupted, repeat the command to continue at the frame where it stopped.

    Example: [bold]emscout movie heating.tif -o followed --frame-time 0.5s --pixel-size 0.2nm[/]
    """
    screen = make_screen()
    with kept_when_interrupted(screen, out), progress_bar("reading the movie") as show:
        report = follow(path, out, options, overwrite=overwrite, workers=workers, progress=show)
    found = report.provenance["found"]
    screen.print(_table(report))
    for heading in _SHOWN:
        if heading in found["story"]:
            screen.print(f"[bold]{heading}.[/] {for_terminal(found['story'][heading])}")
    for notice in report.warnings:
        screen.print(f"[yellow]{notice.code}:[/] {for_terminal(notice)}", soft_wrap=True)
    for message in found["failed"]:
        screen.print(f"[red]failed:[/] {for_terminal(message)}", soft_wrap=True)
    screen.print(f"Report: [bold]{escape(str(out / 'report.html'))}[/]", soft_wrap=True)
    if found["failed"]:
        raise typer.Exit(1)


def _table(report: Report) -> Table:
    """Figures of the first and the last measured frame."""
    curves, found = report.tables["curves"], report.provenance["found"]
    unit = "nm" if "mean_radius_nm" in curves else "px"
    alone = found["measured_frames"] == 1
    names = ["the only good frame"] if alone else ["first good frame", "last good frame"]
    table = make_table(
        Column("", no_wrap=True),
        *(Column(name, justify="right") for name in names),
        title=f"{found['measured_frames']} of {found['frames']} frames {'measured' if alone else 'followed'}",
    )
    ends = [curves.iloc[0], curves.iloc[-1]][: len(names)]
    for label, name, digits in (
        ("particles", "n", "{:.0f}"),
        (f"mean radius ({unit})", f"mean_radius_{unit}", "{:.2f}"),
        ("coverage", "coverage", "{:.1%}"),
    ):
        cells = ("" if pd.isna(end[name]) else digits.format(end[name]) for end in ends)
        table.add_row(label, *cells)
    return table
