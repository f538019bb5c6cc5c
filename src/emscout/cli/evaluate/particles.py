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
from emscout.evaluate.kinds import read_kinds
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
    min_probability: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, metavar="P", help="The same for the probability of a particle."),
    ] = None,
    kinds: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Kinds of images, columns name and kind; otherwise guessed from the labels' shapes."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the Monte-Carlo samples.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for tables and a plot.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Find particles in labelled images and compare them with the labels.

    DATA is laid out as for [bold]emscout train particles[/]; the split is the default one of training. Scores are given
    with and without the filter that drops uncertain particles, and by kind of image (round, rod, wire, agglomerate, …).
    AP is that of Yildirim & Cole (2021), not that of COCO.

    Writes to OUT: [bold]scores.csv[/], [bold]images.csv[/] (each image), [bold]kinds.csv[/], [bold]sweep.csv[/] and
    [bold]sweep.png[/] (scores against the threshold of the filter), [bold]calibration.csv[/].

    Example: [bold]emscout evaluate particles labelled/ --split val -o scores[/]
    """
    options = {
        "split": split,
        "model": model,
        "samples": samples,
        "max_uncertainty": max_uncertainty,
        "min_probability": min_probability,
        "kinds": None if kinds is None else str(kinds),
        "seed": seed,
    }
    known = {} if kinds is None else read_kinds(kinds)
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
            min_probability=min_probability,
            kinds=known,
            progress=show,
        )
    screen.print(_scores(tables["scores"], f"{escape(model)} on {len(images)} images"))
    screen.print(_kinds(tables["kinds"]))
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
    nats, least = scores[["max_uncertainty_nats", "min_probability"]].iloc[-1]
    filters = [] if pd.isna(nats) else [f"a mean uncertainty of at most {nats:.3g} nats"]
    filters += [] if pd.isna(least) else [f"a probability of at least {least:.2g}"]
    table = make_table(
        Column("score", no_wrap=True),
        *(Column(f"{one['particles']}\n{one['over']}", justify="right") for one in columns),
        title=title,
        caption=f"filtered: particles with {' and '.join(filters)}" if filters else None,
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


def _kinds(kinds: pd.DataFrame) -> Table:
    table = make_table(
        Column("kind", no_wrap=True),
        *(Column(head, justify="right") for head in ("images", "true", "found", "precision", "recall", "F1", "ECE")),
        title="By kind of image: pooled, IoU > 0.5, particles that pass the filter",
    )
    for one in kinds.to_dict("records"):
        counts = (f"{one[name]:.0f}" for name in ("images", "n_true", "n_predicted"))
        table.add_row(
            one["kind"], *counts, *map(spell_score, (one["precision_50"], one["recall_50"], one["f1_50"], one["ece"]))
        )
    return table


def _sweep(sweep: pd.DataFrame) -> Table:
    by_probability = "min_probability" in sweep
    names = ("precision_50", "recall_50", "f1_50", "paper_ap", "paper_ap50", "paper_ap75", "paper_mean_iou")
    heads = ("precision", "recall", "F1", "AP", "AP50", "AP75", "mIoU")
    table = make_table(
        Column("≥ p" if by_probability else "≤ nats", justify="right"),
        *(Column(head, justify="right") for head in heads),
        title=f"Particles kept {'from a probability' if by_probability else 'up to an uncertainty'}: means over images",
    )
    for one in sweep.to_dict("records"):
        limit = one["min_probability" if by_probability else "max_uncertainty_nats"]
        table.add_row("none" if limit == float("inf") else f"{limit:g}", *(f"{one[name]:.3f}" for name in names))
    return table
