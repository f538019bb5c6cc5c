"""The report of a paper: its figures with their panels marked, and the measurements of each micrograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from emscout.micrograph import Notice
from emscout.report.html import as_uri, versions_of, write_html

__all__ = ["draw_panels", "write_figures_page"]

_COLOURS = {"micrograph": (214, 40, 40), "plot": (30, 100, 200), "drawing": (30, 130, 60), "photograph": (150, 60, 170)}
_SIDE_PX = 1400
_PICTURES_BYTES = 12_000_000
_SIDES_PX = (1000, 700, 500, 320, 200)


def draw_panels(path: Path, image: np.ndarray, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a figure as JPEG, shrunk to 1400 px, with a frame around each panel in the colour of its kind.

    Parameters
    ----------
    path : Path
    image : ndarray of uint8, shape (H, W, 3)
    rows : sequence of mapping
        ``top_px``, ``left_px``, ``height_px``, ``width_px``, ``kind`` and ``panel`` (its letter) of each.
    """
    factor = min(1.0, _SIDE_PX / max(image.shape[:2]))
    picture = Image.fromarray(image)
    if factor < 1:
        picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), max(11, picture.height // 45))
    for row in rows:
        top, left = row["top_px"] * factor, row["left_px"] * factor
        bottom, right = top + row["height_px"] * factor - 1, left + row["width_px"] * factor - 1
        colour = _COLOURS[row["kind"]]
        draw.rectangle((left, top, right, bottom), outline=colour, width=3)
        label = f"{row['panel']} {row['kind']}".strip()
        draw.rectangle(draw.textbbox((left + 5, bottom - 5), label, font=font, anchor="ld"), fill=colour)
        draw.text((left + 5, bottom - 5), label, fill="white", font=font, anchor="ld")
    picture.save(path, format="JPEG", quality=88)


def write_figures_page(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    overviews: Mapping[str, Path],
    overlays: Mapping[str, Path],
    provenance: Mapping[str, Any],
    details: str,
) -> None:
    """Write the report of one document: a page that needs no other file and no network.

    Parameters
    ----------
    path : Path
        The file to write.
    rows : sequence of mapping
        Of ``figures.csv``, with ``overview`` naming the picture of the figure.
    overviews, overlays : mapping of str to Path
        Pictures of figures, and of measured panels by their name.
    provenance : mapping
        ``options``, ``emscout``, ``python``, ``libraries``.
    details : str
        Address of the report on the particles, relative to the page.
    """
    share = _PICTURES_BYTES // max(1, len(overviews) + len(overlays))
    figures: dict[str, dict[str, Any]] = {}
    for row in rows:
        if "overview" not in row:
            continue
        figure = figures.setdefault(
            row["overview"],
            {
                "title": " ".join(
                    filter(None, (f"Figure {row['figure']}" if row["figure"] else "", _page(row["page"])))
                )
                or row["document"],
                "caption": row["caption"],
                "picture": _picture(overviews[row["overview"]], share),
                "panels": [],
            },
        )
        figure["panels"].append(_panel(row, overlays, share))
    write_html(
        path,
        Path(__file__).with_suffix(".html"),
        title=rows[0]["document"] if rows else "No figures",
        doi=rows[0].get("doi", "") if rows else "",
        figures=list(figures.values()),
        n_panels=sum(len(figure["panels"]) for figure in figures.values()),
        n_measured=len(overlays),
        count=sum(row.get("count") or 0 for row in rows),
        failures=[row["error"] for row in rows if row.get("status") == "failed"],
        details=details if overlays else "",
        options=provenance.get("options", {}),
        versions=versions_of(provenance),
    )


def _page(number: int | None) -> str:
    return "" if number is None else f"(page {number})"


def _panel(row: Mapping[str, Any], overlays: Mapping[str, Path], share: int) -> dict[str, Any]:
    unit = "px" if row.get("d50_nm") is None else "nm"
    median = row.get(f"d50_{unit}")
    return {
        "name": row["image"],
        "letter": row["panel"],
        "kind": row["kind"],
        "technique": row["technique"],
        "caption": row["panel_caption"] if row["panel"] else "",
        "status": row["status"],
        "error": row.get("error") or "" if row["status"] == "failed" else "",
        "warnings": " ".join(str(Notice(**notice)) for notice in row.get("warnings", ())),
        "scale": row.get("scale") or "",
        "scale_note": row.get("scale_note") or "",
        "nm_per_px": "" if row.get("nm_per_px") is None else f"{row['nm_per_px']:.4g}",
        "count": row.get("count"),
        "median": "" if median is None else f"{median:.3g} {unit}",
        "picture": _picture(overlays[row["image"]], share) if row["image"] in overlays else "",
    }


def _picture(path: Path, most_bytes: int) -> str:
    """A data URI of at most so many bytes, where the smallest size allows."""
    with Image.open(path) as file:
        picture: Image.Image = file.convert("RGB")
    uri = ""
    for side in _SIDES_PX:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        uri = as_uri(np.asarray(picture), "JPEG")
        if len(uri) <= most_bytes:
            break
    return uri
