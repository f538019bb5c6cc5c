"""Articles in HTML or JATS XML, with their pictures beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np

from emscout.errors import ReadError
from emscout.literature.sources.captions import figure_number
from emscout.literature.sources.document import Document, Figure, find_doi
from emscout.literature.sources.pictures import PICTURE_SUFFIXES, read_figure

__all__ = ["open_article", "pictures_of"]

_MOST_BYTES = 100_000_000


class _Mention(NamedTuple):
    """A figure in the text: the address of its picture, its label and its caption."""

    source: str
    label: str
    caption: str


def open_article(path: Path) -> Document:
    """Open an article; its figures are the pictures found beside it.

    Raises
    ------
    ReadError
        When it cannot be read, has no figures, or none of its pictures lies in its folder.
    """
    mentions, doi = _parse(path)
    if not mentions:
        raise ReadError(f"'{path}' holds no figures: give an article with <figure> or <fig> elements.")
    found = [(mention, _picture_of(path, mention.source)) for mention in mentions]
    pictures = tuple(picture for _, picture in found if picture)
    if not pictures:
        raise ReadError(
            f"None of the {len(mentions)} pictures of '{path}' is in its folder (the first is '{mentions[0].source}'): "
            "put them into the same folder."
        )
    return Document(path, doi, _figures(path, found), (path, *pictures))


def pictures_of(path: Path) -> list[Path]:
    """The pictures of an article that are in its folder; none when it cannot be read."""
    try:
        mentions, _ = _parse(path)
    except ReadError:
        return []
    return [picture for mention in mentions if (picture := _picture_of(path, mention.source))]


def _figures(path: Path, found: list[tuple[_Mention, Path | None]]) -> Iterator[Figure]:
    for mention, picture in found:
        caption = " ".join(f"{mention.label} {mention.caption}".split())
        load = partial(read_figure, picture) if picture else partial(_missing, path, mention.source)
        yield Figure(figure_number(caption), caption, load)


def _missing(path: Path, source: str) -> np.ndarray:
    raise ReadError(f"The picture '{source}' of '{path}' is missing: put it into the same folder.")


def _picture_of(path: Path, source: str) -> Path | None:
    """The file of a reference: in the folder of the article or below, also without its suffix or its address."""
    place = PurePosixPath(unquote(urlsplit(source).path))
    folder = path.parent.resolve()
    for name in (place, PurePosixPath(place.name)):
        if not name.name:
            continue
        file = (folder / str(name).lstrip("/")).resolve()
        if not file.is_relative_to(folder):
            continue
        for candidate in (file, *(file.with_name(file.name + suffix) for suffix in PICTURE_SUFFIXES)):
            if candidate.suffix.lower() in PICTURE_SUFFIXES and candidate.is_file():
                return candidate
    return None


def _parse(path: Path) -> tuple[list[_Mention], str]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ReadError(f"'{path}' is larger than {_MOST_BYTES // 1_000_000} MB, too large for an article.")
        content = path.read_bytes()
    except OSError as error:
        raise ReadError(f"'{path}' cannot be read ({error.strerror}).") from error
    is_xml = path.suffix.lower() in (".xml", ".nxml") or (content[:5] == b"<?xml" and b"<article" in content[:4000])
    return _parse_jats(path, content) if is_xml else _parse_html(content)


def _parse_jats(path: Path, content: bytes) -> tuple[list[_Mention], str]:
    if b"<!ENTITY" in content[:100_000]:  # an article needs none, and nested ones fill the memory
        raise ReadError(f"'{path}' defines entities of its own, which emscout does not expand: save it without them.")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ReadError(f"'{path}' is damaged XML ({error}): download it again.") from error
    for element in root.iter():
        element.tag = str(element.tag).rsplit("}", 1)[-1]
    doi = next((_words(one) for one in root.iter("article-id") if one.get("pub-id-type") == "doi"), "")
    mentions = []
    for fig in root.iter("fig"):
        label = " ".join(_words(one) for one in fig.findall("label"))
        caption = " ".join(_words(part) for one in fig.findall("caption") for part in (one if len(one) else [one]))
        for graphic in fig.iter("graphic"):
            source = next((value for name, value in graphic.attrib.items() if name.endswith("href")), "")
            mentions.append(_Mention(source, label, caption))
    return mentions, doi


def _words(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _parse_html(content: bytes) -> tuple[list[_Mention], str]:
    parser = _FigureParser()
    declared = re.search(rb"charset=[\"']?([\w-]+)", content[:2000])
    try:
        text = content.decode(declared.group(1).decode() if declared else "utf-8", "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    parser.feed(text)
    return parser.mentions, parser.doi or find_doi(text)


class _FigureParser(HTMLParser):
    """Pictures within <figure>, with the text of their <figcaption>."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.mentions: list[_Mention] = []
        self.doi = ""
        self._sources: list[str] = []
        self._caption: list[str] = []
        self._depth = 0
        self._in_caption = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "meta" and values.get("name", "").lower() in ("citation_doi", "dc.identifier", "doi"):
            self.doi = self.doi or find_doi(values.get("content", ""))
        elif tag == "figure":
            self._depth += 1
        elif tag == "figcaption" and self._depth:
            self._in_caption = True
        elif tag == "img" and self._depth:
            self._sources.append(values.get("data-src") or values.get("src", ""))
        elif self._in_caption and tag in ("p", "br", "div"):
            self._caption.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "figcaption":
            self._in_caption = False
        elif tag == "figure" and self._depth:
            self._depth -= 1
            if self._depth == 0:
                caption = " ".join("".join(self._caption).split())
                self.mentions += [
                    _Mention(source, "", caption) for source in dict.fromkeys(filter(None, self._sources))
                ]
                self._sources, self._caption = [], []

    def handle_data(self, data: str) -> None:
        if self._in_caption:
            self._caption.append(data)
