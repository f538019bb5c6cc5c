"""The report: one self-contained HTML page of pictures, distributions, tables, options and versions."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from emscout.micrograph import Notice
from emscout.particles.report.sections import describe_image, detail_image, pool_images
from emscout.report.html import data_uri, versions_of, write_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_page"]

# Beyond this many images each gets a small picture and a line of figures; plots are of all particles together.
_MOST_IMAGES_IN_FULL = 50
# A page to send by mail: all pictures together stay below this, before base64 adds a third.
_PICTURES_BYTES = 12_000_000
_PICTURE_SIDES_PX = (1600, 1200, 900, 700, 540, 420, 320, 240)
_THUMBNAIL_SIDE_PX = 320


def write_page(
    path: Path | str,
    *,
    tables: Mapping[str, pd.DataFrame],
    overlays: Mapping[str, Path],
    uncertainties: Mapping[str, Path],
    provenance: Mapping[str, Any],
    warnings: Sequence[Notice] = (),
    title: str = "Measured particles",
) -> None:
    """Write the report of a run: a page that needs no other file and no network.

    Up to 50 images have a section each; of more, the page has a small picture each and the distributions of all
    together. Calibrated and uncalibrated images are never pooled. The same results give the same bytes.

    Parameters
    ----------
    path : path-like
        The file to write.
    tables : mapping of str to DataFrame
        ``images``, ``particles``, ``aggregates``, ``distributions`` and ``radial_distribution`` as they are saved.
    overlays : mapping of str to Path
        The picture of each image that has one, by image name.
    uncertainties : mapping of str to Path
        The map of the uncertainty of each image that has one, by image name.
    provenance : mapping
        ``options`` (mapping), ``emscout`` (version), ``python``, ``libraries`` (mapping); other entries are not shown.
    warnings : sequence of Notice
        What the reader must know first, each with the image it is about.
    title : str
        Heading of the page.
    """
    images, particles = tables["images"], tables["particles"]
    failed = images[images["status"] == "failed"]
    compact = len(images) - len(failed) > _MOST_IMAGES_IN_FULL
    of_image = {
        kind: dict(list(tables[kind].groupby("image", sort=False)))
        for kind in ("particles", "aggregates", "distributions", "radial_distribution")
    }
    picture_bytes = _PICTURES_BYTES // max(1, len(overlays))
    rows = []
    for number, row in enumerate(images.to_dict("records"), start=1):
        rows.append(describe_image(row, of_image["particles"].get(row["image"], particles.head(0))))
        rows[-1]["anchor"] = f"image-{number}"
        rows[-1]["warnings"] = [notice for notice in warnings if notice.image == row["image"]]
        if row["status"] == "failed":
            continue
        if row["image"] in overlays:
            largest = _THUMBNAIL_SIDE_PX if compact else _PICTURE_SIDES_PX[0]
            rows[-1]["picture"] = _picture(overlays[row["image"]], picture_bytes, largest)
        if not compact and row["image"] in uncertainties:
            rows[-1]["uncertainty"] = _picture(uncertainties[row["image"]], picture_bytes, _THUMBNAIL_SIDE_PX)
        if not compact:
            rows[-1] |= detail_image(row, {kind: parts.get(row["image"]) for kind, parts in of_image.items()})
    write_html(
        path,
        Path(__file__).with_name("page.html"),
        title=title,
        images=rows,
        compact=compact,
        count=sum(row["count"] for row in rows),
        count_border=sum(row["count_border"] for row in rows),
        count_failed=len(failed),
        # The frames of a stack mostly fail for the same reason.
        failures=[(error, list(names)) for error, names in failed.groupby("error", sort=False)["image"]],
        warnings=_group(warnings),
        pooled=pool_images(particles) if len(images) > 1 else [],
        options=provenance.get("options", {}),
        versions=versions_of(provenance),
    )


def _group(warnings: Sequence[Notice]) -> list[tuple[str, list[str]]]:
    """Each warning once, with the images it is about."""
    names = defaultdict(list)
    for notice in warnings:
        names[str(notice)].append(notice.image)
    return list(names.items())


def _picture(overlay: Path, most_bytes: int, largest_side_px: int) -> str:
    """A JPEG of the overlay that keeps to its share of the page, as a data URI."""
    picture: Image.Image = Image.open(overlay)
    for side_px in _PICTURE_SIDES_PX:
        if side_px > largest_side_px:
            continue
        picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        # Full colour resolution: thin coloured lines blur without it.
        picture.save(buffer, format="JPEG", quality=85, subsampling=0)
        if buffer.tell() <= most_bytes:
            break
    return data_uri(buffer.getvalue(), "image/jpeg")
