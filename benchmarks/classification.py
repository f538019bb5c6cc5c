"""Accuracy of a linear head on frozen features, on splits by source and at random.

    python benchmarks/classification.py DATA/classes/technique
    python benchmarks/classification.py DATA/classes/stem_defects --join SF1+SF2 --random

By source: five folds of whole sources, settings chosen anew within each fold, for several random seeds of the folds;
random: 10 % of each category for testing, 90 % for fitting. Nothing is chosen on test pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from emscout.evaluate.classification import score_categories
from emscout.models import load_category_model
from emscout.specimens.dataset import drop_duplicates, find_near_duplicates, find_pictures, group_pictures
from emscout.specimens.features import BACKBONE, compute_features
from emscout.specimens.head_settings import choose_settings, cross_predict
from emscout.specimens.heads import CLIP, fit_head, probabilities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default=BACKBONE, help="whose features")
    parser.add_argument("--join", default="", metavar="A+B", help="categories to count as one")
    parser.add_argument("--random", action="store_true", help="the naive split instead of one by source")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    table, _, _ = drop_duplicates(find_pictures(arguments.data))
    joined = arguments.join.split("+")
    table["category"] = table["category"].replace(dict.fromkeys(joined, "+".join(joined)))
    model = load_category_model(arguments.model)
    described = compute_features(
        list(table["path"]), lambda views: model.run(views)[1], side_px=model.description["side_px"], mask_banner=True
    )
    table = table.iloc[described.rows].reset_index(drop=True)
    names, features = table["category"].to_numpy(str), described.features
    n_statistics = model.description["n_statistics"]
    if arguments.random:
        sources = np.array(table["sha256"])
    else:
        standard = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
        twins = find_near_duplicates(np.clip(standard, -CLIP, CLIP), described.hashes)
        sources = group_pictures(table["source"].tolist(), twins).astype(str)
    order = np.unique(names)
    rows = []
    for seed in range(arguments.seeds):
        if arguments.random:
            from sklearn.model_selection import StratifiedShuffleSplit

            ((seen, held),) = StratifiedShuffleSplit(1, test_size=0.1, random_state=seed).split(names, names)
            settings = choose_settings(features[seen], names[seen], sources[seen], n_statistics, seed=seed)
            head = fit_head(features[seen], names[seen], sources[seen], n_statistics, settings)
            logits, _ = head.predict(features[held])
        else:
            logits, _ = cross_predict(features, names, sources, n_statistics, folds=5, seed=seed)
            held = np.arange(len(names))
        scores = score_categories(names[held].tolist(), probabilities(logits, 1.0), list(order))
        rows.append({"seed": seed, **{name: scores[name] for name in ("n", "accuracy", "macro_f1")}})
        print(rows[-1], flush=True)
    print(f"{arguments.data}, {'random' if arguments.random else 'by source'}, {len(order)} categories")
    print(
        pd.DataFrame(rows)[["accuracy", "macro_f1"]].agg(["mean", "min", "max"]).to_string(float_format="{:.3f}".format)
    )


if __name__ == "__main__":
    main()
