"""Make the numbers in src/emscout/crystals/tile_model.json from labelled images, of which it takes the training part.

    python benchmarks/crystals_model.py FOLDER -o src/emscout/crystals/tile_model.json

Prints the mean tile F1 in four-fold cross-validation by source, then fits to all training images. Validation images are
not used.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from crystals_accuracy import CLICKS, Overview, click, survey, tile_f1
from rich.progress import track
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier

from emscout.crystals.choice.propose import (
    TileModel,
    compute_predictors,
    feature_quantiles,
    make_inputs,
    read_tile_model,
    score_tiles,
)
from emscout.crystals.tiles.tile_features import FEATURES, MAPS
from emscout.evaluate.split import SPLIT_SEED, VALIDATION_SHARE, read_sources, split_images
from emscout.io.labels import find_labelled

N_TILES = 16
N_HIDDEN = 48
N_EPOCHS = 6
N_COMPONENTS = 10
SEEDS = (0, 1)
FOLDS = 4
LOCAL = (3.0, 0.5)
# Neighbouring tiles are not independent: each counts for this much when sets are compared.
WITNESS = 0.1
EM_STEPS = 8
DIGITS = 5
# Components are made of the features of a tile and of the three tiles around it, relative to the set.
COMPARED = slice(len(MAPS), 3 * len(MAPS))


def fit_networks(inputs: np.ndarray, truth: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, float]]:
    layers = []
    for seed in SEEDS:
        network = MLPClassifier((N_HIDDEN,), alpha=1.0, batch_size=256, max_iter=N_EPOCHS, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
            network.fit(inputs, truth)
        (hidden, out), (bias, last) = network.coefs_, network.intercepts_
        layers.append((hidden, bias, out[:, 0], float(last[0])))
    return layers


def fit_answers(predictors: np.ndarray, truth: np.ndarray, mean: np.ndarray, covariance: np.ndarray):
    """Weights of the predictors in one set, with those of all sets as the prior; and their covariance."""
    precision, weights = np.linalg.inv(covariance), mean.copy()
    for _ in range(20):
        chance = 1 / (1 + np.exp(-np.clip(predictors @ weights, -30, 30)))
        slope = WITNESS * predictors.T @ (truth - chance) - precision @ (weights - mean)
        curve = WITNESS * (predictors * (chance * (1 - chance))[:, None]).T @ predictors + precision
        step = np.clip(np.linalg.solve(curve, slope), -3, 3)
        weights = weights + step
        if np.abs(step).max() < 1e-5:
            break
    return weights, np.linalg.inv(curve)


def compare_sets(predictors: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance over sets of the weights of the predictors, by expectation maximisation."""
    n_predictors = predictors[0].shape[1]
    mean, covariance = np.eye(n_predictors)[1], 0.3 * np.eye(n_predictors)
    for _ in range(EM_STEPS):
        fits = [fit_answers(*pair, mean, covariance) for pair in zip(predictors, truths, strict=True)]
        weights = np.array([fit[0] for fit in fits])
        mean = weights.mean(0)
        covariance = (
            np.cov(weights.T, bias=True) + np.mean([fit[1] for fit in fits], axis=0) + 1e-6 * np.eye(n_predictors)
        )
    return mean, covariance


def make_reader(overviews: Sequence[Overview]) -> TileModel:
    """A model that computes predictors, and whose score is that of the networks alone."""
    inputs = [make_inputs(o.features[~o.black], feature_quantiles(o.features[~o.black])) for o in overviews]
    truth = np.concatenate([o.truth[~o.black] for o in overviews])
    stacked = np.concatenate(inputs)
    centre, spread = stacked.mean(0), np.maximum(stacked.std(0), 1e-6)
    points = np.clip((stacked - centre) / spread, -5, 5)
    pca = PCA(N_COMPONENTS, svd_solver="full").fit(points[:, COMPARED])
    components = np.zeros((points.shape[1], N_COMPONENTS))
    components[COMPARED] = (pca.components_ / np.sqrt(pca.explained_variance_)[:, None]).T
    n_predictors = 2 + N_COMPONENTS
    return TileModel(
        "",
        centre,
        spread,
        fit_networks(points, truth),
        components,
        np.eye(n_predictors)[1],
        np.eye(n_predictors),
        *LOCAL,
    )


