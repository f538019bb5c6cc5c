"""How well tiles with particles are found on labelled micrographs taken as overview images.

    python benchmarks/crystals_accuracy.py FOLDER [--images training] [--tiles 16] [--csv FILE]

A tile is positive when more than a fifth of it is particle. Prints the mean over images of the tile F1; each image is a
set of its own. Baselines are given what they cannot know: the threshold or cluster that is best on each image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import track

from emscout.crystals.choice.cluster import cluster_tiles
from emscout.crystals.choice.decide import HALF_SHARE, combine_scores, decide
from emscout.crystals.choice.presets import PRESETS, Preset
from emscout.crystals.choice.propose import SCORE_STATISTICS, TileModel, compute_predictors, propose_target, score_tiles
from emscout.crystals.choice.user_labels import collect_labels, most_uncertain, score_with_labels
from emscout.crystals.survey import ImageSource, survey_images
from emscout.crystals.tiles.grid import cut_grid
from emscout.crystals.tiles.network import particle_share
from emscout.crystals.tiles.statistics import calculate_statistics
from emscout.crystals.tiles.windows import window_sums
from emscout.evaluate.split import SPLIT_SEED, VALIDATION_SHARE, split_images
from emscout.io import read
from emscout.io.labels import LabelledImage, find_labelled

POSITIVE_SHARE = 0.2
CLICKS = 5


@dataclass(frozen=True, eq=False)
class Overview:
    """A labelled image as `emscout locate` sees it: all arrays have the lattice's shape first."""

    name: str
    truth: np.ndarray  # bool
    black: np.ndarray  # bool
    features: np.ndarray
    raw: dict[str, np.ndarray]  # statistics of the grey values as recorded
    flat: dict[str, np.ndarray]  # statistics without uneven light
    share: np.ndarray  # share of particle by the network
    tiles: pd.DataFrame


def survey(labelled: LabelledImage, n_tiles: int) -> Overview:
    """Everything about the tiles of an image."""
    micrograph = read(labelled.path)
    grey = micrograph.image
    lattice = cut_grid(grey.shape, n_tiles, n_tiles)
    source = ImageSource(labelled.name, lambda: micrograph, labelled.name)
    names = dict.fromkeys((*PRESETS["default"].statistics, *SCORE_STATISTICS))
    surveyed = survey_images([source], lambda *_: lattice, tuple(names))
    particle = window_sums(labelled.draw(grey.shape) > 0, lattice) / lattice.areas
    raw = np.moveaxis(calculate_statistics(grey, lattice, PRESETS["janus2018"].statistics), -1, 0)
    return Overview(
        labelled.name,
        particle > POSITIVE_SHARE,
        surveyed.tiles["black"].to_numpy(bool).reshape(lattice.shape),
        surveyed.features.reshape(*lattice.shape, -1),
        dict(zip(PRESETS["janus2018"].statistics, raw, strict=True)),
        {name: surveyed.tiles[name].to_numpy(float).reshape(lattice.shape) for name in names},
        particle_share(grey, lattice),
        surveyed.tiles,
    )


def tile_f1(truth: np.ndarray, found: np.ndarray) -> float:
    """F1 of tiles; 1 where there are none and none are found."""
    either = truth.sum() + found.sum()
    return float(2 * (truth & found).sum() / either) if either else 1.0


def best_threshold(truth: np.ndarray, values: np.ndarray) -> float:
    return max(tile_f1(truth, values >= threshold) for threshold in np.unique(values))


def cluster(statistics: dict[str, np.ndarray], seen: np.ndarray, preset: Preset) -> np.ndarray:
    """Cluster numbers, 0 where not seen."""
    labels = np.zeros(seen.shape, int)
    values = np.stack([statistics[name][seen] for name in preset.statistics], axis=1)
    n_clusters = min(preset.n_clusters, len(np.unique(values, axis=0)))
    labels[seen] = cluster_tiles(
        values,
        statistics["mean"][seen],
        n_clusters,
        clusterer=preset.clusterer,
        reduction=preset.reduction,
        linkage=preset.linkage,
        metric=preset.metric,
    )
    return labels


