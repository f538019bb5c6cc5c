"""Train the particle network: a plain loop that can be interrupted at any time and resumes exactly where it was."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from emscout.errors import UsageError
from emscout.evaluate.split import SPLIT_SEED, split_images
from emscout.io.files import write_atomic
from emscout.io.labels import LabelledImage, find_labelled
from emscout.training.augment import draw_batch, render_annotations
from emscout.training.checkpoints import State, load_checkpoint, newest_checkpoint, save_checkpoint
from emscout.training.data import Labelled, load_labelled
from emscout.training.finish import finish
from emscout.training.losses import particle_loss
from emscout.training.network import ParticleNetwork, draw_masks
from emscout.training.options import TrainingOptions, open_run
from emscout.training.schedule import choose_device, computes_in_bfloat16, rate_factor, update_average
from emscout.training.validation import export_draft, save_pictures, spell_scores, validate
from emscout.training.weights import load_imagenet_weights, load_model_weights

__all__ = ["train"]

_LOG = logging.getLogger(__name__)

SIDE_PX = 256
"""Of a training view."""

ANNOTATION_SHEETS = 600
"""Sheets of letters and scale bars that are printed on views."""

RATE, TRUNK_RATE = 1e-3, 1.5e-4
"""Highest learning rates of new layers and of those trained on ImageNet; a model trained further takes a fifth."""
FURTHER = 0.2

WEIGHT_DECAY = 0.02
FROZEN_STAGES = 2
"""The first stages of VGG16 are kept as they are: they know edges and textures."""

REPORT_STEPS = 25
WATCHED = 24
"""Validation images scored in the course of training; all are scored at its end."""

Progress = Callable[[float, str], None]


def train(
    folder: Path,
    run: Path,
    options: TrainingOptions | None = None,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Train on the labelled images of ``folder`` and write everything into ``run``.

    ``run`` receives ``train.txt`` and ``validation.txt`` (the split), ``options.json``, the last two checkpoints,
    TensorBoard logs, pictures of validation images, and in the end ``model.onnx`` with its card ``model.md``.

    Parameters
    ----------
    folder : Path
        Images and labels in one of `emscout.io.labels.LABEL_FORMATS`; ``sources.csv`` keeps the images of one
        source on one side of the split.
    run : Path
    options : TrainingOptions, optional
    resume : bool
        Go on from the newest checkpoint in ``run``, exactly as if there had been no interruption (on a CPU to the last
        bit; a GPU adds in no fixed order).
    progress : callable or None
        Called as ``progress(fraction done, message)``.

    Returns
    -------
    Path
        Of the model.

    Raises
    ------
    UsageError
        When there is nothing to train on, or ``run`` holds a run already and ``resume`` is not set.
    ReadError, ModelError, OutputError
        When a file cannot be read or written, or is none to start from.
    """
    options = options or TrainingOptions()
    report = progress or (lambda fraction, message: None)
    device = choose_device(options.device)
    labelled = find_labelled(folder)
    training, held = _open_run(run, folder, labelled, options, resume)
    _LOG.info("images: %d to train on, %d for validation, on %s", len(training), len(held), device)
    newest = newest_checkpoint(run)
    state = begin(options, device, fresh=newest is None)
    if newest is not None:
        load_checkpoint(newest, state)
        _LOG.info("resumed %s", newest.name)
    report(_progress_made(state, options), "reading the images")
    data = load_labelled(training, device, options.seed)
    annotations = render_annotations(ANNOTATION_SHEETS, SIDE_PX, options.seed).to(device)
    watched = held[:: max(1, len(held) // WATCHED)][:WATCHED]
    with SummaryWriter(run / "tensorboard", purge_step=state.step + 1) as writer:
        _loop(run, state, data, annotations, watched, options, writer, report)
    report(1.0, "scoring the validation images")
    return finish(folder, run, state, training, held, options)


def _open_run(
    run: Path, folder: Path, labelled: Sequence[LabelledImage], options: TrainingOptions, resume: bool
) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Images for training and for validation; a run that is resumed keeps its split."""
    by_name = {image.name: image for image in labelled}
    lists = [run / "train.txt", run / "validation.txt"]
    if resume:
        split = [path.read_text(encoding="utf-8").splitlines() for path in lists]
        if missing := {name for names in split for name in names} - by_name.keys():
            raise UsageError(
                f"'{folder}' has no labelled image '{min(missing)}', which '{run}' is trained on: give the same folder."
            )
    else:
        if not (folder / "sources.csv").is_file():
            _LOG.info("there is no sources.csv: images are split one by one, as if each showed a specimen of its own")
        split = list(split_images(folder, sorted(by_name), options.validation_share, SPLIT_SEED))
    open_run(run, options, resume=resume, begun=(run / "model.onnx").exists() or newest_checkpoint(run) is not None)
    for path, names in zip(lists, split, strict=True):
        with write_atomic(path) as temporary:
            temporary.write_text("\n".join(names) + "\n", encoding="utf-8")
    training, held = ([by_name[name] for name in names] for names in split)
    return training, held


def begin(options: TrainingOptions, device: torch.device, *, fresh: bool) -> State:
    """The state before the first step; starting weights are read unless a checkpoint follows."""
    torch.manual_seed(options.seed)
    further = options.imagenet_weights is None
    network, average = ParticleNetwork(), ParticleNetwork()
    if fresh:
        if options.imagenet_weights is not None:
            load_imagenet_weights(network.trunk, Path(options.imagenet_weights))
        else:
            load_model_weights(network, options.start_from)
    average.load_state_dict(network.state_dict())
    for each in (network, average):
        each.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.trunk.frozen_stages = FROZEN_STAGES
    for stage in network.trunk.stages[:FROZEN_STAGES]:
        stage.requires_grad_(False)
    # A model's batch norms are part of its convolutions: those that stand in their place keep their statistics.
    network.train(not further)
    average.eval()

    pretrained = [value for value in network.trunk.stages.parameters() if value.requires_grad]
    known = {id(value) for value in network.trunk.stages.parameters()}
    new = [value for value in network.parameters() if id(value) not in known]
    factor = FURTHER if further else 1.0
    groups = [{"params": pretrained, "highest": TRUNK_RATE * factor}, {"params": new, "highest": RATE * factor}]
    return State(
        network,
        average,
        torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.99)),
        torch.Generator(device).manual_seed(options.seed),
        torch.Generator().manual_seed(options.seed + 1),
    )


def _progress_made(state: State, options: TrainingOptions) -> float:
    """How much of the run is done, 0..1: by steps, or by time where that comes first."""
    by_time = state.trained_s / (60 * options.minutes) if options.minutes else 0.0
    return min(1.0, max(state.step / options.steps, by_time))


def _loop(
    run: Path,
    state: State,
    data: Labelled,
    annotations: Tensor,
    watched: Sequence[LabelledImage],
    options: TrainingOptions,
    writer: SummaryWriter,
    report: Progress,
) -> None:
    """Step after step to the end of the run, with checkpoints and scores on validation images on the way."""
    saved_s = validated_s = state.trained_s
    last = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    while (done := _progress_made(state, options)) < 1.0:
        rate = rate_factor(state.step, done)
        parts = take_step(state, data, annotations, options.batch, rate)
        sums = {name: sums.get(name, 0.0) + value for name, value in parts.items()}
        counted += 1
        now = time.monotonic()
        state.trained_s, last = state.trained_s + now - last, now
        done = _progress_made(state, options)
        if state.step % REPORT_STEPS == 0 or done == 1.0:
            means = {name: value / counted for name, value in sums.items()} | {"rate": rate}
            for name, mean in means.items():
                writer.add_scalar(f"train/{name}", mean, state.step)
            left_min = state.trained_s / 60 * (1 / done - 1)
            report(done, f"step {state.step} loss {means['loss']:.3f}, {left_min:.0f} min left")
            sums, counted = {}, 0
        if state.trained_s - saved_s >= options.save_every * 60 or done == 1.0:
            save_checkpoint(run, state)
            saved_s = state.trained_s
        if state.trained_s - validated_s >= options.validate_every * 60 and done < 1.0:
            _score(run, state, watched, writer)
            validated_s = state.trained_s
            last = time.monotonic()  # scoring is not training


def take_step(state: State, data: Labelled, annotations: Tensor, batch: int, rate: float) -> dict[str, float]:
    """Train on one batch at ``rate`` times the highest learning rates; the parts of the loss."""
    device = data.images.device
    for group in state.optimizer.param_groups:
        group["lr"] = group["highest"] * rate
    grey, instances, boxes, image_index, ignored = draw_batch(data, annotations, batch, SIDE_PX, state.generator)
    masks = draw_masks(batch, state.mask_generator, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=computes_in_bfloat16(device)):
        output = state.network(grey.contiguous(memory_format=torch.channels_last), *masks)
    loss = particle_loss(output.float(), instances, boxes, image_index, ignored, state.generator)
    state.optimizer.zero_grad(set_to_none=True)
    loss.total.backward()
    norm = nn.utils.clip_grad_norm_([v for v in state.network.parameters() if v.requires_grad], 5.0)
    parts = {"loss": loss.total, "lovasz": loss.lovasz, "seed": loss.seed, "smooth": loss.smoothness}
    parts |= {"overlap": loss.overlap, "norm": norm}
    values = torch.stack([part.detach() for part in parts.values()]).tolist()
    if math.isfinite(values[-1]):
        state.optimizer.step()
    state.step += 1
    update_average(state.average, state.network, state.step)
    return dict(zip(parts, values, strict=True))


def _score(run: Path, state: State, watched: Sequence[LabelledImage], writer: SummaryWriter) -> None:
    """Score the network as it is, and write it, so that it can be used already."""
    path = run / "draft.onnx"
    export_draft(state.average, path)
    found = validate(path, watched, samples=8)
    _LOG.info("validation at step %d: %s", state.step, spell_scores(found.scores))
    for name, score in found.scores.items():
        writer.add_scalar(f"validation/{name}", score, state.step)
    save_pictures(found.pictures, run / f"validation-{state.step:07d}.png")
