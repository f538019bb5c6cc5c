"""Speed and memory of the whole chain of ``emscout movie``, and how both grow with the number of frames.

    python benchmarks/movie.py [--frames 50 100 200] [--side 512] [--particles 300] [--model watershed] [--workers 1]

Each run is a process of its own on a synthetic stack of mixed ripening and coalescence. Times are wall times, from the
stack on disk to the report; ``drift_s``, ``particles_s`` and ``rest_s`` (linking, events, laws, pictures, report) are
parts of it. Memory is the peak of the process (and of the largest worker).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from emscout.movies.follow import MovieOptions, follow
from emscout.synthetic.movie import make_movie


def write_stack(path: Path, n_frames: int, args: argparse.Namespace) -> None:
    # The same density and speed of change whatever the length, so that only the number of frames differs.
    movie = make_movie(
        n_frames,
        (args.side, args.side),
        n_particles=args.particles,
        process="mixed",
        growth=1 + 0.001 * n_frames,
        merges=n_frames // 5,
        drift_px=0.1,
        snr=4,
        seed=1,
    )
    tifffile.imwrite(path, iter(movie.frames), shape=(n_frames, args.side, args.side), dtype=np.uint8)


def run_one(stack: Path, out: Path, args: argparse.Namespace) -> dict[str, float]:
    begun: dict[str, float] = {}
    start = time.perf_counter()

    def note(done: int, total: int, what: str) -> None:
        begun.setdefault((what or "end").split()[0].rstrip(","), time.perf_counter() - start)

    report = follow(stack, out, MovieOptions(model=args.model), workers=args.workers, progress=note)
    seconds = time.perf_counter() - start
    peak_kb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "frames": len(report.tables["drift"]),
        "rows": len(report.tables["tracks"]),
        "seconds": seconds,
        "drift_s": begun["typical"],
        "particles_s": begun["linking"] - begun["particles"],
        "rest_s": seconds - begun["linking"],
        "frames_per_s": len(report.tables["drift"]) / seconds,
        "peak_mb": peak_kb / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--side", type=int, default=512, help="px")
    parser.add_argument("--particles", type=int, default=300)
    parser.add_argument("--model", default="watershed")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--stack", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stack is not None:
        print(json.dumps(run_one(args.stack, args.stack.parent / "out", args)))
        return
    rows = []
    for n_frames in args.frames:
        with tempfile.TemporaryDirectory() as folder:
            stack = Path(folder) / "movie.tif"
            write_stack(stack, n_frames, args)
            settings = ["--model", args.model, "--workers", str(args.workers), "--stack", str(stack)]
            done = subprocess.run([sys.executable, __file__, *settings], check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    print(pd.DataFrame(rows).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
