import math

import numpy as np
import pandas as pd
import pytest

SHAPE = (200, 300)


def disc_labels(centres, radius=12, shape=SHAPE):
    labels = np.zeros(shape, np.int32)
    rows, cols = np.indices(shape)
    for label, (row, col) in enumerate(centres, start=1):
        labels[(rows - row) ** 2 + (cols - col) ** 2 <= radius**2] = label
    return labels


def particle_table(labels, nm_per_px=None):
    """A table as `measure_particles` makes it, from pixel counts alone."""
    rows = []
    for label in range(1, labels.max() + 1):
        row, col = np.nonzero(labels == label)
        diameter = 2 * math.sqrt(row.size / math.pi)
        cut = row.min() == 0 or col.min() == 0 or row.max() == labels.shape[0] - 1 or col.max() == labels.shape[1] - 1
        rows.append(
            {
                "label": label,
                "row_px": row.mean(),
                "col_px": col.mean(),
                "area_px2": row.size,
                "equivalent_circular_diameter_px": diameter,
                "aspect_ratio": 1.0 + 0.01 * label,
                "circularity": 0.9,
                "aggregate": pd.NA,
                "touches_border": bool(cut),
                "shape": "sphere",
            }
        )
        if nm_per_px is not None:
            rows[-1]["equivalent_circular_diameter_nm"] = diameter * nm_per_px
    return pd.DataFrame(rows).astype({"aggregate": "Int64"})


CENTRES = [(40, 40), (40, 90), (100, 60), (150, 200), (0, 250)]


@pytest.fixture
def labels():
    """Five discs, the last one cut by the border."""
    return disc_labels(CENTRES)


@pytest.fixture
def image(labels):
    rng = np.random.default_rng(1)
    return (rng.normal(400, 20, labels.shape) + 300 * (labels > 0)).astype(np.uint16)
