"""``emscout evaluate``: scores on labelled data; one module for each question."""

from __future__ import annotations

from emscout.cli.commands import make_group

__all__ = ["app"]

_COMMANDS = {name: f"{__name__}.{name}:{name}" for name in ("particles", "locate", "classes", "movie", "scale")}


def _evaluate() -> None:
    """Score emscout on your own labelled images."""


app = make_group("evaluate", "Score emscout on your own labelled images.", _COMMANDS, _evaluate)
