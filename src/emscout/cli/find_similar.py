"""``emscout find-similar``: the micrographs of a folder that look most like one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from emscout.cli.options import takes_options
from emscout.cli.progress import progress_bar
from emscout.cli.screen import for_terminal, make_screen, make_table
from emscout.specimens.similar import SimilarOptions, search_similar

__all__ = ["find_similar"]

_MAX_ROWS_SHOWN = 10


@takes_options(SimilarOptions)
def find_similar(
    image: Annotated[Path, typer.Argument(help="The micrograph to compare with.", metavar="IMAGE")],
    folder: Annotated[Path, typer.Argument(help="Where to search, subfolders included.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    options: SimilarOptions,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File that keeps the features of FOLDER's pictures for the next search; by default OUT/index.npz.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results of another search.")] = False,
) -> None:
    """Find the micrographs of a folder that look most like a given one.

    The first search reads every picture once, which takes about a second for fifty; later ones with the same index
    read only new and changed ones.

    Writes to OUT: [bold]report.html[/] with small pictures, the most alike first, and [bold]similar.csv[/].

    Example: [bold]emscout find-similar today.tif archive/ -o alike --index archive.npz[/]
    """
    with progress_bar() as show:
        report = search_similar(image, folder, out, options, index=index, overwrite=overwrite, progress=show)
    screen = make_screen()
    table = make_table(
        Column("rank", justify="right"), Column("similarity", justify="right"), Column("image", overflow="fold")
    )
    for row in report.tables["similar"].head(_MAX_ROWS_SHOWN).to_dict("records"):
        table.add_row(str(row["rank"]), f"{row['similarity']:.4f}", escape(row["path"]))
    screen.print(table)
    for notice in report.warnings:
        screen.print(f"[red]left out:[/] {for_terminal(notice)}", soft_wrap=True)
    screen.print(f"Report: [bold]{escape(str(out / 'report.html'))}[/]", soft_wrap=True)
    if report.warnings:
        raise typer.Exit(1)
