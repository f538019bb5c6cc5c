"""Accuracy on a folder of images and a folder of label maps of the same stem.

    python benchmarks/accuracy.py IMAGES LABELS [--method watershed|otsu] [--half 0|1 --groups CSV] [--csv FILE]

Prints the BPartIS paper's protocol and the field's one-to-one scores. ``otsu`` is the usual recipe, to compare with.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import track
from scipy import ndimage
from skimage import color, feature, filters, io, segmentation

from emscout.evaluate import evaluate, summarize
from emscout.particles.segmenters.multiscale import segment_component_tree


def otsu(image: np.ndarray) -> np.ndarray:
    """The usual recipe: Otsu, the class with the shorter part of the border is particle, distance watershed."""
    smooth = filters.gaussian(image.astype(float), 1)
    mask = smooth > filters.threshold_otsu(smooth)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if border.mean() > 0.5:
        mask = ~mask
    mask = ndimage.binary_fill_holes(mask)
    distance = ndimage.distance_transform_edt(mask)
    peaks = feature.peak_local_max(distance, min_distance=7, labels=ndimage.label(mask)[0])
    markers = np.zeros(image.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return segmentation.watershed(-distance, markers, mask=mask)


METHODS = {"watershed": lambda image: segment_component_tree(image)[0], "otsu": otsu}


def read_grey(path: Path) -> np.ndarray:
    """Grey values; colour by luminance."""
    image = io.imread(path)
    if image.ndim == 2:
        return image
    if image.shape[-1] == 2:
        return image[..., 0]
    return np.round(255 * color.rgb2gray(image[..., :3])).astype(np.uint8)


def in_half(group: str, half: int) -> bool:
    """Whether a group (a DOI) hashes to this half; parameters were chosen on half 0, half 1 is held out."""
    return hashlib.sha256(group.encode()).digest()[0] % 2 == half


def scored(paths: list[Path], labels: Path, method: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for path in track(paths, description=method):
        true_labels = io.imread(next(labels.glob(f"{path.stem}.*")))
        yield path.stem, true_labels.astype(np.int32), METHODS[method](read_grey(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--method", choices=METHODS, default="watershed")
    parser.add_argument("--groups", type=Path, help="CSV with columns name and doi, to halve the images by DOI")
    parser.add_argument("--half", type=int, choices=(0, 1), help="only the images whose DOI hashes to this half")
    parser.add_argument("--csv", type=Path, help="write the scores of each image here")
    arguments = parser.parse_args()
    paths = sorted(p for p in arguments.images.iterdir() if any(arguments.labels.glob(f"{p.stem}.*")))
    if arguments.half is not None:
        if arguments.groups is None:
            parser.error("--half needs --groups")
        group = pd.read_csv(arguments.groups, dtype=str).drop_duplicates("name").set_index("name")["doi"]
        paths = [p for p in paths if in_half(group[p.stem], arguments.half)]
    if not paths:
        parser.error(f"no image in {arguments.images} has a label map of the same stem in {arguments.labels}")
    start = time.perf_counter()
    per_image = evaluate(scored(paths, arguments.labels, arguments.method))
    seconds = time.perf_counter() - start
    if arguments.csv:
        per_image.to_csv(arguments.csv, index=False)
    print(f"{arguments.method}: {len(paths)} images in {seconds:.0f} s")
    print(summarize(per_image).T.to_string(float_format="{:.3f}".format, na_rep=""))


if __name__ == "__main__":
    main()
