"""Analyze a synthetic micrograph whose answer is known, and print both side by side.

Run by ``make demo``; by hand: ``python examples/demo.py FOLDER``.
"""

import sys
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

import emscout as em
from emscout.synthetic import make_micrograph


def main(folder: Path) -> None:
    micrograph, labels, _ = make_micrograph(n_particles=60, nm_per_px=0.5, seed=1)
    image_path = folder / "synthetic.tif"
    folder.mkdir(parents=True, exist_ok=True)
    write_calibrated_tiff(image_path, micrograph)
    report = em.analyze([image_path], folder / "results", overwrite=True)

    # Measured on the true outlines, so that the comparison is of like with like.
    true_particles = em.measure_particles(em.Segmentation(labels), micrograph)
    print_beside_truth(report.tables["particles"], true_particles)
    print(f"\nThe micrograph: {image_path}\nThe report:     {folder / 'results' / 'report.html'}")


def write_calibrated_tiff(path: Path, micrograph: em.Micrograph) -> None:
    import tifffile

    px_per_nm = 1 / micrograph.nm_per_px
    tifffile.imwrite(path, micrograph.image, imagej=True, resolution=(px_per_nm, px_per_nm), metadata={"unit": "nm"})


def print_beside_truth(found: pd.DataFrame, true: pd.DataFrame) -> None:
    table = Table("", "measured", "truth", title="A synthetic micrograph with a known answer")
    for name, value in (
        ("particles", lambda t: f"{len(t)}"),
        ("… cut by the border", lambda t: f"{int(t['touches_border'].sum())}"),
        ("median diameter", lambda t: f"{whole(t)['equivalent_circular_diameter_nm'].median():.2f} nm"),
        ("mean diameter", lambda t: f"{whole(t)['equivalent_circular_diameter_nm'].mean():.2f} nm"),
        ("standard deviation", lambda t: f"{whole(t)['equivalent_circular_diameter_nm'].std():.2f} nm"),
        ("mean aspect ratio", lambda t: f"{whole(t)['aspect_ratio'].mean():.3f}"),
    ):
        table.add_row(name, value(found), value(true))
    Console().print(table)


def whole(particles: pd.DataFrame) -> pd.DataFrame:
    return particles[~particles["touches_border"]]


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
