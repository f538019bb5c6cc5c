"""Micrographs that look alike: the nearest among others in memory, or among the pictures of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Ge

from emscout.compute import Progress
from emscout.errors import EmscoutError, NothingToFindError, UsageError
from emscout.io.colour import colours_of, read_colours
from emscout.io.files import name_pictures
from emscout.micrograph import Micrograph, Notice, Report
from emscout.models import CategoryModel, load_category_model
from emscout.options import options_class
from emscout.runs import Outputs, Run, write_table
from emscout.specimens.features import BACKBONE
from emscout.specimens.index import build_index, load_index, nearest_rows, save_index
from emscout.specimens.report.similar_page import write_similar_page
from emscout.specimens.report.thumbnails import draw_thumbnail
from emscout.specimens.views import view_picture

__all__ = ["SimilarOptions", "SimilarResult", "find_similar", "search_folder", "search_similar"]

_SMALL_SIDE_PX = 300
_OUTPUTS = Outputs(("similar.csv", "report.html"))


@options_class
class SimilarOptions:
    """Options of `find_similar` and `search_similar`; every field is also an option of the command.

    Raises
    ------
    UsageError
        When a number makes no sense.
    """

    count: Annotated[int, Ge(1)] = field(default=24, metadata={"help": "How many pictures to show."})
    model: str = field(
        default=BACKBONE,
        metadata={
            "help": "The model whose features are compared: a shipped one, or an .onnx file that emscout train "
            "classifier wrote.",
            "metavar": "NAME|PATH",
        },
    )


@dataclass(frozen=True, eq=False)
class SimilarResult:
    """What `find_similar` found.

    Parameters
    ----------
    table : DataFrame
        ``rank``, ``name``, ``similarity`` (cosine of the features, 1 for the same picture) and ``position`` (where it
        stands among the others, from 0), the nearest first.
    warnings : tuple of Notice
        Of pictures that cannot be compared.
    """

    table: pd.DataFrame
    warnings: tuple[Notice, ...] = ()


def find_similar(
    micrograph: Micrograph | np.ndarray,
    others: Sequence[Micrograph | np.ndarray],
    options: SimilarOptions | None = None,
    **settings: Any,
) -> SimilarResult:
    """Find the micrographs that look most like a given one.

    Parameters
    ----------
    micrograph : Micrograph or ndarray
        Grey values (H, W) of any real dtype, or red, green, blue (H, W, 3) as uint8. Of a micrograph that was read from
        a file the colours of the file count.
    others : sequence of Micrograph or ndarray
        Those to search in. For many files `search_similar` keeps an index.
    options : SimilarOptions, optional
        Or give its fields by name: ``find_similar(m, others, count=5)``.
    **settings
        Fields of `SimilarOptions`.

    Returns
    -------
    SimilarResult

    Raises
    ------
    UsageError
        When an option is invalid or there is no such model.
    NothingToFindError
        When ``micrograph`` has a single grey value.
    ModelError
        When the model cannot be loaded.

    Examples
    --------
    >>> import emscout as em
    >>> from emscout.synthetic.specimens import make_specimen
    >>> others = [make_specimen(kind, seed=1) for kind in ("fibres", "pores", "particles")]
    >>> em.find_similar(make_specimen("pores"), others, count=1).table["name"].tolist()
    ['image_2']
    """
    if options is not None and settings:
        raise UsageError("Give either `options` or its fields by name, not both.")
    options = options or SimilarOptions(**settings)
    model = load_category_model(options.model)
    query = _embed(colours_of(micrograph), model)
    vectors, positions, warnings = [], [], []
    names = name_pictures(others)
    for position, other in enumerate(others):
        try:
            vectors.append(_embed(colours_of(other), model))
            positions.append(position)
        except NothingToFindError as error:
            warnings.append(Notice("empty", str(error), image=names[position]))
    order, similarity = nearest_rows(np.array(vectors).reshape(len(vectors), len(query)), query, options.count)
    found = [positions[row] for row in order]
    table = pd.DataFrame(
        {
            "rank": np.arange(1, len(found) + 1),
            "name": [names[position] for position in found],
            "similarity": similarity.astype(float),
            "position": found,
        }
    )
    return SimilarResult(table, tuple(warnings))


def _embed(pixels: np.ndarray, model: CategoryModel) -> np.ndarray:
    view = view_picture(pixels, model.description["side_px"], mask_banner=model.description["mask_banner"])
    return model.embed(view[None])[0]


def search_similar(
    image: str | Path,
    folder: str | Path,
    out: str | Path,
    options: SimilarOptions | None = None,
    *,
    index: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Find the pictures of a folder and its subfolders that look most like a given one; save a table and a report.

    Parameters
    ----------
    image : str or Path
        Of any kind that emscout reads; its first frame.
    folder : str or Path
    out : str or Path
        Folder for the results.
    options : SimilarOptions, optional
    index : str or Path, optional
        A file that keeps the features of the folder's pictures for the next search; by default ``index.npz`` in
        ``out``. New and changed pictures are read, and those that are gone are removed from it.
    overwrite : bool
        Replace the results of another search in ``out``.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Report
        Table ``similar``: ``rank``, ``path``, ``similarity`` (cosine, 1 for the same picture), the nearest first;
        the image itself is left out. Each file or subfolder that cannot be read has a warning ``unreadable``.

    Raises
    ------
    UsageError
        When there is no such folder or image, the folder holds no other picture, or the image is a folder.
    ReadError, NothingToFindError, ModelError, OutputError
        When the image, the model, the index or ``out`` cannot be used.

    Examples
    --------
    >>> import emscout as em
    >>> report = em.search_similar("today.tif", "archive", "alike", index="archive.npz")    # doctest: +SKIP
    >>> report.tables["similar"]["path"][0]                                                  # doctest: +SKIP
    """
    options = options or SimilarOptions()
    image, folder, out = Path(image), Path(folder), Path(out)
    source = {"image": image.stem, "path": str(image.resolve()), "frame": None}
    depends = {"folder": str(folder.resolve())}
    run = Run("find-similar", out, [source], options, _OUTPUTS, depends, grows=False)
    run.claim(overwrite=overwrite, only_look=True)
    found, notes = search_folder(
        image, folder, out / "index.npz" if index is None else index, options, progress=progress
    )
    described = run.claim(overwrite=overwrite)
    write_table(out, "similar", found)
    asked = _small_picture(image)
    assert asked is not None
    write_similar_page(
        out / "report.html",
        image=image.name,
        picture=asked,
        folder=str(folder),
        found=found,
        pictures=[_small_picture(Path(one)) for one in found["path"]],
        notes=notes,
    )
    warnings = tuple(Notice("unreadable", note) for note in notes)
    return Report({"similar": found}, described["options"], described, out, warnings)


