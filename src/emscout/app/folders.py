"""The folders of this computer, so that images can be chosen by clicking: a browser keeps paths to itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from emscout.errors import ReadError, UsageError
from emscout.io.find import find_images, images_in, natural_key

__all__ = ["list_folder", "whole_path"]

_MOST_SHOWN = 1000
_MOST_NAMES = 5


def whole_path(text: str) -> Path:
    """The path a user typed, from its root; relative ones start where the app was started."""
    return Path(text.strip() or "~").expanduser().absolute()


def list_folder(text: str) -> dict[str, Any]:
    """What a path holds.

    Parameters
    ----------
    text : str
        A folder, an image or a pattern; empty for the user's own folder.

    Returns
    -------
    dict
        ``path`` and ``folder`` (itself, or the one around a file), ``parent`` (``None`` at a root), ``folders`` (a
        list of ``name`` and ``path``), ``n_images``, ``names`` (of the first images), ``places`` to start from.

    Raises
    ------
    UsageError
        When there is no such path, or no image matches.
    ReadError
        When the folder cannot be read.
    """
    path = whole_path(text)
    try:
        images = images_in(path) if path.is_dir() else find_images([path])
        folder = path if path.is_dir() else _existing(path.parent)
        inner = [each for each in folder.iterdir() if not each.name.startswith(".") and _is_folder(each)]
    except OSError as error:
        raise ReadError(f"'{path}' cannot be read ({error.strerror}): choose another folder.") from error
    except ValueError as error:
        raise UsageError(f"'{text}' is not a path: check its spelling.") from error
    return {
        "path": str(path),
        "folder": str(folder),
        "parent": None if folder.parent == folder else str(folder.parent),
        "folders": [{"name": one.name, "path": str(one)} for one in sorted(inner, key=natural_key)[:_MOST_SHOWN]],
        "n_images": len(images),
        "names": [image.name for image in images[:_MOST_NAMES]],
        "places": [{"name": name, "path": str(place)} for name, place in _places().items()],
    }


def _places() -> dict[str, Path]:
    """Where people start looking: their own folder, where the app was started, the drives."""
    drives = [Path(drive) for drive in getattr(os, "listdrives", lambda: [Path.cwd().anchor])()]
    return {"home": Path.home(), "started here": Path.cwd()} | {str(drive): drive for drive in drives}


def _existing(folder: Path) -> Path:
    """The nearest folder that exists: that of a pattern may be a pattern too."""
    return folder if folder.is_dir() else _existing(folder.parent)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
