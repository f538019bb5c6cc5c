"""The progress bar of long commands, and what they print when they are interrupted."""

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
def progress_bar(start: str = "reading the files") -> Iterator[Callable[[int, int, str], None]]:
    """Show what is being done, how much of it is done, and the time spent and left.

    The bar goes to the error stream, so that the output of a command can be redirected to a file. Where the error
    stream is not a terminal, nothing is shown.

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
    """When the user interrupts, say that finished work is kept in ``out``, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        screen.print(f"Interrupted. Finished work is kept in {escape(str(out))}; repeat the command to continue.")
        raise typer.Exit(130) from None
