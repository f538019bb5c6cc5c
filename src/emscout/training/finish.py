"""The end of a run: score the trained network, calibrate it, and write it with its card."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path

from emscout.errors import ModelError
from emscout.evaluate.split import SPLIT_SEED, read_sources
from emscout.io.labels import LabelledImage
from emscout.models import model_path
from emscout.particles.segmenters.instances import Settings
from emscout.training.card import spell_command, spell_count, write_card
from emscout.training.checkpoints import State
from emscout.training.data import draw_examples
from emscout.training.export import describe, export_network
from emscout.training.options import TrainingOptions
from emscout.training.validation import (
    calibrate,
    choose_max_uncertainty,
    doubt_calibration,
    export_draft,
    save_pictures,
    spell_scores,
    validate,
)

__all__ = ["finish"]

EXAMPLES = 32
"""Training images from which the ranges of the 8-bit numbers in the file are measured."""

_LOG = logging.getLogger(__name__)


def finish(
    folder: Path,
    run: Path,
    state: State,
    training: Sequence[LabelledImage],
    held: Sequence[LabelledImage],
    options: TrainingOptions,
) -> Path:
    """Write ``model.onnx`` and ``model.md`` into ``run``; the path of the model."""
    draft = run / "draft.onnx"
    examples = draw_examples(training, EXAMPLES)
    export_draft(state.average, draft, examples)
    found = validate(draft, held, samples=30)
    save_pictures(found.pictures, run / f"validation-{state.step:07d}.png")
    names = [image.name for image in held]
    sources = [source for _, source in read_sources(folder, names) or zip(names, names, strict=True)]
    calibration, error = calibrate(found, sources)
    doubt = doubt_calibration(found, calibration, error)
    settings = Settings(max_uncertainty=choose_max_uncertainty(found))
    _LOG.info("validation: %s", spell_scores(found.scores))
    before = _score_before(held, options)
    if doubt:
        _LOG.warning(doubt)
    by_source = "by source" if (folder / "sources.csv").is_file() else "image by image"
    card = {
        "Training data": f"{spell_count(len(training), 'labelled image')} of the folder {folder.resolve().name}; "
        f"{spell_count(state.step, 'step')} in {spell_count(math.ceil(state.trained_s / 60), 'minute')} on a "
        f"{state.generator.device.type.upper()}.",
        "Start": "VGG16 trained on ImageNet." if options.imagenet_weights else f"The model {options.start_from}.",
        "Split": f"{spell_count(len(held), 'image')} kept for validation, {by_source}, random seed {SPLIT_SEED}; "
        f"their names are in validation.txt of the run. Random seed of the training: {options.seed}.",
        "Command": f"`{spell_command('particles', folder, run, options)}`",
        "Validation": f"Means over {spell_count(len(held), 'validation image')}, 30 samples, nothing filtered: "
        f"{spell_scores(found.scores)}. "
        + (f"Before, by {options.start_from}, on the same: {before}. " if before else "")
        + ("" if math.isnan(error) else f"Expected calibration error of the probability: {error:.3f}. ")
        + f"Particles of a mean mutual information above {settings.max_uncertainty:g} nats should be dropped.",
    } | ({"Probability": doubt} if doubt else {})
    description = describe(run.resolve().name, settings, calibration, card)
    path = run / "model.onnx"
    sha256 = export_network(state.average, path, description, examples)
    write_card(path, description, sha256)
    draft.unlink()
    return path


def _score_before(held: Sequence[LabelledImage], options: TrainingOptions) -> str:
    """Scores of the model that was trained further, on the same images; empty where there is none."""
    if options.imagenet_weights is not None:
        return ""
    try:
        before = spell_scores(validate(model_path(options.start_from), held, samples=30).scores)
    except ModelError:  # deleted since the run began; that must not cost what was trained
        return ""
    _LOG.info("before, by %s: %s", options.start_from, before)
    return before
