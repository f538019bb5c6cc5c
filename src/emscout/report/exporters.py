"""Results in other programs' formats: label TIFFs, ImageJ ROIs, COCO JSON, Parquet.

Every entry of `EXPORTERS` is called alike: ``export(folder, tables, labels) -> list of paths``. It writes new
files into ``folder`` and returns them; the same results give the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi
from scipy.ndimage import find_objects

from emscout.report.outlines import trace_outlines

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXPORTERS", "export_coco", "export_parquet", "export_rois", "write_labels"]

# A zip member must have a time, and this is the earliest there can be.
_NO_TIME = (1980, 1, 1, 0, 0, 0)
_ROWS_PER_STRIP = 64
_LARGEST_UINT32 = 2**32 - 1


def write_labels(path: Path | str, labels: np.ndarray, nm_per_px: float | None = None) -> None:
    """Write a label image; the same labels give the same bytes.

    The TIFF is deflate-compressed in strips (ImageJ opens no tiles), carries no date, and is compressed a
    few strips at a time, so that a large map is not copied.

    Parameters
    ----------
    path : path-like
        The file to write; its name may end in anything.
    labels : ndarray of int32, shape (H, W)
        0 is background.
    nm_per_px : float or None
        Pixel size; written the way ImageJ does, in pixels per nm. ``None`` writes no scale.
    """
    description = "ImageJ=1.54f\nimages=1\n"
    resolution = None
    if nm_per_px is not None:
        description += "unit=nm\n"
        px_per_nm = 1 / nm_per_px
        # TIFF stores a fraction of two 32-bit numbers: take the one that is nearest.
        nearest = Fraction(px_per_nm).limit_denominator(int(_LARGEST_UINT32 / max(1.0, px_per_nm)))
        resolution = (nearest.as_integer_ratio(), nearest.as_integer_ratio())
    with Path(path).open("wb") as file:
        tifffile.imwrite(
            file,
            labels,
            byteorder="<",
            photometric="minisblack",
            compression="zlib",
            rowsperstrip=_ROWS_PER_STRIP,
            description=description,
            resolution=resolution,
            resolutionunit="NONE",
            software=False,
            metadata=None,
        )


def export_rois(folder: Path, tables: Mapping[str, pd.DataFrame], labels: Mapping[str, np.ndarray]) -> list[Path]:
    """Write ``rois/<image>.zip`` for each image: one ImageJ ROI a particle, named by its label.

    The corners of the outline are the corners of pixels, as ImageJ's wand gives them: the filled ROI is the
    particle (without its holes). Of a particle in several pieces the largest is kept.

    Parameters
    ----------
    folder : Path
        Where to write.
    tables : mapping of str to DataFrame
        ``images`` gives the order; one without labels (it failed) is passed over.
    labels : mapping of str to ndarray of int, shape (H, W)
        Label image by image name; may read each one only when asked for it.
    """
    written = []
    for image in tables["images"]["image"]:
        if image not in labels:
            continue
        path = folder / "rois" / f"{image}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for label, _, outlines in _outlines_of_particles(labels[image]):
                member = zipfile.ZipInfo(f"{label}.roi", _NO_TIME)
                archive.writestr(member, _imagej_roi(outlines[0], str(label)), zipfile.ZIP_DEFLATED)
        written.append(path)
    return written


def export_coco(folder: Path, tables: Mapping[str, pd.DataFrame], labels: Mapping[str, np.ndarray]) -> list[Path]:
    """Write ``coco.json``: every particle of the run as a COCO instance of the category ``particle``.

    Parameters
    ----------
    folder : Path
        Where to write.
    tables : mapping of str to DataFrame
        ``images`` with ``image``, ``height_px``, ``width_px`` (and ``path``); ``particles``, whose column
        ``probability``, where there is one, becomes the annotation's ``score``.
    labels : mapping of str to ndarray of int, shape (H, W)
        Label image by image name; may read each one only when asked for it.

    Notes
    -----
    A polygon's x and y are counted from the outer corner of the first pixel; ``area`` is in pixels, holes
    left out; ids count from 1 in the order of the tables.
    """
    particles = tables["particles"]
    scores = {}
    if "probability" in particles:
        scores = dict(
            zip(zip(particles["image"], particles["label"], strict=True), particles["probability"], strict=True)
        )
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, row in enumerate(tables["images"].to_dict("records"), start=1):
        image = row["image"]
        if image not in labels:
            continue
        label_image = labels[image]
        height, width = label_image.shape
        images.append({"id": number, "file_name": str(row.get("path", image)), "height": height, "width": width})
        for label, area_px2, outlines in _outlines_of_particles(label_image):
            corners = np.vstack(outlines)
            top, left = corners.min(axis=0).tolist()
            bottom, right = corners.max(axis=0).tolist()
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": 1,
                "segmentation": [outline[:, ::-1].ravel().tolist() for outline in outlines],
                "bbox": [left, top, right - left, bottom - top],
                "area": area_px2,
                "iscrowd": 0,
                "label": label,
            }
            if (image, label) in scores:
                annotation["score"] = float(scores[image, label])
            annotations.append(annotation)
    dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "particle"}]}
    path = folder / "coco.json"
    path.write_text(json.dumps(dataset, separators=(",", ":")) + "\n", encoding="utf-8")
    return [path]


def export_parquet(folder: Path, tables: Mapping[str, pd.DataFrame], labels: Mapping[str, np.ndarray]) -> list[Path]:
    """Write each table as ``<table>.parquet``, with the columns of the CSV file of that name.

    Parameters
    ----------
    folder : Path
        Where to write.
    tables : mapping of str to DataFrame
        By name.
    labels : mapping of str to ndarray
        Not needed here.
    """
    written = []
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        table.to_parquet(path, engine="pyarrow", index=False)
        written.append(path)
    return written


EXPORTERS: dict[str, Callable[[Path, Mapping[str, pd.DataFrame], Mapping[str, np.ndarray]], list[Path]]] = {
    "roi": export_rois,
    "coco": export_coco,
    "parquet": export_parquet,
}


def _outlines_of_particles(labels: np.ndarray) -> Iterator[tuple[int, int, list[np.ndarray]]]:
    """Label, number of pixels and outlines of each particle, in the coordinates of the whole image."""
    for label, box in enumerate(find_objects(labels), start=1):
        if box is not None:
            mask = labels[box] == label
            corner = (box[0].start, box[1].start)
            yield label, int(mask.sum()), [outline + corner for outline in trace_outlines(mask)]


def _imagej_roi(outline: np.ndarray, name: str) -> bytes:
    """ImageJ's bytes of a polygon with (row, col) corners."""
    roi = ImagejRoi.frompoints(outline[:, ::-1].astype(np.int32), name=name)
    roi.roitype = ROI_TYPE.TRACED
    roi.options = ROI_OPTIONS(0)
    return roi.tobytes()
