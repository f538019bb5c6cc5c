"""``emscout evaluate scale``: accuracy of printed scales, on images whose scales are known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Column

from emscout.cli.evaluate.folder import reserve
from emscout.cli.progress import progress_bar
from emscout.cli.screen import make_screen, make_table, spell_score
from emscout.runs import write_evaluation
from emscout.scale.accuracy import FILES, evaluate_scales

__all__ = ["scale"]

_SHARES = {
    "value_right": "value and unit right, of the readable",
    "length_2": "of those: length within 2 %",
    "length_5": "of those: length within 5 %",
    "precision": "right values, of all claims",
}
_COUNTS = {
    "n_images": "images",
    "n_readable": "with a readable scale",
    "n_false": "scales claimed where there is none",
    "n_wrong": "wrong values claimed",
}


def scale(
    data: Annotated[Path, typer.Argument(help="Folder with the images (and sources.csv).", metavar="DATA")],
    truth: Annotated[
        Path | None,
        typer.Option(help="CSV with name, value, unit, nm_per_px; by default DATA/scales.csv.", metavar="CSV"),
    ] = None,
    split: Annotated[
        Literal["first", "second", "all"],
        typer.Option(help="Images of the first half of the papers in sources.csv, of the second, or all."),
    ] = "all",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the tables.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other results in OUT.")] = False,
) -> None:
    """Read the printed scales of images and score them against a table of what is printed.

    An empty value in the table means that the image has no usable scale: a scale claimed there is false. The halves are
    split by a hash of each paper's DOI.

    Writes to OUT: [bold]scores.csv[/] and [bold]images.csv[/].

    Example: [bold]emscout evaluate scale figures/ --truth scales.csv -o scores[/]
    """
    inputs = [data] if truth is None else [data, truth]
    claim = reserve(out, "scale", inputs, {"split": split}, FILES, overwrite=overwrite)
    screen = make_screen()
    with progress_bar() as show:
        tables = evaluate_scales(data, truth=truth, half=None if split == "all" else split, progress=show)
    scores = tables["scores"].iloc[0]
    table = make_table(Column("score", no_wrap=True), Column("value", justify="right"), title=escape(str(data)))
    for name, label in _COUNTS.items():
        table.add_row(label, spell_score(int(scores[name])))
    for name, label in _SHARES.items():
        table.add_row(label, spell_score(scores[name], "{:.1%}"))
    table.add_row("seconds per image", f"{scores['seconds_per_image']:.2f}")
    screen.print(table)
    if out is not None:
        claim()
        write_evaluation(out, tables, float_format=None)
        screen.print(f"Tables: [bold]{escape(str(out))}[/]", soft_wrap=True)
