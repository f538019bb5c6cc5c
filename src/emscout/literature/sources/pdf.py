"""Figures of a PDF: its images, at the resolution they are stored in, with the captions printed beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium

from emscout.errors import ReadError
from emscout.literature.panels.boxes import Box
from emscout.literature.sources.captions import figure_number
from emscout.literature.sources.document import Document, Figure, find_doi
from emscout.literature.sources.pdf_text import UNITS_PER_PT, Line, captions_of, displayed, lines_of
from emscout.literature.sources.pictures import MOST_PX, too_large

__all__ = ["open_pdf"]

_LEAST_SIDE = 30 * UNITS_PER_PT  # less is a logo, a formula or a rule
_LEAST_PX = 80
_MOST_RENDERED_PX = 40_000_000
_MOST_PAGES = 3000
_MOST_IMAGES_A_PAGE = 5000  # strips
_PANELS_APART = 30 * UNITS_PER_PT
_STRIPS_APART = 3 * UNITS_PER_PT
_TEXT_PAGES_WITH_DOI = 2


class _Placed(NamedTuple):
    """An image on a page."""

    box: Box
    width_px: int
    height_px: int
    flips: tuple[int, int] | None  # steps through rows and columns, 1 or -1; None for a turned or slanted image
    image: Any

    @property
    def px_per_unit(self) -> float:
        return max(self.width_px / max(1, self.box.width), self.height_px / max(1, self.box.height))


def open_pdf(path: Path) -> Document:
    """Open a PDF.

    Raises
    ------
    ReadError
        When it is damaged, locked, or none of its pages has an image.
    """
    pdf = _open(path)
    try:
        if not any(_images_on(pdf[index]) for index in range(min(len(pdf), _MOST_PAGES))):
            raise ReadError(
                f"'{path}' holds no images: its figures may be drawn as vectors, or it is text only; "
                "give the images themselves."
            )
        texts = [pdf[index].get_textpage().get_text_range() for index in range(min(len(pdf), _TEXT_PAGES_WITH_DOI))]
        facts = " ".join(pdf.get_metadata_dict().values())
    except pypdfium2.PdfiumError as error:
        pdf.close()
        raise _damaged(path) from error
    except ReadError:
        pdf.close()
        raise
    doi = find_doi(facts) or find_doi(" ".join(texts))
    return Document(path, doi, _figures(path, pdf), (path,), pdf.close)


def _open(path: Path) -> pypdfium2.PdfDocument:
    try:
        pdf = pypdfium2.PdfDocument(path)
        if len(pdf) == 0:
            pdf.close()
            raise ReadError(f"'{path}' has no pages: download it again.")
    except pypdfium2.PdfiumError as error:
        if "assword" in str(error) or "ecurity" in str(error):
            raise ReadError(f"'{path}' is protected by a password: save it without one.") from error
        raise _damaged(path) from error
    return pdf


def _damaged(path: Path) -> ReadError:
    return ReadError(f"'{path}' is a damaged PDF: download it again.")


def _figures(path: Path, pdf: pypdfium2.PdfDocument) -> Iterator[Figure]:
    for index in range(min(len(pdf), _MOST_PAGES)):
        try:
            page = pdf[index]
            images = _images_on(page)
            if not images:
                continue
            lines = lines_of(page)
            for group, caption in _group(images, captions_of(lines)):
                load = partial(_load, f"the figure on page {index + 1} of '{path}'", page, group, lines, images)
                yield Figure(figure_number(caption), caption, load, index + 1)
        except pypdfium2.PdfiumError as error:
            raise ReadError(f"Page {index + 1} of '{path}' is damaged: download it again.") from error


def _images_on(page: pypdfium2.PdfPage) -> list[_Placed]:
    """The images on a page, without small decorations, as they are displayed."""
    found = []
    for number, image in enumerate(page.get_objects([pdfium.FPDF_PAGEOBJ_IMAGE])):
        if number == _MOST_IMAGES_A_PAGE:
            break
        width, height = image.get_px_size()
        matrix, form = image.get_matrix(), image.container
        while form is not None:
            matrix, form = matrix.multiply(form.get_matrix()), form.container
        corners = [displayed(page, *matrix.on_point(x, y)) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
        cols, rows = zip(*corners, strict=True)
        box = Box(*(round(edge) for edge in (min(rows), min(cols), max(rows), max(cols))))
        (left, bottom), (right, _), _, (_, top) = corners
        slant = abs(corners[1][1] - bottom) + abs(corners[3][0] - left)
        is_level = slant < 0.01 * max(box.height, box.width, 1)
        flips = (1 if top < bottom else -1, 1 if right > left else -1) if is_level else None
        if box.area and width and height:
            found.append(_Placed(box, width, height, flips, image))
    return [image for strips in _clusters(found, _STRIPS_APART) if _is_figure(strips) for image in strips]


def _is_figure(images: Sequence[_Placed]) -> bool:
    box = _union(images)
    resolution = max(image.px_per_unit for image in images)
    sides = box.height, box.width
    return min(sides) >= _LEAST_SIDE and min(sides) * resolution >= _LEAST_PX and max(sides) < 20 * min(sides)


def _union(images: Sequence[_Placed]) -> Box:
    box = images[0].box
    for image in images[1:]:
        box = box.joined(image.box)
    return box


def _clusters(images: list[_Placed], apart: int) -> list[list[_Placed]]:
    """Groups of images in which each is at most ``apart`` from another."""
    clusters: list[list[_Placed]] = []
    for image in images:
        near = [cluster for cluster in clusters if any(image.box.gap(other.box) <= apart for other in cluster)]
        clusters = [cluster for cluster in clusters if cluster not in near]
        clusters.append([*(other for cluster in near for other in cluster), image])
    return clusters


def _group(images: list[_Placed], captions: list[Line]) -> list[tuple[list[_Placed], str]]:
    """The images of each figure, with its caption: those near one another that have the same nearest caption."""
    of_caption: dict[int, list[_Placed]] = {}
    for cluster in _clusters(images, _STRIPS_APART):
        of_caption.setdefault(_nearest_caption(_union(cluster), captions), []).extend(cluster)
    figures = []
    for index, members in of_caption.items():
        for cluster in _clusters(members, _PANELS_APART):
            figures.append((cluster, captions[index].text if index >= 0 else ""))
    return sorted(figures, key=lambda figure: _union(figure[0]))


def _nearest_caption(box: Box, captions: list[Line]) -> int:
    """Below the image, else above it, else beside it; -1 on a page without captions."""

    def distance(line: Line) -> tuple[int, int]:
        beside = min(box.right, line.box.right) - max(box.left, line.box.left) <= 0
        below = line.box.top >= box.bottom - 5 * UNITS_PER_PT
        return (2 if beside else 0 if below else 1), box.gap(line.box)

    return min(range(len(captions)), key=lambda index: distance(captions[index]), default=-1)


def _load(
    name: str, page: pypdfium2.PdfPage, group: list[_Placed], lines: list[Line], images: list[_Placed]
) -> np.ndarray:
    """The pixels of a figure: as stored where one image is all there is, else drawn at that resolution."""
    for image in group:
        if image.width_px * image.height_px > MOST_PX:
            raise too_large(name, image.width_px, image.height_px)
    try:
        box = _union(group)
        labels = _labels_beside(box, lines)
        for label in labels:
            box = box.joined(label)
        drawn = partial(_draw, page, box)
        if len(group) == 1 and group[0].flips and not labels and not _has_strokes(page, box):
            stored = _stored(group[0])
            small = min(1.0, math.sqrt(40_000 / max(1, stored.shape[0] * stored.shape[1])))
            # A mask, an inverted scale or a clip shows only in what is drawn.
            if _is_same_picture(drawn(small * group[0].px_per_unit), stored):
                return stored
        finest = max(image.px_per_unit for image in group)
        return drawn(min(finest, math.sqrt(_MOST_RENDERED_PX / box.area)))
    except pypdfium2.PdfiumError as error:
        raise ReadError(f"An image of {name} is damaged: download the document again.") from error
    except MemoryError as error:
        raise ReadError(f"{name} is too large for the memory of this computer.") from error


def _labels_beside(box: Box, lines: list[Line]) -> list[Box]:
    """Short texts on a figure or at its edges: the letters of panels, which are often not part of the image."""
    reach = 15 * UNITS_PER_PT
    return [
        line.box
        for line in lines
        if len(line.text) <= 12 and line.box.gap(box) <= reach and line.box.width < 0.5 * box.width
    ]


def _has_strokes(page: pypdfium2.PdfPage, box: Box) -> bool:
    """Whether lines are drawn over an image: scale bars, arrows."""
    for stroke in page.get_objects([pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_SHADING], max_depth=1):
        left, bottom, right, top = stroke.get_bounds()
        (first_col, first_row), (last_col, last_row) = displayed(page, left, top), displayed(page, right, bottom)
        place = Box(*(round(edge) for edge in (first_row, first_col, last_row + 1, last_col + 1)))
        if place.overlap(box) > 0.9 * place.area and place.area < 0.9 * box.area:
            return True
    return False


def _stored(placed: _Placed) -> np.ndarray:
    """Pixels as they are in the file, uint8 of shape (H, W, 3), mirrored as they are displayed."""
    rows, cols = placed.flips or (1, 1)
    pixels = placed.image.get_bitmap(render=False).to_numpy()[::rows, ::cols]
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2).astype(np.uint8)
    return np.ascontiguousarray(pixels[..., 2::-1])


def _draw(page: pypdfium2.PdfPage, box: Box, px_per_unit: float) -> np.ndarray:
    width, height = (side * UNITS_PER_PT for side in page.get_size())
    top, left = max(0, box.top), max(0, box.left)
    bottom, right = min(height, box.bottom), min(width, box.right)
    crop = tuple(edge / UNITS_PER_PT for edge in (left, height - bottom, width - right, top))
    bitmap = page.render(scale=px_per_unit * UNITS_PER_PT, crop=crop, rev_byteorder=True, limit_image_cache=True)
    return np.array(bitmap.to_numpy()[..., :3])


def _is_same_picture(drawn: np.ndarray, stored: np.ndarray) -> bool:
    from PIL import Image

    size = drawn.shape[1], drawn.shape[0]
    small = np.asarray(Image.fromarray(stored).resize(size, Image.Resampling.BOX))
    return float(np.abs(small.astype(int) - drawn).mean()) < 12
