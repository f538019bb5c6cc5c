"""The card of a trained model, and the command that trained it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emscout.io.files import write_atomic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["spell_command", "spell_count", "write_card"]


def write_card(model: Path, description: Mapping[str, Any], sha256: str) -> None:
    """Write the card of a model beside it, in Markdown.

    Parameters
    ----------
    model : Path
        The file; the card has its name and ends in ``.md``.
    description : mapping
        Of the model: ``name``, ``card`` (headings and texts), and where there are any ``categories`` and ``settings``.
    sha256 : str
    """
    size_mb = model.stat().st_size / 1e6
    lines = [f"# {description['name']}", "", f"{size_mb:.1f} MB, SHA-256 `{sha256}`.", ""]
    if categories := description.get("categories"):
        lines += [f"Categories: {', '.join(categories)}.", ""]
    for heading, text in description["card"].items():
        lines += [f"## {heading}", "", text, ""]
    if settings := description.get("settings"):
        lines += ["## Settings", "", "| name | value |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in settings.items()]
    with write_atomic(model.with_suffix(".md")) as path:
        path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def spell_command(command: str, data: Path, run: Path, options: DataclassInstance) -> str:
    """The command line that starts a run, with the options that are not at their defaults."""
    words = ["emscout", "train", command, str(data), "-o", str(run)]
    for field in fields(options):
        value, flag = getattr(options, field.name), "--" + field.name.replace("_", "-")
        if value != field.default:
            words += ["--no-" + flag[2:]] if value is False else [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def spell_count(n: int, noun: str) -> str:
    """A number with its noun: ``1 picture``, ``2 pictures``."""
    return f"{n} {noun}{'s' * (n != 1)}"
