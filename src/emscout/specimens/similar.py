"""Micrographs that look alike: a folder's features kept in an index, the nearest found in a moment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.compute import Progress
from emscout.errors import EmscoutError, NothingToFindError, ReadError, UsageError
from emscout.io.colour import read_colours
from emscout.io.files import write_atomic
from emscout.io.find import images_in, natural_key
from emscout.models import CategoryModel, load_category_model
from emscout.specimens.features import BACKBONE, describe_files
from emscout.specimens.report.similar_page import write_similar_page
from emscout.specimens.report.thumbnails import draw_thumbnail
from emscout.specimens.views import view_picture

__all__ = [
    "SimilarOptions",
    "SimilarityIndex",
    "build_index",
    "find_similar",
    "load_index",
    "nearest_rows",
    "save_found",
    "save_index",
]

_SMALL_SIDE_PX = 300


@dataclass(frozen=True)
class SimilarOptions:
    """What shapes the result of `find_similar`; every field is a flag of the command too.

    Raises
    ------
    UsageError
        When a number makes no sense.
    """

    count: int = field(default=24, metadata={"help": "How many pictures to show."})
    model: str = field(
        default=BACKBONE,
        metadata={
            "help": "Whose features tell what is alike: a shipped model, or an .onnx file that emscout train "
            "classifier wrote.",
            "metavar": "NAME|PATH",
        },
    )

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError("`count` is a whole number, 1 or more.")


@dataclass(frozen=True)
class SimilarityIndex:
    """Pictures of a folder and where they lie among one another.

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


def find_similar(
    image: str | Path,
    folder: str | Path,
    index: str | Path,
    options: SimilarOptions | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The pictures of a folder (and its subfolders) that look most like an image.

    Parameters
    ----------
    image : str or Path
        Of any kind that emscout reads; its first frame.
    folder : str or Path
    index : str or Path
        A file: what was read of the folder before is taken from it; new and changed pictures are read, those gone are
        forgotten, and it is written anew.
    options : SimilarOptions, optional
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    found : DataFrame
        ``rank``, ``path``, ``similarity`` (cosine, 1 for the same picture), the nearest first; the image itself is
        left out.
    notes : list of str
        A sentence for each file or subfolder that cannot be read.

    Raises
    ------
    UsageError
        When there is no such folder or image, the folder holds no other picture, or the image is a folder.
    ReadError, NothingToFindError, ModelError, OutputError
        When the image, the model or the index cannot be used.
    """
    options = options or SimilarOptions()
    folder, image, place = Path(folder), Path(image), Path(index)
    if image.is_dir():
        raise UsageError(f"'{image}' is a folder: name one picture.")
    if not image.exists():
        raise UsageError(f"'{image}' does not exist: check the spelling of the path.")
    model = load_category_model(options.model)
    try:
        pixels = read_colours(image)
        view = view_picture(pixels, model.description["side_px"], mask_banner=model.description["mask_banner"])
    except NothingToFindError as error:
        raise NothingToFindError(f"'{image}': {error}") from error
    made, notes = build_index(folder, model, load_index(place, model.sha256), progress=progress)
    if not len(made.vectors):
        raise UsageError(f"'{folder}' holds no picture that can be read: {notes[0]}")
    save_index(made, place)
    order, similarity = nearest_rows(made.vectors, model.embed(view[None])[0], options.count + 1)
    own = str(image.resolve())
    kept = [(str(made.paths[row]), float(one)) for row, one in zip(order, similarity, strict=True)]
    kept = [(path, one) for path, one in kept if path != own][: options.count]
    if not kept:
        raise UsageError(f"'{folder}' holds no other picture that can be read: name the folder to search in.")
    table = pd.DataFrame(kept, columns=["path", "similarity"])
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table, notes


def save_found(out: Path, image: Path, folder: Path, found: pd.DataFrame, notes: Sequence[str]) -> None:
    """Write ``similar.csv`` and ``report.html`` with small pictures.

    Parameters
    ----------
    out : Path
    image, folder : Path
        As `find_similar` was given them.
    found : DataFrame
    notes : sequence of str
    """
    with write_atomic(out / "similar.csv") as path:
        found.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")
    asked = _small_picture(image)
    assert asked is not None
    with write_atomic(out / "report.html") as path:
        write_similar_page(
            path,
            image=image.name,
            picture=asked,
            folder=str(folder),
            found=found,
            pictures=[_small_picture(Path(one)) for one in found["path"]],
            notes=notes,
        )


def _small_picture(path: Path) -> np.ndarray | None:
    try:
        return draw_thumbnail(read_colours(path), _SMALL_SIDE_PX)
    except EmscoutError:  # it has gone, or changed, since it was indexed
        return None


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
    """Index of all pictures under a folder; of an index made ``before`` what is still true is kept.

    Raises
    ------
    UsageError
        When there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise UsageError(f"'{folder}' is no folder: name the folder to search in.")
    paths, locked = _pictures_under(folder)
    if not paths:
        raise UsageError(f"'{folder}' holds no picture: name the folder to search in.")
    stamps = {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}
    rows = {} if before is None else {str(path): row for row, path in enumerate(before.paths)}
    kept = [
        (rows[name], name)
        for name, stamp in stamps.items()
        if before is not None and name in rows and tuple(before.stamps[rows[name]]) == stamp
    ]
    known = {name for _, name in kept}
    new = [path for path in paths if str(path) not in known]
    described = describe_files(
        new,
        model.embed,
        side_px=model.description["side_px"],
        mask_banner=model.description["mask_banner"],
        progress=progress,
    )
    names = [name for _, name in kept] + [str(new[row]) for row in described.rows]
    parts = [before.vectors[[row for row, _ in kept]]] if before is not None and kept else []
    parts += [described.features] if len(described.rows) else []
    vectors = np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
    order = sorted(range(len(names)), key=lambda row: natural_key(Path(names[row])))
    index = SimilarityIndex(
        vectors[order],
        np.array([names[row] for row in order], str),
        np.array([stamps[names[row]] for row in order], np.int64).reshape(-1, 2),
        model.sha256,
    )
    return index, [*locked, *described.failures.values()]


def _pictures_under(folder: Path) -> tuple[list[Path], list[str]]:
    """The pictures of a folder and its subfolders, hidden ones left out, and a sentence for each that is closed."""
    found, locked = set(images_in(folder)), []
    for place, names, _ in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in names:
            try:
                found.update(images_in(Path(place, name)))
            except ReadError as error:
                locked.append(str(error))
    return sorted({file.resolve() for file in found}, key=natural_key), sorted(locked)


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
        When the file is no index.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            index = SimilarityIndex(arrays["vectors"], arrays["paths"], arrays["stamps"], str(arrays["model"]))
    except FileNotFoundError:
        return None
    except Exception as error:  # numpy and zipfile raise whatever a damaged file leads to
        raise ReadError(
            f"'{path}' is no index of pictures, or it is damaged: choose another place with `index`."
        ) from error
    return index if index.model_sha256 == model_sha256 else None
