"""What every ``emscout train`` command does around the training itself."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from emscout.errors import EmscoutError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["needs_torch", "options_given", "training_session"]

_KEPT = ("checkpoint*.pt", "pictures.csv", "model.onnx", "nffa/*")
"""Files of a run from which a command with --resume continues."""


@contextmanager
def needs_torch() -> Iterator[None]:
    """Say how to install what training needs; import the training loop inside this block."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "emscout":
            raise
        raise EmscoutError(
            f"Training needs {error.name}, which is not installed. In the folder that emscout was installed from: "
            f"{sys.executable} -m pip install -c constraints/runtime.txt -e '.[train]'"
        ) from error


def options_given(context: typer.Context, options: DataclassInstance) -> dict[str, Any]:
    """The options that were given on the command line, without those left at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in asdict(options)}
    # By name: typer may bring a click of its own, whose enumeration is another class.
    return {name: getattr(options, name) for name, source in sources.items() if source and source.name != "DEFAULT"}


@contextmanager
def training_session(screen: Console, run: Path, options: DataclassInstance) -> Iterator[Callable[[float, str], None]]:
    """Print the options, show log lines above a progress bar, and say how to continue after an interruption.

    Parameters
    ----------
    screen : Console
    run : Path
        The folder of the run.
    options : dataclass

    Yields
    ------
    callable
        To be called as ``show(fraction, message)``.
    """
    logging.basicConfig(level=logging.WARNING)
    logger = logging.getLogger("emscout.training")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(RichHandler(console=screen, show_path=False, show_level=False, log_time_format="%H:%M:%S"))
    screen.print(_list(options))
    shown = -1
    try:
        with Progress(
            BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), console=screen, transient=True
        ) as bar:
            task = bar.add_task("", total=1.0)

            def show(fraction: float, message: str) -> None:
                nonlocal shown
                bar.update(task, completed=fraction, description=escape(message))
                # A log gets one line for each percent instead of a bar.
                if not screen.is_terminal and int(100 * fraction) != shown:
                    shown = int(100 * fraction)
                    screen.print(f"{fraction:4.0%} {message}", markup=False)

            yield show
    except KeyboardInterrupt:
        if any(next(run.glob(pattern), None) for pattern in _KEPT):
            how = "Repeat the command with --resume to continue from what is saved in"
        else:
            how = "Nothing was saved yet; repeat the command to start again in"
        screen.print(f"Interrupted. {how} {escape(str(run))}", soft_wrap=True)
        raise typer.Exit(130) from None


def _list(options: DataclassInstance) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in asdict(options).items():
        words = "none" if value is None else "yes" if value is True else "no" if value is False else str(value)
        table.add_row(f"--{name.replace('_', '-')}", escape(words))
    return table
