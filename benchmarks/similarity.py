"""Time of a search among many micrographs: random vectors of the size that find-similar keeps.

python benchmarks/similarity.py --vectors 100000
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from emscout.specimens.features import normalise_rows
from emscout.specimens.heads import EMBEDDING
from emscout.specimens.index import nearest_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--queries", type=int, default=20)
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    vectors = normalise_rows(generator.standard_normal((arguments.vectors, EMBEDDING), dtype=np.float32))
    times_s = []
    for row in generator.integers(arguments.vectors, size=arguments.queries):
        start = time.perf_counter()
        found, _ = nearest_rows(vectors, vectors[row], arguments.count)
        times_s.append(time.perf_counter() - start)
        assert found[0] == row
    print(
        f"{arguments.vectors} vectors of {EMBEDDING}: {np.median(times_s):.4f} s a search (median of "
        f"{arguments.queries}), {max(times_s):.4f} s at most; {vectors.nbytes / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    main()
