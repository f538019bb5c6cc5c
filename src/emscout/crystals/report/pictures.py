"""What the locator shows: heat maps, how clusterings of other numbers look, the tiles among their statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from emscout.crystals.choice.cluster import grow_tree, standardise
from emscout.crystals.choice.decide import Decision, cluster_set
from emscout.crystals.choice.presets import Preset
from emscout.crystals.choice.propose import propose_target
from emscout.crystals.navigation.targets import cells_of
from emscout.crystals.report.heat_map import TilePicture, draw_contact_sheet, draw_heat_map, tint_tiles
from emscout.crystals.report.mosaic import draw_mosaic, read_layout
from emscout.crystals.report.tile_plots import plot_dendrogram, plot_scatter, spread_out
from emscout.crystals.survey import Survey
from emscout.errors import EmscoutError
from emscout.report.overlay import shrink_image

__all__ = [
    "commonest_cluster",
    "draw_counts",
    "draw_heat_maps",
    "draw_set",
    "even_greys",
    "picture_tiles",
    "plot_tiles",
    "plot_tree",
    "target_pictures",
    "tile_pictures",
]

COUNTS = range(2, 6)
# More are too small to be told apart on one sheet.
_MOST_IN_SHEET = 16
_PANEL_SIDE_PX = 1200
_MOST_IN_TREE = 400


def even_greys(survey: Survey) -> dict[str, np.ndarray]:
    """All images in small as uint8 on one grey scale, so that equal greys mean the same in each."""
    known = [picture.even[np.isfinite(picture.even)].astype(np.float32) for picture in survey.pictures.values()]
    # Each image weighs the same, whatever its size.
    bounds = [np.percentile(part, (0.3, 99.7)) for part in known if part.size]
    low, high = np.median(bounds, axis=0) if bounds else (0.0, 1.0)
    greys = {}
    for name, picture in survey.pictures.items():
        even = 255 * np.clip((picture.even.astype(np.float32) - low) / max(high - low, 1e-9), 0, 1)
        greys[name] = np.where(np.isfinite(even), np.nan_to_num(even), picture.grey).astype(np.uint8)
    return greys


def commonest_cluster(tiles: pd.DataFrame) -> int:
    """The cluster of most tiles."""
    return int(tiles["cluster"].dropna().astype(int).mode().iloc[0])


def picture_tiles(survey: Survey, tiles: pd.DataFrame, greys: dict[str, np.ndarray]) -> dict[str, TilePicture]:
    """What is to be drawn of each image; ``greys`` from `even_greys`, or the images as they were recorded."""
    drawn = {}
    commonest = commonest_cluster(tiles)
    for name, part in tiles.groupby("image", sort=False):
        name, shape = str(name), survey.lattices[str(name)].shape
        cells = cells_of(survey.lattices[name])
        drawn[name] = TilePicture(
            grey=greys[name],
            shrink=survey.pictures[name].shrink,
            rows=cells.rows,
            cols=cells.cols,
            cluster=part["cluster"].fillna(0).to_numpy(int).reshape(shape),
            target=part["target"].to_numpy(bool).reshape(shape),
            commonest=commonest,
        )
    return drawn


def draw_heat_maps(survey: Survey, decision: Decision, targets: pd.DataFrame) -> dict[str, np.ndarray]:
    """Clusters and targets of each image on the image as it was recorded."""
    greys = {name: picture.grey for name, picture in survey.pictures.items()}
    names = {number: f"cluster {number}" for number in sorted(decision.tiles["cluster"].dropna().astype(int).unique())}
    if decision.tiles["black"].any():
        names[0] = "black, left out"
    nm_per_px = {row["image"]: row.get("nm_per_px") for row in survey.images}
    drawn = {}
    for name, picture in picture_tiles(survey, decision.tiles, greys).items():
        here = targets[targets["image"] == name]
        ranks = list(zip(here["rank"], here["row_px"], here["col_px"], strict=True))
        drawn[name] = draw_heat_map(picture, names, ranks, nm_per_px=nm_per_px[name])
    return drawn


def draw_set(pictures: dict[str, np.ndarray], *, max_side_px: int = 2400) -> np.ndarray:
    """All images of a set in their rows and columns, or as a list where names do not tell."""
    return draw_mosaic(pictures, read_layout(list(pictures)), max_side_px=max_side_px)


def draw_counts(
    decision: Decision, recipe: Preset, survey: Survey, greys: dict[str, np.ndarray], *, seed: int
) -> np.ndarray | None:
    """A contact sheet: the set in 2, 3, 4 and 5 clusters, each with the cluster outlined that would be proposed."""
    shown = list(greys)[:_MOST_IN_SHEET]
    panels = []
    for n_clusters in COUNTS:
        try:
            tiles = cluster_set(decision.tiles, replace(recipe, n_clusters=n_clusters), seed)
        except EmscoutError:  # too few different tiles for so many
            continue
        proposal = propose_target(tiles)
        outlined = tiles.assign(target=(tiles["cluster"] == proposal.cluster).fillna(False).astype(bool))
        drawn = picture_tiles(survey, outlined[outlined["image"].isin(shown)], greys)
        used = " (used here)" if n_clusters == recipe.n_clusters else ""
        title = f"{n_clusters} clusters{used}: outlined, the one most like crystal ({proposal.cluster})"
        panels.append((title, draw_set({name: tint_tiles(_smaller(drawn[name], len(shown))) for name in shown})))
    return draw_contact_sheet(panels) if panels else None


def _smaller(picture: TilePicture, count: int) -> TilePicture:
    """A picture at the size it has among others on a sheet, so that lines drawn on it keep their width."""
    factor = math.ceil(max(picture.grey.shape) * math.ceil(math.sqrt(count)) / _PANEL_SIDE_PX)
    grey = shrink_image(picture.grey, factor).round().astype(np.uint8)
    return replace(picture, grey=grey, shrink=picture.shrink * factor)


def tile_pictures(
    survey: Survey, tiles: pd.DataFrame, rows: Sequence[int] | np.ndarray, greys: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """The tiles in those rows of the table as they look, in small."""
    cut = []
    for one in tiles.iloc[list(rows)].to_dict("records"):
        shrink, grey = survey.pictures[one["image"]].shrink, greys[one["image"]]
        top, left = one["top_px"] // shrink, one["left_px"] // shrink
        height, width = max(2, one["height_px"] // shrink), max(2, one["width_px"] // shrink)
        cut.append(grey[top : top + height, left : left + width])
    return cut


def target_pictures(survey: Survey, targets: pd.DataFrame, *, side_px: int) -> list[np.ndarray]:
    """Each target with some of its surroundings, as it was recorded, in a square."""
    cut = []
    for one in targets.to_dict("records"):
        picture = survey.pictures[one["image"]]
        reach = max(0.6 * max(one["height_px"], one["width_px"]) / picture.shrink, 12)
        middle = (one["row_px"] / picture.shrink, one["col_px"] / picture.shrink)
        top, left = (max(0, round(place - reach)) for place in middle)
        bottom, right = (round(place + reach) for place in middle)
        square = Image.fromarray(picture.grey[top:bottom, left:right])
        square = ImageOps.pad(square, (side_px, side_px), color=255, method=Image.Resampling.LANCZOS)
        cut.append(np.asarray(square))
    return cut


def plot_tiles(survey: Survey, decision: Decision, recipe: Preset, greys: dict[str, np.ndarray]) -> np.ndarray | None:
    """The tiles in the plane of the two numbers that part them most; nothing where there is only one number."""
    seen = decision.seen
    values = standardise(decision.tiles.iloc[seen][list(recipe.statistics)].to_numpy(float))
    if recipe.reduction == "none" and values.shape[1] == 2:
        points, labels = values, (recipe.statistics[0], recipe.statistics[1])
    else:
        points, labels = _principal_plane(values, recipe.statistics)
    if points.shape[1] < 2:
        return None
    clusters = decision.tiles["cluster"].iloc[seen].to_numpy(int)
    target = decision.tiles["target"].iloc[seen].to_numpy(bool)
    chosen = spread_out(points)
    pictures = tile_pictures(survey, decision.tiles, seen[chosen], greys)
    return plot_scatter(points, clusters, target, pictures, chosen, labels)


def _principal_plane(values: np.ndarray, statistics: Sequence[str]) -> tuple[np.ndarray, tuple[str, str]]:
    """The two directions in which tiles differ most, and what they are made of."""
    _, sizes, directions = np.linalg.svd(values, full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-12)
    labels = []
    for number, direction in enumerate(directions[:2]):
        heaviest = np.argsort(-np.abs(direction), kind="stable")[:2]
        made_of = ", ".join(statistics[index].replace("_", " ") for index in heaviest)
        labels.append(f"component {number + 1} ({shares[number]:.0%} of the differences; mostly {made_of})")
    # The sign of a component means nothing; let what grows with it be its heaviest statistic.
    signs = [np.sign(direction[np.abs(direction).argmax()]) or 1.0 for direction in directions[:2]]
    return values @ directions[:2].T * signs, (labels[0], labels[-1])


def plot_tree(
    survey: Survey, decision: Decision, recipe: Preset, greys: dict[str, np.ndarray], *, seed: int
) -> np.ndarray | None:
    """How a sample of the tiles joins into groups; nothing where there are fewer than three, or all the same."""
    seen, count = decision.seen, len(decision.points)
    if count < 3:
        return None
    chosen = np.sort(np.random.default_rng(seed).permutation(count)[:_MOST_IN_TREE])
    tree = grow_tree(decision.points[chosen], recipe.linkage, recipe.metric)
    if not tree[:, 2].any():
        return None
    clusters = decision.tiles["cluster"].iloc[seen[chosen]].to_numpy(int)
    pictures = tile_pictures(survey, decision.tiles, seen[chosen], greys)
    distance = f"distance ({recipe.metric}, {recipe.linkage})"
    return plot_dendrogram(tree, clusters, pictures, recipe.n_clusters, distance=distance)
