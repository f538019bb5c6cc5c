"""What is common to the pages that run a command on chosen images and show its results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from emscout.app.folders import whole_path
from emscout.app.form import describe_form, read_form
from emscout.app.jobs import Jobs
from emscout.app.page import Page, Render, give_result, result_folder
from emscout.compute import Progress
from emscout.errors import UsageError
from emscout.micrograph import Report

__all__ = ["Results", "Work", "add_run_routes", "report_page"]

# work(path, out, options, overwrite=…, progress=…): what the command does.
Work = Callable[..., Report]


class Results:
    """The results that a page shows; they outlive the tab."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.number = 0
        self.report: Report | None = None

    def put(self, report: Report) -> None:
        with self.lock:
            self.number, self.report = self.number + 1, report

    def take(self) -> Report:
        if self.report is None:
            raise UsageError("There are no results yet: choose images and start a run first.")
        return self.report


class _Run(BaseModel):
    path: str
    out: str
    options: dict[str, Any]
    overwrite: bool = False


def add_run_routes(router: APIRouter, jobs: Jobs, name: str, options_class: type, work: Work) -> Results:
    """Add the routes that start a command and serve the files of its results.

    Parameters
    ----------
    router : APIRouter
        Of the page.
    jobs : Jobs
    name : str
        Of the page.
    options_class : type
        The options of the command, which the page's form asks for.
    work : callable
        ``work(path, out, options, overwrite=…, progress=…)`` gives the report.
    """
    results = Results()

    @router.post("/run")
    def run(asked: _Run) -> None:
        options, path, out = read_form(options_class, asked.options), whole_path(asked.path), result_folder(asked.out)

        def start(progress: Progress) -> None:
            results.put(work(path, out, options, overwrite=asked.overwrite, progress=progress))

        jobs.start(name, "run", start)

    @router.get("/result/{file:path}")
    def result(file: str) -> FileResponse:
        return give_result(None if results.report is None else Path(results.take().folder or ""), file)

    return results


def report_page(
    name: str,
    title: str,
    question: str,
    answer: str,
    options_class: type,
    first: Collection[str],
    work: Work,
    **words: str,
) -> Page:
    """A page that runs a command and shows its report.

    Parameters
    ----------
    name : str
        Of the page in addresses.
    title, question, answer : str
        As in `Page`.
    options_class, work
        As in `add_run_routes`.
    first : collection of str
        Options that are shown; the others are folded away.
    **words : str
        ``input``, what is chosen; ``button``, what starts it; ``suffix`` of the folder that is suggested for results.
    """

    def make_routes(jobs: Jobs, render: Render) -> APIRouter:
        router = APIRouter()
        results = add_run_routes(router, jobs, name, options_class, work)

        @router.get("")
        def page() -> Response:
            entries = describe_form(options_class)
            return render("run.html", here=name, question=question, entries=entries, first=first, **words)

        @router.get("/state")
        def state() -> dict[str, Any] | None:
            with results.lock:
                if (report := results.report) is None:
                    return None
                return {"number": results.number, "out": str(report.folder)}

        return router

    return Page(title, question, answer, make_routes)
