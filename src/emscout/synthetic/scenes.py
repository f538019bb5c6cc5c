"""A specimen under a beam: particles, one upon another, with a label image of what can be seen of each."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from emscout.synthetic.imaging import cut_noise, noise_tile
from emscout.synthetic.shapes import Outline

__all__ = ["Contrast", "Drawn", "Profile", "Scene"]

Contrast = Literal["bf", "df", "se"]
"""Bright field (matter dark), dark field or HAADF (matter bright), secondary electrons (surfaces, edges bright)."""

Profile = Literal["round", "flat", "pyramid", "hollow"]


class Drawn(NamedTuple):
    """A synthetic micrograph and what is in it.

    ``image`` uint8 (H, W). ``labels`` int32 (H, W): 1..n without gaps, 0 is background; what is visible of each
    particle, whole particles where they have a core. ``cores`` int32 (H, W): the label of the particle whose core
    covers a pixel, else 0. ``particles`` has one row per particle, in order of label: ``label``, ``kind``,
    ``aggregate`` (1, 2 …, 0 for a particle by itself), ``core_diameter_px`` (NaN without a core), ``hollow``.
    """

    image: np.ndarray
    labels: np.ndarray
    cores: np.ndarray
    particles: pd.DataFrame


class Scene:
    """What is drawn so far.

    Parameters
    ----------
    shape : (int, int)
    contrast : Contrast
        In transmission what matter absorbs or scatters adds up; secondary electrons come from the uppermost surface.
    rng : Generator
    """

    def __init__(self, shape: tuple[int, int], contrast: Contrast, rng: np.random.Generator) -> None:
        self.shape, self.contrast, self.rng = shape, contrast, rng
        self.signal = np.zeros(shape, np.float32)
        self.labels = np.zeros(shape, np.int32)
        self.cores = np.zeros(shape, np.int32)
        self.rows: list[dict[str, object]] = []
        self.texture = 0.0
        self.texture_px = 2.5
        self.edge = 0.5
        """Brightness of steep surfaces in secondary electrons."""
        self.warp: tuple[np.ndarray, np.ndarray] | None = None

    def add(
        self,
        outline: Outline,
        centre: np.ndarray,
        angle: float,
        *,
        kind: str,
        density: float = 1.0,
        profile: Profile = "round",
        aggregate: int = 0,
        core: tuple[Outline, float] | None = None,
        softness_px: float = 0.5,
        above: bool = True,
        wall_px: float = 0.0,
        label: bool = True,
    ) -> int:
        """Draw one particle; its label, or 0 where nothing of it lies in the image.

        Parameters
        ----------
        outline, centre, angle
            Shape, place (row, col) and direction in radians of u, anticlockwise from the columns' axis on the screen.
        kind : str
        density : float
            Signal of its middle.
        profile : {'round', 'flat', 'pyramid', 'hollow'}
            How thickness grows from the outline inwards.
        aggregate : int
        core : (Outline, float) or None
            A core and its density, which adds to that of the shell.
        softness_px : float
            Half width of the blurred edge.
        above : bool
            Whether its pixels count where another particle lies already; in secondary electrons it always covers it.
        wall_px : float
            Thickness of the wall of a hollow particle.
        label : bool
            Whether it is a particle, or only something that is drawn.
        """
        reach = outline.reach_px + 2 + 2 * softness_px + (self._warp_px() if self.warp else 0)
        top, left = (max(0, math.floor(c - reach)) for c in centre)
        bottom, right = (min(n, math.ceil(c + reach) + 1) for c, n in zip(centre, self.shape, strict=True))
        if bottom <= top or right <= left:
            return 0
        box = (slice(top, bottom), slice(left, right))
        row = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(centre[0])
        col = np.arange(left, right, dtype=np.float32)[None] - np.float32(centre[1])
        if self.warp is not None:
            row, col = row + self.warp[0][box], col + self.warp[1][box]
        cosine, sine = math.cos(angle), math.sin(angle)
        u, v = col * cosine - row * sine, row * cosine + col * sine
        depth = outline.depth(u, v)
        owned = depth > 0
        if not owned.any():
            return 0
        cover = np.clip(depth / (2 * softness_px) + 0.5, 0, 1).astype(np.float32)
        inner = np.clip(depth / max(outline.inradius_px, 0.5), 0, 1)
        height = self._height(inner, depth, profile, wall_px)
        number = len(self.rows) + 1 if label else 0
        matter = density * height
        if core is not None:
            core_depth = core[0].depth(u, v)
            core_inner = np.clip(core_depth / max(core[0].inradius_px, 0.5), 0, 1)
            core_cover = np.clip(core_depth / (2 * softness_px) + 0.5, 0, 1)
            matter = matter + core[1] * core_cover * np.sqrt(1 - (1 - core_inner) ** 2)
        if self.texture:
            matter = matter * (1 + self.texture * self._texture(box))
        signal = self.signal[box]
        if self.contrast == "se":
            shade = self._shade(density, height, profile, depth)
            if self.texture:
                shade = shade * (1 + 0.7 * self.texture * self._texture(box))
            signal += (shade - signal) * cover
            seen = owned
        else:
            signal += matter * cover
            seen = owned if above else owned & (self.labels[box] == 0)
        if label:
            if not seen.any():
                return 0
            self.labels[box][seen] = number
            self.cores[box][seen] = 0
            if core is not None and self.contrast != "se":
                self.cores[box][seen & (core_depth > 0)] = number
            self.rows.append(
                {
                    "label": number,
                    "kind": kind,
                    "aggregate": aggregate,
                    "core_diameter_px": 2 * core[0].inradius_px
                    if core is not None and self.contrast != "se"
                    else math.nan,
                    "hollow": profile == "hollow",
                }
            )
        elif self.contrast == "se":
            self.labels[box][owned] = 0
            self.cores[box][owned] = 0
        return number

    def _height(self, inner: np.ndarray, depth: np.ndarray, profile: Profile, wall_px: float) -> np.ndarray:
        if profile == "flat":
            return np.clip(inner * 6, 0, 1)
        if profile == "pyramid":
            return 0.35 + 0.65 * inner
        whole = np.sqrt(1 - (1 - inner) ** 2)
        if profile == "hollow":
            radius = float(depth.max())
            wall = min(max(wall_px, 1.0), 0.9 * radius)
            hole = np.clip((depth - wall) / max(radius - wall, 0.5), 0, 1)
            return whole - (1 - wall / max(radius, 1)) * np.sqrt(1 - (1 - hole) ** 2)
        return whole

    def _shade(self, density: float, height: np.ndarray, profile: Profile, depth: np.ndarray) -> np.ndarray:
        """Brightness of a surface: steep parts and edges give more secondary electrons."""
        if profile == "round":
            return density * (0.75 + 0.25 * height + self.edge * 0.3 * (1 / np.maximum(height, 0.25) - 1))
        rim = np.exp(-np.maximum(depth, 0) / 1.5)
        return density * (0.95 + self.edge * rim + (0.2 * height if profile == "pyramid" else 0))

    def _texture(self, box: tuple[slice, slice]) -> np.ndarray:
        size = (box[0].stop - box[0].start, box[1].stop - box[1].start)
        if max(size) > noise_tile(self.texture_px).shape[0] // 2:
            return cut_noise(size, self.texture_px, self.rng)
        row, col = self.rng.integers(0, noise_tile(self.texture_px).shape[0] // 2, 2)
        return noise_tile(self.texture_px)[row : row + size[0], col : col + size[1]]

    def _warp_px(self) -> float:
        assert self.warp is not None
        return float(max(np.abs(part).max() for part in self.warp))

    def finish(self, image: np.ndarray) -> Drawn:
        """Number without gaps what is still visible; ``image`` float32 in 0..1."""
        visible = np.bincount(self.labels.ravel(), minlength=len(self.rows) + 1) > 0
        visible[0] = False
        number = np.where(visible, np.cumsum(visible), 0).astype(np.int32)
        table = pd.DataFrame(self.rows, columns=["label", "kind", "aggregate", "core_diameter_px", "hollow"])
        table = table[visible[1:]].reset_index(drop=True)
        table["label"] = np.arange(1, len(table) + 1)
        pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
        return Drawn(pixels, number[self.labels], number[self.cores], table)
