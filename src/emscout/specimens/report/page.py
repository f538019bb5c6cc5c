"""The report of a classification: one self-contained page of small pictures, by category, the most doubtful first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emscout.report.html import data_uri, versions_of, write_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_WITH_EVIDENCE", "NONE_OF_THESE", "write_classes_page"]

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
    write_html(
        path,
        Path(__file__).with_name("page.html"),
        sections=sections,
        count=len(done),
        failures=failed["error"].tolist(),
        model=model,
        options=provenance["options"],
        versions=versions_of(provenance),
    )


def _describe(row: Mapping[str, Any], categories: list[str], folder: Path, count: int) -> dict[str, Any]:
    ranked = sorted(categories, key=lambda name: -row[f"p_{name}"])[:_TOP]
    evidence = folder / "evidence" / f"{row['image']}.jpg"
    return {
        "name": row["image"],
        "warnings": row["warnings"],
        "top": [(name, 100 * row[f"p_{name}"]) for name in ranked],
        "novelty": row["novelty"],
        "picture": _uri(folder / "pictures" / f"{row['image']}.jpg"),
        "evidence": _uri(evidence) if count <= MOST_WITH_EVIDENCE and evidence.exists() else "",
    }


def _uri(path: Path) -> str:
    return data_uri(path.read_bytes(), "image/jpeg")
