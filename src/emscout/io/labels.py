"""Where the outlines people have drawn are found: label images, COCO, ImageJ ROIs, Labelme.

A format is a function that lists the labelled images of a folder; each of them draws its label image when asked.
Corners of outlines are counted from the outer corner of the first pixel, as these programs do.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import roifile
import tifffile
from PIL import Image
from scipy import ndimage
from skimage.draw import disk, polygon2mask

from emscout.errors import ReadError, UsageError
from emscout.io.find import images_in

__all__ = ["LABEL_FORMATS", "LabelledImage", "find_labelled", "read_label_image"]

_MAP_FOLDERS = ("segmaps", "labels", "masks")
_ROI_SUFFIXES = (".zip", ".roi")
_FILLED_ROIS = (
    roifile.ROI_TYPE.POLYGON,
    roifile.ROI_TYPE.RECT,
    roifile.ROI_TYPE.OVAL,
    roifile.ROI_TYPE.FREEHAND,
    roifile.ROI_TYPE.TRACED,
)


@dataclass(frozen=True)
class LabelledImage:
    """An image with known particles.

    Parameters
    ----------
    name : str
        Unique in its folder.
    path : Path
        Of the micrograph.
    truth : Path
        The file the labels come from.
    draw : callable
        ``draw((H, W)) -> ndarray of int32 (H, W)``, 0 where there is no particle; of particles that overlap the later
        one wins. Raises a ReadError when the labels do not fit that shape or cannot be read.
    """

    name: str
    path: Path
    truth: Path
    draw: Callable[[tuple[int, int]], np.ndarray]


def find_labelled(folder: Path) -> list[LabelledImage]:
    """List the labelled images of a folder, in whichever of `LABEL_FORMATS` it holds them, by name.

    Raises
    ------
    UsageError
        When there are none, or labels of two formats.
    ReadError
        When a label file cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"'{folder}' is not a folder: give the folder with images and their labels.")
    found = {name: images for name, find in LABEL_FORMATS.items() if (images := find(folder))}
    if not found:
        raise UsageError(
            f"'{folder}' holds no labels: put label images of the same names into {folder / 'labels'} and the "
            f"micrographs into {folder / 'images'}, or a COCO, Labelme or ImageJ ROI file beside the images."
        )
    if len(found) > 1:
        raise UsageError(f"'{folder}' contains labels of several kinds ({', '.join(found)}): keep one kind.")
    (images,) = found.values()
    return sorted(images, key=lambda image: image.name)


def find_label_images(folder: Path) -> list[LabelledImage]:
    """``images/`` with ``labels/``, ``masks/`` or ``segmaps/`` of the same names."""
    found = []
    for maps in (folder / name for name in _MAP_FOLDERS if (folder / name).is_dir()):
        micrographs = _images_by_stem(folder / "images")
        for truth in images_in(maps):
            path = _image_of(truth, truth.stem, micrographs)
            found.append(LabelledImage(truth.stem, path, truth, partial(read_label_image, truth)))
    return found


def find_coco(folder: Path) -> list[LabelledImage]:
    """One COCO file (``*.json``) in the folder, which names the images."""
    found = []
    for truth in sorted(folder.glob("*.json")):
        content = _read_json(truth)
        if not {"images", "annotations"} <= content.keys():
            continue
        particles: dict[Any, list[dict]] = defaultdict(list)
        for annotation in content["annotations"]:
            particles[annotation.get("image_id")].append(annotation)
        for image in content["images"]:
            path = _named_image(truth, str(image.get("file_name", "")))
            annotations = particles.get(image.get("id"), [])
            found.append(LabelledImage(path.stem, path, truth, partial(_draw_coco, truth, image, annotations)))
    _refuse_repeated(found)
    return found


def find_imagej_rois(folder: Path) -> list[LabelledImage]:
    """ROI zips (or single ``.roi`` files) with the images' names, beside them or in ``rois/``."""
    found = []
    for path in (_images_by_stem(folder / "images") or _images_by_stem(folder)).values():
        for truth in [p / (path.stem + end) for p in (path.parent, folder / "rois") for end in _ROI_SUFFIXES]:
            if truth.is_file():
                found.append(LabelledImage(path.stem, path, truth, partial(_draw_rois, truth)))
    _refuse_repeated(found)
    return found


