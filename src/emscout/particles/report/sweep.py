"""A picture of what a filter costs: scores against the threshold beyond which particles are dropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["plot_sweep"]

_LINES = {
    "precision_50": ("precision", "-"),
    "recall_50": ("recall", "-"),
    "f1_50": ("F1", "-"),
    "paper_ap": ("AP (paper's protocol)", "--"),
    "paper_ap75": ("AP75 (paper's protocol)", "--"),
    "paper_mean_iou": ("mean IoU (paper's protocol)", "--"),
}

_AXES = {
    "max_uncertainty_nats": "threshold of the mean mutual information of a particle (nats)",
    "min_probability": "threshold of the probability of a particle",
}


def plot_sweep(sweep: pd.DataFrame, path: Path) -> None:
    """Save the sweep as a PNG.

    Parameters
    ----------
    sweep : DataFrame
        ``max_uncertainty_nats``, where infinite nothing is dropped, or ``min_probability``, and the scores of each
        threshold.
    path : Path
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    name = next(name for name in _AXES if name in sweep)
    finite = sweep[np.isfinite(sweep[name])]
    for column, (label, style) in _LINES.items():
        axes.plot(finite[name], finite[column], style, label=label)
    axes.set_xlabel(_AXES[name])
    axes.set_ylabel("mean over images, IoU > 0.5 unless named")
    axes.set_ylim(0, 1)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=150)
