"""Train the network of fields on real and synthetic views: a loop that can be interrupted and resumed at any time."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from emscout.errors import UsageError
from emscout.evaluate.particles import iou_pairs
from emscout.particles.segmenters.fields import FieldSettings, label_fields
from emscout.synthetic.kinds import KINDS
from emscout.training.checkpoints import State, load_checkpoint, newest_checkpoint, save_checkpoint
from emscout.training.field_losses import field_loss
from emscout.training.field_network import FieldNetwork, TrunkName, draw_field_masks
from emscout.training.field_views import (
    SIDE_PX,
    SYNTHETIC_SHARE,
    Pool,
    View,
    draw_batch,
    draw_real,
    load_pool,
    make_batch,
)
from emscout.training.options import open_run
from emscout.training.real_sets import N_FOLDS, assign_folds, find_real_images
from emscout.training.schedule import rate_factor, update_average

__all__ = ["FieldTrainingOptions", "train_fields"]

_LOG = logging.getLogger(__name__)

_PRETRAINED_RATE = 0.25
"""Of the others' learning rate: layers trained on ImageNet."""

_CONSTANT_PART = 0.8
"""Of the run: a checkpoint before the rate falls can be taken up again by a longer or a shorter run."""

_AVERAGE_DECAY = 0.998

_REPORT_STEPS = 20
_REAL_VIEWS = 48
"""Views of held-out images, and as many synthetic ones of all kinds, on which the run is watched."""


@dataclass(frozen=True)
class FieldTrainingOptions:
    """What shapes a run; saved as ``options.json`` in its folder.

    Raises
    ------
    UsageError
        When a number makes no sense.
    """

    steps: int = field(default=30000, metadata={"help": "Number of training steps."})
    batch: int = field(default=6, metadata={"help": "Views in a step."})
    rate: float = field(default=1e-3, metadata={"help": "Highest learning rate."})
    trunk: TrunkName = field(default="lite0", metadata={"help": "lite0 starts from ImageNet, plain from nothing."})
    held_fold: int | None = field(
        default=0, metadata={"help": "Fold of sources, 0 to 4, that is never trained on; none: all are trained on."}
    )
    synthetic_share: float = field(default=SYNTHETIC_SHARE, metadata={"help": "Share of synthetic views."})
    seed: int = field(default=1, metadata={"help": "Random seed."})
    save_every: float = field(default=4.0, metadata={"help": "Minutes between checkpoints."})
    validate_every: int = field(default=500, metadata={"help": "Steps between scores on held-out views."})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1 or self.seed < 0 or self.validate_every < 1:
            raise UsageError("`steps`, `batch` and `validate_every` are whole numbers from 1, `seed` from 0.")
        if self.held_fold is not None and not 0 <= self.held_fold < N_FOLDS:
            raise UsageError(f"`held_fold` is 0 to {N_FOLDS - 1}, not {self.held_fold}.")
        if self.rate <= 0 or not 0 <= self.synthetic_share <= 1:
            raise UsageError("`rate` is more than 0, and `synthetic_share` between 0 and 1.")