def find_labelme(folder: Path) -> list[LabelledImage]:
    """Labelme's ``*.json``, one an image, beside the images or in ``labels/``."""
    found = []
    for truth in sorted([*folder.glob("*.json"), *folder.glob("images/*.json"), *folder.glob("labels/*.json")]):
        content = _read_json(truth)
        if not {"shapes", "imagePath"} <= content.keys():
            continue
        path = _named_image(truth, str(content["imagePath"]).replace("\\", "/"))
        found.append(LabelledImage(path.stem, path, truth, partial(_draw_labelme, truth, content)))
    _refuse_repeated(found)
    return found


LABEL_FORMATS: dict[str, Callable[[Path], list[LabelledImage]]] = {
    "label images": find_label_images,
    "COCO": find_coco,
    "ImageJ ROIs": find_imagej_rois,
    "Labelme": find_labelme,
}


def _images_by_stem(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in images_in(folder)} if folder.is_dir() else {}


def _image_of(truth: Path, stem: str, micrographs: dict[str, Path]) -> Path:
    if stem not in micrographs:
        raise ReadError(f"'{truth}' has no micrograph of the same name: there is no image '{stem}' to go with it.")
    return micrographs[stem]


def _named_image(truth: Path, name: str) -> Path:
    """The image a label file names, also where it has moved with that file."""
    base = Path(name).name
    for path in (
        truth.parent / name,
        truth.parent / base,
        truth.parent / "images" / base,
        truth.parent.parent / "images" / base,
    ):
        if path.is_file():
            return path
    raise ReadError(f"'{truth}' names the image '{name}', which is not there: put it beside that file or into images/.")


def _refuse_repeated(images: Iterable[LabelledImage]) -> None:
    truths: dict[str, Path] = {}
    for image in images:
        if image.name in truths:
            raise ReadError(
                f"'{image.truth}' and '{truths[image.name]}' both label the image '{image.name}': keep one."
            )
        truths[image.name] = image.truth


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReadError(f"'{path}' is not a readable JSON file ({error}): export it again.") from error
    return content if isinstance(content, dict) else {}


