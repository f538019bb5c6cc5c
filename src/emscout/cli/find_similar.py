"""``emscout find-similar``: the micrographs of a folder that look most like one."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from emscout.cli.options import takes_options
from emscout.cli.progress import progress_bar
from emscout.cli.screen import make_screen, make_table
from emscout.io.run_folder import claim_folder, describe_run
from emscout.specimens.similar import SimilarOptions, save_found
from emscout.specimens.similar import find_similar as find_similar_images

__all__ = ["find_similar"]

_FILES = ("similar.csv", "report.html")
_MAX_ROWS_SHOWN = 10


@takes_options(SimilarOptions)
def find_similar(
    image: Annotated[Path, typer.Argument(help="The picture to look for.", metavar="IMAGE")],
    folder: Annotated[Path, typer.Argument(help="Where to look, subfolders too.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    options: SimilarOptions,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where what was seen of FOLDER is kept for the next search; by default OUT/index.npz."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the results of another search.")] = False,
) -> None:
    """Find the micrographs of a folder that look most like one.

    The first search looks at every picture once, which takes about a second for fifty; later ones with the same index
    look at new and changed ones only.

    Writes to OUT: [bold]report.html[/] with small pictures, the most alike first, and [bold]similar.csv[/].

    Example: [bold]emscout find-similar today.tif archive/ -o alike --index archive.npz[/]
    """
    sources = [{"image": image.stem, "path": str(image.resolve()), "frame": None}]
    run = describe_run("find-similar", sources, asdict(options), folder=str(folder.resolve()))
    index = index or out / "index.npz"
    claim = partial(claim_folder, out, run, _FILES, (), grows=False, overwrite=overwrite)
    claim(only_look=True)
    with progress_bar() as show:
        found, notes = find_similar_images(image, folder, index, options, progress=show)
    claim()
    save_found(out, image, folder, found, notes)
    screen = make_screen()
    table = make_table(
        Column("rank", justify="right"), Column("similarity", justify="right"), Column("image", overflow="fold")
    )
    for row in found.head(_MAX_ROWS_SHOWN).to_dict("records"):
        table.add_row(str(row["rank"]), f"{row['similarity']:.4f}", escape(row["path"]))
    screen.print(table)
    for note in notes:
        screen.print(f"[red]left out:[/] {escape(note)}", soft_wrap=True)
    screen.print(f"Report: [bold]{escape(str(out / 'report.html'))}[/]", soft_wrap=True)
    if notes:
        raise typer.Exit(1)
