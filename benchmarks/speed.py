"""Time and peak memory of ``emscout analyze``: ``python benchmarks/speed.py [CASE ...] [--model watershed]``.

Cases: 1k and 4k (one image), folder (100 images of 512 × 512), mosaic (16k × 16k). Machines differ and are noisy, so
each time stands beside that of the usual recipe in plain scikit-image (Otsu, distance transform, watershed,
regionprops) on the same image in the same run; the ratio is what to compare. Each command runs in a process of its
own, so that its peak memory is its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tifffile
from rich.console import Console
from rich.table import Table

from emscout.synthetic.particles import make_micrograph, make_mosaic

USUAL_RECIPE = """
import sys
import numpy as np, tifffile
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import regionprops_table
from skimage.segmentation import watershed
for path in sys.argv[1:]:
    image = gaussian(tifffile.imread(path).astype(np.float32), 1)
    mask = image < threshold_otsu(image)
    distance = ndimage.distance_transform_edt(mask)
    markers = np.zeros(image.shape, np.int32)
    peaks = peak_local_max(distance, min_distance=10, labels=ndimage.label(mask)[0])
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-distance, markers, mask=mask)
    regionprops_table(labels, image, properties=("label", "centroid", "area", "perimeter", "feret_diameter_max",
        "solidity", "orientation", "mean_intensity"))
"""


def make_case(name: str, folder: Path) -> None:
    folder.mkdir()
    if name == "folder":
        for seed in range(100):
            image = make_micrograph((512, 512), n_particles=60, nm_per_px=0.5, seed=seed)[0].image
            tifffile.imwrite(folder / f"scan_{seed:03}.tif", image)
    elif name == "mosaic":
        tifffile.imwrite(folder / "mosaic.tif", make_mosaic((16384, 16384))[0].image)
    else:
        side = {"1k": 1024, "4k": 4096}[name]
        image = make_micrograph((side, side), n_particles=60 * (side // 512) ** 2, nm_per_px=0.5, seed=0)[0].image
        tifffile.imwrite(folder / f"{name}.tif", image)


def run(command: list[str]) -> tuple[float, float]:
    """Wall time in seconds and the largest resident memory of any of its processes in GB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {' '.join(command[:6])} …")
    return seconds, usage.ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["1k", "4k", "folder", "mosaic"])
    parser.add_argument("--model", default="particles-v2")
    asked = parser.parse_args()
    table = Table("case", "model", "particles", "seconds", "peak GB", "usual recipe s", "its peak GB", "ratio of times")
    with tempfile.TemporaryDirectory() as work:
        for name in asked.cases:
            folder, out = Path(work) / name, Path(work) / f"{name}-out"
            print(f"{name}: making the images …", file=sys.stderr)
            make_case(name, folder)
            print(f"{name}: running …", file=sys.stderr)
            seconds, gb = run(
                [sys.executable, "-m", "emscout", "analyze", str(folder), "-o", str(out), "--model", asked.model]
            )
            images = sorted(map(str, folder.glob("*.tif")))
            usual_seconds, usual_gb = run([sys.executable, "-c", USUAL_RECIPE, *images])
            with (out / "particles.csv").open() as lines:
                particles = sum(1 for _ in lines) - 1
            table.add_row(
                name,
                asked.model,
                str(particles),
                f"{seconds:.1f}",
                f"{gb:.2f}",
                f"{usual_seconds:.1f}",
                f"{usual_gb:.2f}",
                f"{seconds / usual_seconds:.2f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
