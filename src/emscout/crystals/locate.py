"""From overview images to a folder of targets: the function behind ``emscout locate``.

The app takes the same steps one by one: it keeps the result of `survey_files`, decides again at every click with
`emscout.crystals.find.judge`, and saves with `save_result`. No file is read twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from emscout.compute import Progress
from emscout.crystals import results
from emscout.crystals.choice.user_labels import UserLabels, load_user_labels
from emscout.crystals.find import CrystalResult, judge, survey_sources
from emscout.crystals.options import CrystalOptions
from emscout.crystals.survey import ImageSource, Survey
from emscout.io import find_images, read_series
from emscout.io.files import sha256_of
from emscout.io.run_folder import list_sources
from emscout.micrograph import Micrograph, Report
from emscout.runs import Run

__all__ = ["CrystalOptions", "ImageFiles", "list_files", "locate", "save_result", "survey_files"]


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """A set of images in files, and labels from another set.

    Parameters
    ----------
    paths : tuple of str
        As the user gave them.
    sources : tuple of dict
        ``image`` (its name), ``path`` and ``frame`` of each image.
    earlier : UserLabels or None
        Labels from another set.
    earlier_sha256 : str or None
        SHA-256 of the file they were in.
    """

    paths: tuple[str, ...]
    sources: tuple[dict[str, Any], ...]
    earlier: UserLabels | None
    earlier_sha256: str | None


def locate(
    paths: Sequence[str | Path],
    out: str | Path,
    options: CrystalOptions | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Find the crystals on a set of overview images and save tables, pictures and a report.

    Parameters
    ----------
    paths : sequence of str or Path
        Files, folders and glob patterns; each frame of a stack is an image. All images are evaluated together.
    out : str or Path
        Folder for the results.
    options : CrystalOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from other images.
    workers : int or None
        Number of processes; ``None`` takes one per core when there are many images.
    progress : callable or None
        Called as ``progress(done, total, what)``.

    Returns
    -------
    Report
        Tables ``targets``, ``tiles``, ``images``, ``clusters`` and ``advice``, and the warnings. An image that cannot
        be read has its sentence in ``images.error``; it does not end the run.

    Raises
    ------
    UsageError
        When there is no image to work on, or options do not fit the set.
    NothingToFindError
        When every tile is black.
    ReadError
        When no image can be read, or the file with labels.
    ModelError
        When the network cannot be loaded.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.

    Examples
    --------
    >>> import emscout as em
    >>> report = em.locate(["overview"], "found", em.CrystalOptions(grid="30x30"))  # doctest: +SKIP
    >>> report.tables["targets"][["rank", "image", "row_px", "col_px"]]            # doctest: +SKIP
    """
    options, out = options or CrystalOptions(), Path(out)
    files = list_files(paths, options)
    _run(out, files, options).claim(overwrite=overwrite, only_look=True)
    survey = survey_files(files, options, workers=workers, progress=progress)
    return save_result(out, files, judge(survey, options, files.earlier), overwrite=overwrite, progress=progress)


def list_files(paths: Sequence[str | Path], options: CrystalOptions) -> ImageFiles:
    """Find the images and read the labels from another set; `locate` says what is raised."""
    earlier, sha256 = None, None
    if options.knowledge is not None:
        earlier, sha256 = load_user_labels(Path(options.knowledge)), sha256_of(Path(options.knowledge))
    sources = list_sources(find_images(paths), read_series)
    return ImageFiles(tuple(str(path) for path in paths), tuple(sources), earlier, sha256)


def survey_files(
    files: ImageFiles, options: CrystalOptions, *, workers: int | None = None, progress: Progress | None = None
) -> Survey:
    """Read the images and take the statistics of their tiles.

    These depend on the tiles and statistics that are asked for, but not on the number of clusters or on labels.
    """
    sources = [
        ImageSource(
            source["image"],
            partial(_open, source["path"], source["frame"], options.pixel_size_nm),
            source["path"],
            {"path": source["path"], "frame": source["frame"]},
        )
        for source in files.sources
    ]
    return survey_sources(sources, options, workers=workers, progress=progress)


def save_result(
    out: Path, files: ImageFiles, found: CrystalResult, *, overwrite: bool, progress: Progress | None = None
) -> Report:
    """Write tables, pictures and the report to ``out``.

    Raises
    ------
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.
    """
    described = _run(out, files, found.options).claim(overwrite=overwrite)
    return results.save_run(out, found, described, paths=files.paths, progress=progress)


def _run(out: Path, files: ImageFiles, options: CrystalOptions) -> Run:
    depends = {"knowledge_sha256": files.earlier_sha256}
    return Run("locate", out, files.sources, options, results.OUTPUTS, depends, grows=False)


def _open(path: str, frame: int | None, pixel_size_nm: float | None) -> Micrograph:
    return read_series(path, pixel_size_nm=pixel_size_nm)[frame or 0]
