"""What every command shows that works longer than a moment: a bar, and how to go on after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["kept_when_interrupted", "progress_bar"]


@contextmanager
def progress_bar(start: str = "looking at the files") -> Iterator[Callable[[int, int, str], None]]:
    """Show what is being done, how much of it is done, and the time gone and left.

    The bar is on the error stream, so that what a command answers can be kept in a file, and leaves nothing behind;
    where that is no terminal, nothing is shown.

    Yields
    ------
    callable
        To be called as ``show(done, total, what)``.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total, what: None
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bar:
        task = bar.add_task(start, total=None)

        def show(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=escape(what))

        yield show


@contextmanager
def kept_when_interrupted(screen: Console, out: Path) -> Iterator[None]:
    """Where what is finished is kept in ``out``, say so when the user interrupts, and exit 130."""
    try:
        yield
    except KeyboardInterrupt:
        screen.print(
            f"Interrupted. What is finished is kept in {escape(str(out))}: the same command continues from there."
        )
        raise typer.Exit(130) from None
