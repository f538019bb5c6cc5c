"""From files, folders and patterns to image files."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path

from emscout.errors import ReadError, UsageError
from emscout.io.emi import series_of_emi
from emscout.io.families import all_readers

__all__ = ["find_images", "images_in", "natural_key"]


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Expand files, folders and patterns into image files.

    A file named directly always counts, whatever it is called. Of a folder (one level, not its subfolders) and of a
    pattern such as ``run1/*.tif`` or ``**/*.dm4`` the files count that have a suffix of one of the readers. An ``.emi``
    stands for its ``.ser`` files.

    Parameters
    ----------
    paths : iterable of str or Path

    Returns
    -------
    list of Path
        Each file once, in natural order (``2.tif`` before ``10.tif``).

    Raises
    ------
    UsageError
        When a path does not exist, or a folder or pattern yields no image.
    ReadError
        When a folder may not be read.
    """
    found: dict[Path, Path] = {}
    for name in paths:
        for file in _expand(name):
            found.setdefault(file.resolve(), file)
    if not found:
        raise UsageError("No image is given: name files, folders or patterns such as 'run1/*.tif'.")
    return sorted(found.values(), key=natural_key)


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder (one level), by suffix and in natural order; hidden files do not count.

    Raises
    ------
    ReadError
        When the folder may not be read.
    """
    try:
        return _images_among(folder.iterdir())
    except OSError as error:
        raise ReadError(
            f"The folder '{folder}' cannot be read ({error.strerror}): ask its owner for permission, or name another."
        ) from error


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key that compares runs of digits as numbers."""
    parts = re.split(r"([0-9]+)", path.as_posix().casefold())
    return [(0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts)]


def _expand(name: str | Path) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_dir():
        if not (found := images_in(path)):
            if _images_among(Path(name) for name in glob.glob(f"{glob.escape(str(path))}/*/*")):  # noqa: PTH207
                raise UsageError(
                    f"'{path}' holds images in its subfolders only, and these are not searched: name them as "
                    f"'{path}/*/*'."
                )
            raise UsageError(f"The folder '{path}' contains no image: name a folder with {_some_suffixes()} files.")
        return found
    if path.exists():
        return _pixels_of(path)
    if not glob.has_magic(str(path)):
        raise UsageError(f"'{path}' does not exist: check the spelling of the path.")
    # Path.glob takes no absolute patterns.
    if not (found := _images_among(map(Path, glob.glob(str(path), recursive=True)))):  # noqa: PTH207
        raise UsageError(f"No image matches '{path}': check the pattern.")
    return found


def _images_among(files: Iterable[Path]) -> list[Path]:
    known = {suffix for reader in all_readers().values() for suffix in reader.suffixes}
    images = [file for file in files if file.suffix.lower() in known and not file.name.startswith(".")]
    return sorted({pixels for file in images if file.is_file() for pixels in _pixels_of(file)}, key=natural_key)


def _pixels_of(path: Path) -> list[Path]:
    return (series_of_emi(path) or [path]) if path.suffix.lower() == ".emi" else [path]


def _some_suffixes() -> str:
    return ".tif, .png, .dm4, .ser, .emd or .mrc"
