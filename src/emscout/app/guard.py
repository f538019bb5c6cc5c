"""Who may talk to the app: the browser that was opened for it, and no web page from elsewhere.

The app reads the user's files, so every request has to come to its own address (a foreign name that was pointed at this
computer is refused), from its own pages, and with the token of the address that was opened, kept as a cookie.
"""

from __future__ import annotations

import secrets
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["REPORT_POLICY", "Guard"]

_PAGE_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
# A report is one file with everything inside; the sandbox keeps its scripts away from the app.
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; img-src data:; media-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'self'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _PAGE_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_CLOSED = "Open the full address that emscout app shows in the terminal: it contains the key to these pages."
_FOREIGN = "This request did not come from a page of emscout and was refused."


class Guard:
    """Refuse what does not come from the app's own pages; say so to browsers of everything else.

    Parameters
    ----------
    app : ASGI application
    port : int
        Where the app listens.
    token : str
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app, self._token = app, token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        # Cookies are shared by all ports of a computer, and two apps may run.
        self._cookie = f"emscout-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refused = self._answer(HTTPConnection(scope))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (refused or self._app)(scope, receive, send_with_headers)

    def _answer(self, request: HTTPConnection) -> Response | None:
        """What is said instead of the page; nothing where the request may pass."""
        origin = request.headers.get("origin")
        if request.headers.get("host") not in self._hosts:
            return PlainTextResponse(_FOREIGN, 403)
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return PlainTextResponse(_FOREIGN, 403)
        if self._is_token(request.query_params.get("token")):
            # The token does not stay in the address, which ends up in histories and screenshots.
            kept = [pair for pair in parse_qsl(request.url.query) if pair[0] != "token"]
            address = request.url.path + ("?" + urlencode(kept) if kept else "")
            response = RedirectResponse("/" + address.lstrip("/"), 303)
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return response
        return None if self._is_token(request.cookies.get(self._cookie)) else PlainTextResponse(_CLOSED, 403)

    def _is_token(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), self._token.encode())
