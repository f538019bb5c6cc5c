"""The report: one self-contained HTML page to look at targets, to judge them, and to correct them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from emscout.crystals.find import CrystalResult, group_notices
from emscout.crystals.options import CrystalOptions
from emscout.crystals.report.heat_map import TARGET_COLOUR, TilePicture, cluster_colour, cluster_opacity
from emscout.crystals.report.pictures import commonest_cluster, crop_targets, crop_tiles, make_tile_pictures
from emscout.report.html import as_uri, versions_of, write_html

__all__ = ["describe_panel", "write_page", "write_report"]

# The page should be small enough for e-mail: many images are reduced, and many tiles lose their captions.
_PANEL_SIDE_PX = ((8, 900), (30, 640), (100, 420))
_SMALLEST_PANEL_PX = 280
_MOST_CAPTIONS = 60_000
_MOST_TARGETS = 200
_MOST_TARGET_PICTURES = 60
# 0 to 1 in steps of one eightieth; without characters that JSON or HTML escape.
_SCORE_CHARACTERS = "".join(character for character in map(chr, range(33, 127)) if character not in "\"'\\<>&")[:81]
_IN_SCRIPT = ("name", "height", "width", "rows", "cols", "cluster", "score")


def write_report(
    path: Path,
    found: CrystalResult,
    greys: Mapping[str, np.ndarray],
    figures: Mapping[str, np.ndarray],
    *,
    paths: Sequence[str],
    out: Path,
    provenance: Mapping[str, Any],
) -> None:
    """Write the report of a run.

    Parameters
    ----------
    path : Path
    found : CrystalResult
    greys : mapping of str to ndarray of uint8
        The images on one grey scale, see `emscout.crystals.report.pictures.to_common_greys`.
    figures : mapping of str to ndarray of uint8
        By name: ``contact_sheet``, ``advice``, ``scatter``, ``dendrogram``, ``mosaic``, as far as they exist.
    paths : sequence of str
        Of the images, as the user gave them.
    out : Path
        Folder of the results.
    provenance : mapping
        ``options``, ``emscout``, ``python``, ``libraries``.
    """
    tiles, proposal = found.tiles, found.decision.proposal
    as_recorded = make_tile_pictures(found, {name: one.grey for name, one in found.survey.pictures.items()})
    score = dict(iter(tiles.groupby("image", sort=False)["score"]))
    shapes = {row["image"]: (row["height_px"], row["width_px"]) for row in found.survey.images if row["status"] == "ok"}
    panels = [
        describe_panel(
            name,
            picture,
            score[name].to_numpy(float).reshape(picture.cluster.shape),
            shapes[name],
            n_images=len(as_recorded),
            n_tiles=len(tiles),
        )
        for name, picture in as_recorded.items()
    ]
    question = found.decision.question
    summary = {
        "n_images": len(as_recorded),
        "n_tiles": len(tiles),
        "n_black": int(tiles["black"].sum()),
        "proposed": proposal.cluster,
        "confidence": proposal.confidence,
        "how": found.how,
        "warnings": [
            f"{images}: {notice}" if images else str(notice) for images, notice in group_notices(found.warnings)
        ],
        "failures": [row["error"] for row in found.survey.images if row["status"] == "failed"],
        "question": found.question,
        "question_picture": "" if question is None else as_uri(crop_tiles(found, [question], greys)[0]),
        "commonest": commonest_cluster(tiles),
    }
    write_page(
        path,
        summary=summary,
        panels=panels,
        targets=found.targets,
        target_pictures=[
            as_uri(picture, "JPEG") for picture in crop_targets(found.survey, found.targets.head(_MOST_TARGET_PICTURES))
        ],
        clusters=found.clusters,
        # Photographs as JPEG, drawings as PNG.
        figures={
            name: as_uri(figure, "JPEG" if name in ("mosaic", "contact_sheet") else "PNG")
            for name, figure in figures.items()
        },
        command=_command(paths, out, found.options),
        labels=[(kind, tile) for kind in ("like", "unlike") for tile in getattr(found.options, kind) or ()],
        provenance=provenance,
    )


def _command(paths: Sequence[str], out: Path, options: CrystalOptions) -> str:
    """The command that makes this run, without the labels, which the page adds."""
    words = ["emscout", "locate", *paths, "-o", str(out), "--overwrite"]
    for option in fields(options):
        value, flag = getattr(options, option.name), "--" + option.name.replace("_", "-")
        if value == option.default or option.name in ("like", "unlike"):
            continue
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)


def describe_panel(
    name: str, picture: TilePicture, score: np.ndarray, shape: tuple[int, int], *, n_images: int, n_tiles: int
) -> dict[str, Any]:
    """What the page needs of one image: the micrograph, layers to put over it, and the positions of its tiles.

    Parameters
    ----------
    name : str
    picture : TilePicture
    score : ndarray of float, shape (n_rows, n_cols)
        0 to 1, NaN where a tile is black.
    shape : (int, int)
        Height and width of the whole image.
    n_images, n_tiles : int
        Of the whole page; they decide how much of each image is shown.
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
        "cluster": None,
        "score": "",
    }
    if n_tiles <= _MOST_CAPTIONS:
        # Black tiles are 0.
        panel["cluster"] = picture.cluster.ravel().tolist()
        steps = ((len(_SCORE_CHARACTERS) - 1) * np.nan_to_num(score, nan=0)).round().astype(int).ravel()
        panel["score"] = "".join(_SCORE_CHARACTERS[step] for step in steps)
    return panel


