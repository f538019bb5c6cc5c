"""``emscout train``: one module for each kind of network."""

from __future__ import annotations

from emscout.cli.commands import make_group

__all__ = ["app"]

_COMMANDS = {name: f"{__name__}.{name}:{name}" for name in ("particles", "classifier", "autoencoder")}


def _train() -> None:
    """Train a network on your own images."""


app = make_group("train", "Train a network on your own images.", _COMMANDS, _train)
