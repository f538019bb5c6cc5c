"""Pictures of a result: heat maps, clusterings with other numbers of clusters, tiles by their statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from emscout.crystals.choice.cluster import build_tree, standardise
from emscout.crystals.choice.decide import assign_clusters
from emscout.crystals.choice.propose import propose_target
from emscout.crystals.find import CrystalResult
from emscout.crystals.navigation.targets import cells_of
from emscout.crystals.report.heat_map import TilePicture, colour_tiles, draw_contact_sheet, draw_heat_map
from emscout.crystals.report.mosaic import draw_mosaic, read_layout
from emscout.crystals.report.tile_plots import choose_spread_points, plot_dendrogram, plot_scatter
from emscout.crystals.survey import Survey
from emscout.errors import EmscoutError
from emscout.report.overlay import shrink_image

__all__ = [
    "commonest_cluster",
    "crop_targets",
    "crop_tiles",
    "draw_cluster_counts",
    "draw_heat_maps",
    "draw_overview",
    "make_tile_pictures",
    "plot_tile_dendrogram",
    "plot_tile_scatter",
    "to_common_greys",
]

COUNTS = range(2, 6)
# More images are too small to see on one sheet.
_MOST_IN_SHEET = 16
_PANEL_SIDE_PX = 1200
_TARGET_SIDE_PX = 120
_MOST_IN_TREE = 400


def to_common_greys(survey: Survey) -> dict[str, np.ndarray]:
    """The reduced images as uint8 on one grey scale, so that equal greys mean the same in each."""
    known = [picture.even[np.isfinite(picture.even)].astype(np.float32) for picture in survey.pictures.values()]
    # Images of all sizes have the same weight.
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


def make_tile_pictures(
    found: CrystalResult, greys: Mapping[str, np.ndarray], tiles: pd.DataFrame | None = None
) -> dict[str, TilePicture]:
    """What is to be drawn of each image.

    Parameters
    ----------
    found : CrystalResult
    greys : mapping of str to ndarray of uint8
        From `to_common_greys`, or the images as recorded.
    tiles : DataFrame, optional
        To be drawn instead of those of the result.
    """
    survey, drawn = found.survey, {}
    tiles = found.tiles if tiles is None else tiles
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


def draw_heat_maps(found: CrystalResult) -> dict[str, np.ndarray]:
    """Clusters and targets of each image, drawn on the image as recorded."""
    tiles, targets = found.tiles, found.targets
    greys = {name: picture.grey for name, picture in found.survey.pictures.items()}
    names = {number: f"cluster {number}" for number in sorted(tiles["cluster"].dropna().astype(int).unique())}
    if tiles["black"].any():
        names[0] = "black, left out"
    nm_per_px = {row["image"]: row.get("nm_per_px") for row in found.survey.images}
    drawn = {}
    for name, picture in make_tile_pictures(found, greys).items():
        here = targets[targets["image"] == name]
        ranks = list(zip(here["rank"], here["row_px"], here["col_px"], strict=True))
        drawn[name] = draw_heat_map(picture, names, ranks, nm_per_px=nm_per_px[name])
    return drawn


def draw_overview(pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """All images of a set in their rows and columns, or as a list where the names do not tell these."""
    return draw_mosaic(pictures, read_layout(list(pictures)))


def draw_cluster_counts(found: CrystalResult, greys: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """A contact sheet: the set in 2, 3, 4 and 5 clusters, with the cluster outlined that would be proposed."""
    recipe = found.options.recipe
    shown = list(greys)[:_MOST_IN_SHEET]
    panels = []
    for n_clusters in COUNTS:
        try:
            tiles = assign_clusters(found.tiles, replace(recipe, n_clusters=n_clusters), found.options.seed)
        except EmscoutError:  # too few different tiles
            continue
        proposal = propose_target(tiles)
        outlined = tiles.assign(target=(tiles["cluster"] == proposal.cluster).fillna(False).astype(bool))
        drawn = make_tile_pictures(found, greys, outlined[outlined["image"].isin(shown)])
        used = " (used here)" if n_clusters == recipe.n_clusters else ""
        title = f"{n_clusters} clusters{used}: outlined, the one most like crystal ({proposal.cluster})"
        panels.append((title, draw_overview({name: colour_tiles(_reduce(drawn[name], len(shown))) for name in shown})))
    return draw_contact_sheet(panels) if panels else None


def _reduce(picture: TilePicture, count: int) -> TilePicture:
    """A picture reduced to its size on the sheet, so that lines drawn on it keep their width."""
    factor = math.ceil(max(picture.grey.shape) * math.ceil(math.sqrt(count)) / _PANEL_SIDE_PX)
    grey = shrink_image(picture.grey, factor).round().astype(np.uint8)
    return replace(picture, grey=grey, shrink=picture.shrink * factor)


def crop_tiles(
    found: CrystalResult, rows: Sequence[int] | np.ndarray, greys: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Pictures of the tiles in those rows of the table."""
    cut = []
    for one in found.tiles.iloc[list(rows)].to_dict("records"):
        shrink, grey = found.survey.pictures[one["image"]].shrink, greys[one["image"]]
        top, left = one["top_px"] // shrink, one["left_px"] // shrink
        height, width = max(2, one["height_px"] // shrink), max(2, one["width_px"] // shrink)
        cut.append(grey[top : top + height, left : left + width])
    return cut


def crop_targets(survey: Survey, targets: pd.DataFrame) -> list[np.ndarray]:
    """A square picture of each target and its surroundings, as recorded."""
    cut = []
    for one in targets.to_dict("records"):
        picture = survey.pictures[one["image"]]
        reach = max(0.6 * max(one["height_px"], one["width_px"]) / picture.shrink, 12)
        middle = (one["row_px"] / picture.shrink, one["col_px"] / picture.shrink)
        top, left = (max(0, round(place - reach)) for place in middle)
        bottom, right = (round(place + reach) for place in middle)
        square = Image.fromarray(picture.grey[top:bottom, left:right])
        square = ImageOps.pad(square, (_TARGET_SIDE_PX, _TARGET_SIDE_PX), color=255, method=Image.Resampling.LANCZOS)
        cut.append(np.asarray(square))
    return cut


def plot_tile_scatter(found: CrystalResult, greys: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Tiles in the plane of their first two principal components; ``None`` where there is only one."""
    recipe, tiles, usable = found.options.recipe, found.tiles, found.decision.usable
    values = standardise(tiles.iloc[usable][list(recipe.statistics)].to_numpy(float))
    if recipe.reduction == "none" and values.shape[1] == 2:
        points, labels = values, (recipe.statistics[0], recipe.statistics[1])
    else:
        points, labels = _principal_plane(values, recipe.statistics)
    if points.shape[1] < 2:
        return None
    clusters = tiles["cluster"].iloc[usable].to_numpy(int)
    target = tiles["target"].iloc[usable].to_numpy(bool)
    chosen = choose_spread_points(points)
    pictures = crop_tiles(found, usable[chosen], greys)
    return plot_scatter(points, clusters, target, pictures, chosen, labels)


def _principal_plane(values: np.ndarray, statistics: Sequence[str]) -> tuple[np.ndarray, tuple[str, str]]:
    """The first two principal components of the tiles, and labels that name their heaviest statistics."""
    _, sizes, directions = np.linalg.svd(values, full_matrices=False)
    shares = sizes**2 / max(float((sizes**2).sum()), 1e-12)
    labels = []
    for number, direction in enumerate(directions[:2]):
        heaviest = np.argsort(-np.abs(direction), kind="stable")[:2]
        made_of = ", ".join(statistics[index].replace("_", " ") for index in heaviest)
        labels.append(f"component {number + 1} ({shares[number]:.0%} of the variance; mostly {made_of})")
    # The sign of a component is arbitrary: it is chosen so that the heaviest statistic grows with the component.
    signs = [np.sign(direction[np.abs(direction).argmax()]) or 1.0 for direction in directions[:2]]
    return values @ directions[:2].T * signs, (labels[0], labels[-1])


def plot_tile_dendrogram(found: CrystalResult, greys: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """How a sample of the tiles joins into groups; ``None`` where there are fewer than three, or all are the same."""
    recipe, decision = found.options.recipe, found.decision
    usable, count = decision.usable, len(decision.points)
    if count < 3:
        return None
    chosen = np.sort(np.random.default_rng(found.options.seed).permutation(count)[:_MOST_IN_TREE])
    tree = build_tree(decision.points[chosen], recipe.linkage, recipe.metric)
    if not tree[:, 2].any():
        return None
    clusters = found.tiles["cluster"].iloc[usable[chosen]].to_numpy(int)
    pictures = crop_tiles(found, usable[chosen], greys)
    distance = f"distance ({recipe.metric}, {recipe.linkage})"
    return plot_dendrogram(tree, clusters, pictures, recipe.n_clusters, distance=distance)
