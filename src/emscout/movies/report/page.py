"""The report of a movie: the clip, pictures and plots, and one self-contained HTML page."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from emscout.io.files import write_atomic
from emscout.micrograph import Notice
from emscout.movies.kinetics.mechanisms import count_losses
from emscout.movies.kinetics.size_distribution import last_radii_px
from emscout.movies.notices import FAULTS, files_by_frame
from emscout.movies.report.clip import Clip, write_clip
from emscout.movies.report.curves import plot_curves, plot_drift
from emscout.movies.report.footage import Footage
from emscout.movies.report.growth_plots import plot_growth_law, plot_size_distribution
from emscout.movies.report.particle_plots import plot_single_particles, plot_sizes_through_time
from emscout.movies.report.pictures import draw_event_map, draw_time_outlines
from emscout.movies.report.summary import format_number, summarise
from emscout.movies.report.time_axis import TimeAxis, choose_time_axis
from emscout.report.html import data_uri, versions_of, write_html
from emscout.report.overlay import write_png

__all__ = ["write_movie_page"]

# The page should be small enough to send by mail: a larger clip is saved beside it.
_LARGEST_EMBEDDED_BYTES = 8_000_000
_MOST_EVENTS = 400
_MOST_FAULTS = 200


def write_movie_page(
    folder: Path | str,
    footage: Footage,
    tables: Mapping[str, pd.DataFrame],
    *,
    warnings: Iterable[Notice],
    provenance: Mapping[str, Any],
    name: str,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Path]:
    """Write ``report.html``, the clip ``movie.mp4`` (or ``movie.gif``) and all else that is drawn into ``pictures/``.

    Parameters
    ----------
    folder : path-like
    footage : Footage
    tables : mapping of str to DataFrame
        From `emscout.movies.analyse_tracks.analyse_tracks`.
    warnings : iterable of Notice
        What the reader must know first.
    provenance : mapping
        ``options`` (mapping), ``emscout`` (version), ``python``, ``libraries`` (mapping); other entries are not shown.
    name : str
        Of the movie.
    progress : callable or None
        Called as ``progress(done, total, what)``.

    Returns
    -------
    list of Path
        What was written, the page first.
    """
    folder = Path(folder)
    time_axis = choose_time_axis(footage.times_s, len(footage.drift))
    pictures = _draw(folder / "pictures", footage, tables, time_axis)
    for other in ("movie.mp4", "movie.gif"):
        (folder / other).unlink(missing_ok=True)
    clip = write_clip(folder, footage, tables["particles"], time_axis, progress=progress)
    events, faults = footage.events, _fault_rows(footage, time_axis)
    page = folder / "report.html"
    write_html(
        page,
        Path(__file__).with_name("page.html"),
        name=name,
        warnings=[str(notice) for notice in warnings],
        story=summarise(tables, time_axis, footage.nm_per_px),
        totals=_totals(footage, tables),
        pictures=pictures,
        clip=_show(clip),
        events=_event_rows(events.head(_MOST_EVENTS), time_axis, footage.nm_per_px),
        n_events=len(events),
        changes=len(footage.measured) > 1,
        faults=faults[:_MOST_FAULTS],
        n_faults=len(faults),
        time_axis=time_axis,
        nm_per_px=None if footage.nm_per_px is None else f"{footage.nm_per_px:.4g}",
        area_unit="px²" if footage.nm_per_px is None else "nm²",
        growth=_growth_rows(tables["growth"], time_axis),
        options=provenance.get("options", {}),
        versions=versions_of(provenance),
    )
    return [page, clip.path, *sorted((folder / "pictures").iterdir())]


def _draw(
    folder: Path,
    footage: Footage,
    tables: Mapping[str, pd.DataFrame],
    time_axis: TimeAxis,
) -> dict[str, str]:
    """Everything but the clip, as files, and by name as data URIs for the page."""
    nm, tracks, events = footage.nm_per_px, footage.tracks, footage.events
    radii_px = last_radii_px(tracks)
    drawn = {}
    changes = len(footage.measured) > 1
    if changes:
        drawn["time_outlines"] = draw_time_outlines(footage, time_axis)
        drawn["event_map"] = draw_event_map(footage, time_axis)
    plots = {"drift": plot_drift(footage.drift, time_axis)}
    if len(tracks) and changes:
        plots["sizes"] = plot_sizes_through_time(tracks, footage.measured, time_axis, nm)
        plots["single_particles"] = plot_single_particles(tracks, tables["particles"], events, time_axis, nm)
        plots["curves"] = plot_curves(tables["curves"], events, time_axis, nm)
        plots["growth"] = plot_growth_law(tables["curves"], tables["growth"], time_axis, nm)
    if len(radii_px):
        plots["shapes"] = plot_size_distribution(radii_px, tables["shapes"], nm)
    pictures = {}
    for name, rgb in drawn.items():
        with write_atomic(folder / f"{name}.png") as path:
            write_png(path, rgb)
        pictures[name] = _jpeg_uri(rgb)
    for name, svg in plots.items():
        with write_atomic(folder / f"{name}.svg") as path:
            path.write_text(svg, encoding="utf-8", newline="\n")
        pictures[name] = data_uri(svg.encode("utf-8"), "image/svg+xml")
    return pictures


def _jpeg_uri(rgb: np.ndarray) -> str:
    buffer = io.BytesIO()
    # Full colour resolution: thin coloured lines blur without it.
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=85, subsampling=0)
    return data_uri(buffer.getvalue(), "image/jpeg")


def _show(clip: Clip) -> dict[str, Any]:
    size = clip.path.stat().st_size
    inside = size <= _LARGEST_EMBEDDED_BYTES
    return {
        "source": data_uri(clip.path.read_bytes(), clip.media_type) if inside else clip.path.name,
        "inside": inside,
        "video": clip.media_type.startswith("video"),
        "name": clip.path.name,
        "note": clip.note,
    }


def _totals(footage: Footage, tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """The few figures to see first."""
    counts = tables["curves"]["n"].to_numpy(dtype=int)
    losses = count_losses(tables["particles"])
    totals = [(str(len(footage.drift)), f"frames, {len(footage.origins)} of them measured")]
    if len(counts) == 1:
        return [*totals, (str(counts[0]), "particles in the only measured frame")]
    if len(counts):
        totals.append((f"{counts[0]} → {counts[-1]}", "particles in the first and the last measured frame"))
    totals += [
        (str(losses.ripening), "lost by ripening"),
        (str(losses.coalescence), "lost by coalescence"),
        (str(losses.unexplained), "vanished unexplained"),
    ]
    return totals


def _event_rows(events: pd.DataFrame, time_axis: TimeAxis, nm_per_px: float | None) -> list[dict[str, Any]]:
    scale = (nm_per_px or 1.0) ** 2
    return [
        {
            "number": number,
            "frame": row["frame"],
            "time": format_number(float(time_axis.when[row["frame"]])),
            "kind": row["kind"],
            "particles": row["particles"],
            "place": f"{round(row['row_px'])}, {round(row['col_px'])}",
            "before": format_number(row["area_before_px2"] * scale),
            "after": format_number(row["area_after_px2"] * scale),
            "conserved": _describe_balance(row),
        }
        for number, row in enumerate(events.to_dict("records"), start=1)
    ]


def _describe_balance(row: Mapping[Any, Any]) -> str:
    if not math.isfinite(row["deviation"]):
        return ""
    off = f"{100 * row['deviation']:+.0f} %".replace("-", "−")
    return f"{row['conserved']}: {off}, {100 * row['tolerance']:.0f} % allowed"


def _fault_rows(footage: Footage, time_axis: TimeAxis) -> list[dict[str, str]]:
    """Frames that were not measured or have something wrong, runs of the same kind as one."""
    rows: list[dict[str, str]] = []
    files = files_by_frame(footage.drift)
    status, quality = footage.drift["status"].to_numpy(dtype=str), footage.drift["quality"].to_numpy(dtype=float)
    bad = [i for i in range(len(status)) if status[i] != "ok" or i not in footage.origins]
    breaks = [k for k in range(1, len(bad)) if bad[k] != bad[k - 1] + 1 or status[bad[k]] != status[bad[k - 1]]]
    for run in np.split(np.array(bad, dtype=int), breaks) if bad else []:
        first, last = int(run[0]), int(run[-1])
        rows.append(
            {
                "frames": str(first) if first == last else f"{first} to {last}",
                "files": " to ".join(files[frame] for frame in dict.fromkeys((first, last))) if files else "",
                "time": format_number(float(time_axis.when[first])),
                "status": "not measured" if status[first] == "ok" else status[first],
                "meaning": "was not measured" if status[first] == "ok" else FAULTS[status[first]][0],
                "quality": f"{np.median(quality[run]):.2f}",
            }
        )
    return rows


def _growth_rows(growth: pd.DataFrame, time_axis: TimeAxis) -> list[dict[str, str]]:
    def spell(value: float) -> str:
        return format_number(value) if math.isfinite(value) else ""

    return [
        {
            "method": row["method"].replace("-", " "),
            "n": spell(row["n"]) or "not determined",
            "interval": f"{spell(row['n_low'])} to {spell(row['n_high'])}" if math.isfinite(row["n_low"]) else "",
            "k": spell(row["k"]),
            "explains": ("yes" if row["explains"] else "no") if math.isfinite(row["n_low"]) else "",
            "unit": f"pxⁿ/{'frame' if time_axis.unit == 'frame' else 's'}" if math.isfinite(row["k"]) else "",
        }
        for row in growth.to_dict("records")
    ]
