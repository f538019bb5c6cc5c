"""The locator's report: one self-contained HTML page to find, judge and overrule targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from scipy import ndimage

from emscout.crystals.report.heat_map import TARGET_COLOUR, TilePicture, colour_of, tint_of
from emscout.report.html import as_uri, versions_of, write_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["describe_panel", "write_locator_page"]

# A page to send by mail: beyond so many images they get smaller, beyond so many tiles these lose their captions.
_PANEL_SIDE_PX = ((8, 900), (30, 640), (100, 420))
_SMALLEST_PANEL_PX = 280
_MOST_CAPTIONS = 60_000
_MOST_TARGETS = 200
_CLUSTER_CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
# 0 to 1 in steps of one eightieth; without those that JSON or HTML write in several characters.
_SCORE_CHARACTERS = "".join(character for character in map(chr, range(33, 127)) if character not in "\"'\\<>&")[:81]
_IN_SCRIPT = ("name", "height", "width", "rows", "cols", "cluster", "score")


def describe_panel(
    name: str, picture: TilePicture, score: np.ndarray, shape: tuple[int, int], *, n_images: int, n_tiles: int
) -> dict[str, Any]:
    """What the page holds of one image: the micrograph, layers to lay over it, and where its tiles are.

    Parameters
    ----------
    name : str
    picture : TilePicture
    score : ndarray of float, shape (n_rows, n_cols)
        0 to 1, NaN where a tile is black.
    shape : (int, int)
        Height and width of the whole image.
    n_images, n_tiles : int
        Of the whole page, which decide how much is shown of each.
    """
    side = next((side for most, side in _PANEL_SIDE_PX if n_images <= most), _SMALLEST_PANEL_PX)
    grey = Image.fromarray(picture.grey)
    grey.thumbnail((side, side), Image.Resampling.LANCZOS)
    cluster, target = picture.paint(picture.cluster, outside=-1), picture.paint(picture.target)
    spread = picture.paint(np.nan_to_num(score, nan=0.0))
    panel = {
        "name": name,
        "height": shape[0],
        "width": shape[1],
        "rows": [int(edge) for edge in (*picture.rows[:, 0], picture.rows[-1, 1])],
        "cols": [int(edge) for edge in (*picture.cols[:, 0], picture.cols[-1, 1])],
        "micrograph": as_uri(np.asarray(grey), "JPEG"),
        "clusters": as_uri(_cluster_layer(cluster, picture.commonest)),
        "scores": as_uri(_score_layer(spread, cluster > 0)),
        "targets": as_uri(_target_layer(target)),
        "cluster": "",
        "score": "",
    }
    if n_tiles <= _MOST_CAPTIONS:
        # One character a tile; black ones are 0.
        panel["cluster"] = "".join(_CLUSTER_CHARACTERS[number] for number in picture.cluster.ravel())
        steps = ((len(_SCORE_CHARACTERS) - 1) * np.nan_to_num(score, nan=0)).round().astype(int).ravel()
        panel["score"] = "".join(_SCORE_CHARACTERS[step] for step in steps)
    return panel


def _cluster_layer(cluster: np.ndarray, commonest: int) -> np.ndarray:
    layer = np.zeros((*cluster.shape, 4), np.uint8)
    for number in range(1, int(max(cluster.max(), 0)) + 1):
        layer[cluster == number] = (*colour_of(number), round(255 * tint_of(number, commonest)))
    rows, cols = np.nonzero(cluster == 0)
    hatched = (rows + cols) % 10 == 0
    layer[rows[hatched], cols[hatched]] = (150, 150, 150, 160)
    return layer


def _score_layer(score: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Viridis, the stronger the higher: nothing hides what is no crystal."""
    from matplotlib import colormaps

    layer = (255 * colormaps["viridis"](score)).round().astype(np.uint8)
    layer[..., 3] = np.where(seen, 150 * np.clip(0.15 + score, 0, 1), 0).astype(np.uint8)
    return layer


def _target_layer(target: np.ndarray) -> np.ndarray:
    layer = np.zeros((*target.shape, 4), np.uint8)
    thick = max(1, round(max(target.shape) / 220))
    for colour, reach in (((255, 255, 255), 2 * thick), (TARGET_COLOUR, thick)):
        inside = ndimage.minimum_filter(target, 2 * reach + 1, mode="constant", cval=0)
        layer[target & ~inside] = (*colour, 255)
    return layer


