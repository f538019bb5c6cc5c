"""Small pictures of three kinds of specimen that a network can distinguish easily: for tests and the docs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from emscout.synthetic.particles import make_micrograph

__all__ = ["KINDS", "make_specimen", "write_specimens"]

KINDS = ("fibres", "particles", "pores")


def make_specimen(kind: str, side_px: int = 128, *, seed: int = 0) -> np.ndarray:
    """Draw a picture of a specimen of one of `KINDS`: uint8 (side_px, side_px).

    Parameters
    ----------
    kind : str
    side_px : int
    seed : int
    """
    generator = np.random.default_rng([KINDS.index(kind), seed])
    if kind == "particles":
        micrograph, _, _ = make_micrograph((side_px, side_px), n_particles=12, diameter_px=(side_px / 9, 2), seed=seed)
        values = micrograph.image.astype(float)
    elif kind == "fibres":
        along = ndimage.gaussian_filter(generator.standard_normal((side_px, side_px)), (0.8, 25), mode="wrap")
        values = ndimage.rotate(np.tile(along, (2, 2)), generator.uniform(0, 180), reshape=False, mode="wrap")
        values = values[side_px // 2 : side_px // 2 + side_px, side_px // 2 : side_px // 2 + side_px]
    else:
        cells = ndimage.gaussian_filter(generator.standard_normal((side_px, side_px)), side_px / 22, mode="wrap")
        values = -np.abs(cells / cells.std()) + 0.15 * generator.standard_normal(cells.shape)
    low, high = np.percentile(values, (1, 99))
    return np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8)


def write_specimens(folder: Path, count: int = 12, *, side_px: int = 128) -> None:
    """Write ``count`` pictures of each kind, a folder a kind, two pictures a source, and ``sources.csv``."""
    rows = ["file,source"]
    for kind in KINDS:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            name = f"{kind}_{number:02d}.png"
            Image.fromarray(make_specimen(kind, side_px, seed=number)).save(folder / kind / name)
            rows.append(f"{name},{kind} specimen {number // 2}")
    (folder / "sources.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
