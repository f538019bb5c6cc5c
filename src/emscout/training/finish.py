"""The end of a run: the trained network scored, calibrated, and written with its card."""

from __future__ import annotations

import logging
import math
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from emscout.evaluate.split import SPLIT_SEED, read_sources
from emscout.io.labels import LabelledImage
from emscout.particles.instances import Settings
from emscout.training.checkpoints import State
from emscout.training.data import draw_examples
from emscout.training.export import describe, export_network, write_card
from emscout.training.options import TrainingOptions
from emscout.training.validation import (
    calibrate,
    choose_max_uncertainty,
    export_draft,
    save_pictures,
    spell_scores,
    validate,
)

__all__ = ["finish"]

EXAMPLES = 32
"""Training images that tell the ranges of the shipped network's 8-bit numbers."""

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
    settings = Settings(max_uncertainty=choose_max_uncertainty(found))
    _LOG.info("validation: %s", spell_scores(found.scores))
    by_source = "by source" if (folder / "sources.csv").is_file() else "image by image"
    card = {
        "Training data": f"{len(training)} labelled images of the folder {folder.resolve().name}; "
        f"{state.step} steps in {state.trained_s / 60:.0f} minutes on a {state.generator.device.type.upper()}.",
        "Start": "VGG16 trained on ImageNet." if options.imagenet_weights else f"The model {options.start_from}.",
        "Split": f"{len(held)} images kept for validation, {by_source}, seed {SPLIT_SEED}; the names are in "
        f"validation.txt of the run. Seed of the training: {options.seed}.",
        "Command": f"`{_command(folder, run, options)}`",
        "Validation": f"Means over the {len(held)} validation images, 30 samples, nothing filtered: "
        f"{spell_scores(found.scores)}. "
        + ("" if math.isnan(error) else f"Expected calibration error of the probability: {error:.3f}. ")
        + f"Particles of a mean mutual information above {settings.max_uncertainty:g} nats are better dropped.",
    }
    description = describe(run.resolve().name, settings, calibration, card)
    path = run / "model.onnx"
    sha256 = export_network(state.average, path, description, examples)
    write_card(path.with_suffix(".md"), description, path.stat().st_size, sha256)
    draft.unlink()
    return path


def _command(folder: Path, run: Path, options: TrainingOptions) -> str:
    """The command line that begins this run."""
    words = ["emscout", "train", "particles", str(folder), "-o", str(run)]
    for f in fields(options):
        if (value := getattr(options, f.name)) != f.default:
            words += ["--" + f.name.replace("_", "-"), str(value)]
    return shlex.join(words)
