"""The folder OUT of an evaluation: checked before the work, claimed before scores are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from emscout.runs import Outputs, Run

__all__ = ["reserve"]


def reserve(
    out: Path | None,
    question: str,
    inputs: Sequence[Path],
    options: dict[str, Any],
    files: Sequence[str],
    *,
    overwrite: bool,
    **more: Any,
) -> Callable[[], object]:
    """Make sure that scores may be written to ``out``; return the function that claims it.

    Parameters
    ----------
    out : Path or None
        ``None`` where nothing is written.
    question : str
        Of ``emscout evaluate``.
    inputs : sequence of Path
        The data and the ground truth.
    options : dict
    files : sequence of str
        Names of what is written.
    overwrite : bool
    **more
        What else the scores depend on, JSON-like.

    Raises
    ------
    OutputError
        When ``out`` cannot be written, or holds what would be lost.
    """
    if out is None:
        return lambda: None
    sources = [{"image": path.name, "path": str(path.resolve()), "frame": None} for path in inputs]
    run = Run(f"evaluate {question}", out, sources, options, Outputs(tuple(files)), more, grows=False)
    run.claim(overwrite=overwrite, only_look=True)
    return lambda: run.claim(overwrite=overwrite)
