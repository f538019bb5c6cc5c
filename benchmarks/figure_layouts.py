"""Draw how figures were taken apart as diagrams, without a pixel of the figures themselves.

    emscout figures DATA/figures -o mined
    python benchmarks/figure_layouts.py mined docs/images/figures_real.png

Each panel is an empty rectangle where it was found, to scale, with its letter, what it shows, and the length of its
scale bar as it was read.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

COLOURS = {"micrograph": "#d62828", "plot": "#1e64c8", "drawing": "#1e823c", "photograph": "#963caa"}
COLUMNS = 3
INCHES = 3.6  # of a figure's longer side
ROOMY = 1.2  # inches in which a letter and a kind have room


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder that emscout figures has written")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    panels = pd.read_csv(options.run / "figures.csv", keep_default_na=False)
    documents = list(panels.groupby("document", sort=False))
    rows = -(-len(documents) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * INCHES, rows * (INCHES + 0.4)), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, (name, found) in zip(axes, documents, strict=False):
        draw(axis, found)
        axis.set_title(spell_source(str(name)), fontsize=8, loc="left")
    figure.savefig(options.picture, dpi=100)


def draw(axes: Axes, panels: pd.DataFrame) -> None:
    with Image.open(panels["path"].iloc[0]) as figure:
        width, height = figure.size
    axes.set(xlim=(-1, width + 1), ylim=(height + 1, -1), aspect="equal")
    axes.add_patch(Rectangle((0, 0), width, height, fill=False, edgecolor="#bbbbbb", linewidth=0.6))
    inches = INCHES * panels["width_px"] / max(width, height)
    for panel, room in zip(panels.itertuples(), inches, strict=True):
        is_inset = panel.panel.endswith("inset")
        colour = COLOURS[panel.kind]
        place, size = (panel.left_px, panel.top_px), (panel.width_px, panel.height_px)
        looks = {"edgecolor": colour, "linewidth": 1.2, "zorder": 1 + is_inset, "clip_on": False}
        for face in ("white", f"{colour}22"):
            axes.add_patch(Rectangle(place, *size, facecolor=face, **looks))
        bar = f"\nbar: {panel.scale}" if panel.scale else "\nno scale" if panel.kind == "micrograph" else ""
        words = f"{panel.panel},{' ' if room > ROOMY else chr(10)}{panel.kind}"
        # An inset covers the middle of its panel: the words of both stand in a lower left corner.
        margin = 0.012 * max(width, height)
        corner = place[0] + margin, place[1] + size[1] - margin
        axes.text(*corner, words + bar, fontsize=7.5, color=colour, va="bottom", linespacing=1.3, zorder=3)


def spell_source(name: str) -> str:
    """The DOI in the name of a file."""
    doi = re.fullmatch(r"(10\.\d+)\.(.+)\.gr(\d+)", name)
    return f"doi {doi[1]}/{doi[2]}, figure {doi[3]}" if doi else name


if __name__ == "__main__":
    main()
