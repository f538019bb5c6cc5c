"""What kind of image a micrograph of particles is, so that no kind hides in the mean of all."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.measure import regionprops_table

from emscout.errors import ReadError

__all__ = ["guess_kind", "read_kinds"]


def read_kinds(path: Path) -> dict[str, str]:
    """Kinds that somebody who looked gave to images: a CSV of ``name`` and ``kind``.

    Raises
    ------
    ReadError
        When the file cannot be read, or has no such columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["name"]: row["kind"] for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise ReadError(f"{path}: this is not a table of kinds: give a CSV file with columns name and kind.") from error


def guess_kind(labels: np.ndarray) -> str:
    """Kind of a micrograph after the shapes in its label image (H, W): what most of its particles are.

    Cores, films and supports leave no trace in labels: these kinds have to be given.
    """
    if not labels.any():
        return "empty"
    names = ("label", "area", "axis_major_length", "axis_minor_length", "solidity", "extent", "bbox", "area_convex")
    table = regionprops_table(labels, properties=names)
    area = table["area"].astype(float)
    diameter = 2 * np.sqrt(area / np.pi)
    if area.max() > 0.15 * labels.size and len(area) <= 12:
        return "fills the frame"
    big = area >= 12
    if np.median(diameter) < 9:
        return "tiny"
    aspect = table["axis_major_length"][big] / np.maximum(table["axis_minor_length"][big], 1)
    if np.median(aspect) > 6:
        return "wire"
    if np.median(aspect) > 1.8:
        return "rod"
    touching = _touching_share(labels)
    count = len(area)
    if np.median(_squareness(labels)) > 0.5:
        return "cube"
    if count >= 8 and touching > 0.75:
        return "agglomerate"
    if count >= 8 and np.percentile(diameter, 95) > 3.5 * np.percentile(diameter, 25):
        return "mixed sizes"
    return "round"


def _touching_share(labels: np.ndarray) -> float:
    """Share of the particles that touch another."""
    met = set()
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        meet = (a != b) & (a > 0) & (b > 0)
        met |= set(np.unique(a[meet]).tolist()) | set(np.unique(b[meet]).tolist())
    return len(met) / max(1, len(np.unique(labels)) - 1)


def _squareness(labels: np.ndarray) -> np.ndarray:
    """For each particle, where its area lies between that of the ellipse (0) and of the box (1) of its least box."""
    import cv2

    found = []
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if box is None:
            continue
        mask = np.ascontiguousarray(labels[box] == number, np.uint8)
        outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        largest = max(outlines, key=len)
        if len(largest) < 12:
            continue
        width, height = cv2.minAreaRect(largest)[1]
        filled = mask.sum() / max((width + 1) * (height + 1), 1)
        found.append((filled - np.pi / 4) / (1 - np.pi / 4))
    return np.array(found or [0.0])
