"""Train a network to classify pictures, epoch after epoch, until the validation scores stop rising."""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from emscout.errors import ReadError
from emscout.evaluate.classification import score_categories
from emscout.io.files import write_atomic
from emscout.specimens.heads import CLIP, Head, fit_head, probabilities, set_threshold
from emscout.specimens.novelty import fit_novelty
from emscout.specimens.views import SIDE_PX
from emscout.training.classifier_data import Pictures
from emscout.training.classifier_frozen import Judged, doubt_few, tabulate_predictions
from emscout.training.classifier_network import make_body
from emscout.training.classifier_options import ClassifierOptions
from emscout.training.classifier_views import augment, keep_views, to_tensor
from emscout.training.schedule import choose_device

__all__ = ["train_network"]

_LOG = logging.getLogger(__name__)

BODY_RATE, NEW_RATE = 1e-4, 1e-3
"""Highest learning rates of layers that were trained before, and of new ones."""

WEIGHT_DECAY = 0.02

Show = Callable[[float, str], None]


@dataclass
class _State:
    """Everything that the next epoch depends on, and the best network so far."""

    body: Any
    last: nn.Linear
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    epoch: int = 0
    best_epoch: int = 0
    best_macro_f1: float = -1.0
    best: dict[str, Any] = field(default_factory=dict)


class _Standard(nn.Module):
    """Features standardised as `emscout.specimens.heads.Head` does, before the linear layer."""

    mean: Tensor
    scale: Tensor
    emphasis: Tensor

    def __init__(self, mean: np.ndarray, scale: np.ndarray, emphasis: np.ndarray) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("scale", scale), ("emphasis", emphasis)):
            self.register_buffer(name, torch.from_numpy(np.asarray(values, np.float32)))

    def forward(self, features: Tensor) -> Tensor:
        return ((features - self.mean) / self.scale).clamp(-CLIP, CLIP) * self.emphasis


def train_network(
    run: Path, pictures: Pictures, options: ClassifierOptions, *, show: Show
) -> tuple[Judged, nn.Module, int]:
    """Train on the training pictures, stop by the validation pictures, score on the test pictures.

    A network that is trained further begins with the linear head of the frozen one, and keeps the statistics of its
    batch norms. Interrupted, the run goes on after its last whole epoch.

    Returns
    -------
    judged : Judged
    body : nn.Module
        The network of the best epoch without its last layer.
    n_statistics : int
        How many of its features are statistics of the picture.

    Raises
    ------
    UsageError
        When a GPU is asked for that is not there.
    ReadError
        When the checkpoint is damaged.
    """
    device = choose_device(options.device)
    table, order = pictures.table, np.array(pictures.categories)
    truth = np.searchsorted(order, table["category"].to_numpy(str))
    sides = {name: pictures.of_side(name) for name in ("train", "validation", "test")}
    views = keep_views(run, list(table["path"]), SIDE_PX, mask_banner=options.mask_banner, show=show)
    torch.manual_seed(options.seed)
    body = make_body("simple" if options.network == "simple" else options.start_from).to(device)
    standard, last = _head_to_start_from(pictures, body, options, sides["train"], order)
    state = _State(body, last.to(device), _optimizer(body, last, options), torch.Generator().manual_seed(options.seed))
    standard = standard.to(device)
    checkpoint = run / "checkpoint.pt"
    if checkpoint.exists():
        _load(checkpoint, state)
        _LOG.info("resumed after epoch %d", state.epoch)
    weight = 1 / np.maximum(np.bincount(truth[sides["train"]], minlength=len(order)), 1)
    weights = torch.tensor(weight / weight.mean(), dtype=torch.float32, device=device)
    with SummaryWriter(run / "tensorboard", purge_step=state.epoch + 1) as writer:
        while state.epoch < options.epochs and state.epoch - state.best_epoch < options.patience:
            loss = _train_epoch(state, standard, views, truth, sides["train"], weights, options, device, show)
            scores = _score(state, standard, views, truth, sides["validation"], order, device)
            state.epoch += 1
            measured = {"train/loss": loss} | {f"validation/{key}": value for key, value in scores.items()}
            for name, value in measured.items():
                writer.add_scalar(name, value, state.epoch)
            if scores["macro_f1"] > state.best_macro_f1:
                state.best_epoch, state.best_macro_f1 = state.epoch, scores["macro_f1"]
                state.best = copy.deepcopy({"body": state.body.state_dict(), "last": state.last.state_dict()})
            _save(checkpoint, state)
            show(
                state.epoch / options.epochs,
                f"epoch {state.epoch} loss {loss:.3f}, validation accuracy {scores['accuracy']:.3f}, "
                f"macro-F1 {scores['macro_f1']:.3f} (best {state.best_macro_f1:.3f} in epoch {state.best_epoch})",
            )
    state.body.load_state_dict(state.best["body"])
    state.last.load_state_dict(state.best["last"])
    judged = _judge(state, standard, views, pictures, truth, sides, order, device)
    return judged, state.body.cpu().eval(), body.n_statistics


def _head_to_start_from(
    pictures: Pictures, body: Any, options: ClassifierOptions, train: np.ndarray, order: np.ndarray
) -> tuple[_Standard, nn.Linear]:
    """Standardisation and last layer: those of the frozen head, or random ones for the simple network."""
    last = nn.Linear(body.n_features, len(order))
    if options.network == "simple":
        plain = np.zeros(body.n_features), np.ones(body.n_features), np.ones(body.n_features)
        return _Standard(*plain), last
    names = pictures.table["category"].to_numpy(str)[train]
    sources = np.array(pictures.sources)[train]
    head = fit_head(pictures.features[train], names, sources, body.n_statistics)
    with torch.no_grad():
        last.weight.copy_(torch.from_numpy(head.weights.T.astype(np.float32)))
        last.bias.copy_(torch.from_numpy(head.intercept.astype(np.float32)))
    return _Standard(head.mean, head.scale, head.emphasis), last