def read_label_image(truth: Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Read a label image, or a mask, whose connected regions are the particles.

    Parameters
    ----------
    truth : Path
    shape : (int, int) or None
        Of the micrograph, where it is known.

    Returns
    -------
    ndarray of int32, shape (H, W)
        1..n without gaps, 0 where there is no particle.

    Raises
    ------
    ReadError
        When it cannot be read, is not a label image, or has another shape.
    """
    try:
        labels = tifffile.imread(truth) if truth.suffix.lower() in (".tif", ".tiff") else np.asarray(Image.open(truth))
    except Exception as error:  # the libraries raise all kinds of errors on damaged files
        raise ReadError(f"'{truth}' cannot be read as a label image: save it as TIFF or 16-bit PNG.") from error
    if labels.ndim == 3 and (labels[..., :3] == labels[..., :1]).all():
        labels = labels[..., 0]
    if labels.ndim != 2:
        raise ReadError(f"'{truth}' is in colour: save a grey image in which each particle has its own value.")
    if shape is not None and labels.shape != shape:
        raise ReadError(f"'{truth}' is {_size(labels.shape)} px and its micrograph {_size(shape)} px: they must agree.")
    values = np.unique(labels)
    if not np.isfinite(values).all() or (values != np.rint(values)).any() or values[0] < 0:
        raise ReadError(f"'{truth}' holds values that are not labels: particles are 1, 2, 3 …, background is 0.")
    if values.dtype == bool or values.tolist() in ([0, 255], [255]):  # a mask: its connected regions are the particles
        return ndimage.label(labels)[0].astype(np.int32)
    return np.searchsorted(np.append(0, values[values > 0]), labels).astype(np.int32)


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


def _fill(labels: np.ndarray, value: int, outline: np.ndarray) -> None:
    """Give the pixels whose centre lies within an outline (n, 2) of (row, col) corners a value."""
    low = np.clip(np.floor(outline.min(0)).astype(int), 0, labels.shape)
    high = np.clip(np.ceil(outline.max(0)).astype(int) + 1, 0, labels.shape)
    if (high > low).all():
        box = labels[low[0] : high[0], low[1] : high[1]]
        box[polygon2mask(box.shape, outline - 0.5 - low)] = value


def _corners(truth: Path, values: Any) -> np.ndarray:
    """Corners (n, 2) of (row, col) from x, y, x, y …, nested or flat."""
    try:
        corners = np.asarray(values, float).reshape(-1, 2)[:, ::-1]
    except (TypeError, ValueError):
        corners = np.empty((0, 2))
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ReadError(
            f"'{truth}' holds an invalid outline: an outline needs at least three corners, each with x and y."
        )
    return corners


def _draw_coco(truth: Path, image: dict, annotations: list[dict], shape: tuple[int, int]) -> np.ndarray:
    stated = (image.get("height", shape[0]), image.get("width", shape[1]))
    if stated != shape:
        raise ReadError(
            f"'{truth}' says that '{image.get('file_name')}' is {_size(stated)} px, but it is {_size(shape)} px."
        )
    labels = np.zeros(shape, np.int32)
    for value, annotation in enumerate(annotations, start=1):
        outlines = annotation.get("segmentation")
        if isinstance(outlines, dict):
            labels[_decode_runs(truth, outlines, shape)] = value
        elif not outlines:
            raise ReadError(f"'{truth}' holds an annotation without an outline: bounding boxes alone are not enough.")
        else:
            for outline in outlines:
                _fill(labels, value, _corners(truth, outline))
    return labels


def _decode_runs(truth: Path, runs: dict, shape: tuple[int, int]) -> np.ndarray:
    """A mask stored as lengths of runs, column by column, background first."""
    lengths = runs.get("counts")
    if isinstance(lengths, str):
        raise ReadError(f"'{truth}' holds compressed masks: export polygons, or label images.")
    if not isinstance(lengths, list) or sum(lengths) != shape[0] * shape[1]:
        raise ReadError(f"'{truth}' holds a mask whose size differs from that of its image: export it again.")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(shape, order="F")


def _draw_rois(truth: Path, shape: tuple[int, int]) -> np.ndarray:
    try:
        rois = roifile.roiread(truth)
    except Exception as error:  # zipfile, struct and others, whatever the damage
        raise ReadError(f"'{truth}' cannot be read as ImageJ ROIs: save them again from the ROI manager.") from error
    labels = np.zeros(shape, np.int32)
    for value, roi in enumerate(rois if isinstance(rois, list) else [rois], start=1):
        if roi.roitype not in _FILLED_ROIS:
            raise ReadError(f"'{truth}' holds '{roi.name}', a {roi.roitype.name.lower()}: only outlines are particles.")
        for outline in roi.coordinates(multi=True):
            _fill(labels, value, _corners(truth, outline))
    return labels


def _draw_labelme(truth: Path, content: dict, shape: tuple[int, int]) -> np.ndarray:
    stated = (content.get("imageHeight") or shape[0], content.get("imageWidth") or shape[1])
    if stated != shape:
        raise ReadError(f"'{truth}' says that its image is {_size(stated)} px, but it is {_size(shape)} px.")
    labels = np.zeros(shape, np.int32)
    for value, drawn in enumerate(content["shapes"], start=1):
        kind, points = drawn.get("shape_type", "polygon"), np.asarray(drawn.get("points", []), float)
        if kind == "polygon":
            _fill(labels, value, _corners(truth, points))
        elif kind == "rectangle" and points.shape == (2, 2):
            (left, top), (right, bottom) = points
            _fill(labels, value, np.array([[top, left], [top, right], [bottom, right], [bottom, left]]))
        elif kind == "circle" and points.shape == (2, 2):
            centre, radius = points[0, ::-1] - 0.5, float(np.linalg.norm(points[1] - points[0]))
            labels[disk(centre, radius, shape=shape)] = value
        else:
            raise ReadError(f"'{truth}' holds a {kind}: particles are polygons, rectangles or circles.")
    return labels
