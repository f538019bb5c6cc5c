"""``emscout evaluate particles``: scores on images whose particles are labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import typer
from rich.markup import escape
from rich.table import Column, Table

from emscout.cli.evaluate.folder import reserve
from emscout.cli.options import Overwrite
from emscout.cli.progress import progress_bar
from emscout.cli.screen import make_screen, make_table, spell_score
from emscout.evaluate.split import SPLIT_SEED, VALIDATION_SHARE, split_images
from emscout.io.labels import find_labelled
from emscout.particles.accuracy import FILES, evaluate_particles, save_evaluation
from emscout.particles.segment import DEFAULT_MODEL

__all__ = ["particles"]

_ROWS = {
    "paper_ap": "AP",
    "paper_ap50": "AP50",
    "paper_ap75": "AP75",
    "paper_mean_iou": "mean IoU",
    "precision_50": "precision at IoU 0.5",
    "recall_50": "recall at IoU 0.5",
    "f1_50": "F1 at IoU 0.5",
    "ap_50": "TP/(TP+FP+FN) at IoU 0.5",
    "precision_75": "precision at IoU 0.75",
    "recall_75": "recall at IoU 0.75",
    "f1_75": "F1 at IoU 0.75",
    "pq_50": "panoptic quality",
    "area_distance": "areas: cosine distance",
    "aspect_ratio_distance": "aspect ratios: cosine distance",
    "rdf_rms": "g(r): RMS difference",
}
_SECTIONS = {
    "paper_ap": "the paper's protocol",
    "precision_50": "one to one",
    "area_distance": "distributions (≥ 30 true ones)",
}


def particles(
    data: Annotated[Path, typer.Argument(help="Folder with images and their labels.", metavar="DATA")],
    split: Annotated[
        Literal["val", "train", "all"],
        typer.Option(help="Images to score: the validation images of training, its training images, or all."),
    ] = "all",
    model: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="As for analyze: a network, watershed or package.module:function.")
    ] = DEFAULT_MODEL,
    samples: Annotated[int, typer.Option(min=1, metavar="T", help="Monte-Carlo samples.")] = 30,
    max_uncertainty: Annotated[
        float | None,
        typer.Option(min=0.0, metavar="NATS", help="Threshold of the filter; by default the model's."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the Monte-Carlo samples.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for tables and a plot.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Find particles in labelled images and compare them with the labels.

    DATA is laid out as for [bold]emscout train particles[/]; the split is the default one of training. Scores are given
    with and without the filter that drops uncertain particles. AP is that of Yildirim & Cole (2021), not that of COCO.

    Writes to OUT: [bold]scores.csv[/], [bold]images.csv[/] (each image), [bold]sweep.csv[/] and [bold]sweep.png[/]
    (scores against the threshold of the filter), [bold]calibration.csv[/].

    Example: [bold]emscout evaluate particles labelled/ --split val -o scores[/]
    """
    options = {
        "split": split,
        "model": model,
        "samples": samples,
        "max_uncertainty": max_uncertainty,
        "seed": seed,
    }
    claim = reserve(out, "particles", [data], options, FILES, overwrite=overwrite)
    images = find_labelled(data)
    if split != "all":
        training, validation = split_images(data, [image.name for image in images], VALIDATION_SHARE, SPLIT_SEED)
        chosen = set(validation if split == "val" else training)
        images = [image for image in images if image.name in chosen]
    screen = make_screen()
    with progress_bar() as show:
        tables = evaluate_particles(
            images,
            model=model,
            samples=samples,
            seed=seed,
            max_uncertainty=max_uncertainty,
            progress=show,
        )
    screen.print(_scores(tables["scores"], f"{escape(model)} on {len(images)} images"))
    if len(tables["sweep"]):
        screen.print(_sweep(tables["sweep"]))
        error = tables["calibration"]["ece"].iloc[0] if len(tables["calibration"]) else float("nan")
        screen.print(f"Expected calibration error of the probability, 10 bins of equal count: {error:.3f}")
    if out is not None:
        claim()
        save_evaluation(tables, out)
        screen.print(f"Tables: [bold]{escape(str(out))}[/]", soft_wrap=True)


def _scores(scores: pd.DataFrame, title: str) -> Table:
    columns = scores.to_dict("records")
    limit = scores["max_uncertainty_nats"].iloc[-1]
    table = make_table(
        Column("score", no_wrap=True),
        *(Column(f"{one['particles']}\n{one['over']}", justify="right") for one in columns),
        title=title,
        caption=None if pd.isna(limit) else f"filtered: particles with a mean uncertainty of at most {limit:.3g} nats",
    )
    for name, label in {"n_true": "true particles", "n_predicted": "found"}.items():
        # Counts are of all images together.
        table.add_row(label, *(f"{one[name]:.0f}" if one["over"] == "pooled" else "" for one in columns))
    for name, label in _ROWS.items():
        if name in _SECTIONS:
            table.add_section()
            table.add_row(f"[bold]{_SECTIONS[name]}[/]")
        table.add_row(label, *(spell_score(one[name]) for one in columns))
    return table


def _sweep(sweep: pd.DataFrame) -> Table:
    names = ("precision_50", "recall_50", "f1_50", "paper_ap", "paper_ap50", "paper_ap75", "paper_mean_iou")
    heads = ("precision", "recall", "F1", "AP", "AP50", "AP75", "mIoU")
    table = make_table(
        Column("≤ nats", justify="right"),
        *(Column(head, justify="right") for head in heads),
        title="Particles kept up to an uncertainty: means over images",
    )
    for one in sweep.to_dict("records"):
        limit = one["max_uncertainty_nats"]
        table.add_row("none" if limit == float("inf") else f"{limit:g}", *(f"{one[name]:.3f}" for name in names))
    return table