def write_locator_page(
    path: Path | str,
    *,
    summary: Mapping[str, Any],
    panels: Sequence[Mapping[str, Any]],
    targets: pd.DataFrame,
    target_pictures: Sequence[str],
    clusters: pd.DataFrame,
    figures: Mapping[str, str],
    command: str,
    answers: Sequence[tuple[str, str]],
    provenance: Mapping[str, Any],
) -> None:
    """Write the report of a run: a page that needs no other file and no network.

    Parameters
    ----------
    path : path-like
    summary : mapping
        ``n_images``, ``n_tiles``, ``n_black``, ``proposed`` (cluster), ``confidence``, ``how`` (what decided the
        targets, in words), ``message`` (what the reader must know first, or empty), ``failures`` (list of sentences),
        ``question`` (address of the tile to ask about, or empty), ``question_picture`` (data URI or empty),
        ``commonest`` (cluster).
    panels : sequence of mapping
        From `describe_panel`.
    targets : DataFrame
        As saved.
    target_pictures : sequence of str
        Data URIs of the first targets.
    clusters : DataFrame
        ``cluster``, ``n_tiles``, ``share``, ``score`` and means of statistics.
    figures : mapping of str to str
        Data URIs by name: ``contact_sheet``, ``advice``, ``scatter``, ``dendrogram``, ``mosaic``; those there are.
    command : str
        The command that made this, to which the page adds the reader's answers.
    answers : sequence of (str, str)
        Those given already: ``like`` or ``unlike``, and the address of the tile.
    provenance : mapping
        ``options``, ``emscout``, ``python``, ``libraries``.
    """
    sizes = {panel["name"]: (panel["height"], panel["width"]) for panel in panels}
    anchors = {panel["name"]: f"image-{number}" for number, panel in enumerate(panels, start=1)}
    swatches = {int(number): "rgb({},{},{})".format(*colour_of(int(number))) for number in clusters["cluster"]}
    write_html(
        path,
        Path(__file__).with_name("page.html"),
        summary=summary,
        panels=panels,
        anchors=anchors,
        data=[{key: panel[key] for key in _IN_SCRIPT} for panel in panels],
        targets=_target_rows(targets.head(_MOST_TARGETS), target_pictures, sizes),
        n_targets=len(targets),
        with_stage="stage_x_um" in targets and bool(targets["stage_x_um"].notna().any()),
        clusters=clusters.to_dict("records"),
        swatches=swatches,
        statistics=[name for name in clusters.columns if name not in ("cluster", "n_tiles", "share", "score")],
        figures=figures,
        command=command,
        answers=[list(answer) for answer in answers],
        options=provenance["options"],
        versions=versions_of(provenance),
        score_characters=_SCORE_CHARACTERS,
    )


def _target_rows(
    targets: pd.DataFrame, pictures: Sequence[str], sizes: Mapping[str, tuple[int, int]]
) -> list[dict[str, Any]]:
    """Cells of the ranking as text, in nm where an image is calibrated."""
    rows = []
    for index, row in enumerate(targets.to_dict("records")):
        height, width = sizes[row["image"]]
        calibrated = math.isfinite(row.get("area_nm2", math.nan))
        unit, scale = ("nm", math.sqrt(row["area_nm2"] / row["area_px2"])) if calibrated else ("px", 1.0)
        on_stage = math.isfinite(row.get("stage_x_um", math.nan))
        rows.append(
            {
                "rank": row["rank"],
                "image": row["image"],
                "top": 100 * (row["row_px"] + 0.5) / height,
                "left": 100 * (row["col_px"] + 0.5) / width,
                "picture": pictures[index] if index < len(pictures) else "",
                "place": f"{row['row_px']:.0f}, {row['col_px']:.0f}",
                "size": f"{_short(row['height_px'] * scale)} × {_short(row['width_px'] * scale)} {unit}",
                "n_tiles": row["n_tiles"],
                "score": f"{row['score']:.2f}",
                "bar": _length(row["bar_distance_px"], scale, unit),
                "next": _length(row["next_crystal_px"], scale, unit),
                "stage": f"{row['stage_x_um']:.2f}, {row['stage_y_um']:.2f}" if on_stage else "",
            }
        )
    return rows


def _length(value_px: float, scale: float, unit: str) -> str:
    return "" if math.isnan(value_px) else f"{_short(value_px * scale)} {unit}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
