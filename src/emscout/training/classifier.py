"""Train a classifier: read the pictures, train one of three networks, score it, write the model with its card."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from emscout.models import load_category_model
from emscout.specimens.accuracy import save_evaluation, spell_accuracy
from emscout.specimens.dataset import find_pictures
from emscout.specimens.head_settings import CHOOSING_FOLDS
from emscout.specimens.views import SIDE_PX
from emscout.training.card import write_card
from emscout.training.classifier_card import describe_training
from emscout.training.classifier_data import Pictures, prepare_pictures
from emscout.training.classifier_export import body_of, export_body, write_classifier
from emscout.training.classifier_frozen import Judged, compare_splits, fit_on_folds, fit_on_split, learning_curve
from emscout.training.classifier_options import ClassifierOptions
from emscout.training.non_micrographs import draw_non_micrographs
from emscout.training.options import open_run
from emscout.training.report import write_training_page

if TYPE_CHECKING:
    import onnx

__all__ = ["Trained", "train_classifier"]

_LOG = logging.getLogger(__name__)

IMAGENET = "efficientnet-lite0"
_READING, _TRAINING = 0.4, 0.9
"""Shares of the progress bar behind which the pictures are read, and the network is trained."""

Show = Callable[[float, str], None]


@dataclass(frozen=True)
class Trained:
    """The result of a run.

    Parameters
    ----------
    model : Path
    accuracy : str
        How accurate it is, as a sentence, and what limits that number.
    failures : tuple of str
        A sentence for each picture that could not be used.
    """

    model: Path
    accuracy: str
    failures: tuple[str, ...]


def train_classifier(
    data: Path,
    run: Path,
    options: ClassifierOptions | None = None,
    *,
    resume: bool = False,
    progress: Show | None = None,
) -> Trained:
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
        Continue the run in ``run``: pictures are not read again, trained epochs are kept.
    progress : callable or None
        Called as ``progress(fraction done, message)``.

    Returns
    -------
    Trained

    Raises
    ------
    UsageError
        When there is nothing to train on.
    ModelError, ReadError, OutputError
        When a file cannot be read or written, there is no such model to start from, or ``run`` holds a run already and
        ``resume`` is not set.
    """
    options = options or ClassifierOptions()
    show = progress or (lambda fraction, message: None)
    find_pictures(data)  # errors of the call come before anything is written
    show(0.0, "loading the network")
    body, n_statistics = _body_to_start_from(options)
    open_run(run, options, resume=resume, begun=_is_begun(run))
    encode = _encoder(body)
    pictures = prepare_pictures(
        data,
        run,
        encode,
        body_sha256=hashlib.sha256(body.SerializeToString(deterministic=True)).hexdigest(),
        side_px=SIDE_PX,
        mask_banner=options.mask_banner,
        seed=options.seed,
        progress=_count_down(show, "reading", 0.0, _READING),
    )
    table = pictures.table
    _LOG.info(
        "%d pictures of %d groups in %d categories", len(table), table["group"].nunique(), len(pictures.categories)
    )
    show(_READING, "training")
    if options.network == "frozen":
        views = draw_non_micrographs(options.seed)
        foreign = np.concatenate([encode(view[None]) for view in views])
        # Settings are chosen once a split, or once a fold, for the head itself, and for both splits.
        steps = CHOOSING_FOLDS * (options.folds + 3 if options.folds else 2)
        tick = _tick_off(_count_down(show, "training", _READING, _TRAINING), steps)
        seed = options.seed
        if options.folds:
            judged = fit_on_folds(pictures, n_statistics, folds=options.folds, seed=seed, foreign=foreign, tick=tick)
            splits = compare_splits(pictures, n_statistics, seed=seed, tick=tick)
        else:
            judged = fit_on_split(pictures, n_statistics, seed=seed, foreign=foreign, tick=tick)
            splits = compare_splits(pictures, n_statistics, seed=seed, by_source=judged, tick=tick)
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
    show(_TRAINING, "scoring")
    curve = (
        learning_curve(pictures, n_statistics, judged.head, seed=options.seed) if options.network == "frozen" else None
    )
    return _finish(data, run, pictures, judged, body, n_statistics, splits, curve, options)


def _is_begun(run: Path) -> bool:
    """Whether ``run`` holds something that took time."""
    return any((run / name).exists() for name in ("pictures.csv", "checkpoint.pt", "model.onnx"))


def _count_down(show: Show, verb: str, low: float, high: float) -> Callable[[int, int, str], None]:
    """Progress within a part of the bar, with the time that is left for this part."""
    begun = time.monotonic()

    def watch(done: int, total: int, what: str) -> None:
        share, message = done / max(total, 1), f"{verb} {what}".strip()
        if done:
            left_s = (time.monotonic() - begun) * (1 / share - 1)
            message += f", {left_s:.0f} s left" if left_s < 90 else f", {left_s / 60:.0f} min left"
        show(low + (high - low) * share, message)

    return watch


def _tick_off(watch: Callable[[int, int, str], None], total: int) -> Callable[[], None]:
    """A function to call after each of ``total`` steps (fewer, where there are fewer sources than folds)."""
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        watch(min(done, total), total, "")

    return tick


def _body_to_start_from(options: ClassifierOptions) -> tuple[onnx.ModelProto, int]:
    """The graph that calculates features, and how many of these are statistics of the picture."""
    if options.start_from == IMAGENET or options.start_from.startswith("timm:"):
        from emscout.training.classifier_network import make_body

        body = make_body(options.start_from)
        return export_body(body, SIDE_PX), body.n_statistics
    return body_of(options.start_from), int(load_category_model(options.start_from).description["n_statistics"])


def _encoder(body: onnx.ModelProto) -> Callable[[np.ndarray], np.ndarray]:
    """A function from views (n, side, side, 3) to their features (n, F)."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads sleep
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
) -> Trained:
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
        "card": describe_training(data, run, pictures, judged, splits, options),
    }
    path = run / "model.onnx"
    sha256 = write_classifier(body, judged.head, path, description)
    write_card(path, description, sha256)
    notes = [*pictures.notes, *pictures.failures]
    write_training_page(
        run / "report.html", folder=run, tables=tables, description=description, notes=notes, doubt=judged.doubt
    )
    accuracy = spell_accuracy(tables["scores"].iloc[0])
    return Trained(path, f"On {judged.how}: {accuracy}. {judged.doubt}".strip(), pictures.failures)
