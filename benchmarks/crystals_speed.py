"""Time and peak memory of the statistics of tiles: ``python benchmarks/crystals_speed.py [CASE ...]``.

Cases: tiles (eight images of 1000 × 1000 at 20 × 20), sliding (a window of 50 px at every pixel of 1000 × 1000), large
(4096 × 4096 at 80 × 80) and large-sliding (the same, a window of 50 px every 4 px). All statistics but mode_1024, which
only the recipe of 2018 needs, are taken each time, on one thread. Beside ``sliding`` stand the same statistics taken
patch by patch with NumPy, SciPy and scikit-image: timed in the same run on a random sample of the windows, and scaled
to the number of all windows. Wall and processor times differ where others work on the same machine. Peak memory is that
of a process of its own, image and interpreter included.
"""

import argparse
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats
from skimage.feature import graycomatrix, graycoprops

from emscout.crystals.tiles.grid import Lattice, cut_grid, cut_tiles
from emscout.crystals.tiles.statistics import STATISTICS, calculate_statistics, choose_levels
from emscout.synthetic.particles import make_micrograph

QUANTILES = {
    "quantile_01": 0.01,
    "quantile_05": 0.05,
    "quantile_25": 0.25,
    "median": 0.5,
    "quantile_75": 0.75,
    "quantile_95": 0.95,
}
N_SAMPLE = 2000  # windows
NAMES = [name for name in STATISTICS if name != "mode_1024"]


def make_image(side: int, seed: int = 0) -> np.ndarray:
    n_particles = 60 * max(1, side // 512) ** 2
    image = make_micrograph((side, side), n_particles=n_particles, nm_per_px=0.5, seed=seed)[0].image
    # As a camera of 16 bits records it.
    noise = np.random.default_rng(seed).normal(0, 40, image.shape)
    return np.clip(image.astype(float) * 50 + 500 + noise, 0, 65535).astype(np.uint16)


def patch_by_patch(patch: np.ndarray, levels: np.ndarray) -> dict[str, float]:
    """The same statistics of one patch; levels are its grey levels of 0 to 255."""
    values = patch.astype(float)
    mean, deviation = values.mean(), values.std()
    counts = np.bincount(levels.ravel(), minlength=256)
    quantiles = dict(zip(QUANTILES, np.quantile(values, list(QUANTILES.values()), method="inverted_cdf"), strict=True))
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrix = graycomatrix(levels // 16, [1], angles, levels=16, symmetric=True).sum(axis=3, keepdims=True)
    matrix = matrix / matrix.sum()
    texture = {
        f"haralick_{p}": graycoprops(matrix, p)[0, 0] for p in ("contrast", "homogeneity", "energy", "correlation")
    }
    return {
        "mean": mean,
        "standard_deviation": deviation,
        "relative_standard_deviation": deviation / abs(mean),
        "skewness": stats.skew(values, axis=None),
        "kurtosis": stats.kurtosis(values, axis=None),
        "range": np.ptp(values),
        "mode": counts.argmax(),
        **quantiles,
        "interquartile_range": quantiles["quantile_75"] - quantiles["quantile_25"],
        "entropy": stats.entropy(counts, base=2),
        "gradient_energy": (np.diff(values, axis=0) ** 2).mean() + (np.diff(values, axis=1) ** 2).mean(),
        **texture,
    }


def time_patches(image: np.ndarray, lattice: Lattice, n_sample: int) -> tuple[float, float]:
    """Wall and processor seconds for all windows, from a sample of them."""
    levels = choose_levels([image]).of(image)
    chosen = np.random.default_rng(0).choice(lattice.areas.size, min(n_sample, lattice.areas.size), replace=False)
    start = time.perf_counter(), time.process_time()
    for row, col in zip(*np.unravel_index(chosen, lattice.shape), strict=True):
        window = slice(*lattice.rows[row]), slice(*lattice.cols[col])
        found = patch_by_patch(image[window], levels[window])
    assert set(found) == set(NAMES)
    scale = lattice.areas.size / len(chosen)
    return (time.perf_counter() - start[0]) * scale, (time.process_time() - start[1]) * scale


def measure(case: str) -> dict[str, float]:
    """Times of a case in seconds, the best of three where that is quick."""
    side = 4096 if case.startswith("large") else 1000
    images = [make_image(side, seed) for seed in range(8 if case == "tiles" else 1)]
    lattices = {
        "tiles": lambda shape: cut_grid(shape, 20, 20),
        "sliding": lambda shape: cut_tiles(shape, 50, 1),
        "large": lambda shape: cut_grid(shape, 80, 80),
        "large-sliding": lambda shape: cut_tiles(shape, 50, 4),
    }
    lattice, times = lattices[case](images[0].shape), []
    for _ in range(3 if case == "tiles" else 1):
        start = time.perf_counter(), time.process_time()
        for image in images:
            calculate_statistics(image, lattice, NAMES)
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, processor = min(times)
    found = {"windows": float(lattice.areas.size * len(images)), "wall": wall, "processor": processor}
    if case == "sliding":
        found["patches_wall"], found["patches_processor"] = time_patches(images[0], lattice, N_SAMPLE)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=["tiles", "sliding", "large", "large-sliding"])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(measure(asked.measure)))
        return
    table = Table(
        "case", "windows", "wall s", "processor s", "peak GB", "patch by patch, wall s", "processor s", "times faster"
    )
    for case in asked.cases:
        print(f"{case}: running …", file=sys.stderr)
        process = subprocess.Popen([sys.executable, __file__, "--measure", case], stdout=subprocess.PIPE, text=True)
        answer = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{case} failed")
        found = json.loads(answer)
        patches = found.get("patches_wall"), found.get("patches_processor")
        table.add_row(
            case,
            f"{found['windows']:.0f}",
            f"{found['wall']:.2f}",
            f"{found['processor']:.2f}",
            f"{usage.ru_maxrss * 1024 / 1e9:.2f}",
            *("" if seconds is None else f"{seconds:.0f}" for seconds in patches),
            "" if patches[1] is None else f"{patches[1] / found['processor']:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
