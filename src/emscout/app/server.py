"""The app as a whole: its pages behind the guard, and the server on this computer alone."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from emscout.app.folders import list_folder
from emscout.app.guard import Guard
from emscout.app.jobs import Jobs
from emscout.app.pages import PAGES
from emscout.app.words import for_page
from emscout.errors import EmscoutError, UsageError
from emscout.report.html import make_environment

__all__ = ["make_app", "serve"]


def make_app(*, port: int, token: str) -> FastAPI:
    """Put the pages together.

    Parameters
    ----------
    port : int
        Where it will listen; browsers name it in every request.
    token : str
        What the first request must carry.
    """
    # FastAPI's own pages about an app load scripts from the network.
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    environment = make_environment(Path(__file__).parent / "templates")

    def render(template: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(environment.get_template(template).render(pages=PAGES, **values))

    jobs = app.state.jobs = Jobs()

    @app.get("/")
    def start() -> Response:
        return render("start.html", here="")

    @app.get("/folder")
    def folder(path: str = "") -> dict[str, Any]:
        return list_folder(path)

    @app.get("/job")
    def job() -> dict[str, Any] | None:
        return jobs.describe()

    @app.post("/job/cancel")
    def cancel() -> None:
        jobs.cancel()

    for name, page in PAGES.items():
        app.include_router(page.make_routes(jobs, render), prefix=f"/{name}")
    app.mount("/static", StaticFiles(packages=[("emscout.app", "static")]))
    _add_error_handlers(app)
    app.add_middleware(Guard, port=port, token=token)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    """Every failure is a sentence, which the page shows."""

    @app.exception_handler(EmscoutError)
    def refused(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": for_page(error)}, 400)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "This page does not match the running emscout: reload the page."}, 422)

    @app.exception_handler(HTTPException)
    def missing(request: Request, error: HTTPException) -> Response:
        said = "There is no such page." if error.detail == "Not Found" else error.detail
        return JSONResponse({"error": said}, error.status_code)

    @app.exception_handler(Exception)
    def internal(request: Request, error: Exception) -> Response:
        said = f"Internal error in emscout ({type(error).__name__}: {error}); please report it."
        return JSONResponse({"error": said}, 500)


def serve(port: int | None = None, *, ready: Callable[[str], None]) -> None:
    """Run the app on this computer until it is interrupted.

    Parameters
    ----------
    port : int or None
        Where to listen; ``None`` takes a free one.
    ready : callable
        Called with the address to open, token included, once the app listens.

    Raises
    ------
    UsageError
        When the port is taken.
    """
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise UsageError(f"The port {port} is not free ({error.strerror}): choose another with `port`.") from error
        listener.listen()
        taken = listener.getsockname()[1]
        token = secrets.token_urlsafe(24)
        app = make_app(port=taken, token=token)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none", http="h11")
        )
        ready(f"http://127.0.0.1:{taken}/?token={token}")
        try:
            server.run(sockets=[listener])
        finally:
            app.state.jobs.cancel()
