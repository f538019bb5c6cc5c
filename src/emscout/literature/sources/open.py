"""Find documents, and open each as what it is: a PDF, an article, or a picture that is a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from glob import escape, glob, has_magic
from pathlib import Path

from emscout.errors import ReadError, UsageError
from emscout.io.find import natural_key
from emscout.literature.sources.articles import open_article, pictures_of
from emscout.literature.sources.document import Document, Figure
from emscout.literature.sources.pictures import PICTURE_SUFFIXES, read_figure

__all__ = ["DOCUMENT_SUFFIXES", "find_documents", "open_document"]

DOCUMENT_SUFFIXES = (".pdf", ".html", ".htm", ".xhtml", ".xml", ".nxml")


def open_document(path: Path) -> Document:
    """Open a PDF, an article in HTML or JATS XML, or a picture of a figure; close it, or use it in a ``with``.

    Raises
    ------
    ReadError
        When it is damaged, locked by a password, or holds no figure.
    """
    if not path.exists():
        raise ReadError(f"'{path}' does not exist: check the spelling of the path.")
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise ReadError(f"'{path}' is empty (0 bytes): copy it again.")
    if b"%PDF-" in head:
        from emscout.literature.sources.pdf import open_pdf  # loads PDFium only for PDFs

        return open_pdf(path)
    if path.suffix.lower() == ".pdf":
        raise ReadError(f"'{path}' is not a PDF, or its beginning is damaged: download it again.")
    if path.suffix.lower() in DOCUMENT_SUFFIXES:
        return open_article(path)
    figure = Figure("", "", lambda: read_figure(path))
    return Document(path, "", iter([figure]), (path,))


def find_documents(paths: Sequence[str | Path]) -> list[Path]:
    """Expand files, folders and patterns into documents and figures.

    Of a folder (one level) and of a pattern the files with a suffix of a document or a picture count; a picture that
    belongs to one of the articles does not count again.

    Returns
    -------
    list of Path
        Each once, in natural order.

    Raises
    ------
    UsageError
        When a path does not exist, or a folder or pattern yields nothing.
    ReadError
        When a folder may not be read.
    """
    found: dict[Path, Path] = {}
    for name in paths:
        for file in _expand(Path(name).expanduser()):
            found.setdefault(file.resolve(), file)
    if not found:
        raise UsageError("Nothing is given: name PDFs, articles, figures or folders of them.")
    return sorted(_without_pictures_of_articles(found), key=natural_key)


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        try:
            files = _documents_among(path.iterdir())
        except OSError as error:
            raise ReadError(
                f"The folder '{path}' cannot be read ({error.strerror}): ask its owner for permission."
            ) from error
        if not files:
            if _documents_among(Path(name) for name in glob(f"{escape(str(path))}/*/*")):  # noqa: PTH207
                raise UsageError(
                    f"'{path}' holds documents in its subfolders only, and these are not searched: name them as "
                    f"'{path}/*/*'."
                )
            raise UsageError(
                f"The folder '{path}' holds no documents or figures: name one with PDF, HTML, XML or images."
            )
        return files
    if path.exists():
        return [path]
    if not has_magic(str(path)):
        raise UsageError(f"'{path}' does not exist: check the spelling of the path.")
    if not (files := _documents_among(map(Path, glob(str(path), recursive=True)))):  # noqa: PTH207
        raise UsageError(f"No document or figure matches '{path}': check the pattern.")
    return files


def _documents_among(files: Iterator[Path]) -> list[Path]:
    return [
        file
        for file in files
        if file.suffix.lower() in (*DOCUMENT_SUFFIXES, *PICTURE_SUFFIXES)
        and not file.name.startswith(".")
        and file.is_file()
    ]


def _without_pictures_of_articles(found: dict[Path, Path]) -> list[Path]:
    suffixes = set(DOCUMENT_SUFFIXES) - {".pdf"}
    if not (articles := [file for file in found.values() if file.suffix.lower() in suffixes]):
        return list(found.values())
    owned = {picture.resolve() for article in articles for picture in pictures_of(article)}
    return [file for resolved, file in found.items() if resolved not in owned]
