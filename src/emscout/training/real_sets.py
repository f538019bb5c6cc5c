"""Sets of real micrographs whose particles others have labelled: where each comes from, and of what kind it is."""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from emscout.io.labels import read_label_image
from emscout.particles.segmenters.bayesian import normalise_grey

__all__ = ["SETS", "RealImage", "Truth", "assign_folds", "find_real_images"]

N_FOLDS = 5

TruthKind = Literal["instances", "pieces", "boxes", "foreground"]


class Truth(NamedTuple):
    """A micrograph and what is known of it.

    ``grey`` uint8 (H, W), ``labels`` int32 (H, W), ``matter_known`` bool (H, W): whether it is known that there is, or
    is not, a particle; ``instances_known`` bool (H, W): whether it is known which particle a pixel belongs to.
    """

    grey: np.ndarray
    labels: np.ndarray
    matter_known: np.ndarray
    instances_known: np.ndarray


@dataclass(frozen=True)
class RealImage:
    """A labelled micrograph.

    Parameters
    ----------
    name : str
        Set and file name without suffix, as in ``soot_tem/train_000007``.
    path, truth : Path
        Of the image and of its labels.
    source : str
        Images of one source (article, laboratory, series) are never split between training and validation.
    kind : str
        A key of `emscout.synthetic.kinds.KINDS`, or "" where `emscout.evaluate.kinds.guess_kind` shall say it.
    truth_kind : {'instances', 'pieces', 'boxes', 'foreground'}
        Label images; masks whose connected pieces are particles; boxes around particles; masks of matter alone.
    """

    name: str
    path: Path
    truth: Path
    source: str
    kind: str
    truth_kind: TruthKind

    def read(self) -> Truth:
        """Read image and labels.

        Raises
        ------
        ReadError
            When the labels cannot be read.
        """
        with Image.open(self.path) as file:
            image = np.asarray(file.convert("L") if file.mode not in ("L", "I;16") else file)
        grey = np.rint(normalise_grey(image) * 255).astype(np.uint8)
        if self.truth_kind == "boxes":
            labels, certain = _draw_boxes(self.truth, (grey.shape[0], grey.shape[1]))
            return Truth(grey, labels, certain, certain)
        labels = _read_labels(self.truth, pieces=self.truth_kind != "instances")
        everywhere = np.ones(grey.shape, bool)
        if self.truth_kind == "foreground":
            return Truth(grey, labels, everywhere, labels == 0)
        return Truth(grey, labels, everywhere, everywhere)


def _read_labels(path: Path, *, pieces: bool) -> np.ndarray:
    if not pieces:
        return read_label_image(path)
    with Image.open(path) as file:
        mask = np.asarray(file)
    if mask.ndim == 3:
        mask = mask[..., 0]
    values = np.unique(mask)
    # A mask compressed as JPEG holds more values than two.
    if len(values) == 2 or values.max() == 255:
        return ndimage.label(mask > (int(values.min()) + int(values.max())) / 2)[0].astype(np.int32)
    return read_label_image(path)


