"""``emscout app``: emscout in the browser."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from emscout.cli.screen import make_screen

__all__ = ["app"]


def app(
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="N", help="Port to listen on; by default a free one."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Show the address only; open no browser.")] = False,
) -> None:
    """Open emscout in the browser.

    Everything stays on this computer: the app answers this computer only and needs no network. Ctrl+C ends it.

    Example: [bold]emscout app[/]
    """
    # Imported here, because it takes as long as all other commands together.
    from emscout.app.server import serve

    screen = make_screen()

    def show(address: str) -> None:
        screen.print(f"emscout is at [bold]{address}[/]", soft_wrap=True)
        screen.print("Ctrl+C ends it.")
        if not no_browser:
            webbrowser.open(address)

    try:
        serve(port, ready=show)
    except KeyboardInterrupt:
        screen.print("Ended.")
