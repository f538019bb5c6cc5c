"""The folder of results: what was asked for, said in ``run.json``, and that nothing in it is lost unasked."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emscout.errors import EmscoutError, OutputError
from emscout.io.files import image_names, write_atomic
from emscout.micrograph import Series

__all__ = ["claim_folder", "crashed_row", "describe_run", "failed_row", "list_sources", "write_json"]

_LIBRARIES = (
    *("numpy", "scipy", "scikit-image", "scikit-learn", "pandas"),
    *("rosettasciio", "tifffile", "matplotlib", "pillow"),
)


def list_sources(paths: Sequence[Path], open_series: Callable[[Path], Series]) -> list[dict[str, Any]]:
    """One dict an image: its name in this run, its path, its frame (None where the file holds only one).

    Parameters
    ----------
    paths : sequence of Path
        Each frame of a stack is an image.
    open_series : callable
        Opens a file; one that fails counts as an image, which fails again, and is reported, when its turn comes.
    """
    pairs: list[tuple[Path, int | None]] = []
    for path in paths:
        try:
            frames = len(open_series(path))
        except EmscoutError:
            frames = 1
        pairs += [(path, None)] if frames == 1 else [(path, frame) for frame in range(frames)]
    return [
        {"image": name, "path": str(path.resolve()), "frame": frame}
        for name, (path, frame) in zip(image_names(pairs), pairs, strict=True)
    ]


def describe_run(
    command: str, sources: Sequence[dict[str, Any]], options: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """Everything needed to run it again; no times, so that the same run gives the same bytes.

    Parameters
    ----------
    command : str
        Of emscout.
    sources : sequence of dict
        ``image``, ``path`` and ``frame`` of each image of the run.
    options : dict
    **more
        What else the result depends on, JSON-like.
    """
    return {
        "command": command,
        "emscout": version("emscout"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "options": options,
        **more,
        "inputs": list(sources),
    }


def claim_folder(
    out: Path,
    run: dict[str, Any],
    files: Sequence[str],
    folders: Sequence[str],
    *,
    grows: bool,
    overwrite: bool,
    only_look: bool = False,
) -> None:
    """Make sure that nothing in ``out`` is lost unasked, and leave word there of what is being done.

    Parameters
    ----------
    out : Path
        Made where it does not exist.
    run : dict
        From `describe_run`.
    files, folders : sequence of str
        Names of what the command writes. The folders are emptied where results of other options or images go.
    grows : bool
        Whether images may be added to the results of others, because each is done on its own.
    overwrite : bool
        Whether results of other options or other images may go.
    only_look : bool
        Change nothing yet: for a command that works long before it writes.

    Raises
    ------
    OutputError
        When ``out`` cannot be made, or holds what would be lost.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} cannot be made a folder (a file is in the way): choose another with -o.")
    conflict = _conflict(out, run, [*files, *folders], grows)
    if conflict and not overwrite:
        raise OutputError(f"{out} holds {conflict}: choose another folder with -o, or add --overwrite to replace it.")
    if only_look:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be made a folder ({error.strerror}): choose another with -o.") from error
    if conflict:
        for name in folders:
            shutil.rmtree(out / name, ignore_errors=True)
    write_json(out / "run.json", run)


def _conflict(out: Path, run: dict[str, Any], names: Iterable[str], grows: bool) -> str:
    """What in ``out`` this run would spoil; empty where nothing."""
    if not (out / "run.json").exists():
        return "files that do not come from emscout" if any((out / name).exists() for name in names) else ""
    try:
        before = json.loads((out / "run.json").read_text(encoding="utf-8"))
        if any(before[key] != run[key] for key in run if key not in ("python", "libraries", "inputs")):
            return "results made with other options"
        paths_before = {source["path"] for source in before["inputs"]}
    except (ValueError, KeyError, TypeError):
        return "a run.json that does not come from emscout"
    paths = {source["path"] for source in run["inputs"]}
    return "" if paths_before == paths or (grows and paths_before <= paths) else "results of other images"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` as JSON that people can read."""
    with write_atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def failed_row(source: Mapping[str, Any], error: str) -> dict[str, Any]:
    """The row of an image, or a document, that came to nothing."""
    return {**source, "status": "failed", "error": error}


def crashed_row(source: Mapping[str, Any]) -> dict[str, Any]:
    """The row of an image whose process was ended."""
    return failed_row(
        source, f"{source['path']} ended its process, most likely for want of memory: try it with --workers 1."
    )