def search_folder(
    image: str | Path,
    folder: str | Path,
    index: str | Path,
    options: SimilarOptions | None = None,
    *,
    progress: Progress | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The search of `search_similar`, which writes nothing but the index.

    Returns
    -------
    found : DataFrame
        The table ``similar``.
    notes : list of str
        A sentence for each file or subfolder that cannot be read.
    """
    options = options or SimilarOptions()
    folder, image, place = Path(folder), Path(image), Path(index)
    if image.is_dir():
        raise UsageError(f"'{image}' is a folder: name one picture.")
    if not image.exists():
        raise UsageError(f"'{image}' does not exist: check the spelling of the path.")
    model = load_category_model(options.model)
    try:
        query = _embed(read_colours(image), model)
    except NothingToFindError as error:
        raise NothingToFindError(f"'{image}': {error}") from error
    made, notes = build_index(folder, model, load_index(place, model.sha256), progress=progress)
    if not len(made.vectors):
        raise UsageError(f"'{folder}' holds no picture that can be read: {notes[0]}")
    save_index(made, place)
    order, similarity = nearest_rows(made.vectors, query, options.count + 1)
    own = str(image.resolve())
    kept = [(str(made.paths[row]), float(one)) for row, one in zip(order, similarity, strict=True)]
    kept = [(path, one) for path, one in kept if path != own][: options.count]
    if not kept:
        raise UsageError(f"'{folder}' holds no other picture that can be read: name the folder to search in.")
    table = pd.DataFrame(kept, columns=["path", "similarity"])
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table, notes


def _small_picture(path: Path) -> np.ndarray | None:
    try:
        return draw_thumbnail(read_colours(path), _SMALL_SIDE_PX)
    except EmscoutError:  # it has gone, or changed, since it was indexed
        return None
