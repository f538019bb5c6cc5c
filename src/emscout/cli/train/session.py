"""What every ``emscout train`` command does around the training itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from emscout.errors import EmscoutError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["needs_torch", "options_given", "training_session"]


@contextmanager
def needs_torch() -> Iterator[None]:
    """Say how to install what training needs beyond the plain install; import the loop inside."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "emscout":
            raise
        raise EmscoutError(
            f"Training needs {error.name}, which is not installed: pip install 'emscout[train]'."
        ) from error


def options_given(context: typer.Context, options: DataclassInstance) -> dict[str, Any]:
    """The options that were given on the command line, without those left at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in asdict(options)}
    # By name: typer may bring a click of its own, whose enumeration is another class.
    return {name: getattr(options, name) for name, source in sources.items() if source and source.name != "DEFAULT"}


@contextmanager
def training_session(screen: Console, options: DataclassInstance) -> Iterator[Callable[[float, str], None]]:
    """Print the options, show log lines above a progress bar, and say how to go on after an interruption.

    Yields
    ------
    callable
        To be called as ``show(fraction, message)``.
    """
    logging.basicConfig(level=logging.WARNING)
    logger = logging.getLogger("emscout.training")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(RichHandler(console=screen, show_path=False, show_level=False))
    screen.print_json(json.dumps(asdict(options)))
    try:
        with Progress(
            BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), console=screen, transient=True
        ) as bar:
            task = bar.add_task("", total=1.0)

            def show(fraction: float, message: str) -> None:
                bar.update(task, completed=fraction, description=message)
                if not screen.is_terminal:
                    screen.print(f"{fraction:4.0%} {message}")

            yield show
    except KeyboardInterrupt:
        screen.print("Interrupted. The same command with --resume goes on from the last checkpoint.", soft_wrap=True)
        raise typer.Exit(130) from None
