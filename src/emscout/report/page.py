"""The report: one self-contained HTML page of pictures, distributions, tables, options and versions."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from emscout.report.plots import bin_values, plot_histogram, plot_radial_distribution

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_page"]

# Beyond this many images each gets a small picture and a line of figures; plots are of all particles together.
_MOST_IMAGES_IN_FULL = 50
# A page to send by mail: all pictures together stay below this.
_PICTURES_BYTES = 12_000_000
_PICTURE_SIDES_PX = (1600, 1200, 900, 700, 540, 420, 320, 240)
_THUMBNAIL_SIDE_PX = 320
_MOST_PARTICLES_LISTED = 300
# Of fewer particles it is noise.
_FEWEST_FOR_RADIAL_DISTRIBUTION = 20
_DECADES_SPAN = 30

_DIAMETER = "equivalent circular diameter"
# Column of `images`, without its unit; what a reader calls it; factor from the column to what is shown.
_FIGURES_OF_LENGTH = (
    ("d10", "D10 by number"),
    ("d50", "D50 (median) by number"),
    ("d90", "D90 by number"),
    ("mean_diameter", "Mean diameter, by number"),
    ("area_weighted_mean_diameter", "Mean diameter, by area"),
    ("std_diameter", "Std. deviation of diameter"),
)
_SOURCES = {
    "metadata": "from the file's metadata",
    "scale-bar": "from the scale bar in the image",
    "user": "given by the user",
}
_SHAPES = ("sphere", "rod", "cube", "triangle", "hexagon", "irregular")


class _Plot(NamedTuple):
    name: str
    svg: str

    @property
    def uri(self) -> str:
        """As an image, so that it can be saved from the page, and parts of plots do not mix up their names."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode("utf-8")).decode("ascii")


