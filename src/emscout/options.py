"""Options of a task: one frozen dataclass for Python, the command line and the app, checked when it is made."""

from __future__ import annotations

import re
from functools import wraps
from typing import Any, TypeVar, cast, dataclass_transform

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from emscout.errors import UsageError

__all__ = ["options_class"]

Options = TypeVar("Options")


@dataclass_transform(frozen_default=True)
def options_class(declared: type[Options]) -> type[Options]:
    """Make a frozen dataclass whose fields are checked by their annotations.

    Bounds stand in the annotation (``Annotated[int, Ge(0)]``), choices as ``Literal``. Each field has
    ``metadata["help"]``: the command line and the app make their flags and forms of it.

    Raises
    ------
    UsageError
        From the class, when a value does not fit; the sentence names the field in backticks.
    """
    made = dataclass(declared, frozen=True, config=ConfigDict(extra="forbid"))
    check = made.__init__

    @wraps(check)
    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807
        try:
            check(self, *args, **values)
        except ValidationError as error:
            raise UsageError(_sentence(error)) from None

    made.__init__ = __init__  # type: ignore[method-assign]
    return cast(type[Options], made)


def _sentence(error: ValidationError) -> str:
    """The first thing that is wrong, as one sentence."""
    first = error.errors(include_url=False)[0]
    name, given, bounds = first["loc"][0], first["input"], first.get("ctx", {})
    if first["type"] == "unexpected_keyword_argument":
        return f"There is no option `{name}`: check its spelling."
    wanted = {
        "greater_than_equal": "{ge} or more",
        "greater_than": "more than {gt}",
        "less_than_equal": "{le} or less",
        "less_than": "less than {lt}",
        "literal_error": "{expected}",
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "float_type": "a number",
        "float_parsing": "a number",
        "finite_number": "a finite number",
        "bool_type": "True or False",
        "bool_parsing": "True or False",
        "string_type": "a text",
    }.get(first["type"])
    if wanted is None:
        return f"`{name}` is {given!r}: {first['msg'][0].lower()}{first['msg'][1:]}."
    return f"`{name}` must be {_plain(wanted.format(**bounds))}, not {given!r}."


def _plain(words: str) -> str:
    """Whole numbers without a decimal point, choices without quotation marks."""
    return re.sub(r"'([\w-]+)'", r"\1", re.sub(r"\b(\d+)\.0\b", r"\1", words))
