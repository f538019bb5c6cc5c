"""Groups of commands: each command is imported only when it is used, and ``--help`` shows no Python types.

Importing all task packages takes seconds, importing one a fraction of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import cleandoc
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["make_group"]

_STYLE: dict[str, Any] = {
    "add_completion": False,
    "rich_markup_mode": "rich",
    "pretty_exceptions_enable": False,
}


def make_group(name: str, help_text: str, commands: Mapping[str, str], callback: Callable[..., None]) -> typer.Typer:
    """A command that only groups others.

    Parameters
    ----------
    name, help_text : str
    commands : mapping of str to str
        Name and place (``module:attribute``: a function, or another group) of each, in the order of ``--help``.
    callback : callable
        Takes the options of the group itself.
    """
    group = type("Group", (_Group,), {"places": commands})
    app = typer.Typer(name=name, help=help_text, cls=group, no_args_is_help=True, **_STYLE)
    app.callback()(callback)
    return app


class _Group(TyperGroup):
    places: Mapping[str, str]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: dict[str, Any] = dict.fromkeys(self.places)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.places and self.commands[cmd_name] is None:
            self.commands[cmd_name] = _load(cmd_name, self.places[cmd_name])
        return self.commands.get(cmd_name)

    def get_params(self, ctx: Any) -> list[Any]:
        return _in_plain_words(super().get_params(ctx))


class _Command(TyperCommand):
    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        # Join the lines of a paragraph: the terminal wraps them to its own width.
        self.help = re.sub(r"(?<!\n)\n(?!\n)", " ", cleandoc(self.help or ""))

    def get_params(self, ctx: Any) -> list[Any]:
        return _in_plain_words(super().get_params(ctx))


def _load(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    lone = typer.Typer(**_STYLE)
    lone.command(name, cls=_Command)(found)
    return typer.main.get_command(lone)


def _in_plain_words(parameters: list[Any]) -> list[Any]:
    """Remove the names of Python types from flags and arguments."""
    for parameter in parameters:
        if getattr(parameter, "is_bool_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = lambda ctx: None
    return parameters
