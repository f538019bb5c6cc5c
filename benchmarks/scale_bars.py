"""How right, and how fast, printed scales are read, against tables of what is printed.

    python benchmarks/scale_bars.py DATA

DATA holds ``emps/`` with ``scale_bars/emps_train.csv``, and ``scale_bars/au_tem/`` with ``au_tem.csv``. The papers of
emps are parted in two halves by a hash of their DOI: rules and thresholds were chosen on the first half, on au_tem and
on drawn scales; the second half was scored only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from rich.console import Console

from emscout.scale.accuracy import evaluate_scales


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    bars = data / "scale_bars"
    runs = {
        "emps, first half": (data / "emps", bars / "emps_train.csv", "first"),
        "emps, second half": (data / "emps", bars / "emps_train.csv", "second"),
        "au_tem": (bars / "au_tem", bars / "au_tem.csv", None),
    }
    scores = {name: evaluate_scales(a, truth=b, half=half)["scores"].iloc[0] for name, (a, b, half) in runs.items()}
    Console().print(pd.DataFrame(scores).to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
