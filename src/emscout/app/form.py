"""Forms made from an options dataclass, as the flags of a command are: every option is in both."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from emscout.app.words import for_page, label_of
from emscout.errors import UsageError

__all__ = ["Entry", "describe_form", "read_form"]


@dataclass(frozen=True)
class Entry:
    """One line of a form.

    Parameters
    ----------
    name, label : str
        Of the field, and in words.
    kind : {"check", "whole", "number", "choice", "text"}
    choices : tuple of str
    default : object
    optional : bool
        Whether it may be left empty.
    help, metavar : str
    """

    name: str
    label: str
    kind: Literal["check", "whole", "number", "choice", "text"]
    choices: tuple[str, ...]
    default: Any
    optional: bool
    help: str
    metavar: str


def describe_form(options_class: type, leave_out: Collection[str] = ()) -> list[Entry]:
    """A line for each field but those a page asks for otherwise."""
    hints = get_type_hints(options_class)
    return [_describe(field, hints[field.name]) for field in fields(options_class) if field.name not in leave_out]


def read_form(options_class: type, values: Mapping[str, Any], leave_out: Collection[str] = ()) -> Any:
    """The options that a form was filled in with.

    Parameters
    ----------
    options_class : type
    values : mapping of str to object
        Texts as they were typed (empty: the default) and yes or no, by field; what is missing is the default.
    leave_out : collection of str
        As for `describe_form`.

    Raises
    ------
    UsageError
        When a field is unknown, its text is not a number where one is needed, or the model is a function: a page runs
        no code that its user only names. Also whatever the options themselves refuse.
    """
    entries = {entry.name: entry for entry in describe_form(options_class, leave_out)}
    if unknown := ", ".join(sorted(set(values) - set(entries))):
        raise UsageError(f"There is no option {unknown} here: reload the page.")
    if ":" in (model := str(values.get("model") or "")) and not model.lower().endswith(".onnx"):
        raise UsageError("The app does not accept a function as a model: use the command line or Python for that.")
    return options_class(**{name: _read(entries[name], value) for name, value in values.items()})


def _describe(field: Field, hint: Any) -> Entry:
    kinds = [each for each in get_args(hint) if each is not type(None)]
    is_optional = get_origin(hint) in (Union, types.UnionType) and len(kinds) == 1
    inner = kinds[0] if is_optional else hint
    choices = tuple(str(choice) for choice in get_args(inner)) if get_origin(inner) is Literal else ()
    kind: Literal["check", "whole", "number", "choice", "text"]
    if choices:
        kind = "choice"
    elif inner is bool:
        kind = "check"
    elif inner is int:
        kind = "whole"
    else:
        kind = "number" if inner is float else "text"
    return Entry(
        name=field.name,
        label=label_of(field.name),
        kind=kind,
        choices=choices,
        default=None if field.default is MISSING else field.default,
        optional=is_optional,
        help=for_page(field.metadata["help"]),
        metavar=field.metadata.get("metavar", ""),
    )


def _read(entry: Entry, value: Any) -> Any:
    if entry.kind == "check":
        if not isinstance(value, bool):
            raise UsageError(f"`{entry.name}` must be yes or no: reload the page.")
        return value
    text = "" if value is None else str(value).strip()
    if not text:
        return entry.default
    if entry.kind == "choice" and text not in entry.choices:
        raise UsageError(f"`{entry.name}` must be {' or '.join(entry.choices)}, not '{text}'.")
    if entry.kind in ("whole", "number"):
        try:
            return int(text) if entry.kind == "whole" else float(text.replace(",", "."))
        except ValueError:
            needed = "a whole number" if entry.kind == "whole" else "a number"
            raise UsageError(f"`{entry.name}` must be {needed}, not '{text}'.") from None
    return text
