"""Atomic writing, unique names, checksums."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from emscout.errors import OutputError

__all__ = ["TEMPORARY", "image_names", "name_pictures", "sha256_of", "write_atomic"]


TEMPORARY = ".emscout-"
"""What names of temporary folders begin with; one is left behind only by a process that was killed."""


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Hand out a temporary path; move what was written there to ``path`` when the block succeeds.

    The temporary file lies in a temporary folder beside ``path`` and has its name, because writers choose the format by
    the suffix.

    Raises
    ------
    OutputError
        When the operating system refuses (disk full, no permission).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=TEMPORARY, ignore_cleanup_errors=True) as folder:
            temporary = Path(folder) / path.name
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): free some disk space, or choose another folder."
        ) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def image_names(sources: Sequence[tuple[Path, int | None]]) -> list[str]:
    """Give each image of a run a name of its own, usable as a file name.

    The name is the file's stem, with ``_f0012`` for a frame of a stack. Where that is not unique (also on file
    systems that do not tell upper from lower case), files of one folder get their suffix (``a.png`` beside
    ``a.tif``), those of different folders as many parent folders before the name as needed.

    Parameters
    ----------
    sources : sequence of (Path, int or None)
        File and frame, each pair once.

    Returns
    -------
    list of str
        In the same order.
    """
    stems = [path.stem + ("" if frame is None else f"_f{frame:04d}") for path, frame in sources]
    names = list(stems)
    in_folder = [f"{path.parent}/{stem}" for (path, _), stem in zip(sources, stems, strict=True)]
    for i in _collisions(in_folder):
        names[i] += "_" + sources[i][0].suffix.lstrip(".")
    stems = list(names)
    for parents in range(1, max((len(path.parts) for path, _ in sources), default=0)):
        for i in _collisions(names):
            folders = (part.strip("/\\:.") for part in sources[i][0].parts[:-1][-parents:])
            names[i] = "_".join([*filter(None, folders), stems[i]])
    for i in _collisions(names):
        names[i] += f"_{i}"
    return names


def name_pictures(pictures: Sequence[object]) -> list[str]:
    """Give each picture in memory a name of its own: that of its file, or ``image_1``, ``image_2``, … without one.

    Parameters
    ----------
    pictures : sequence
        Micrographs, which may have a ``path``, and arrays.
    """
    paths = [getattr(picture, "path", None) or Path(f"image_{i}") for i, picture in enumerate(pictures, 1)]
    return image_names([(path, None) for path in paths])


def _collisions(names: list[str]) -> list[int]:
    places = defaultdict(list)
    for i, name in enumerate(names):
        places[name.casefold()].append(i)
    return [i for group in places.values() if len(group) > 1 for i in group]
