"""Flags made from an options dataclass, so that Python, the command line and the app have the same options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Annotated, Any, get_type_hints

import typer

from emscout.cli.screen import for_terminal

__all__ = ["Overwrite", "Workers", "takes_options"]

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace other results in OUT.")]
Workers = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Number of processes; by default one per core, if there is enough to do."),
]


def takes_options(options_class: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn the parameter ``options`` of a command into one flag for each field of ``options_class``.

    A field's name gives the flag, its type and default what it takes, and ``metadata["help"]`` the help text.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(**arguments: Any) -> None:
            chosen = {f.name: arguments.pop(f.name) for f in fields(options_class)}
            command(options=options_class(**chosen), **arguments)

        hints = get_type_hints(options_class)
        flags = [
            inspect.Parameter(
                f.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=f.default,
                annotation=Annotated[hints[f.name], _flag(f)],
            )
            for f in fields(options_class)
        ]
        own = inspect.signature(command, eval_str=True).parameters.values()
        kept = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.name != "options"]
        parameters = kept + flags
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate


def _flag(field: Field) -> Any:
    # A flag that is off by default needs no --no- form.
    names = ["--" + field.name.replace("_", "-")] if field.default is False else []
    return typer.Option(*names, help=for_terminal(field.metadata["help"]), metavar=field.metadata.get("metavar"))
