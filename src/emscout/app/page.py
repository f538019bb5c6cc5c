"""What a page of the app is made of, and what pages share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from emscout.app.folders import whole_path
from emscout.app.guard import REPORT_POLICY
from emscout.app.jobs import Jobs
from emscout.errors import UsageError

__all__ = ["Page", "Render", "give_result", "result_folder"]

# render(template, **values): the finished page.
Render = Callable[..., Any]


@dataclass(frozen=True)
class Page:
    """A page.

    Parameters
    ----------
    title : str
        In the menu.
    question : str
        That it answers, on the start page.
    answer : str
        How, in a sentence.
    make_routes : callable
        ``make_routes(jobs, render)`` gives the routes below the page's name; what the page remembers lives in there.
    """

    title: str
    question: str
    answer: str
    make_routes: Callable[[Jobs, Render], APIRouter]


def result_folder(text: str) -> Path:
    """The folder for results that a user typed.

    Raises
    ------
    UsageError
        When it does not say where on this computer.
    """
    if not text.strip():
        raise UsageError("Name a folder for the results.")
    path = Path(text.strip()).expanduser()
    if not path.is_absolute():
        raise UsageError(f"'{path}' is not a full path: give one such as {whole_path('~') / path.name}.")
    return path


def give_result(folder: Path | None, name: str) -> FileResponse:
    """A file of the folder of results, shut off from the app.

    Raises
    ------
    HTTPException
        404 when there is none, or it lies elsewhere.
    """
    path = None if folder is None else (folder / name).resolve()
    if path is None or folder is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise HTTPException(404, "There is no such result: run it again.")
    return FileResponse(path, headers={"Content-Security-Policy": REPORT_POLICY})