def _optimizer(body: nn.Module, last: nn.Linear, options: ClassifierOptions) -> torch.optim.Optimizer:
    simple = options.network == "simple"
    groups = [
        {"params": list(body.parameters()), "lr": NEW_RATE if simple else BODY_RATE},
        {"params": list(last.parameters()), "lr": NEW_RATE if simple else BODY_RATE},
    ]
    return torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)


def _train_epoch(
    state: _State,
    standard: _Standard,
    views: np.ndarray,
    truth: np.ndarray,
    rows: np.ndarray,
    weights: Tensor,
    options: ClassifierOptions,
    device: torch.device,
    show: Show,
) -> float:
    """Mean loss of one pass over the training pictures."""
    # Batch norms keep their statistics: few pictures would spoil them. Dropout, where there is any, works.
    state.body.train()
    for layer in state.body.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    order = rows[torch.randperm(len(rows), generator=state.generator).numpy()]
    losses = []
    for start in range(0, len(order), options.batch):
        part = order[start : start + options.batch]
        pixels = augment(to_tensor(views[part], device), state.generator)
        logits = state.last(standard(state.body(pixels)))
        loss = functional.cross_entropy(logits, torch.from_numpy(truth[part]).to(device), weights)
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state.optimizer.step()
        losses.append(float(loss.detach()))
        show(
            (state.epoch + (start + len(part)) / len(order)) / options.epochs,
            f"epoch {state.epoch + 1} loss {np.mean(losses):.3f}",
        )
    return float(np.mean(losses))


@torch.no_grad()
def _features(state: _State, views: np.ndarray, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """Features (n, F) of pictures as they are."""
    state.body.eval()
    parts = [state.body(to_tensor(views[rows[i : i + 32]], device)).cpu().numpy() for i in range(0, len(rows), 32)]
    return np.concatenate(parts) if parts else np.empty((0, state.last.in_features), np.float32)


def _score(
    state: _State,
    standard: _Standard,
    views: np.ndarray,
    truth: np.ndarray,
    rows: np.ndarray,
    order: np.ndarray,
    device: torch.device,
) -> dict[str, float]:
    head = _head(state, standard, order, None)
    logits, _ = head.predict(_features(state, views, rows, device))
    scores = score_categories(order[truth[rows]].tolist(), probabilities(logits, 1.0), list(order))
    return {name: scores[name] for name in ("accuracy", "macro_f1")}


def _head(state: _State, standard: _Standard, order: np.ndarray, features: np.ndarray | None) -> Head:
    """The last layer as a `Head`; with training ``features`` it recognises pictures out of distribution, too."""
    mean, scale, emphasis = (
        getattr(standard, name).cpu().numpy().astype(float) for name in ("mean", "scale", "emphasis")
    )
    head = Head(
        tuple(map(str, order)),
        mean,
        scale,
        emphasis,
        state.last.weight.detach().cpu().numpy().T.astype(float),
        state.last.bias.detach().cpu().numpy().astype(float),
        np.eye(len(mean), 1),
        np.eye(len(mean), 1),
    )
    return head if features is None else fit_novelty(head, features)


def _judge(
    state: _State,
    standard: _Standard,
    views: np.ndarray,
    pictures: Pictures,
    truth: np.ndarray,
    sides: dict[str, np.ndarray],
    order: np.ndarray,
    device: torch.device,
) -> Judged:
    """Temperature and threshold from the validation pictures, scores from the test pictures."""
    head = _head(state, standard, order, _features(state, views, sides["train"], device))
    logits, novelty = head.predict(_features(state, views, sides["validation"], device))
    head = set_threshold(head, novelty, logits, truth[sides["validation"]])
    logits, novelty = head.predict(_features(state, views, sides["test"], device))
    probability = probabilities(logits, head.temperature)
    how = f"the {len(sides['test'])} pictures for testing, none of whose sources or near-duplicates was trained on"
    tables = tabulate_predictions(pictures, sides["test"], probability, novelty, list(order))
    return Judged(head, tables, how, doubt_few(len(sides["validation"]), len(sides["test"])))


def _save(path: Path, state: _State) -> None:
    content = {
        "epoch": state.epoch,
        "best_epoch": state.best_epoch,
        "best_macro_f1": state.best_macro_f1,
        "best": state.best,
        "body": state.body.state_dict(),
        "last": state.last.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "generator": state.generator.get_state(),
        "torch": torch.get_rng_state(),  # dropout draws from it
    }
    with write_atomic(path) as temporary, temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())


def _load(path: Path, state: _State) -> None:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        for name in ("body", "last", "optimizer"):
            getattr(state, name).load_state_dict(content[name])
        state.generator.set_state(content["generator"])
        torch.set_rng_state(content["torch"])
        state.epoch, state.best_epoch = content["epoch"], content["best_epoch"]
        state.best_macro_f1, state.best = content["best_macro_f1"], content["best"]
    except Exception as error:  # torch raises whatever a damaged or foreign file leads to
        raise ReadError(f"'{path}' cannot be loaded (damaged?): delete it, and training starts again.") from error
