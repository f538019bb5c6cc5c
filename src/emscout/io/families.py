"""The families of files, and to which of them a file belongs: by its content, not by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from emscout.errors import ReadError
from emscout.io.frames import Frames
from emscout.io.pictures import open_picture
from emscout.io.rosetta import open_gatan, open_hdf5, open_mrc, open_tia
from emscout.io.tiff import open_tiff
from emscout.io.video import open_video

__all__ = ["READERS", "family_of"]

READERS: dict[str, Callable[[Path], Frames]] = {
    "picture": open_picture,
    "tiff": open_tiff,
    "gatan": open_gatan,
    "tia": open_tia,
    "hdf5": open_hdf5,
    "mrc": open_mrc,
    "video": open_video,
}

_SIGNATURES = {
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"\x89PNG\r\n\x1a\n": "picture",
    b"\xff\xd8\xff": "picture",
    b"BM": "picture",
    b"\0\0\0\x03": "gatan",
    b"\0\0\0\x04": "gatan",
    b"II\x97\x01": "tia",
    b"\x89HDF\r\n\x1a\n": "hdf5",
}
_NO_IMAGES = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"%PDF": "a PDF document",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"GIF8": "a GIF picture",
}
_FORMATS = "PNG, JPEG, BMP, TIFF, DM3/DM4, SER, EMD, HSPY, MRC, AVI or MP4"


def family_of(path: Path) -> str:
    """Name of the reader for a file, a key of `READERS`.

    Raises
    ------
    ReadError
        When the file is empty or its content is that of no image emscout reads; OSError when it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise ReadError(f"'{path}' is empty (0 bytes): copy it again from the microscope.")
    suffix = path.suffix.lower()
    # MRC files by older programs have no signature, and what they begin with is the width of the image.
    if head[208:212] == b"MAP " or suffix in (".mrc", ".mrcs"):
        return "mrc"
    if (head[:4] == b"RIFF" and head[8:12] == b"AVI ") or head[4:8] == b"ftyp":
        return "video"
    for signature, family in _SIGNATURES.items():
        if head.startswith(signature):
            return family
    if suffix == ".emi":
        return "tia"
    raise ReadError(f"'{path}' is {_kind(head)}: give the image itself, as {_FORMATS}.")


def _kind(head: bytes) -> str:
    for signature, kind in _NO_IMAGES.items():
        if head.startswith(signature):
            is_locked_zip = signature == b"PK\x03\x04" and len(head) > 6 and head[6] & 1
            return f"{kind}{' protected by a password' if is_locked_zip else ''}, not a micrograph"
    text = head.decode("utf-8", "ignore")
    if len(text.encode()) > 0.9 * len(head) and all(
        character.isprintable() or character.isspace() for character in text
    ):
        return "a text file, not a micrograph"
    return "in no image format emscout knows"
