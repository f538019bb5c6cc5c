"""The report of a classification: one self-contained page of small pictures, by category, the doubtful ones first."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_WITH_EVIDENCE", "NONE_OF_THESE", "page_environment", "write_classes_page"]

NONE_OF_THESE = "none of these"

# A page to send by mail.
_MOST_PICTURES = 600
MOST_WITH_EVIDENCE = 60
_TOP = 3


def write_classes_page(
    path: Path, *, classes: pd.DataFrame, folder: Path, model: Mapping[str, Any], provenance: Mapping[str, Any]
) -> None:
    """Write the report of a run: a page that needs no other file and no network.

    Parameters
    ----------
    path : Path
        The file to write.
    classes : DataFrame
        As it is saved.
    folder : Path
        Holds ``pictures/`` and ``evidence/``, a JPEG an image.
    model : mapping
        The model's description.
    provenance : mapping
        Of the run.
    """
    failed = classes[classes["status"] == "failed"]
    done = classes[classes["status"] != "failed"]
    shown = done.sort_values("probability", kind="stable")
    sections = []
    for name in [*model["categories"], ""]:
        rows = shown[shown["category"] == name]
        if len(rows):
            sections.append({"name": name or NONE_OF_THESE, "count": len(rows), "images": rows.to_dict("records")})
    left = _MOST_PICTURES
    for section in sections:
        section["left_out"] = max(0, section["count"] - left)
        section["images"] = [
            _describe(row, model["categories"], folder, len(done)) for row in section["images"][: max(0, left)]
        ]
        left -= section["count"]
    html = (
        page_environment()
        .get_template("classes.html")
        .render(
            sections=sections,
            count=len(done),
            failures=failed["error"].tolist(),
            model=model,
            options=provenance["options"],
            versions={"emscout": provenance["emscout"], "Python": provenance["python"], **provenance["libraries"]},
        )
    )
    path.write_text(html, encoding="utf-8", newline="\n")


def _describe(row: Mapping[str, Any], categories: list[str], folder: Path, count: int) -> dict[str, Any]:
    ranked = sorted(categories, key=lambda name: -row[f"p_{name}"])[:_TOP]
    evidence = folder / "evidence" / f"{row['image']}.jpg"
    return {
        "name": row["image"],
        "known": bool(row["known"]),
        "top": [(name, 100 * row[f"p_{name}"]) for name in ranked],
        "novelty": row["novelty"],
        "picture": _uri(folder / "pictures" / f"{row['image']}.jpg"),
        "evidence": _uri(evidence) if count <= MOST_WITH_EVIDENCE and evidence.exists() else "",
    }


def _uri(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def page_environment() -> jinja2.Environment:
    """Of the templates beside this module."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("emscout", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
