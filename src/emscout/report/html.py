"""Self-contained HTML pages: templates filled in, pictures embedded."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup, escape
from PIL import Image

from emscout.errors import spell_options
from emscout.io.files import write_atomic

__all__ = ["as_uri", "data_uri", "make_environment", "versions_of", "write_html"]


def make_environment(folder: Path) -> jinja2.Environment:
    """The jinja environment of a folder of templates; an unknown name in a template is an error.

    Parameters
    ----------
    folder : Path
        Templates in it may include ``style.css``, ``head.html`` and ``script.html`` of this package.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["sentence"] = _sentence
    return environment


def _sentence(message: object) -> Markup:
    """A sentence of the core, with the options in it set as code; filter ``sentence``."""
    spelled = "<code>{}</code>".format
    return Markup(
        spell_options(str(escape(message)), lambda field, value: spelled(f"{field}={value}" if value else field))
    )


def write_html(path: Path | str, template: Path, **values: Any) -> None:
    """Fill in a template and write the page; the same values give the same bytes.

    Parameters
    ----------
    path : path-like
        The file to write; it is replaced in one step, once the page is whole.
    template : Path
    **values
        What the template names.

    Raises
    ------
    OutputError
        When it cannot be written.
    """
    html = make_environment(template.parent).get_template(template.name).render(values)
    with write_atomic(Path(path)) as temporary:
        temporary.write_text(html, encoding="utf-8", newline="\n")


def versions_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The versions a run was made with, by name, for the foot of a page."""
    return {
        "emscout": provenance.get("emscout"),
        "Python": provenance.get("python"),
        **provenance.get("libraries", {}),
    }


def as_uri(picture: np.ndarray, kind: str = "PNG") -> str:
    """A picture of uint8 as a data URI, JPEG or PNG; the same picture gives the same bytes."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 85} if kind == "JPEG" else {"optimize": True}
    Image.fromarray(picture).save(buffer, format=kind, **options)
    return data_uri(buffer.getvalue(), f"image/{kind.lower()}")


def data_uri(content: bytes, media_type: str) -> str:
    """The content of a file, embedded in a page."""
    return f"data:{media_type};base64," + base64.b64encode(content).decode("ascii")
