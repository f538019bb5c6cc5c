"""Plots of a classifier's accuracy: confusion matrix, calibration, coverage, learning curve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emscout.report.plots import INK, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_calibration", "plot_confusion", "plot_coverage", "plot_learning_curve"]

_BLUE, _WARM = "#2f6690", "#c2410c"


def plot_confusion(matrix: pd.DataFrame, path: Path) -> None:
    """Save the confusion matrix: numbers, coloured by the share of each true category.

    Parameters
    ----------
    matrix : DataFrame
        One row a true category, one column a predicted one.
    path : Path
    """
    counts = matrix.to_numpy()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(3.6, 0.62 * len(matrix) + 2)
    with styled():
        figure, axes = _new_axes((side + 0.6, side))
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, col in np.ndindex(counts.shape):
            colour = "white" if share[row, col] > 0.55 else INK
            axes.text(col, row, str(counts[row, col]), ha="center", va="center", fontsize=8, color=colour)
        ticks = range(len(matrix))
        axes.set_xticks(ticks, list(matrix.columns), rotation=40, ha="right", fontsize=8)
        axes.set_yticks(ticks, list(matrix.index), fontsize=8)
        axes.set_xlabel("named")
        axes.set_ylabel("true")
        axes.spines[:].set_visible(False)
        figure.savefig(path, dpi=150)


def plot_calibration(bins: pd.DataFrame, path: Path) -> None:
    """Save accuracy against confidence: one point a bin, its size the number of pictures.

    Parameters
    ----------
    bins : DataFrame
        Of `emscout.evaluate.classification.calibration_bins`.
    path : Path
    """
    with styled():
        figure, axes = _new_axes()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        size = 12 + 120 * bins["count"] / max(1, bins["count"].max())
        axes.scatter(bins["confidence"], bins["accuracy"], s=size, color=_BLUE, alpha=0.8)
        _label(axes, "probability of the category", "share that is right")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
        figure.savefig(path, dpi=150)


def plot_coverage(curve: pd.DataFrame, path: Path) -> None:
    """Save accuracy against the share of pictures that get a category.

    Parameters
    ----------
    curve : DataFrame
        Of `emscout.evaluate.classification.coverage_curve`.
    path : Path
    """
    with styled():
        figure, axes = _new_axes()
        axes.plot(curve["coverage"], curve["accuracy"], color=_BLUE)
        _label(axes, "share of pictures classified, the most certain first", "accuracy of those")
        axes.set(xlim=(0, 1.02), ylim=(min(0.5, *curve["accuracy"], 0.5), 1.02))
        figure.savefig(path, dpi=150)


def plot_learning_curve(curve: pd.DataFrame, path: Path) -> None:
    """Save the scores against the number of training pictures.

    Parameters
    ----------
    curve : DataFrame
        ``n``, ``accuracy``, ``macro_f1``.
    path : Path
    """
    with styled():
        figure, axes = _new_axes()
        axes.plot(curve["n"], curve["accuracy"], "o-", color=_BLUE, label="accuracy")
        axes.plot(curve["n"], curve["macro_f1"], "s--", color=_WARM, label="macro-F1")
        _label(axes, "number of training pictures", "score on pictures of other sources")
        axes.set(ylim=(0, 1.02), xlim=(0, None))
        axes.legend(frameon=False, fontsize=9)
        figure.savefig(path, dpi=150)


def _new_axes(size: tuple[float, float] = (4.4, 3.4)) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _label(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
