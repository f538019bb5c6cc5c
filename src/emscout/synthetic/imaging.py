"""How a microscope, a camera and a journal image a scene: light, noise, charging, compression, annotations."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

__all__ = ["add_annotations", "degrade", "fractal_field", "noise_tile", "smooth_field"]

_TILE_PX = 512


@lru_cache(maxsize=16)
def noise_tile(sigma_px: float) -> np.ndarray:
    """Smooth noise of unit standard deviation that repeats itself: float32 (512, 512), always the same."""
    white = np.random.default_rng(int(1000 * sigma_px) + 7).standard_normal((_TILE_PX, _TILE_PX), dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, sigma_px, mode="wrap") if sigma_px > 0 else white
    return smooth / smooth.std()


def cut_noise(shape: tuple[int, int], sigma_px: float, rng: np.random.Generator) -> np.ndarray:
    """A piece of smooth noise (H, W) of unit standard deviation, from a random place of a noise tile."""
    tile = noise_tile(sigma_px)
    row, col = rng.integers(0, _TILE_PX, 2)
    if rng.random() < 0.5:
        tile = tile.T
    return tile.take(range(row, row + shape[0]), 0, mode="wrap").take(range(col, col + shape[1]), 1, mode="wrap")


def fractal_field(
    shape: tuple[int, int], rng: np.random.Generator, *, exponent: float = 1.6, longest_px: float | None = None
) -> np.ndarray:
    """Noise whose amplitude falls with a power of the spatial frequency: float32 (H, W), mean 0, deviation 1.

    ``longest_px`` is the wavelength above which the amplitude rises no more.
    """
    rows, cols = (1 << max(4, math.ceil(math.log2(side))) for side in shape)
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)[None])
    lowest = 1.0 / (longest_px or max(shape))
    amplitude = (frequency**2 + lowest**2) ** (-exponent / 2)
    spectrum = np.fft.rfft2(rng.standard_normal((rows, cols), dtype=np.float32)) * amplitude
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (rows, cols))[: shape[0], : shape[1]].astype(np.float32)
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def smooth_field(shape: tuple[int, int], rng: np.random.Generator, knots: int = 4) -> np.ndarray:
    """A smooth random surface through ``knots`` × ``knots`` normal values: float32 (H, W)."""
    coarse = Image.fromarray(rng.standard_normal((knots, knots), dtype=np.float32))
    return np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC))


def degrade(image: np.ndarray, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """What happens to an image (H, W) float32 in 0..1 between the specimen and the file: the same, in 0..1.

    Uneven light, defocus, counting and read-out noise, rows out of step, charging, gamma and compression: each with a
    chance and a strength of its own, which ``strength`` scales.
    """

    def happens(probability: float) -> bool:
        return bool(rng.random() < probability * min(1.0, strength))

    shape = image.shape
    if happens(0.5):
        image = image * (1 + rng.uniform(0.02, 0.2) * smooth_field(shape, rng, 3))
    if happens(0.3):
        image = image + rng.uniform(0.02, 0.12) * smooth_field(shape, rng)
    if happens(0.12):
        image = _charge(image, rng)
    if happens(0.5):
        image = ndimage.gaussian_filter(image, rng.uniform(0.4, 1.3))
    if happens(0.12):
        image = _shift_rows(image, rng)
    noise = rng.standard_normal(shape, dtype=np.float32)
    if happens(0.4):
        noise = ndimage.gaussian_filter(noise, rng.uniform(0.5, 1.0))
        noise /= max(float(noise.std()), 1e-6)
    counting = strength * rng.uniform(0, 0.5) ** 2 * 0.45
    reading = strength * rng.uniform(0, 0.5) ** 2 * 0.15
    image = image + noise * np.sqrt(counting**2 * np.maximum(image, 0) + reading**2)
    if happens(0.08):
        image = image + rng.uniform(0.01, 0.05) * rng.standard_normal((shape[0], 1), dtype=np.float32)
    low, high = np.percentile(image[::3, ::3], (0.3, 99.7))
    image = ((image - low) / max(float(high - low), 1e-3)).clip(0, 1)
    if happens(0.5):
        image = image ** np.float32(math.exp(rng.uniform(-0.5, 0.5)))
    if happens(0.3):
        image = _compress(image, int(rng.integers(25, 92)))
    return image.astype(np.float32)


def _charge(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows that bright matter lifts or lowers, behind it along the scan."""
    decay = rng.uniform(10, 80)
    bright = np.maximum(image - np.quantile(image[::4, ::4], 0.9), 0)
    tail = ndimage.correlate1d(
        bright, np.exp(-np.arange(2 * int(decay) + 1) / decay) / decay, axis=1, origin=-int(decay)
    )
    return image + rng.uniform(-2.5, 2.0) * tail * (
        0.6 + 0.4 * rng.standard_normal((image.shape[0], 1), dtype=np.float32)
    )


