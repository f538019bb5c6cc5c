"""The ten categories of scanning electron micrographs of Aversa et al. 2018: fetched from B2SHARE, checked, unpacked.

Aversa, R., Modarres, M. H., Cozzini, S., Ciancio, R., Chiusole, A.: The first annotated set of scanning electron
microscopy images for nanoscience. Scientific Data 5, 180172 (2018), doi:10.1038/sdata.2018.172; data CC BY.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from emscout.errors import OutputError, ReadError
from emscout.io import READERS

__all__ = ["RECORD_URL", "download_nffa"]

RECORD_URL = "https://b2share.eudat.eu/api/records/80df8606fcdb4b2bae1656f0dc6db8ba"

_BLOCK_BYTES = 1 << 20
_TRIES = 6
_PAUSE_S = 2.0
_TIMEOUT_S = 60

Show = Callable[[float, str], None]


@dataclass(frozen=True)
class _Archive:
    """One file of the record: a tar of the pictures of one category."""

    name: str
    url: str
    size_bytes: int
    md5: str


def download_nffa(folder: Path, *, record_url: str = RECORD_URL, progress: Show | None = None) -> Path:
    """Download and unpack the pictures, one folder for each category.

    Takes 11 GB of download and as much disk. Interrupted, it goes on where it stopped: with the byte that comes next,
    where the server lets it. Each archive is checked against the record's checksum before it is unpacked.

    Parameters
    ----------
    folder : Path
    record_url : str
        Of the record, as B2SHARE's interface gives it.
    progress : callable or None
        Called as ``progress(fraction done, message)``.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ReadError
        When the server cannot be reached or sends something else.
    OutputError
        When the disk is full, say.
    """
    show = progress or (lambda fraction, message: None)
    archives = _list_archives(record_url)
    total = sum(archive.size_bytes for archive in archives)
    done = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for archive in archives:
            category = archive.name.removesuffix(".tar")
            marker = folder / f".{category}.{archive.md5}.done"
            if not marker.exists():
                place = folder / f".{archive.name}.part"
                _fetch(archive, place, _from(done, total, category, show))
                _unpack(place, folder / category, archive.name)
                marker.touch()
                place.unlink()
            done += archive.size_bytes
            show(done / total, category)
    except OSError as error:
        raise OutputError(
            f"'{folder}' cannot be written ({error.strerror or error}): the pictures take about 23 GB while they are "
            "unpacked; free some space, or choose another folder."
        ) from error
    return folder


def _from(done: int, total: int, category: str, show: Show) -> Callable[[int], None]:
    """Reports the bytes of one archive as a part of all."""
    return lambda size: show((done + size) / total, category)


def _list_archives(record_url: str) -> list[_Archive]:
    record = _read_json(record_url)
    files, base = record.get("files"), record.get("links", {}).get("files", "")
    if isinstance(files, dict):  # newer B2SHARE
        entries = files.get("entries", {})
        rows = list(entries.values() if isinstance(entries, dict) else entries)
        ending = "/content"
    else:
        rows, ending = list(files or []), ""
    archives = []
    for row in rows:
        key, checksum = str(row.get("key", "")), str(row.get("checksum", ""))
        if PurePosixPath(key).name != key or not key.endswith(".tar"):
            continue
        url = row.get("links", {}).get("content") or f"{base}/{key}{ending}"
        archives.append(_Archive(key, url, int(row.get("size", 0)), checksum.removeprefix("md5:")))
    if not archives or any(not one.url.startswith(("https://", "http://127.0.0.1:")) for one in archives):
        raise ReadError(f"{record_url} does not list the archives of the pictures: B2SHARE may have moved them.")
    return sorted(archives, key=lambda archive: archive.size_bytes)


def _read_json(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            content = json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ReadError(
            f"{url} cannot be read ({error}): check the network; the pictures are downloaded from there."
        ) from error
    return content if isinstance(content, dict) else {}


def _fetch(archive: _Archive, place: Path, show: Callable[[int], None]) -> None:
    """Download what is missing of an archive, and check all of it."""
    failure = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_S)
        have = place.stat().st_size if place.exists() else 0
        if have < archive.size_bytes:
            try:
                _fetch_rest(archive, place, have, show)
            except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
                failure = str(error)
                continue
        if place.stat().st_size == archive.size_bytes and _md5_of(place) == archive.md5:
            return
        if place.stat().st_size >= archive.size_bytes:
            failure = "its checksum is wrong"
            place.unlink()
    raise ReadError(
        f"{archive.url} cannot be downloaded ({failure or 'the connection ends too early'}): check the network and "
        "repeat the command; what has arrived is kept."
    )


def _fetch_rest(archive: _Archive, place: Path, have: int, show: Callable[[int], None]) -> None:
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        if have and answer.status != http.client.PARTIAL_CONTENT:
            have = 0  # this server starts again from the beginning
        with place.open("ab" if have else "wb") as file:
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
                have += len(block)
                show(have)


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _unpack(archive: Path, folder: Path, name: str) -> None:
    """Put the pictures of an archive into a folder, whatever folders they lie in there."""
    suffixes = READERS["picture"].suffixes + READERS["tiff"].suffixes
    partial = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                picture = PurePosixPath(member.name).name
                # Only plain files, by their last name: nothing an archive says leads out of the folder.
                if not member.isfile() or PurePosixPath(picture).suffix.lower() not in suffixes:
                    continue
                content = tar.extractfile(member)
                if content is not None and not picture.startswith("."):
                    with (partial / picture).open("wb") as file:
                        shutil.copyfileobj(content, file)
    except tarfile.TarError as error:
        raise ReadError(f"{name} is damaged although its checksum is right: B2SHARE's copy may be, too.") from error
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
