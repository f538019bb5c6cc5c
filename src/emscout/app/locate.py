"""The page that finds crystals: choose images, search, label tiles by clicking, save."""

from __future__ import annotations

import io
import threading
from copy import copy
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from PIL import Image
from pydantic import BaseModel

from emscout.app.folders import whole_path
from emscout.app.form import describe_form, read_form
from emscout.app.jobs import Jobs
from emscout.app.judged_set import JudgedSet, search
from emscout.app.page import Page, Render, give_result, result_folder
from emscout.app.words import for_page
from emscout.compute import Progress
from emscout.crystals.locate import CrystalOptions
from emscout.errors import UsageError

__all__ = ["PAGE"]

# The page asks for these by clicks, and when results are saved.
_LEFT_OUT = ("like", "unlike", "target", "save_knowledge")
_FIRST = ("grid", "tile", "network", "knowledge")


class _Search(BaseModel):
    path: str
    options: dict[str, Any]


class _Answer(BaseModel):
    image: int
    row: int
    col: int
    crystal: bool | None


class _Choice(BaseModel):
    clusters: int | None = None
    target: int | None = None


class _Save(BaseModel):
    out: str
    overwrite: bool = False
    knowledge: str = ""


class _Table:
    """The set that is shown; it is kept when the tab is closed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0
        self.judged: JudgedSet | None = None
        self.saved: Path | None = None

    def lay(self, judged: JudgedSet) -> None:
        with self.lock:
            self.number, self.judged, self.saved = self.number + 1, judged, None

    def take(self) -> JudgedSet:
        if self.judged is None:
            raise UsageError("Nothing has been searched yet: choose images and search them first.")
        return self.judged


def _make_routes(jobs: Jobs, render: Render) -> APIRouter:
    router, table = APIRouter(), _Table()

    @router.get("")
    def page() -> Response:
        entries = describe_form(CrystalOptions, _LEFT_OUT)
        return render("locate.html", here="locate", entries=entries, first=_FIRST)

    @router.post("/search")
    def start_search(asked: _Search) -> None:
        options, path = read_form(CrystalOptions, asked.options, _LEFT_OUT), whole_path(asked.path)
        jobs.start("locate", "search", lambda progress: table.lay(search(path, options, progress)))

    @router.get("/state")
    def state() -> dict[str, Any] | None:
        with table.lock:
            if (judged := table.judged) is None:
                return None
            return {
                "number": table.number,
                "paths": judged.files.paths,
                "images": judged.describe_images(),
                "failures": [for_page(row["error"]) for row in judged.found.survey.images if row["status"] == "failed"],
                "saved": None if table.saved is None else str(table.saved),
                "judged": judged.describe(),
            }

    @router.get("/picture/{image}")
    def picture(image: int) -> Response:
        judged, buffer = table.take(), io.BytesIO()
        if not 0 <= image < len(judged.names):
            raise UsageError("There is no such image in this set: reload the page.")
        Image.fromarray(judged.found.survey.pictures[judged.names[image]].grey).save(
            buffer, format="PNG", compress_level=1
        )
        return Response(buffer.getvalue(), media_type="image/png")

    @router.post("/answer")
    def answer(given: _Answer) -> dict[str, Any]:
        with table.lock:
            judged = table.take()
            judged.answer(given.image, given.row, given.col, given.crystal)
            return judged.describe()

    @router.post("/choose")
    def choose(choice: _Choice) -> dict[str, Any]:
        with table.lock:
            judged = table.take()
            judged.choose(choice.clusters, choice.target)
            return judged.describe()

    @router.post("/forget")
    def forget() -> dict[str, Any]:
        with table.lock:
            judged = table.take()
            judged.forget()
            return judged.describe()

    @router.post("/save")
    def save(asked: _Save) -> None:
        out = result_folder(asked.out)
        knowledge = str(result_folder(asked.knowledge)) if asked.knowledge.strip() else None
        with table.lock:
            # A copy, because answers may change the set while pictures are drawn.
            judged = copy(table.take())

        def work(progress: Progress) -> None:
            judged.save(out, knowledge, overwrite=asked.overwrite, progress=progress)
            table.saved = out

        jobs.start("locate", "save", work)

    @router.get("/result/{name:path}")
    def result(name: str) -> FileResponse:
        return give_result(table.saved, name)

    return router


PAGE = Page(
    "Crystals",
    "Where are the crystals?",
    "Overview images of a grid: tiles that look like crystals, ranked; a few clicks teach emscout what a crystal is.",
    _make_routes,
)
