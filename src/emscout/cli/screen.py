"""The terminal, and tables that fit into it."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from emscout.errors import spell_options

__all__ = ["for_terminal", "make_screen", "make_table", "spell_score"]

# Of output to a file or another program.
_WIDTH_OF_FILES = 160


def make_screen() -> Console:
    """The terminal, or the file that replaces it; text is printed as it is."""
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen.width = _WIDTH_OF_FILES
    return screen


def make_table(*columns: Column | str, title: str | None = None, caption: str | None = None) -> Table:
    """A table with narrow lines, so that it fits into 80 characters."""
    return Table(*columns, title=title, caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))


def spell_score(value: float | None, form: str = "{:.3f}") -> str:
    """A score for a table: counts as they are, shares formatted by ``form``, empty if missing."""
    import pandas as pd  # here, because commands without scores need not wait for it

    if pd.isna(value):
        return ""
    return str(value) if isinstance(value, int) else form.format(value)


def for_terminal(message: object) -> str:
    """A sentence of the core for the terminal: options spelled as flags, nothing interpreted as markup."""
    return escape(spell_options(str(message), _flag))


def _flag(field: str, value: str) -> str:
    if field == "out":
        return "-o"
    name = field.replace("_", "-")
    if value in ("True", "False"):
        return f"--{name}" if value == "True" else f"--no-{name}"
    return f"--{name} {value}".strip()
