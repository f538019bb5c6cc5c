"""An index of the pictures of a folder: their features, kept in a file so that each is read only once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emscout.compute import Progress
from emscout.errors import ReadError, UsageError
from emscout.io.files import write_atomic
from emscout.io.find import images_in, natural_key
from emscout.models import CategoryModel
from emscout.specimens.features import compute_features

__all__ = ["SimilarityIndex", "build_index", "load_index", "nearest_rows", "save_index"]


@dataclass(frozen=True)
class SimilarityIndex:
    """The pictures of a folder and their features.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, D)
        Of length 1: their dot product is the similarity, 1 for the same picture.
    paths : ndarray of str, shape (n,)
    stamps : ndarray of int, shape (n, 2)
        Size in bytes and time of change of each file: those that changed are read again.
    model_sha256 : str
        Of the model whose features they are.
    """

    vectors: np.ndarray
    paths: np.ndarray
    stamps: np.ndarray
    model_sha256: str


def nearest_rows(vectors: np.ndarray, query: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers and similarities of the vectors (n, D) nearest to a query (D,), the nearest first."""
    similarity = vectors @ query
    count = min(count, len(similarity))
    best = np.argpartition(-similarity, count - 1)[:count] if count else np.empty(0, int)
    order = best[np.lexsort((best, -similarity[best]))]
    return order, similarity[order]


def build_index(
    folder: Path, model: CategoryModel, before: SimilarityIndex | None = None, *, progress: Progress | None = None
) -> tuple[SimilarityIndex, list[str]]:
    """Index all pictures of a folder and its subfolders; what is still true of an index made ``before`` is kept.

    Returns
    -------
    index : SimilarityIndex
    notes : list of str
        A sentence for each file or subfolder that cannot be read.

    Raises
    ------
    UsageError
        When there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise UsageError(f"'{folder}' is not a folder: name the folder to search in.")
    paths, unreadable = _pictures_under(folder)
    if not paths:
        raise UsageError(f"'{folder}' holds no pictures: name the folder to search in.")
    stamps = {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}
    rows = {} if before is None else {str(path): row for row, path in enumerate(before.paths)}
    kept = [
        (rows[name], name)
        for name, stamp in stamps.items()
        if before is not None and name in rows and tuple(before.stamps[rows[name]]) == stamp
    ]
    known = {name for _, name in kept}
    new = [path for path in paths if str(path) not in known]
    computed = compute_features(
        new,
        model.embed,
        side_px=model.description["side_px"],
        mask_banner=model.description["mask_banner"],
        progress=progress,
    )
    names = [name for _, name in kept] + [str(new[row]) for row in computed.rows]
    parts = [before.vectors[[row for row, _ in kept]]] if before is not None and kept else []
    parts += [computed.features] if len(computed.rows) else []
    vectors = np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
    order = sorted(range(len(names)), key=lambda row: natural_key(Path(names[row])))
    index = SimilarityIndex(
        vectors[order],
        np.array([names[row] for row in order], str),
        np.array([stamps[names[row]] for row in order], np.int64).reshape(-1, 2),
        model.sha256,
    )
    return index, [*unreadable, *computed.failures.values()]


def _pictures_under(folder: Path) -> tuple[list[Path], list[str]]:
    """Pictures of a folder and its subfolders but for hidden ones, and a sentence for each that may not be read."""
    found, unreadable = set(images_in(folder)), []
    for place, names, _ in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in names:
            try:
                found.update(images_in(Path(place, name)))
            except ReadError as error:
                unreadable.append(str(error))
    return sorted({file.resolve() for file in found}, key=natural_key), sorted(unreadable)


def save_index(index: SimilarityIndex, path: Path) -> None:
    """Write an index as one file of arrays; nothing in it is ever unpickled.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    with write_atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file, vectors=index.vectors, paths=index.paths, stamps=index.stamps, model=np.array(index.model_sha256)
        )


def load_index(path: Path, model_sha256: str) -> SimilarityIndex | None:
    """An index made with the same model; ``None`` where there is none yet, or it is of another model.

    Raises
    ------
    ReadError
        When the file is not an index.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            index = SimilarityIndex(arrays["vectors"], arrays["paths"], arrays["stamps"], str(arrays["model"]))
    except FileNotFoundError:
        return None
    except Exception as error:  # numpy and zipfile raise whatever a damaged file leads to
        raise ReadError(
            f"'{path}' is not an index of pictures, or it is damaged: choose another place with `index`."
        ) from error
    return index if index.model_sha256 == model_sha256 else None
