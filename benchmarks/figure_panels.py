"""Accuracy of the panels, letters and kinds of composite figures whose layout is known.

    python benchmarks/figure_panels.py
    python benchmarks/figure_panels.py --emps DATA/emps --technique DATA/classes/technique

A panel counts as found when its box overlaps that of the truth by an IoU of more than 0.75, one to one. Of the
published micrographs in EMPS only those with an odd hash of their name are used: the rules were made on the others.
Composites are pieces of them laid side by side and stored as JPEG.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from rich.console import Console

from emscout.literature.accuracy import count_found
from emscout.literature.kinds import kind_of_panel
from emscout.literature.panels.boxes import Box
from emscout.literature.panels.letters import letters_among, read_letters, read_text
from emscout.literature.panels.split import split_at_letters, split_figure
from emscout.synthetic.figure import LAYOUTS, make_figure

ROWS, QUALITIES = [(2, 2), (1, 3), (3, 1, 2)], (None, 90, 75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7000)
    parser.add_argument("--sets", type=int, default=2, help="sets of three figures a layout")
    parser.add_argument("--letters", action="store_true", help="also read the letters, which takes longer")
    parser.add_argument("--emps", type=Path)
    parser.add_argument("--half", choices=["odd", "even"], default="odd")
    parser.add_argument("--technique", type=Path)
    options = parser.parse_args()
    tables = {"synthetic figures": score_synthetic(options.seed, options.sets, options.letters)}
    if options.emps:
        tables |= score_emps(options.emps, options.half, options.seed)
    if options.technique:
        tables["published panels, as they are"] = score_technique(options.technique)
    for title, table in tables.items():
        Console(width=160).print(f"{title}\n{table.to_string(float_format='{:.3f}'.format)}\n")


def score_synthetic(seed: int, sets: int, letters: bool) -> pd.DataFrame:
    rows = []
    for first, (name, layout) in zip(range(seed, seed + 800, 100), LAYOUTS.items(), strict=True):
        for number in range(3 * sets):
            figure = make_figure(
                ROWS[number % 3], **layout, width_px=700, jpeg_quality=QUALITIES[number % 3], seed=first + number
            )
            truth, found = [Box(*sides) for sides in figure.boxes], split_figure(figure.image)
            row = {"layout": name, **counts(truth, found)}
            kinds = [kind_of_panel(figure.image[box.slices]) for box in truth]
            row["kinds right"] = sum(
                (one == "micrograph") == (other == "micrograph")
                for one, other in zip(kinds, figure.panels["kind"], strict=True)
            )
            if letters:
                lines = read_text(figure.image)
                cut = split_at_letters(figure.image, found, letters_among(lines))
                row |= {f"{key}, letters": value for key, value in counts(truth, cut).items()}
                read = read_letters(figure.image, truth, lines)
                row["letters read"] = sum(
                    one == other for one, other in zip(read, figure.panels["letter"], strict=True)
                )
            rows.append(row)
    table = pd.DataFrame(rows).groupby("layout", sort=False).sum()
    table.loc["all"] = table.sum()
    table["F1"] = f1(table, "")
    if letters:
        table["F1, letters"] = f1(table, ", letters")
    return table


def score_emps(folder: Path, half: str, seed: int) -> dict[str, pd.DataFrame]:
    files = sorted((folder / "images").iterdir())
    files = [file for file in files if hashlib.md5(file.name.encode()).digest()[0] % 2 == (half == "odd")]
    whole = [len(split_figure(read(file))) for file in files]
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(60):
        gutter_px = (0, 0, 1, 4, 12)[number % 5]
        image, truth = compose(lambda: read(files[rng.integers(len(files))]), ROWS[number % 3], gutter_px, rng)
        rows.append({"gutter_px": gutter_px, **counts(truth, split_figure(image))})
    composites = pd.DataFrame(rows).groupby("gutter_px").sum()
    composites.loc["all"] = composites.sum()
    composites["F1"] = f1(composites, "")
    return {
        "composites of published micrographs": composites,
        "single published micrographs, by number of panels found": pd.Series(whole).value_counts().to_frame("images"),
    }


def compose(
    draw: Callable[[], np.ndarray], rows: Sequence[int], gutter_px: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[Box]]:
    """Pieces of micrographs side by side, 700 px wide."""
    width, truth, top = 700, [], 0
    heights = rng.integers(170, 261, len(rows))
    image = np.full((int(heights.sum()) + gutter_px * (len(rows) - 1), width, 3), 255, np.uint8)
    for n_panels, height in zip(rows, heights, strict=True):
        edges = np.rint(np.linspace(0, width + gutter_px, n_panels + 1)).astype(int)
        for left, stop in zip(edges[:-1], edges[1:] - gutter_px, strict=True):
            box = Box(top, int(left), top + int(height), int(stop))
            picture = draw()
            # As much of the picture as has this shape, shrunk or enlarged to it.
            scale = min(picture.shape[0] / box.height, picture.shape[1] / box.width)
            part = picture[: round(scale * box.height), : round(scale * box.width)]
            small = Image.fromarray(part).resize((box.width, box.height), Image.Resampling.LANCZOS)
            image[box.slices] = np.asarray(small)
            truth.append(box)
        top += int(height) + gutter_px
    stored = io.BytesIO()
    Image.fromarray(image).save(stored, "JPEG", quality=85)
    return np.asarray(Image.open(stored)), truth


def score_technique(folder: Path) -> pd.DataFrame:
    """What single panels of papers are said to be, by the technique their captions name."""
    files = pd.read_csv(folder / "sources.csv")
    kinds = [kind_of_panel(read(folder / row.technique / row.file)) for row in files.itertuples()]
    return pd.crosstab(files["technique"], pd.Series(kinds, name="kind"))


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def counts(truth: Sequence[Box], found: Sequence[Box]) -> dict[str, int]:
    return {"matches": count_found(truth, found), "true": len(truth), "found": len(found)}


def f1(table: pd.DataFrame, suffix: str) -> pd.Series:
    return 2 * table[f"matches{suffix}"] / (table[f"true{suffix}"] + table[f"found{suffix}"])


if __name__ == "__main__":
    main()