def _draw_boxes(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ellipses that fill boxes (class, x, y, width, height, relative), smaller ones on top; a rim of each is unsure."""
    labels, certain = np.zeros(shape, np.int32), np.ones(shape, bool)
    lines = [[float(value) for value in line.split()] for line in path.read_text().splitlines() if line.strip()]
    for number, (_, x, y, width, height) in enumerate(sorted(lines, key=lambda box: -box[3] * box[4]), 1):
        half = max(width * shape[1] / 2, 1.0), max(height * shape[0] / 2, 1.0)
        centre = x * shape[1] - 0.5, y * shape[0] - 0.5
        rim = max(1.0, 0.12 * min(half))
        left, top = (max(0, int(c - h - rim - 1)) for c, h in zip(centre, half, strict=True))
        right, bottom = (int(c + h + rim + 2) for c, h in zip(centre, half, strict=True))
        box = (slice(top, bottom), slice(left, right))
        row, col = np.ogrid[top : min(bottom, shape[0]), left : min(right, shape[1])]
        away = np.hypot((col - centre[0]) / half[0], (row - centre[1]) / half[1])
        inside = away <= 1
        labels[box][inside] = number
        certain[box][inside] = True
        certain[box][np.abs(away - 1) * min(half) < rim] = False
    return labels, certain


def _find_emps(folder: Path) -> Iterable[RealImage]:
    with (folder / "sources.csv").open(encoding="utf-8") as file:
        dois = {row["name"]: row["doi"] for row in csv.DictReader(file)}
    for path in sorted((folder / "images").glob("*.png")):
        truth = folder / "segmaps" / path.name
        yield RealImage(f"emps/{path.stem}", path, truth, dois[path.stem], "", "instances")


def _find_stem_boxes(folder: Path) -> Iterable[RealImage]:
    for path in sorted((folder / "images").glob("*.jpg")):
        sample = re.sub(r"\d+$", "", path.stem)
        truth = folder / "boxes" / f"{path.stem}.txt"
        yield RealImage(f"stem_boxes/{path.stem}", path, truth, f"stem_boxes {sample}", "on support", "boxes")


def _with_labels(
    folder: Path, source: Callable[[str], str], kind: str, truth_kind: TruthKind, rename: tuple[str, str] = ("", "")
) -> Iterable[RealImage]:
    truths = {path.stem: path for path in (folder / "labels").iterdir()}
    for path in sorted((folder / "images").iterdir()):
        truth = truths[path.stem.replace(*rename) if rename[0] else path.stem]
        yield RealImage(
            f"{folder.name}/{path.stem}", path, truth, f"{folder.name} {source(path.stem)}".strip(), kind, truth_kind
        )


def _find_tem_masks(folder: Path) -> Iterable[RealImage]:
    return _with_labels(folder, lambda name: "", "round", "pieces", ("image", "label"))


def _find_soot(folder: Path) -> Iterable[RealImage]:
    return _with_labels(folder, lambda name: "", "agglomerate", "instances")


def _find_powder(folder: Path) -> Iterable[RealImage]:
    return _with_labels(folder, lambda name: name.split("Tile")[0], "round", "instances")


def _find_catalyst(folder: Path) -> Iterable[RealImage]:
    def series(name: str) -> str:
        # The validation slices are those of the second series.
        return "2" if name.startswith("val") else name.removeprefix("train_al_")[0]

    return _with_labels(folder, series, "on support", "instances")


def _find_tetrahedra(folder: Path) -> Iterable[RealImage]:
    return _with_labels(folder, lambda name: (re.search(r"20\d{6}", name) or [""])[0], "cube", "instances")


def _find_nanocomposite(folder: Path) -> Iterable[RealImage]:
    return _with_labels(folder, lambda name: name.split("_")[0], "agglomerate", "foreground")


def _find_superalloy(folder: Path) -> Iterable[RealImage]:
    return _with_labels(folder, lambda name: re.sub(r"(_\d+d)?_\d+$", "", name), "grains", "instances")


SETS: dict[str, Callable[[Path], Iterable[RealImage]]] = {
    "emps": _find_emps,
    "tem_masks": _find_tem_masks,
    "stem_boxes": _find_stem_boxes,
    "particle_sets/soot_tem": _find_soot,
    "particle_sets/powder_sem": _find_powder,
    "particle_sets/catalyst_tomo": _find_catalyst,
    "particle_sets/tetrahedra_tem": _find_tetrahedra,
    "particle_sets/nanocomposite_sem": _find_nanocomposite,
    "particle_sets/superalloy_sem": _find_superalloy,
}
"""Folders, relative to that of all data, and how images, labels and sources are found in each."""


def find_real_images(folder: Path, sets: Sequence[str] = tuple(SETS)) -> list[RealImage]:
    """All labelled images of those sets that are there, in a fixed order."""
    return [image for name in sets if (folder / name).is_dir() for image in SETS[name](folder / name)]


def assign_folds(images: Sequence[RealImage]) -> dict[str, int]:
    """The fold, 0..4, of each image by its name: whole sources, spread so that each set lies in as many as it can."""
    by_set: dict[str, Counter[str]] = defaultdict(Counter)
    for image in images:
        by_set[image.name.split("/")[0]][image.source] += 1
    fold_of: dict[str, int] = {}
    total = [0] * N_FOLDS
    for name in sorted(by_set, key=lambda name: (len(by_set[name]), name)):
        here = [0] * N_FOLDS
        for source, count in sorted(by_set[name].items(), key=lambda item: (-item[1], item[0])):
            fold = min(range(N_FOLDS), key=lambda k: (here[k], total[k], k))
            fold_of[source] = fold
            here[fold] += count
            total[fold] += count
    return {image.name: fold_of[image.source] for image in images}
