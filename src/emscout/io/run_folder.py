"""The folder of results: ``run.json`` describes the run, and nothing in the folder is lost unasked."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emscout.errors import EmscoutError, OutputError
from emscout.io.files import image_names, write_atomic
from emscout.micrograph import Series

__all__ = [
    "claim_folder",
    "describe_run",
    "failed_row",
    "foreign_files",
    "list_sources",
    "write_json",
]

_LIBRARIES = (
    *("numpy", "scipy", "scikit-image", "scikit-learn", "pandas"),
    *("rosettasciio", "tifffile", "matplotlib", "pillow"),
)

_MOST_NAMED = 3


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
    """Make sure that nothing in ``out`` is lost or mixed with other results, and write ``run.json`` there.

    A folder is for the results of one command. If it holds results of another, or files of the user under names that
    the command writes, it is refused, whatever ``overwrite`` says. Other files are not touched.

    Parameters
    ----------
    out : Path
        Made where it does not exist.
    run : dict
        From `describe_run`.
    files, folders : sequence of str
        Names of what the command writes; removed where results of other options or images go.
    grows : bool
        Whether images may be added to the results of others, because each is done on its own.
    overwrite : bool
        Whether results of other options or other images may go.
    only_look : bool
        Check only and change nothing: for a command that works long before it writes.

    Raises
    ------
    OutputError
        When ``out`` cannot be made or read, or holds what would be lost, or mixed with results.
    """
    before = _read_run(out)
    ours = before is not None and before["command"] == run["command"]
    found = "" if ours else foreign_files(out, (*files, *folders))
    place = out.resolve()
    if not ours and any(Path(source["path"]).parent == place for source in run["inputs"]):
        found = "the images themselves"  # a picture among results would be one of them the next time
    if found:
        raise OutputError(f"{out} holds {found}: choose a new or an empty folder with `out`.")
    conflict = _conflict(before, run, grows) if before else ""
    if conflict and not overwrite:
        raise OutputError(
            f"{out} holds {conflict}: choose another folder with `out`, or replace them with `overwrite=True`."
        )
    if only_look:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        if conflict:
            for name in files:
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror}): choose another folder with `out`.") from error
    if conflict:
        for name in folders:
            shutil.rmtree(out / name, ignore_errors=True)
    write_json(out / "run.json", run)


def foreign_files(out: Path, written: Sequence[str]) -> str:
    """What a folder holds that a command must not touch, in words; empty if there is nothing.

    Parameters
    ----------
    out : Path
    written : sequence of str
        Names of what the command writes, beside ``run.json``.

    Raises
    ------
    OutputError
        When a file is in the way, or the folder cannot be read.
    """
    try:
        names = sorted(path.name for path in out.iterdir())
    except FileNotFoundError:
        return ""
    except NotADirectoryError as error:
        raise OutputError(
            f"{out} cannot be created (a file is in the way): choose another folder with `out`."
        ) from error
    except OSError as error:
        raise OutputError(f"{out} cannot be read ({error.strerror}): choose another folder with `out`.") from error
    if before := _read_run(out):
        return f"the results of emscout {before['command']}"
    clashing = [name for name in names if name in written or name == "run.json"]
    more = f" and {len(clashing) - _MOST_NAMED} more" if len(clashing) > _MOST_NAMED else ""
    return (
        f"files of your own with the names of results ({', '.join(clashing[:_MOST_NAMED])}{more})" if clashing else ""
    )


def _conflict(before: dict[str, Any], run: dict[str, Any], grows: bool) -> str:
    """Which results of an earlier run this one would overwrite, in words; empty if none."""
    # Through JSON, as those before: it knows no tuples.
    run = json.loads(json.dumps(run))
    if before["emscout"] != run["emscout"]:
        return f"results of emscout {before['emscout']}"
    if any(before.get(key) != run[key] for key in run if key not in ("python", "libraries", "inputs")):
        return "results made with other options" + _name_options(before["options"], run["options"])
    paths_before, paths = ({source["path"] for source in one["inputs"]} for one in (before, run))
    return "" if paths_before == paths or (grows and paths_before <= paths) else "results of other images"


def _name_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    other = [f"`{name}`" for name in now if before.get(name) != now[name]]
    return f" ({', '.join(other)})" if other else ""


def _read_run(out: Path) -> dict[str, Any] | None:
    """The description of the results in ``out``; ``None`` if there are none."""
    try:
        run = json.loads((out / "run.json").read_text(encoding="utf-8"))
        is_one = isinstance(run["options"], dict) and all("path" in source for source in run["inputs"])
        return run if is_one and {"command", "emscout"} <= set(run) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` as indented JSON."""
    with write_atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def failed_row(source: Mapping[str, Any], error: str) -> dict[str, Any]:
    """The row of an image, or a document, that failed."""
    return {**source, "status": "failed", "error": error}
