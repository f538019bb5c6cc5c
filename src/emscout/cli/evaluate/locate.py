"""``emscout evaluate locate``: score targets on overview images with known crystals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.markup import escape
from rich.table import Column

from emscout.cli.evaluate.folder import reserve
from emscout.cli.screen import make_screen, make_table, spell_score
from emscout.crystals.accuracy import FILES, evaluate_crystals
from emscout.evaluate.crystals import FIRST
from emscout.runs import write_evaluation

__all__ = ["locate"]

_ROWS = {
    "n_positive": "crystal tiles",
    "n_target": "target tiles",
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "adjusted_rand": "adjusted Rand index",
    "homogeneity": "homogeneity",
    "completeness": "completeness",
    **{f"recall_{n}": f"first {n}: crystals" for n in FIRST},
    **{f"tile_recall_{n}": f"first {n}: tiles" for n in FIRST},
}


def locate(
    folder: Annotated[Path, typer.Argument(help="Folder that emscout locate wrote.", metavar="RESULT")],
    truth: Annotated[
        Path,
        typer.Argument(
            help="CSV of labelled tiles (image,row,col,label), or a folder of masks with the names of the images.",
            metavar="TRUTH",
        ),
    ],
    positive: Annotated[
        list[str] | None,
        typer.Option(help="Label that means crystal; by default 1, yes, true, crystal …", metavar="LABEL"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the tables.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace other results in OUT.")] = False,
) -> None:
    """Score what emscout locate found against labelled tiles or masks.

    A tile is crystal by its label, or when more than a fifth of it is under the mask. Adjusted Rand index, homogeneity
    and completeness compare the clusters with the labels; precision, recall and F1 compare targets with crystals.
    "First 10": the share of the crystals (tiles that touch are one crystal) in which the 10 best targets have their
    centres, and the share of the crystal tiles that belong to these targets.

    Writes to OUT: [bold]scores.csv[/] and [bold]images.csv[/].

    Example: [bold]emscout evaluate locate found/ labels.csv --positive C[/]
    """
    options = {"positive": sorted(positive or ())}
    claim = reserve(out, "locate", [folder, truth], options, FILES, overwrite=overwrite)
    tables = evaluate_crystals(folder, truth, positive or ())
    screen = make_screen()
    pooled, mean = tables["scores"].to_dict("records")
    table = make_table(
        Column("score", no_wrap=True),
        Column("pooled", justify="right"),
        Column("mean over\nimages", justify="right"),
        title=f"{escape(str(folder))}: {len(tables['images'])} images, {pooled['n_tiles']} tiles",
    )
    for name, label in _ROWS.items():
        table.add_row(label, *(spell_score(one.get(name)) for one in (pooled, mean)))
    screen.print(table)
    if pd.isna(pooled["n_positive"]):
        screen.print(
            "No label is known to mean crystal: name one with --positive to score the targets.", soft_wrap=True
        )
    if out is not None:
        claim()
        write_evaluation(out, tables)
        screen.print(f"Tables: [bold]{escape(str(out))}[/]", soft_wrap=True)
