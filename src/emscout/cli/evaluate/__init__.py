"""``emscout evaluate``: how right it is, on images whose truth is known; one module a question."""

from __future__ import annotations

from emscout.cli.commands import make_group

__all__ = ["app"]

_COMMANDS = {name: f"{__name__}.{name}:{name}" for name in ("particles", "locate", "classes", "movie", "scale")}


def _evaluate() -> None:
    """Score what is found on labelled images of your own."""


app = make_group("evaluate", "Score what is found on labelled images of your own.", _COMMANDS, _evaluate)
