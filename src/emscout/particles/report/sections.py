"""What the sections of the report say: numbers as text, plots, shapes."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from emscout.report.plots import bin_values, plot_histogram, plot_radial_distribution

__all__ = ["describe_image", "detail_image", "pool_images"]

_DIAMETER = "equivalent circular diameter"
_MOST_PARTICLES_LISTED = 300
# Of fewer particles it is noise.
_FEWEST_FOR_RADIAL_DISTRIBUTION = 20
# Images of several magnifications span decades, which a linear axis would squeeze into its first bin.
_WIDEST_ON_LINEAR_AXIS = 30

# Atoms are counted per nm², particles per µm².
_DENSE_PER_UM2 = 1e5

# Columns of `images` without their unit, and what a reader calls them.
_FIGURES_OF_LENGTH = (
    ("d10", "D10"),
    ("d50", "D50 (median)"),
    ("d90", "D90"),
    ("mean_diameter", "Mean diameter"),
    ("area_weighted_mean_diameter", "Area-weighted mean diameter"),
    ("std_diameter", "Standard deviation"),
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


def describe_image(row: Mapping[Any, Any], particles: pd.DataFrame) -> dict[str, Any]:
    """Say what the list of images and the heading of an image's section hold.

    Parameters
    ----------
    row : mapping
        A row of ``images``.
    particles : DataFrame
        The particles of that image; empty for one that failed.
    """
    unit = _unit(row)
    return {
        "name": row["image"],
        "status": row["status"],
        "error": _text(row.get("error")),
        "count": len(particles),
        "count_border": 0 if particles.empty else int(particles["touches_border"].sum()),
        "unit": unit,
        # 0.5, where the measured figures have 0.5000: those zeros were not measured.
        "nm_per_px": None if unit == "px" else f"{float(_number(row['nm_per_px'])):.10g}",
        "calibration_source": _text(row.get("calibration_source")),
        "calibration": _SOURCES.get(_text(row.get("calibration_source")), ""),
        "size": "" if pd.isna(row.get("height_px")) else f"{int(row['width_px'])} × {int(row['height_px'])} px",
        "sha256": _text(row.get("sha256")),
        "d10": _number(row.get(f"d10_{unit}")),
        "d50": _number(row.get(f"d50_{unit}")),
        "d90": _number(row.get(f"d90_{unit}")),
        "count_dropped": int(row["count_dropped"]) if pd.notna(row.get("count_dropped")) else 0,
        "count_expected": _count(row.get("count_expected")),
        "count_range": [_count(row.get(f"count_expected_{end}")) for end in ("low", "high")],
        "picture": None,
        "uncertainty": None,
    }


def detail_image(row: Mapping[Any, Any], parts: Mapping[str, pd.DataFrame | None]) -> dict[str, Any]:
    """Key figures, plots, shapes and the first particles of one image.

    Parameters
    ----------
    row : mapping
        A row of ``images``.
    parts : mapping of str to DataFrame or None
        What ``particles``, ``aggregates``, ``distributions`` and ``radial_distribution`` hold of that image.
    """
    particles = parts["particles"]
    if particles is None or particles.empty:
        return {"figures": [], "plots": [], "shapes": [], "particles": None}
    unit = _unit(row)
    inside = particles[~particles["touches_border"].astype(bool)]
    return {
        "figures": _key_figures(row, unit) + _aggregate_figures(parts["aggregates"], unit),
        "plots": _plots(row, unit, parts, len(particles)),
        "shapes": _shape_composition(inside),
        "particles": _particle_list(particles, unit),
    }


def _key_figures(row: Mapping[Any, Any], unit: str) -> list[tuple[str, str, str, str]]:
    """Name, value, interval and unit of each figure that ``row`` has."""
    density = ("number_density_per_px2", "Number density", "per 10⁶ px²", 1e6)
    if unit == "nm":
        is_dense = row.get("number_density_per_um2", 0) >= _DENSE_PER_UM2
        density = ("number_density_per_um2", "Number density", *(("per nm²", 1e-6) if is_dense else ("per µm²", 1.0)))
    asked = [(f"{stem}_{unit}", name, unit, 1.0) for stem, name in _FIGURES_OF_LENGTH]
    asked += [
        ("mean_aspect_ratio", "Mean aspect ratio", "", 1.0),
        density,
        ("coverage", "Area covered", "%", 100.0),
    ]
    figures = []
    for column, name, shown_unit, factor in asked:
        if pd.notna(row.get(column)):
            value, low, high = (row.get(f"{column}{end}", math.nan) * factor for end in ("", "_low", "_high"))
            figures.append((name, *_with_interval(value, low, high), shown_unit))
    return figures


def _aggregate_figures(aggregates: pd.DataFrame | None, unit: str) -> list[tuple[str, str, str, str]]:
    """How many groups of particles that touch there are, and how large: nothing where there are none."""
    if aggregates is None or aggregates.empty:
        return []
    inside = aggregates[~aggregates["touches_border"].astype(bool)]
    figures = [("Aggregates of particles that touch", str(len(aggregates)), "", "")]
    if len(inside):
        figures += [
            ("Particles in one (median)", _number(inside["n_particles"].median()), "", ""),
            ("Radius of gyration (median)", _number(inside[f"radius_of_gyration_{unit}"].median()), "", unit),
        ]
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


def pool_images(particles: pd.DataFrame) -> list[dict[str, Any]]:
    """Distributions over all images, the calibrated in nm and apart from them the others in px.

    Parameters
    ----------
    particles : DataFrame
        Of all images; those cut by the border are left out here.
    """
    if particles.empty:
        return []
    inside = particles[~particles["touches_border"].astype(bool)]
    in_nm = "equivalent_circular_diameter_nm"
    is_calibrated = inside[in_nm].notna() if in_nm in inside else np.zeros(len(inside), dtype=bool)
    groups = (("nm", inside[is_calibrated]), ("px", inside[~is_calibrated]))
    return [_pool_of_one_unit(members, unit) for unit, members in groups if len(members)]


def _pool_of_one_unit(members: pd.DataFrame, unit: str) -> dict[str, Any]:
    diameters = members[f"equivalent_circular_diameter_{unit}"].to_numpy(dtype=float)
    aspect_ratios = members["aspect_ratio"].to_numpy(dtype=float)
    d10, d50, d90 = np.percentile(diameters, (10, 50, 90))
    names = ("D10", "D50 (median)", "D90", "Mean diameter")
    figures = zip(names, (d10, d50, d90, diameters.mean()), strict=True)
    log = bool(diameters.max() > _WIDEST_ON_LINEAR_AXIS * diameters.min())
    svg = plot_histogram(
        bin_values(diameters, log=log), f"{_DIAMETER} ({unit})", median=(d50, math.nan, math.nan), log=log
    )
    return {
        "unit": unit,
        "count": len(members),
        "images": members["image"].nunique(),
        "figures": [(name, _number(value), "", unit) for name, value in figures],
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
    """The first particles, in the few columns a reader looks up; the doubtful ones first where doubt is known."""
    if "probability" in particles and particles["probability"].notna().all():
        particles = particles.sort_values("probability", kind="stable")
    columns = {
        "label": "no.",
        "probability": "probability",
        "uncertainty_nats": "uncertainty (nats)",
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
    return _number(value) if isinstance(value, float | np.floating) else str(value)


def _with_interval(value: float, low: float, high: float) -> tuple[str, str]:
    """Value and interval with no more digits than the interval is worth: two of half its width."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return _number(value), ""
    decimals = 1 - math.floor(math.log10((high - low) / 2))
    return _rounded(value, decimals), f"{_rounded(low, decimals)} – {_rounded(high, decimals)}"


def _count(value: Any) -> str:
    """A whole number; nothing for what is not known."""
    return "" if value is None or pd.isna(value) else f"{value:.0f}"


def _number(value: Any) -> str:
    """Four digits and no exponent; nothing for what is not known."""
    if pd.isna(value):
        return ""
    return "0" if value == 0 else _rounded(value, 3 - math.floor(math.log10(abs(value))))


def _rounded(value: float, decimals: int) -> str:
    """To so many decimals; negative ones round before the decimal point."""
    return f"{round(float(value), decimals):.{max(0, decimals)}f}"


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _unit(row: Mapping[Any, Any]) -> str:
    return "px" if pd.isna(row.get("nm_per_px")) else "nm"
