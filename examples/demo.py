"""Show each answer of emscout beside the known truth of a synthetic specimen: particles, crystals, a movie.

Run by ``make demo``; by hand: ``python examples/demo.py FOLDER``.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from rich.console import Console
from rich.table import Table

import emscout as em
from emscout.evaluate.movies import score_drift
from emscout.synthetic.movie import make_movie
from emscout.synthetic.overview import make_overview
from emscout.synthetic.particles import make_micrograph

SCREEN = Console()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    measure_particles(folder)
    find_crystals(folder)
    follow_movie(folder)
    SCREEN.print("\nOpen in a browser:", *sorted(folder.glob("*/report.html")), sep="\n  ", soft_wrap=True)


def measure_particles(folder: Path) -> None:
    micrograph, labels, _ = make_micrograph(n_particles=60, nm_per_px=0.5, seed=1)
    write_tiff(folder / "particles.tif", micrograph.image, nm_per_px=0.5)
    found = em.analyze([folder / "particles.tif"], folder / "particles", overwrite=True).tables["particles"]
    # Measured on the true outlines, so that the comparison is of like with like.
    true = em.measure_particles(em.Segmentation(labels), micrograph)

    def diameters(particles: pd.DataFrame) -> pd.Series:
        return particles.loc[~particles["touches_border"], "equivalent_circular_diameter_nm"]

    compare(
        "Which particles are there, and how big?",
        found,
        true,
        {
            "particles": lambda t: f"{len(t)}",
            "… cut by the border": lambda t: f"{int(t['touches_border'].sum())}",
            "median diameter": lambda t: f"{diameters(t).median():.2f} nm",
            "standard deviation": lambda t: f"{diameters(t).std():.2f} nm",
        },
    )


def find_crystals(folder: Path) -> None:
    overview = make_overview(seed=2)
    images = [folder / "overview" / f"{name}.tif" for name in overview.images]
    images[0].parent.mkdir(exist_ok=True)
    for path, micrograph in zip(images, overview.images.values(), strict=True):
        write_tiff(path, micrograph.image, nm_per_px=5)
    targets = em.locate(images, folder / "crystals", overwrite=True).tables["targets"]
    centres = targets[["row_px", "col_px"]].round().astype(int).to_numpy()
    hits = [overview.crystals[name][row, col] for name, (row, col) in zip(targets["image"], centres, strict=True)]
    table = Table("", "found", title="Where are the crystals?")
    table.add_row("places to go", f"{len(hits)}")
    table.add_row("… that lie on a crystal", f"{sum(hits)}")
    SCREEN.print(table)


def follow_movie(folder: Path) -> None:
    movie = make_movie(40, n_particles=70, process="ripening", growth=1.35, jumps=1, snr=5, seed=4)
    path = folder / "movie.tif"
    tifffile.imwrite(path, np.stack(movie.frames), photometric="minisblack")
    tables = em.follow(path, folder / "movie", em.MovieOptions(frame_time="1s"), overwrite=True).tables
    places = tables["drift"][["row_px", "col_px"]].to_numpy()
    law = tables["growth"].set_index("method").loc["single-particles"]
    table = Table("", "found", "truth", title="How do they change?")
    table.add_row("error of the drift", f"{score_drift(movie.shift_px, places)['rms_px']:.3f} px", "0")
    table.add_row("exponent of growth", f"{law['n']:.1f} ({law['n_low']:.1f} to {law['n_high']:.1f})", "3")
    SCREEN.print(table)


def write_tiff(path: Path, image: np.ndarray, nm_per_px: float) -> None:
    tifffile.imwrite(path, image, imagej=True, resolution=(1 / nm_per_px, 1 / nm_per_px), metadata={"unit": "nm"})


def compare(
    title: str, found: pd.DataFrame, true: pd.DataFrame, figures: dict[str, Callable[[pd.DataFrame], str]]
) -> None:
    table = Table("", "measured", "truth", title=title)
    for name, figure in figures.items():
        table.add_row(name, figure(found), figure(true))
    SCREEN.print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
