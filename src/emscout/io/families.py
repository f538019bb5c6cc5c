"""The readers: one for each family of files, chosen by what a file holds and not by its name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from emscout.errors import ReadError
from emscout.io.frames import Frames
from emscout.io.pictures import open_picture
from emscout.io.rosetta import open_gatan, open_hdf5, open_mrc, open_tia
from emscout.io.tiff import open_tiff
from emscout.io.video import open_video

__all__ = ["READERS", "Reader", "all_readers", "family_of"]

_LOG = logging.getLogger(__name__)
_GROUP = "emscout.readers"
_HEAD_BYTES = 512


@dataclass(frozen=True)
class Reader:
    """How the files of one family are recognised and opened.

    Parameters
    ----------
    open : callable
        ``open(path) -> Frames``: what the header says, and a function that loads a frame when it is asked for. It may
        raise anything: the user sees that the file is damaged. A `ReadError` is passed on as it is.
    suffixes : tuple of str
        Lower case, with the dot: which files of a folder are taken for images.
    signatures : tuple of bytes
        What the files begin with.
    matches : callable, optional
        ``matches(head, suffix) -> bool``, for what no signature says: ``head`` is the first 512 bytes, ``suffix`` is in
        lower case.

    Examples
    --------
    >>> raw = Reader(open=lambda path: Frames(...), suffixes=(".raw",), matches=lambda head, suffix: suffix == ".raw")
    >>> raw.recognises(b"...", ".raw")
    True
    """

    open: Callable[[Path], Frames]
    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...] = ()
    matches: Callable[[bytes, str], bool] | None = None

    def recognises(self, head: bytes, suffix: str) -> bool:
        """Whether a file that begins like this is one of the family."""
        return head.startswith(self.signatures) or (self.matches is not None and self.matches(head, suffix))


READERS: dict[str, Reader] = {
    "tia": Reader(open_tia, (".ser", ".emi"), (b"II\x97\x01",), lambda head, suffix: suffix == ".emi"),
    "picture": Reader(open_picture, (".png", ".jpg", ".jpeg", ".bmp"), (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM")),
    "tiff": Reader(open_tiff, (".tif", ".tiff", ".btf", ".tf8"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "gatan": Reader(open_gatan, (".dm3", ".dm4"), (b"\0\0\0\x03", b"\0\0\0\x04")),
    "hdf5": Reader(open_hdf5, (".emd", ".hspy"), (b"\x89HDF\r\n\x1a\n",)),
    "video": Reader(
        open_video,
        (".avi", ".mp4", ".m4v", ".mov"),
        matches=lambda head, suffix: (head[:4] == b"RIFF" and head[8:12] == b"AVI ") or head[4:8] == b"ftyp",
    ),
    # MRC files by older programs have no signature, and what they begin with is the width of the image.
    "mrc": Reader(
        open_mrc,
        (".mrc", ".mrcs"),
        matches=lambda head, suffix: head[208:212] == b"MAP " or suffix in (".mrc", ".mrcs"),
    ),
}
"""Readers by name; the last that recognises a file opens it. Other packages add theirs through the entry points
``emscout.readers``, which come after these."""

_NOT_IMAGES = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"GIF8": "a GIF picture",
}
_FORMATS = "PNG, JPEG, BMP, TIFF, DM3/DM4, SER, EMD, HSPY, MRC, AVI or MP4"


def all_readers() -> dict[str, Reader]:
    """`READERS`, and those of installed packages."""
    return READERS | _installed_readers()


@cache
def _installed_readers() -> dict[str, Reader]:
    readers = {}
    for entry in entry_points(group=_GROUP):
        try:
            readers[entry.name] = entry.load()
        except Exception as error:  # a package that is broken takes no other file with it
            _LOG.warning("The reader '%s' cannot be loaded and is left out (%s).", entry.name, error)
    return readers


def family_of(path: Path) -> str:
    """Name of the reader for a file, a key of `all_readers`.

    Raises
    ------
    ReadError
        When the file is empty or no reader recognises it; OSError when it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise ReadError(f"'{path}' is empty (0 bytes): copy it again from the microscope.")
    for name, reader in reversed(all_readers().items()):
        if reader.recognises(head, path.suffix.lower()):
            return name
    raise ReadError(f"'{path}' is {_kind(head)}: give the image itself, as {_FORMATS}.")


def _kind(head: bytes) -> str:
    for signature, kind in _NOT_IMAGES.items():
        if head.startswith(signature):
            is_locked_zip = signature == b"PK\x03\x04" and len(head) > 6 and head[6] & 1
            return f"{kind}{' protected by a password' if is_locked_zip else ''}, not a micrograph"
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) > 0.9 * len(head) and all(
        character.isprintable() or character.isspace() for character in text
    ):
        return "a text file, not a micrograph"
    return "not in an image format that emscout knows"
