"""A document in any format: figures with captions, and a DOI."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["Document", "Figure", "find_doi"]

_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"'<>|{}]+[^\s\"'<>|{}.,;:)\]]")


@dataclass(frozen=True)
class Figure:
    """One figure of a document.

    Parameters
    ----------
    number : str
        In the numbering of the document, such as ``3`` or ``S1``; empty without one.
    caption : str
    load : callable
        Returns the pixels, uint8 of shape (H, W, 3); raises a ReadError.
    page : int or None
        Of a PDF, counted from 1.
    """

    number: str
    caption: str
    load: Callable[[], np.ndarray] = field(repr=False)
    page: int | None = None


@dataclass(frozen=True)
class Document:
    """A document: its DOI, where it has one, and its figures.

    Parameters
    ----------
    path : Path
    doi : str
        Empty where it is not known.
    figures : iterator of Figure
        Read one after the other; may raise a ReadError, which ends the document.
    files : tuple of Path
        All files it consists of.
    close : callable
        Closes the file; no figure can be loaded any more. A document is a context manager that calls it.
    """

    path: Path
    doi: str
    figures: Iterator[Figure]
    files: tuple[Path, ...]
    close: Callable[[], None] = field(default=lambda: None, repr=False)

    def __enter__(self) -> Document:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def find_doi(text: str) -> str:
    """The first DOI in a text; empty without one."""
    match = _DOI.search(text)
    return match.group(0) if match else ""
