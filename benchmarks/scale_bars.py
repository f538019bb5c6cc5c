"""Accuracy and speed of reading printed scales, against tables of what is printed.

    python benchmarks/scale_bars.py DATA

DATA holds ``emps/`` with ``scale_bars/emps_train.csv``, and ``scale_bars/au_tem/`` with ``au_tem.csv``. The papers of
emps are split into two halves by a hash of their DOI. All of them, au_tem and drawn scales were used in
development: scores on figures that were not are in docs/benchmarks.md. 99 images take one to two minutes
on an idle laptop.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from rich.console import Console

from emscout.cli.progress import progress_bar
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
    screen = Console()
    for name, (folder, truth, half) in runs.items():
        with progress_bar(name) as show:
            scores = evaluate_scales(folder, truth=truth, half=half, progress=show)["scores"]
        # One after the other, so that what is done stays when the rest is not waited for.
        screen.print(pd.DataFrame({name: scores.iloc[0]}).T.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
