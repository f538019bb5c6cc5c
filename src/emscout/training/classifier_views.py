"""Views of the pictures for a network that is trained: kept on disk, and varied at random each time."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from emscout.io.colour import read_colours
from emscout.io.files import write_atomic
from emscout.specimens.views import view_picture

__all__ = ["augment", "keep_views", "to_tensor"]

_LOG = logging.getLogger(__name__)

ROTATION_RAD = math.radians(20)
SHIFT = 0.1
SHEAR = 0.15
ZOOM = 0.25
CONTRAST = 0.3
BRIGHTNESS = 25.0
"""Largest changes: of the angle, of the place (parts of the side), of the shape, of the size, of contrast, of grey."""


def keep_views(
    run: Path, paths: list[Path], side_px: int, *, mask_banner: bool, show: Callable[[float, str], None]
) -> np.ndarray:
    """Views (n, side, side, 3) uint8 of pictures, in a file of the run that is made once and mapped into memory."""
    place = run / "views.npy"
    if place.exists():
        views = np.load(place, mmap_mode="r")
        if views.shape == (len(paths), side_px, side_px, 3):
            return views
        del views
    with write_atomic(place) as temporary:
        made = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(paths), side_px, side_px, 3))
        for number, path in enumerate(paths):
            show(number / len(paths), f"reading {path.name}")
            made[number] = view_picture(read_colours(path), side_px, mask_banner=mask_banner)
        made.flush()
        del made
    return np.load(place, mmap_mode="r")


def to_tensor(views: np.ndarray, device: torch.device) -> Tensor:
    """Views (n, side, side, 3) as float (n, 3, side, side) in 0..255."""
    return torch.from_numpy(np.ascontiguousarray(views)).to(device).permute(0, 3, 1, 2).float()


def augment(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, shift, shear, zoom and mirror each picture (n, 3, side, side), and change its contrast, at random.

    The generator is one of the CPU, so that a run draws the same numbers wherever it goes on.
    """
    n = len(pixels)
    draw = torch.rand(n, 9, generator=generator) * 2 - 1
    angle, shear = draw[:, 0] * ROTATION_RAD, draw[:, 1] * SHEAR
    zoom = torch.exp(draw[:, 2] * math.log1p(ZOOM))
    mirrored = torch.sign(draw[:, 3:5])
    cosine, sine = angle.cos() * zoom, angle.sin() * zoom
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = cosine * mirrored[:, 0], (shear - sine) * mirrored[:, 0]
    matrix[:, 1, 0], matrix[:, 1, 1] = sine * mirrored[:, 1], cosine * mirrored[:, 1]
    matrix[:, :, 2] = draw[:, 5:7] * 2 * SHIFT
    grid = functional.affine_grid(matrix.to(pixels.device), list(pixels.shape), align_corners=False)
    turned = functional.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)
    mean = turned.mean((1, 2, 3), keepdim=True)
    contrast = torch.exp(draw[:, 7] * math.log1p(CONTRAST)).to(pixels.device).reshape(n, 1, 1, 1)
    brightness = (draw[:, 8] * BRIGHTNESS).to(pixels.device).reshape(n, 1, 1, 1)
    return ((turned - mean) * contrast + mean + brightness).clamp(0, 255)