def make_model(overviews: Sequence[Overview], sources: Sequence[str]) -> TileModel:
    """The whole model: how sets differ is learned from predictors of networks that were not trained on them."""
    predictors: dict[str, np.ndarray] = {}
    for kept, held in GroupKFold(FOLDS).split(overviews, groups=sources):
        apart = make_reader([overviews[i] for i in kept])
        for i in held:
            predictors[overviews[i].name] = compute_predictors(overviews[i].features[~overviews[i].black], apart)
    reader = make_reader(overviews)
    # Components of the folds differ in sign and order; those of the reader itself are no more fitted to the truth.
    for overview in overviews:
        predictors[overview.name][:, 2:] = compute_predictors(overview.features[~overview.black], reader)[:, 2:]
    mean, covariance = compare_sets(
        [predictors[o.name] for o in overviews], [o.truth[~o.black].astype(float) for o in overviews]
    )
    return TileModel("", reader.centre, reader.spread, reader.layers, reader.components, mean, covariance, *LOCAL)


def cross_validate(overviews: Sequence[Overview], sources: Sequence[str]) -> list[float]:
    """Mean tile F1 with no answer and after 1 to `CLICKS` answers."""
    f1 = []
    for kept, held in GroupKFold(FOLDS).split(overviews, groups=sources):
        model = make_model([overviews[i] for i in kept], [sources[i] for i in kept])
        for overview in (overviews[i] for i in held):
            predictors, truth = (
                compute_predictors(overview.features[~overview.black], model),
                overview.truth[~overview.black],
            )
            row = []
            for scores in (score_tiles(predictors, model), *click(truth, predictors, CLICKS, model)):
                found = np.zeros(overview.truth.shape, bool)
                found[~overview.black] = scores >= 0.5
                row.append(tile_f1(overview.truth, found))
            f1.append(row + row[-1:] * (CLICKS + 1 - len(row)))
    return np.mean(f1, axis=0).tolist()


def save_model(model: TileModel, path: Path, origin: dict) -> None:
    def shorten(values: np.ndarray) -> list:
        return [shorten(row) for row in values] if values.ndim > 1 else [float(f"{v:.{DIGITS}g}") for v in values]

    content = {
        "features": FEATURES,
        "centre": shorten(model.centre),
        "spread": shorten(model.spread),
        "layers": [[shorten(h), shorten(b), shorten(o), float(f"{last:.{DIGITS}g}")] for h, b, o, last in model.layers],
        "components": shorten(model.components),
        "mean": shorten(model.mean),
        "covariance": shorten(model.covariance),
        "local": list(LOCAL),
    }
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    path.write_text(json.dumps({"name": f"tiles-{digest}", "made": origin, **content}) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images and label maps, such as EMPS")
    parser.add_argument("-o", "--out", type=Path, required=True)
    arguments = parser.parse_args()
    labelled = {image.name: image for image in find_labelled(arguments.folder)}
    training, _ = split_images(arguments.folder, list(labelled), VALIDATION_SHARE, SPLIT_SEED)
    overviews = [survey(labelled[name], N_TILES) for name in track(training, description="features")]
    overviews = [overview for overview in overviews if not overview.black.all()]
    names = [overview.name for overview in overviews]
    sources = [source for _, source in read_sources(arguments.folder, names) or [(name, name) for name in names]]
    f1 = cross_validate(overviews, sources)
    print("Mean tile F1 in cross-validation, with 0, 1, ... answers:", " ".join(f"{value:.3f}" for value in f1))
    origin = {
        "command": f"python benchmarks/crystals_model.py {arguments.folder.name} -o {arguments.out.name}",
        "images": f"{len(overviews)} training images of {arguments.folder.name}, {N_TILES}x{N_TILES} tiles each",
        "split": {"seed": SPLIT_SEED, "validation_share": VALIDATION_SHARE},
        "cross_validated_tile_f1": {f"{n} answers": round(value, 4) for n, value in enumerate(f1)},
    }
    save_model(make_model(overviews, sources), arguments.out, origin)
    read_tile_model(arguments.out.resolve())


if __name__ == "__main__":
    main()
