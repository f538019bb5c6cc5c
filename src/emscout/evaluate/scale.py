"""Accuracy of printed scales: value and unit, length, and scales claimed where there is none."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["score_scales"]

_CLOSE = (0.02, 0.05)
_SAME_VALUE = 1e-6


def score_scales(read: pd.DataFrame, truth: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Compare scales that were read with those known.

    Parameters
    ----------
    read : DataFrame
        ``image``, ``length_nm`` (of the label), ``nm_per_px``; NaN where no scale is claimed.
    truth : DataFrame
        The same columns; NaN where the image has no usable scale.

    Returns
    -------
    images : DataFrame
        One row per image of the truth: ``readable``, ``claimed``, ``right`` (0.5 µm is 500 nm), ``error`` (of the pixel
        size, relative).
    scores : dict
        ``n_images``, ``n_readable``, ``value_right`` (share of the readable), ``length_2`` and ``length_5`` (share of
        those read right whose pixel size is within 2 and 5 %), ``n_false`` (claimed where there is none), ``n_wrong``
        (claimed, but not the value that is printed), ``precision`` (right values among all claims).
    """
    joined = truth.merge(read, on="image", how="left", suffixes=("_true", ""), validate="one_to_one")
    true_nm, found_nm = joined["length_nm_true"].to_numpy(float), joined["length_nm"].to_numpy(float)
    readable, claimed = np.isfinite(true_nm), np.isfinite(found_nm)
    right = readable & claimed & (np.abs(found_nm - true_nm) <= _SAME_VALUE * np.where(readable, true_nm, 1))
    error = joined["nm_per_px"].to_numpy(float) / joined["nm_per_px_true"].to_numpy(float) - 1
    images = pd.DataFrame(
        {"image": joined["image"], "readable": readable, "claimed": claimed, "right": right, "error": error}
    )
    close = {f"length_{limit * 100:.0f}": _share(np.abs(error[right]) <= limit) for limit in _CLOSE}
    scores = {
        "n_images": len(joined),
        "n_readable": int(readable.sum()),
        "value_right": _share(right[readable]),
        **close,
        "n_false": int((claimed & ~readable).sum()),
        "n_wrong": int((claimed & readable & ~right).sum()),
        "precision": _share(right[claimed]),
    }
    return images, scores


def _share(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