def write_page(
    path: Path | str,
    *,
    tables: Mapping[str, pd.DataFrame],
    overlays: Mapping[str, bytes | Path],
    provenance: Mapping[str, Any],
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
        ``images`` and ``particles``, ``distributions`` and ``radial_distribution`` as they are saved.
    overlays : mapping of str to bytes or Path
        The PNG of each image that has one, by image name.
    provenance : mapping
        ``options`` (mapping), ``emscout`` (version), ``python``, ``libraries`` (mapping); other entries are not shown.
    title : str
        Heading of the page.
    """
    images, particles = tables["images"], tables["particles"]
    failed = images[images["status"] == "failed"]
    compact = len(images) - len(failed) > _MOST_IMAGES_IN_FULL
    of_image = {
        kind: dict(list(tables[kind].groupby("image", sort=False)))
        for kind in ("particles", "distributions", "radial_distribution")
    }
    picture_bytes = _PICTURES_BYTES // max(1, len(overlays))
    rows = []
    for number, row in enumerate(images.to_dict("records"), start=1):
        rows.append(_describe_image(row, of_image["particles"].get(row["image"], particles.head(0))))
        rows[-1]["anchor"] = f"image-{number}"
        if row["status"] == "failed":
            continue
        if row["image"] in overlays:
            largest = _THUMBNAIL_SIDE_PX if compact else _PICTURE_SIDES_PX[0]
            rows[-1]["picture"] = _picture(overlays[row["image"]], picture_bytes, largest)
        if not compact:
            rows[-1] |= _details_of_image(row, {kind: parts.get(row["image"]) for kind, parts in of_image.items()})
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("emscout", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    css = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    html = environment.get_template("page.html").render(
        title=title,
        css=Markup(css),
        images=rows,
        compact=compact,
        count=sum(row["count"] for row in rows),
        count_border=sum(row["count_border"] for row in rows),
        failed=failed[["image", "error"]].to_dict("records"),
        pooled=[] if len(images) == 1 or particles.empty else _pool(particles),
        options=provenance.get("options", {}),
        versions={
            "emscout": provenance.get("emscout"),
            "Python": provenance.get("python"),
            **provenance.get("libraries", {}),
        },
    )
    Path(path).write_text(html, encoding="utf-8", newline="\n")


def _describe_image(row: Mapping[Any, Any], particles: pd.DataFrame) -> dict[str, Any]:
    """What the list of images and the heading of a section say."""
    unit = "px" if _missing(row.get("nm_per_px")) else "nm"
    return {
        "name": row["image"],
        "status": row["status"],
        "error": row.get("error") or "",
        "count": len(particles),
        "count_border": 0 if particles.empty else int(particles["touches_border"].sum()),
        "unit": unit,
        "nm_per_px": None if unit == "px" else f"{row['nm_per_px']:.4g}",
        "calibration_source": row.get("calibration_source"),
        "calibration": _SOURCES.get(str(row.get("calibration_source")), ""),
        "size": "" if _missing(row.get("height_px")) else f"{int(row['width_px'])} × {int(row['height_px'])} px",
        "sha256": row.get("sha256") or "",
        "median": "" if _missing(row.get(f"d50_{unit}")) else f"{row[f'd50_{unit}']:.4g}",
        "d10_d90": "" if _missing(row.get(f"d10_{unit}")) else f"{row[f'd10_{unit}']:.4g} – {row[f'd90_{unit}']:.4g}",
        "median_nm": _sort_key(row.get("d50_nm")),
        "picture": None,
    }


def _details_of_image(row: Mapping[Any, Any], parts: Mapping[str, pd.DataFrame | None]) -> dict[str, Any]:
    """Key figures, plots, shapes and the first particles of one image."""
    particles = parts["particles"]
    if particles is None or particles.empty:
        return {"figures": [], "plots": [], "shapes": [], "particles": None}
    unit = "px" if _missing(row.get("nm_per_px")) else "nm"
    inside = particles[~particles["touches_border"].astype(bool)]
    return {
        "figures": _key_figures(row, unit),
        "plots": _plots(row, unit, parts, len(particles)),
        "shapes": _shape_composition(inside),
        "particles": _particle_list(particles, unit),
    }


def _key_figures(row: Mapping[Any, Any], unit: str) -> list[tuple[str, str, str, str]]:
    """Name, value, interval and unit of each figure that ``row`` has."""
    density = ("number_density_per_px2", "Number density", "per 10⁶ px²", 1e6)
    if unit == "nm":
        density = ("number_density_per_um2", "Number density", "per µm²", 1.0)
    asked = [(f"{stem}_{unit}", name, unit, 1.0) for stem, name in _FIGURES_OF_LENGTH]
    asked += [
        ("mean_aspect_ratio", "Mean aspect ratio", "", 1.0),
        density,
        ("coverage", "Area covered by particles", "%", 100.0),
    ]
    figures = []
    for column, name, shown_unit, factor in asked:
        if not _missing(row.get(column)):
            value, low, high = (row.get(key, math.nan) * factor for key in (column, f"{column}_low", f"{column}_high"))
            figures.append((name, *_with_interval(value, low, high), shown_unit))
    return figures


def _plots(row: Mapping[Any, Any], unit: str, parts: Mapping[str, pd.DataFrame | None], count: int) -> list[_Plot]:
    """Size distribution, aspect ratios and radial distribution of one image."""
    plots = []
    distributions, radial = parts["distributions"], parts["radial_distribution"]
    if distributions is not None:
        sizes = distributions[distributions["quantity"] == "equivalent_circular_diameter"]
        ratios = distributions[distributions["quantity"] == "aspect_ratio"]
        if len(sizes):
            low, median, high = (row.get(f"d50_{unit}{end}", math.nan) for end in ("_low", "", "_high"))
            svg = plot_histogram(sizes, f"{_DIAMETER} ({unit})", median=(median, low, high))
            plots.append(_Plot("Size distribution", svg))
        if len(ratios):
            plots.append(_Plot("Aspect ratio", plot_histogram(ratios, "aspect ratio")))
    if radial is not None and len(radial) and count >= _FEWEST_FOR_RADIAL_DISTRIBUTION:
        nm_or_px = row["nm_per_px"] if unit == "nm" else 1.0
        r, g, g_error = (radial[name].to_numpy(dtype=float) for name in ("r_px", "g", "g_error"))
        svg = plot_radial_distribution(r * nm_or_px, g, g_error, unit, count)
        plots.append(_Plot("Radial distribution function", svg))
    return plots


def _pool(particles: pd.DataFrame) -> list[dict[str, Any]]:
    """Distributions over all images, the calibrated in nm and apart from them the others in px."""
    inside = particles[~particles["touches_border"].astype(bool)]
    in_nm = "equivalent_circular_diameter_nm"
    is_calibrated = inside[in_nm].notna() if in_nm in inside else np.zeros(len(inside), dtype=bool)
    groups = (("nm", inside[is_calibrated]), ("px", inside[~is_calibrated]))
    return [_pool_of_one_unit(members, unit) for unit, members in groups if len(members)]


def _pool_of_one_unit(members: pd.DataFrame, unit: str) -> dict[str, Any]:
    diameters = members[f"equivalent_circular_diameter_{unit}"].to_numpy(dtype=float)
    aspect_ratios = members["aspect_ratio"].to_numpy(dtype=float)
    d10, d50, d90 = np.percentile(diameters, (10, 50, 90))
    names = ("D10 by number", "D50 (median) by number", "D90 by number", "Mean diameter, by number")
    figures = zip(names, (d10, d50, d90, diameters.mean()), strict=True)
    # Images of several magnifications span decades, which a linear axis would squeeze into its first bin.
    log = bool(diameters.max() > _DECADES_SPAN * diameters.min())
    svg = plot_histogram(
        bin_values(diameters, log=log), f"{_DIAMETER} ({unit})", median=(d50, math.nan, math.nan), log=log
    )
    return {
        "unit": unit,
        "count": len(members),
        "images": members["image"].nunique(),
        "figures": [(name, f"{value:.4g}", "", unit) for name, value in figures],
        "plots": [
            _Plot("Size distribution", svg),
            _Plot("Aspect ratio", plot_histogram(bin_values(aspect_ratios), "aspect ratio")),
        ],
        "shapes": _shape_composition(members),
    }


def _shape_composition(inside: pd.DataFrame) -> list[tuple[str, int, float]]:
    """Name, number and percentage of each shape that occurs."""
    counts = inside["shape"].value_counts()
    return [(name, int(counts[name]), 100 * counts[name] / len(inside)) for name in _SHAPES if name in counts]


def _particle_list(particles: pd.DataFrame, unit: str) -> dict[str, Any]:
    """The first particles, in the few columns a reader looks up."""
    columns = {
        "label": "no.",
        f"equivalent_circular_diameter_{unit}": f"diameter ({unit})",
        f"min_feret_{unit}": f"min Feret ({unit})",
        f"max_feret_{unit}": f"max Feret ({unit})",
        "aspect_ratio": "aspect ratio",
        "circularity": "circularity",
        "solidity": "solidity",
        f"nearest_neighbour_{unit}": f"nearest neighbour ({unit})",
        "shape": "shape",
        "touches_border": "cut by border",
    }
    known = {column: name for column, name in columns.items() if column in particles}
    rows = [
        [_cell(value) for value in row]
        for row in particles[list(known)].head(_MOST_PARTICLES_LISTED).itertuples(index=False, name=None)
    ]
    return {"columns": list(known.values()), "rows": rows, "left_out": len(particles) - len(rows)}


def _cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _with_interval(value: float, low: float, high: float) -> tuple[str, str]:
    """Value and interval with no more digits than the interval is worth."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return f"{value:.4g}", ""
    # As many decimals as show two digits of half the interval; none or fewer for large numbers.
    decimals = 1 - math.floor(math.log10((high - low) / 2))
    value_text, low_text, high_text = (f"{round(x, decimals):.{max(0, decimals)}f}" for x in (value, low, high))
    return value_text, f"{low_text} – {high_text}"


def _picture(png: bytes | Path, most_bytes: int, largest_side_px: int) -> str:
    """A JPEG of the overlay that keeps to its share of the page, as a data URI."""
    picture = Image.open(io.BytesIO(png) if isinstance(png, bytes) else png)
    for side_px in _PICTURE_SIDES_PX:
        if side_px > largest_side_px:
            continue
        picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        # Full colour resolution: thin coloured lines blur without it.
        picture.save(buffer, format="JPEG", quality=85, subsampling=0, optimize=True)
        if buffer.tell() <= most_bytes:
            break
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _missing(value: Any) -> bool:
    return value is None or value != value


def _sort_key(value: Any) -> str:
    return "" if _missing(value) else f"{value:.9g}"