def _cluster_layer(cluster: np.ndarray, commonest: int) -> np.ndarray:
    layer = np.zeros((*cluster.shape, 4), np.uint8)
    for number in range(1, int(max(cluster.max(), 0)) + 1):
        layer[cluster == number] = (*cluster_colour(number), round(255 * cluster_opacity(number, commonest)))
    rows, cols = np.nonzero(cluster == 0)
    hatched = (rows + cols) % 10 == 0
    layer[rows[hatched], cols[hatched]] = (150, 150, 150, 160)
    return layer


def _score_layer(score: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Viridis, more opaque for higher scores, so that empty film stays visible."""
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


def write_page(
    path: Path | str,
    *,
    summary: Mapping[str, Any],
    panels: Sequence[Mapping[str, Any]],
    targets: pd.DataFrame,
    target_pictures: Sequence[str],
    clusters: pd.DataFrame,
    figures: Mapping[str, str],
    command: str,
    labels: Sequence[tuple[str, str]],
    provenance: Mapping[str, Any],
) -> None:
    """Write the report of a run: a page that needs no other file and no network.

    Parameters
    ----------
    path : path-like
    summary : mapping
        ``n_images``, ``n_tiles``, ``n_black``, ``proposed`` (cluster), ``confidence``, ``how`` (what decided the
        targets), ``warnings`` and ``failures`` (lists of sentences), ``question`` (address of the most uncertain tile,
        or empty), ``question_picture`` (data URI or empty), ``commonest`` (cluster).
    panels : sequence of mapping
        From `describe_panel`.
    targets : DataFrame
        As saved.
    target_pictures : sequence of str
        Data URIs of the first targets.
    clusters : DataFrame
        ``cluster``, ``n_tiles``, ``share``, ``score`` and means of statistics.
    figures : mapping of str to str
        Data URIs by name: ``contact_sheet``, ``advice``, ``scatter``, ``dendrogram``, ``mosaic``, as far as they exist.
    command : str
        The command that made this run; the page adds the labels of the reader.
    labels : sequence of (str, str)
        Labels so far: ``like`` or ``unlike``, and the address of the tile.
    provenance : mapping
        ``options``, ``emscout``, ``python``, ``libraries``.
    """
    sizes = {panel["name"]: (panel["height"], panel["width"]) for panel in panels}
    anchors = {panel["name"]: f"image-{number}" for number, panel in enumerate(panels, start=1)}
    swatches = {int(number): "rgb({},{},{})".format(*cluster_colour(int(number))) for number in clusters["cluster"]}
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
        labels=[list(label) for label in labels],
        options=provenance["options"],
        versions=versions_of(provenance),
        score_characters=_SCORE_CHARACTERS,
    )


def _target_rows(
    targets: pd.DataFrame, pictures: Sequence[str], sizes: Mapping[str, tuple[int, int]]
) -> list[dict[str, Any]]:
    """Cells of the table of targets as text, in nm where an image is calibrated."""
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
