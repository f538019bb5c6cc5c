"""Random views of labelled micrographs, made on the device: zoom, rotation, greys, blur, noise, JPEG, printed text."""

import math
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from emscout.training.data import OUTSIDE_GREY, PREFERRED_DIAMETER_PX, Labelled


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)


def _happens(count: int, probability: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device) < probability


def draw_views(data: Labelled, index: Tensor, side_px: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random affine maps from the canvas to the images: matrices (B, 2, 2) and centres (B, 2), source px.

    Half of the views see the whole image, the others meet the particles at about the preferred diameter.
    """
    count = len(index)
    shapes = data.shapes[index]
    longest = shapes.amax(1)
    whole = (side_px / longest) * torch.exp(_uniform(count, math.log(0.8), math.log(1.35), generator))
    spread = torch.randn(count, generator=generator, device=generator.device) * 0.5
    close = PREFERRED_DIAMETER_PX * torch.exp(spread) / data.diameters[index]
    close = torch.minimum(torch.maximum(close, 0.6 * side_px / longest), torch.full_like(close, 2.5))
    zoom = torch.where(_happens(count, 0.5, generator), whole, close)

    slack = (shapes - side_px / zoom[:, None]) / 2
    draw = 2 * torch.rand((count, 2), generator=generator, device=generator.device) - 1
    centre = shapes / 2 + draw * slack.abs()
    at_particle = _happens(count, 0.5, generator)
    for sample, image in enumerate(index.tolist()):
        if at_particle[sample] and len(data.centres[image]):
            pick = torch.randint(len(data.centres[image]), (1,), generator=generator, device=generator.device)
            near = data.centres[image][pick[0]] + draw[sample] * 0.25 * side_px / zoom[sample]
            bound = slack[sample].clamp(min=0)
            middle = shapes[sample] / 2
            centre[sample] = torch.maximum(torch.minimum(near, middle + bound), middle - bound)

    quarter = torch.randint(0, 4, (count,), generator=generator, device=generator.device) * (math.pi / 2)
    tilt = _uniform(count, -0.4, 0.4, generator) * _happens(count, 0.4, generator)
    angle = quarter + tilt
    stretch = torch.exp(_uniform(count, -0.16, 0.16, generator) * _happens(count, 0.5, generator))
    mirror = torch.where(_happens(count, 0.5, generator), 1.0, -1.0)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rotation = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    scaling = torch.stack([stretch * mirror, 1 / stretch], 1) / zoom[:, None]
    return rotation * scaling[:, None, :], centre


def cut_views(
    data: Labelled, index: Tensor, matrices: Tensor, centres: Tensor, side_px: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, S, S) in 0..1, label maps (B, S, S) int64 and where there is an image (B, S, S) bool."""
    device = data.images.device
    height, width = data.images.shape[1:]

    def source(points: int) -> Tensor:
        axis = (torch.arange(points, device=device, dtype=torch.float32) + 0.5) * (side_px / points) - side_px / 2
        canvas = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
        return torch.einsum("bij,hwj->bhwi", matrices, canvas) + centres[:, None, None]

    def sample(stack: Tensor, places: Tensor, mode: str) -> Tensor:
        normal = torch.stack([places[..., 1] * (2 / width) - 1, places[..., 0] * (2 / height) - 1], -1)
        values = stack[index].float()[:, None]
        return functional.grid_sample(values, normal, mode=mode, padding_mode="zeros", align_corners=False)[:, 0]

    places = source(side_px)
    shapes = data.shapes[index][:, None, None]
    inside = ((places >= 0) & (places < shapes)).all(-1)
    fine = sample(data.images, source(2 * side_px), "bilinear")
    images = functional.avg_pool2d(fine[:, None], 2)[:, 0] / 255
    labels = torch.round(sample(data.labels, places, "nearest")).long() * inside
    return images, labels, inside


def _smooth_field(count: int, side_px: int, generator: torch.Generator) -> Tensor:
    coarse = torch.randn((count, 1, 4, 4), generator=generator, device=generator.device)
    return functional.interpolate(coarse, (side_px, side_px), mode="bicubic", align_corners=True)[:, 0]


def _blur(images: Tensor, sigma_px: Tensor) -> Tensor:
    reach = torch.arange(-4, 5, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (reach[None] / sigma_px[:, None].clamp(min=0.05)).square())
    kernel = kernel / kernel.sum(1, keepdim=True)
    padded = functional.pad(images[None], (4, 4, 4, 4), mode="reflect")
    count = len(images)
    rows = functional.conv2d(padded, kernel[:, None, :, None], groups=count)
    return functional.conv2d(rows, kernel[:, None, None, :], groups=count)[0]


def _compress(images: Tensor, strength: Tensor) -> Tensor:
    """Quantise the cosine transform of each 8x8 block, as JPEG does."""
    order = torch.arange(8, device=images.device, dtype=torch.float32)
    basis = torch.cos(math.pi / 8 * (order[None] + 0.5) * order[:, None]) * math.sqrt(0.25)
    basis[0] /= math.sqrt(2.0)
    count, height, width = images.shape
    blocks = images.reshape(count, height // 8, 8, width // 8, 8).permute(0, 1, 3, 2, 4)
    spectrum = basis @ blocks @ basis.T
    step = ((1 + order[:, None] + order[None]) * 0.02) * strength[:, None, None, None, None].clamp(min=1e-4)
    restored = basis.T @ (torch.round(spectrum / step) * step) @ basis
    return restored.permute(0, 1, 3, 2, 4).reshape(count, height, width)


def change_greys(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change the grey levels of views (B, S, S) in 0..1 at random, before text is printed on them."""
    count, side_px = len(images), images.shape[-1]

    def amount(low: float, high: float, probability: float) -> Tensor:
        drawn = _uniform(count, low, high, generator) * _happens(count, probability, generator)
        return drawn[:, None, None]

    images = images * (1 + amount(0, 0.25, 0.4) * _smooth_field(count, side_px, generator))
    images = images + amount(0, 0.15, 0.4) * _smooth_field(count, side_px, generator)
    axis = torch.linspace(-1, 1, side_px, device=images.device)
    radius = (axis[:, None].square() + axis[None].square())[None]
    images = images - amount(-0.15, 0.3, 0.2) * radius
    contrast = torch.exp(amount(-0.6, 0.4, 0.7))
    images = ((images - 0.5) * contrast + 0.5 + amount(-0.15, 0.15, 0.7)).clamp(0, 1)
    images = images.clamp(min=1e-4) ** torch.exp(amount(-0.6, 0.6, 0.6))
    return torch.where(_happens(count, 0.15, generator)[:, None, None], 1 - images, images)


def degrade(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur, add noise to and compress views (B, S, S) at random; the result lies in 0..1."""
    count, side_px = len(images), images.shape[-1]
    device = images.device

    def amount(low: float, high: float, probability: float) -> Tensor:
        return _uniform(count, low, high, generator) * _happens(count, probability, generator)

    images = _blur(images, amount(0.3, 1.8, 0.35))
    fine = torch.randn((count, 1, side_px, side_px), generator=generator, device=device)
    coarse = torch.randn((count, 1, side_px // 2, side_px // 2), generator=generator, device=device)
    coarse = functional.interpolate(coarse, (side_px, side_px), mode="bilinear", align_corners=False)
    noise = torch.where(_happens(count, 0.6, generator)[:, None, None], fine[:, 0], coarse[:, 0] * 1.5)
    images = images + noise * amount(0.0, 0.12, 0.5)[:, None, None]
    compressed = _compress(images, amount(0.3, 3.0, 1.0))
    images = torch.where(_happens(count, 0.25, generator)[:, None, None], compressed, images)
    return images.clamp(0, 1)


_WORDS = ("a", "b", "c", "d", "A", "B", "(a)", "(b)", "(c)", "(d)", "(e)", "a)", "b)", "i", "ii", "TEM", "SEM", "300K")
_LENGTHS = ("1", "2", "5", "10", "20", "50", "100", "200", "500")
_BANNERS = (
    "HV mag WD det HFW",
    "15.0kV x50,000 SE",
    "Mag = 20.00 K X   EHT = 5 kV",
    "S4800 10.0kV 8.2mm x100k",
    "WD = 4.1 mm",
)


class _AnnotationSheet:
    """One sheet of printed matter: the grey value, how much of it covers the image, and where an opaque box lies."""

    def __init__(self, side_px: int, ink: int, paper: int) -> None:
        self.layers = [Image.new("L", (side_px, side_px), 0) for _ in range(3)]
        self.value, self.cover, self.box = (ImageDraw.Draw(layer) for layer in self.layers)
        self.ink, self.paper = ink, paper

    def fill_box(self, edges: tuple[float, float, float, float]) -> None:
        for draw, fill in ((self.value, self.paper), (self.cover, 255), (self.box, 255)):
            draw.rectangle(edges, fill=fill)

    def draw_bar(self, edges: tuple[float, float, float, float]) -> None:
        self.value.rectangle(edges, fill=self.ink)
        self.cover.rectangle(edges, fill=255)

    def draw_line(self, ends: tuple[float, float, float, float]) -> None:
        self.value.line(ends, fill=self.ink, width=2)
        self.cover.line(ends, fill=255, width=2)

    def write(
        self, place: tuple[float, float], text: str, font: ImageFont.FreeTypeFont, *, boxed: bool = False
    ) -> None:
        if boxed:
            left, top, right, bottom = self.value.textbbox(place, text, font=font)
            self.fill_box((left - 4, top - 3, right + 4, bottom + 3))
        self.value.text(place, text, fill=self.ink, font=font)
        self.cover.text(place, text, fill=255, font=font)


def render_annotations(count: int, side_px: int, seed: int) -> Tensor:
    """Letters, scale bars and banners as a microscope or a journal prints them: (count, 3, S, S) uint8.

    The first plane holds the grey value, the second how much of it covers the image, the third 255 under opaque boxes.
    """
    random = np.random.default_rng(seed)
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [str(path) for path in sorted(folder.glob("DejaVuS*.ttf"))]

    def between(low: int, high: int) -> int:
        return int(random.integers(low, high))

    def font(size_px: int) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(fonts[between(0, len(fonts))], size_px)

    sheets = []
    for _ in range(count):
        ink = int(random.choice([0, 255, 255, between(0, 256)]))
        sheet = _AnnotationSheet(side_px, ink, 255 - ink if random.random() < 0.8 else between(0, 256))
        if random.random() < 0.35:  # a banner along the lower edge
            height = between(12, 44)
            sheet.fill_box((0, side_px - height, side_px, side_px))
            place = (between(2, 60), side_px - 0.8 * height)
            sheet.write(place, str(random.choice(_BANNERS)), font(max(7, int(height * 0.4))))
        if random.random() < 0.75:  # a scale bar with its length
            width, thick, left = between(20, 110), between(1, 8), between(4, side_px - 110)
            top = between(24, 60) if random.random() < 0.3 else between(int(side_px * 0.55), side_px - 30)
            if random.random() < 0.25:
                sheet.fill_box((left - 8, top - 26, left + width + 8, top + thick + 8))
            sheet.draw_bar((left, top, left + width, top + thick))
            if random.random() < 0.3:
                for end in (left, left + width):
                    sheet.draw_bar((end - 1, top - 4, end + 1, top + thick + 4))
            if random.random() < 0.9:
                text = f"{random.choice(_LENGTHS)} {random.choice(('nm', 'nm', 'μm', 'μm', 'um'))}"
                sheet.write((left + 2, top - 22), text, font(between(9, 19)))
        if random.random() < 0.7:  # the panel's letter
            size = between(12, 40)
            corner = (float(random.choice([4, side_px - size - 12])), float(random.choice([3, 3, side_px - size - 8])))
            sheet.write(corner, str(random.choice(_WORDS)), font(size), boxed=random.random() < 0.35)
        if random.random() < 0.15:  # a measured length
            x, y = between(20, side_px - 20), between(20, side_px - 20)
            sheet.draw_line((between(20, side_px - 20), between(20, side_px - 20), x, y))
            sheet.write((x, y), f"{between(2, 400)} nm", font(between(8, 15)))
        sheets.append(np.stack([np.asarray(layer) for layer in sheet.layers]))
    return torch.from_numpy(np.stack(sheets))


def paste_annotations(
    images: Tensor, labels: Tensor, annotations: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Print text on half of the views; boxes become background, bare strokes over particles have no known truth."""
    pick = torch.randint(0, len(annotations), (len(images),), generator=generator, device=generator.device)
    planes = annotations[pick].float() / 255 * _happens(len(images), 0.5, generator)[:, None, None, None]
    images = images * (1 - planes[:, 1]) + planes[:, 0] * planes[:, 1]
    covered = planes[:, 1] > 0.5
    labels = labels * (planes[:, 2] < 0.5)
    return images, labels, covered & (labels > 0)


def number_instances(labels: Tensor, smallest_px2: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Count the particles of a batch through: labels (B, H, W) to instances 0..N, boxes, image of each, ignored pixels.

    What is left of a particle in view with less than ``smallest_px2`` pixels has no known truth.
    """
    count, height, width = labels.shape
    stride = int(labels.max()) + 1
    keyed = torch.where(labels > 0, labels + torch.arange(count, device=labels.device)[:, None, None] * stride, 0)
    sizes = torch.bincount(keyed.reshape(-1), minlength=count * stride)
    keep = sizes >= smallest_px2
    keep[0] = False
    instances = torch.where(keep, torch.cumsum(keep, 0), 0)[keyed]
    ignored = (labels > 0) & (instances == 0)
    total = int(keep.sum())
    image_index = torch.div(torch.nonzero(keep).squeeze(1), stride, rounding_mode="floor")
    place = torch.nonzero(instances)
    owner = instances[place[:, 0], place[:, 1], place[:, 2]] - 1
    low = torch.full((total, 2), max(height, width), device=labels.device)
    low = low.scatter_reduce(0, owner[:, None].expand(-1, 2), place[:, 1:], "amin")
    high = torch.zeros((total, 2), dtype=torch.long, device=labels.device)
    high = high.scatter_reduce(0, owner[:, None].expand(-1, 2), place[:, 1:] + 1, "amax")
    return instances, torch.cat([low, high], 1), image_index, ignored


def draw_batch(
    data: Labelled, annotations: Tensor, batch: int, side_px: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """One batch of training views: grey (B, 1, S, S), and what ``particle_loss`` needs of the truth."""
    index = torch.randint(0, len(data.images), (batch,), generator=generator, device=generator.device)
    matrices, centres = draw_views(data, index, side_px, generator)
    images, labels, inside = cut_views(data, index, matrices, centres, side_px)
    images = change_greys(images, generator)
    images, labels, unknown = paste_annotations(images, labels, annotations, generator)
    images = torch.where(inside, degrade(images, generator), OUTSIDE_GREY)
    instances, boxes, image_index, ignored = number_instances(labels, 10)
    return images[:, None], instances, boxes, image_index, ignored | unknown