def train_fields(
    data: Path,
    run: Path,
    options: FieldTrainingOptions | None = None,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train on the sets of `emscout.training.real_sets.SETS` in ``data`` and on synthetic views.

    ``run`` receives ``options.json``, the last two checkpoints and ``progress.jsonl``.

    Parameters
    ----------
    data, run : Path
    options : FieldTrainingOptions, optional
    resume : bool
        Go on from the newest checkpoint in ``run``; views depend on the seed and the step alone.
    stop : callable
        Asked after each step whether to end here.

    Returns
    -------
    Path
        The last checkpoint.

    Raises
    ------
    UsageError
        When ``data`` holds none of the sets.
    OutputError
        When ``run`` cannot be written, or holds a run already and ``resume`` is not set.
    """
    options = options or FieldTrainingOptions()
    images = find_real_images(data)
    if not images:
        raise UsageError(f"'{data}' holds none of the sets of labelled micrographs to train on.")
    newest = newest_checkpoint(run)
    open_run(run, options, resume=resume, begun=newest is not None)
    folds = assign_folds(images)
    training = [image for image in images if folds[image.name] != options.held_fold]
    held = [image for image in images if folds[image.name] == options.held_fold]
    state = begin_fields(options, pretrained=newest is None)
    if newest is not None:
        load_checkpoint(newest, state)
        _LOG.info("resumed %s", newest.name)
    pool = load_pool(training)
    watched = _draw_watched(held)
    _LOG.info("images: %d to train on, %d held out; from step %d", len(training), len(held), state.step)
    saved_s, last = state.trained_s, time.monotonic()
    sums: dict[str, list[float]] = defaultdict(list)
    while state.step < options.steps and not stop():
        for name, value in take_field_step(state, pool, options).items():
            sums[name].append(value)
        now = time.monotonic()
        state.trained_s, last = state.trained_s + now - last, now
        if state.step % _REPORT_STEPS == 0:
            _note(run, state, {name: float(np.mean(values)) for name, values in sums.items()})
            sums.clear()
        if state.trained_s - saved_s >= options.save_every * 60:
            save_checkpoint(run, state)
            saved_s = state.trained_s
        if state.step % options.validate_every == 0:
            _note(run, state, score_views(state.average, watched))
    return save_checkpoint(run, state)


def _note(run: Path, state: State[FieldNetwork], values: dict[str, float]) -> None:
    line = {"step": state.step, "minutes": round(state.trained_s / 60, 1)}
    line |= {name: round(value, 4) for name, value in values.items()}
    _LOG.info("%s", " ".join(f"{name} {value:g}" for name, value in line.items()))
    with (run / "progress.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def begin_fields(options: FieldTrainingOptions, *, pretrained: bool) -> State[FieldNetwork]:
    """The state before the first step; ImageNet's weights are read where no checkpoint will bring others."""
    torch.manual_seed(options.seed)
    network = FieldNetwork(options.trunk, pretrained=pretrained)
    # A step takes 0.7 times as long on two cores.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = FieldNetwork(options.trunk, pretrained=False)
    average.load_state_dict(network.state_dict())
    average.eval().requires_grad_(False)
    known = {id(value) for name, value in network.named_parameters() if name.startswith("trunk.blocks.")}
    groups: list[dict[str, object]] = [
        {"params": [value for value in network.parameters() if id(value) not in known], "highest": options.rate}
    ]
    if known:
        tuned = [value for value in network.parameters() if id(value) in known]
        groups.append({"params": tuned, "highest": options.rate * _PRETRAINED_RATE})
    return State(
        network,
        average,
        torch.optim.AdamW(groups, weight_decay=0.02, betas=(0.9, 0.99)),
        torch.Generator().manual_seed(options.seed),
        torch.Generator().manual_seed(options.seed + 1),
    )


def take_field_step(state: State[FieldNetwork], pool: Pool, options: FieldTrainingOptions) -> dict[str, float]:
    """Train on one batch; the terms of the loss."""
    factor = rate_factor(state.step, state.step / options.steps, _CONSTANT_PART)
    for group in state.optimizer.param_groups:
        group["lr"] = group["highest"] * factor
    rng = np.random.default_rng((options.seed, state.step))
    batch = draw_batch(pool, options.batch, rng, options.synthetic_share)
    state.network.train()
    channels = batch.channels.contiguous(memory_format=torch.channels_last)
    logits = state.network(channels, *draw_field_masks(options.batch, state.mask_generator))
    loss = field_loss(logits, batch.targets, batch.weights)
    state.optimizer.zero_grad(set_to_none=True)
    loss.total.backward()
    norm = nn.utils.clip_grad_norm_(state.network.parameters(), 2.0)
    parts = {name: float(value.detach()) for name, value in loss._asdict().items()} | {"norm": float(norm)}
    if math.isfinite(parts["norm"]) and math.isfinite(parts["total"]):
        state.optimizer.step()
    state.step += 1
    update_average(state.average, state.network, state.step, _AVERAGE_DECAY)
    return parts


def _draw_watched(held: Sequence) -> list[tuple[str, View]]:
    """Views by set or kind on which the run is watched, always the same."""
    views: list[tuple[str, View]] = []
    if held:
        pool = load_pool(held)
        rng = np.random.default_rng(77)
        for name in pool.by_set:
            one = Pool({name: pool.by_set[name]})
            count = _REAL_VIEWS // 3 if name == "emps" else max(3, _REAL_VIEWS // 12)
            views += [(f"real {name}", draw_real(one, rng)) for _ in range(count)]
    everywhere = np.ones((SIDE_PX, SIDE_PX), bool)
    for kind in KINDS:
        for seed in range(3):
            drawn = KINDS[kind]((SIDE_PX, SIDE_PX), np.random.default_rng(9000 + seed))
            grey = drawn.image.astype(np.float32) / 255
            views.append((kind, View(grey, drawn.labels, drawn.cores, everywhere, everywhere, everywhere)))
    return views


@torch.no_grad()
def predict_fields(network: FieldNetwork, channels: Tensor) -> np.ndarray:
    """Chances (4, H, W) float32 of the fields of contrast channels (1, 2, H, W), without dropout."""
    ones = [torch.ones(1, layer.in_channels, 1, 1) for layer in (network.tail.coarse, network.tail.fine)]
    return torch.sigmoid(network(channels, *ones))[0].numpy()


def score_views(
    network: FieldNetwork, views: Sequence[tuple[str, View]], settings: FieldSettings | None = None
) -> dict[str, float]:
    """Pooled F1 at an overlap of 0.5 of the particles in views, by set or kind."""
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))
    for name, view in views:
        batch = make_batch([view])
        matter, ridge, edge, _ = predict_fields(network, batch.channels)
        known = view.matter_known & (view.instances_known | (view.labels == 0))
        found = label_fields(matter, ridge, edge, settings or FieldSettings())
        # A rim of unknown pixels around each ellipse is no reason to lose what was found there.
        pairs = iou_pairs(batch.labels[0], np.where(known | (batch.labels[0] > 0), found, 0))
        counts[name] += (pairs.n_true, pairs.n_predicted, np.count_nonzero(pairs.iou > 0.5))
    return {
        f"f1 {name}": float(2 * matched / max(true + predicted, 1))
        for name, (true, predicted, matched) in counts.items()
        if true + predicted
    }