def best_cluster(truth: np.ndarray, labels: np.ndarray) -> float:
    return max(tile_f1(truth, labels == label) for label in np.unique(labels[labels > 0]))


def proposed_cluster(overview: Overview, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    row, col = (index.ravel() for index in np.indices(labels.shape))
    tiles = pd.DataFrame({"image": overview.name, "row": row, "col": col, "black": overview.black.ravel()})
    tiles["cluster"] = pd.Series(labels.ravel(), dtype="Int64").mask(labels.ravel() == 0)
    tiles["score"] = scores.ravel()
    for name in SCORE_STATISTICS:
        tiles[name] = overview.flat[name].ravel()
    return labels == propose_target(tiles).cluster


def click(
    truth: np.ndarray, predictors: np.ndarray, n_clicks: int, model: TileModel | None = None
) -> Iterator[np.ndarray]:
    """Scores after each label of the most uncertain tile; a labelled tile keeps its label."""
    scores, asked = score_with_labels(predictors, None, model), []
    for _ in range(min(n_clicks, len(truth))):
        asked.append(most_uncertain(scores, asked))
        positive, negative = ([tile for tile in asked if truth[tile] == answer] for answer in (True, False))
        scores = score_with_labels(predictors, collect_labels(predictors, positive, negative, model=model), model)
        scores[asked] = truth[asked]
        yield scores


def score_image(overview: Overview) -> dict[str, float]:
    """Tile F1 of every way to find particles."""
    truth, seen = overview.truth, ~overview.black
    everything = np.ones(truth.shape, bool)
    published = cluster(overview.raw, everything, PRESETS["janus2018"])
    row = {
        "marking everything": tile_f1(truth, everything),
        "standard deviation, best threshold by hand": best_threshold(truth, overview.raw["standard_deviation"]),
        "published recipe, best cluster by hand": best_cluster(truth, published),
    }
    found, scores = np.zeros(truth.shape, bool), np.full(truth.shape, np.nan)
    if seen.any():
        predictors = compute_predictors(overview.features[seen])
        scores[seen] = score_tiles(predictors)
        labels = cluster(overview.flat, seen, PRESETS["default"])
        row["default clusters, best by hand"] = best_cluster(truth, labels)
        row["default clusters, the proposed one"] = tile_f1(truth, proposed_cluster(overview, labels, scores))
        row["tiles scored, nothing by hand"] = tile_f1(truth, scores >= 0.5)
        decided = decide(overview.tiles, overview.features.reshape(truth.size, -1), PRESETS["default"]).tiles
        row["as emscout locate decides, nothing by hand"] = tile_f1(
            truth, decided["target"].to_numpy().reshape(truth.shape)
        )
        asked = combine_scores(overview.share, HALF_SHARE, scores, 0) >= 0.5
        row["with the network (--network), nothing by hand"] = tile_f1(truth, asked & seen)
        for n_clicks, after in enumerate(click(truth[seen], predictors, CLICKS), start=1):
            found[seen] = after >= 0.5
            row[f"after {n_clicks} answer{'s' if n_clicks > 1 else ''}"] = tile_f1(truth, found)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images and label maps, such as EMPS")
    parser.add_argument("--images", choices=("validation", "training"), default="validation")
    parser.add_argument("--tiles", type=int, default=16, help="tiles down and across an image")
    parser.add_argument("--csv", type=Path, help="write the scores of each image here")
    arguments = parser.parse_args()
    labelled = {image.name: image for image in find_labelled(arguments.folder)}
    training, validation = split_images(arguments.folder, list(labelled), VALIDATION_SHARE, SPLIT_SEED)
    names = validation if arguments.images == "validation" else training
    rows = []
    for name in track(names, description=arguments.images):
        rows.append({"image": name, **score_image(survey(labelled[name], arguments.tiles))})
    table = pd.DataFrame(rows).set_index("image")
    if arguments.csv:
        table.to_csv(arguments.csv)
    print(f"Mean tile F1 over {len(table)} {arguments.images} images, {arguments.tiles}x{arguments.tiles} tiles")
    print(table.mean().to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
