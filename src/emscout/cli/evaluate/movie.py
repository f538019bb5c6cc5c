"""``emscout evaluate movie``: how well a movie was followed, where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.markup import escape
from rich.table import Column, Table

from emscout.cli.evaluate.folder import reserve
from emscout.cli.options import Overwrite
from emscout.cli.screen import make_screen, make_table, spell_score
from emscout.movies.accuracy import FILES, evaluate_movie
from emscout.runs import write_evaluation

__all__ = ["movie"]

_LABELS = {
    ("masks", "mean dice"): "masks: mean Dice",
    ("masks", "least dice"): "masks: least Dice",
    ("masks", "largest count error"): "masks: largest count error",
    ("drift", "frames"): "drift: frames scored",
    ("drift", "rms_px"): "drift: RMS error (px)",
    ("drift", "worst_px"): "drift: worst frame (px)",
    ("drift", "wrong_frames"): "drift: frames off by more than 1 px",
    ("drift", "bad_frames"): "drift: faulty frames",
    ("drift", "bad_frames_flagged"): "drift: of these, flagged",
    ("drift", "good_frames_flagged"): "drift: good frames flagged",
    ("links", "true_links"): "links: true ones",
    ("links", "found"): "links: found",
    ("links", "found_of_detected"): "links: found of particles seen",
    ("links", "right"): "links: right of those made",
}


def movie(
    folder: Annotated[Path, typer.Argument(help="Folder that emscout movie wrote.", metavar="RESULT")],
    truth: Annotated[
        Path,
        typer.Argument(
            help="Folder with masks that have the names or numbers of the frames, or with drift.csv, tracks.csv, "
            "events.csv.",
            metavar="TRUTH",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the tables.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Score what emscout movie found against masks of some frames, or against known drift, tracks and events.

    Masks: Dice of all particle pixels, and the number of particles, in the field that was measured. Drift: root mean
    square error without the constant offset. Links: the share of true links from frame to frame that were found,
    centroids within half a particle's diameter. Events: right kind and particles, within two frames.

    Example: [bold]emscout evaluate movie followed/ masks/[/]
    """
    claim = reserve(out, "movie", [folder, truth], {}, FILES, overwrite=overwrite)
    tables = evaluate_movie(folder, truth)
    screen = make_screen()
    table = make_table(Column("score", no_wrap=True), Column("value", justify="right"), title=escape(str(folder)))
    for what, score, value in tables["scores"].itertuples(index=False):
        if (what, score) in _LABELS:
            whole = float(value).is_integer()
            table.add_row(_LABELS[what, score], spell_score(int(value) if whole else value, "{:.4f}"))
    screen.print(table)
    for name in ("masks", "events"):
        if name in tables:
            screen.print(_rows(tables[name]))
    if out is not None:
        claim()
        write_evaluation(out, tables)
        screen.print(f"Tables: [bold]{escape(str(out))}[/]", soft_wrap=True)


def _rows(rows: pd.DataFrame) -> Table:
    table = make_table(*(Column(str(name).replace("_", " "), overflow="fold") for name in rows.columns))
    for row in rows.itertuples(index=False):
        table.add_row(*(spell_score(value) if isinstance(value, float) else escape(str(value)) for value in row))
    return table
