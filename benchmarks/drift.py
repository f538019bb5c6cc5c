"""Speed and accuracy of `estimate_drift`: ``python benchmarks/drift.py [CASE ...] [--folder FRAMES] [--repeats 3]``.

In the same run, on the same frames in memory and with the same sub-pixel factor, it is compared with a loop over
scikit-image's ``phase_cross_correlation``, each frame against the one before, the shifts added up: as it is (phase) and
with ``normalization=None`` (plain), which is better in noise. Times are the best of the repeats, taken in turn, for all
frames; BLAS has one thread, because several make scikit-image many times slower on a machine that is busy. Error: root
mean square distance from the truth over the good frames, the constant offset removed; wrong: how many of these are more
than 1 px off. A folder of frames has no truth; its row says how far apart frames still are after alignment (median, by
plain cross-correlation).
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from skimage.registration import phase_cross_correlation
from threadpoolctl import threadpool_limits

from emscout.movies import common_field, estimate_drift, open_movie, shift_frame
from emscout.synthetic.movie import make_movie

UPSAMPLING = 20
N_FRAMES = 500
BAD = {"blank": (31, 32, 250), "blurred": (77, 301, 302), "saturated": (120, 411)}
CASES = {
    "snr1": {"snr": 1, "n_particles": 110},
    "snr1-bad": {"snr": 1, "n_particles": 110, "uneven": 0.3, "dead_pixels": 0.002, **BAD},
    "snr4": {"snr": 4, "n_particles": 110},
    "array": {"snr": 1, "n_particles": 400, "diameter_px": (7, 0.5), "arrangement": "array"},
    "ripening": {"snr": 2, "n_particles": 110, "process": "ripening", "growth": 1.6},
    "large": {"snr": 1, "n_particles": 440, "shape": (512, 512)},
}


def by_pairs(frames: list[np.ndarray], normalization: str | None) -> np.ndarray:
    """Row and column of each frame, from scikit-image."""
    steps = [
        -phase_cross_correlation(before, frame, upsample_factor=UPSAMPLING, normalization=normalization)[0]
        for before, frame in pairwise(frames)
    ]
    return np.vstack([np.zeros(2), np.cumsum(steps, axis=0)])


def by_emscout(frames: list[np.ndarray]) -> np.ndarray:
    return estimate_drift(frames, upsampling=UPSAMPLING)[["row_px", "col_px"]].to_numpy()


METHODS: dict[str, Callable[[list[np.ndarray]], np.ndarray]] = {
    "emscout": by_emscout,
    "scikit-image, phase": lambda frames: by_pairs(frames, "phase"),
    "scikit-image, plain": lambda frames: by_pairs(frames, None),
}


def left_over(frames: list[np.ndarray], shift: np.ndarray) -> float:
    """Median distance between one aligned frame and the next, in px."""
    drift = estimate_drift(frames).assign(row_px=shift[:, 0], col_px=shift[:, 1])
    rows, cols = common_field(drift, frames[0].shape)
    aligned = [
        shift_frame(frame.astype(np.float32), (-row, -col), order=3)[rows, cols]
        for frame, (row, col) in zip(frames, shift, strict=True)
    ]
    return float(np.median([np.hypot(*step) for step in np.diff(by_pairs(aligned, None), axis=0)]))


@threadpool_limits.wrap(limits=1, user_api="blas")
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--folder", type=Path, help="frames of a real movie")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    table = Table("case", "method", "frames a second", "times scikit-image", "error px", "wrong")
    for case in [*asked.cases, *(["folder"] if asked.folder else [])]:
        movie = None
        if case == "folder":
            frames = [micrograph.image for micrograph in open_movie(asked.folder)]
        else:
            n_frames = 100 if case == "large" else N_FRAMES
            movie = make_movie(n_frames, jumps=8, jump_px=(16, 64), seed=1000, **CASES[case])
            frames = list(movie.frames)
        seconds, shifts = dict.fromkeys(METHODS, np.inf), {}
        for _ in range(asked.repeats):
            for name, method in METHODS.items():
                start = time.perf_counter()
                shifts[name] = method(frames)
                seconds[name] = min(seconds[name], time.perf_counter() - start)
        for name, shift in shifts.items():
            if movie is None:
                scores = (f"{left_over(frames, shift):.3f} left", "")
            else:
                error = (shift - movie.shift_px)[movie.status == "ok"]
                distance = np.hypot(*(error - np.median(error, axis=0)).T)
                scores = (f"{np.sqrt((distance**2).mean()):.3f}", f"{(distance > 1).sum()} of {len(distance)}")
            ratio = seconds["scikit-image, phase"] / seconds[name]
            table.add_row(case, name, f"{len(frames) / seconds[name]:.0f}", f"{ratio:.1f}", *scores)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