def _shift_rows(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    steps = ndimage.gaussian_filter1d(rng.standard_normal(image.shape[0]), rng.uniform(0.3, 3))
    steps = np.rint(rng.uniform(0.4, 1.2) * steps / max(steps.std(), 1e-6)).astype(int)
    cols = (np.arange(image.shape[1])[None] + steps[:, None]).clip(0, image.shape[1] - 1)
    return np.take_along_axis(image, cols, 1)


def _compress(image: np.ndarray, quality: int) -> np.ndarray:
    stored = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(stored, "JPEG", quality=quality)
    return np.asarray(Image.open(stored), np.float32) / 255


_WORDS = ("a", "b", "c", "d", "A", "B", "(a)", "(b)", "(c)", "(d)", "(e)", "a)", "b)", "i", "ii", "TEM", "SEM", "300K")
_BANNERS = (
    "HV 15.00 kV  mag 40 000 x  WD 5.1 mm  det ETD",
    "15.0kV x50,000 SE",
    "Mag = 20.00 K X   EHT = 5 kV   Signal A = InLens",
    "S4800 10.0kV 8.2mm x100k SE(U)",
    "200 kV  spot 3  WD = 4.1 mm",
)


@lru_cache(maxsize=64)
def _font(number: int, size_px: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    files = sorted((Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("DejaVuS*.ttf"))
    return ImageFont.truetype(str(files[number % len(files)]), size_px)


def add_annotations(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Print a panel's letter, a scale bar or a banner on an image (H, W) float32 in 0..1.

    Returns
    -------
    image : ndarray of float32, shape (H, W)
    covered : ndarray of bool, shape (H, W)
        Where annotations hide the specimen.
    opaque : ndarray of bool, shape (H, W)
        Where a banner or plate hides it so that nothing can be seen.
    """
    height, width = image.shape
    canvas = Image.fromarray(np.rint(image * 255).astype(np.uint8))
    cover, plates = Image.new("L", canvas.size, 0), Image.new("L", canvas.size, 0)
    layers = [(ImageDraw.Draw(canvas), None), (ImageDraw.Draw(cover), 255)]
    plate = ImageDraw.Draw(plates)
    ink = 255 if rng.random() < 0.6 else 0
    paper = 255 - ink if rng.random() < 0.8 else int(rng.integers(0, 256))
    number = int(rng.integers(16))

    def fill(box: tuple[float, float, float, float], grey: int) -> None:
        for draw, value in layers:
            draw.rectangle(box, fill=grey if value is None else value)

    def write(place: tuple[float, float], text: str, size_px: float) -> None:
        for draw, value in layers:
            draw.text(place, text, fill=ink if value is None else value, font=_font(number, max(6, int(size_px))))

    banner_px = 0
    if rng.random() < 0.3:
        banner_px = int(rng.uniform(0.05, 0.16) * height)
        banner = (0.0, height - banner_px, width, height)
        fill(banner, paper)
        plate.rectangle(banner, fill=255)
        write((rng.uniform(2, 0.2 * width), height - 0.8 * banner_px), str(rng.choice(_BANNERS)), banner_px * 0.45)
    if rng.random() < 0.7:
        length, thick = rng.uniform(0.1, 0.35) * width, rng.uniform(1, 0.025 * height)
        left, top = rng.uniform(4, max(5, width - length - 4)), height - rng.uniform(0.06, 0.2) * height - banner_px
        size = rng.uniform(8, max(9, 0.07 * height))
        if rng.random() < 0.3:
            box = (left - 6, top - size - 8, left + length + 6, top + thick + 6)
            fill(box, 255 - ink)
            plate.rectangle(box, fill=255)
        fill((left, top, left + length, top + thick), ink)
        text = f"{rng.choice([1, 2, 5, 10, 20, 50, 100, 200, 500])} {rng.choice(['nm', 'nm', 'µm', 'um'])}"
        write((left + 2, top - size - 4), text, size)
    if rng.random() < 0.6:
        size = rng.uniform(0.06, 0.15) * height
        corner = (float(rng.choice([4, width - 2 * size])), float(rng.choice([3, 3, height - size - banner_px - 6])))
        if rng.random() < 0.3:
            box = (corner[0] - 3, corner[1] - 2, corner[0] + 1.3 * size, corner[1] + 1.3 * size)
            fill(box, 255 - ink)
            plate.rectangle(box, fill=255)
        write(corner, str(rng.choice(_WORDS)), size)
    return np.asarray(canvas, np.float32) / 255, np.asarray(cover) > 127, np.asarray(plates) > 127
