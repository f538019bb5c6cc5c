"""The folder OUT of an evaluation: looked at before the work, claimed before scores are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emscout.io.run_folder import claim_folder, describe_run

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
) -> Callable[[], None]:
    """Make sure that scores may go to ``out``, and hand out what claims it once there are any.

    Parameters
    ----------
    out : Path or None
        ``None`` where nothing is written.
    question : str
        Of ``emscout evaluate``.
    inputs : sequence of Path
        What is scored, and the truth.
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
    run = describe_run(f"evaluate {question}", sources, options, **more)
    claim = partial(claim_folder, out, run, files, (), grows=False, overwrite=overwrite)
    claim(only_look=True)
    return claim
