"""Train an autoencoder on a movie: its bottleneck is too narrow to reproduce noise, and no labels are needed."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from emscout.errors import OutputError, UsageError
from emscout.io.files import write_atomic
from emscout.io.run_folder import write_json
from emscout.movies.frames import open_movie
from emscout.training.autoencoder_network import REACH_PX, Autoencoder, describe, export_autoencoder
from emscout.training.autoencoder_options import STRIDE_PX, AutoencoderOptions
from emscout.training.card import spell_command, write_card
from emscout.training.checkpoints import State, load_checkpoint, newest_checkpoint, save_checkpoint
from emscout.training.options import open_run
from emscout.training.schedule import choose_device, rate_factor, update_average
from emscout.training.sub_images import SubImages, cut_sub_images

__all__ = ["train"]

_LOG = logging.getLogger(__name__)

RATE = 2e-3
REPORT_STEPS = 20
PICTURE_PX = 512
"""Side of what is shown of the held-out frame, at most."""

ALMOST_NOTHING = 0.05
"""Share of the held-out frame's variance: a network that reproduces less has not learnt the movie."""

_SHOWN_PERCENT = (0.5, 99.5)
_NOT_LEARNT = (
    "reproduces almost nothing of the movie: train longer (`epochs`, with `resume=True`), or on a movie whose "
    "particles stand out more; this one finds no particles to rely on."
)

Progress = Callable[[float, str], None]


def train(
    movie: Path,
    run: Path,
    options: AutoencoderOptions | None = None,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Train an autoencoder on the frames of ``movie`` and write everything into ``run``.

    ``run`` receives ``options.json``, ``frames.json`` (which frames the sub-images are of, and which is held out), the
    last two checkpoints, TensorBoard logs, and after each epoch ``reconstructions/epoch_001.png`` (the held-out frame
    beside its reconstruction), ``epochs/epoch_001.onnx`` and ``model.onnx``, which is the last of these, with its card
    ``model.md``.

    Parameters
    ----------
    movie : Path
        A stack, or a folder of frames.
    run : Path
    options : AutoencoderOptions, optional
    resume : bool
        Go on after the last epoch that was finished in ``run``, exactly as if there had been no interruption (on a CPU
        to the last bit).
    progress : callable or None
        Called as ``progress(fraction done, message)``.

    Returns
    -------
    Path
        Of the model.

    Raises
    ------
    UsageError
        When there is nothing to train on, or ``resume`` is set for another movie.
    ReadError, OutputError
        When a file cannot be read or written, or ``run`` holds a run already and ``resume`` is not set.
    """
    options = options or AutoencoderOptions()
    report = progress or (lambda fraction, message: None)
    device = choose_device(options.device)
    report(0.0, "cutting sub-images")
    sub_images = cut_sub_images(open_movie(movie, resample=True), options.sub_images, options.side_px, options.seed)
    _open_run(run, movie, sub_images, options, resume)
    if sub_images.warning:
        _LOG.warning("%s", sub_images.warning)
    state = begin(options, device)
    if newest := newest_checkpoint(run):
        load_checkpoint(newest, state)
        _LOG.info("resumed %s", newest.name)
    stack = torch.from_numpy(sub_images.stack)[:, None].to(device)
    steps, explained = -(-len(stack) // options.batch), float("nan")
    with SummaryWriter(run / "tensorboard", purge_step=state.step + 1) as writer:
        for epoch in range(state.step // steps + 1, options.epochs + 1):
            _run_epoch(state, stack, epoch, steps, options, writer, report)
            explained = _save_epoch(run, movie, state, sub_images, epoch, options, writer)
            save_checkpoint(run, state)
    if explained < ALMOST_NOTHING:
        _LOG.warning("The network %s", _NOT_LEARNT)
    return run / "model.onnx"


def _open_run(run: Path, movie: Path, sub_images: SubImages, options: AutoencoderOptions, resume: bool) -> None:
    """Save what the run is made of; one that is resumed must be of the same movie."""
    frames = {
        "sub_images_of": sub_images.frames,
        "held_out": sub_images.held_out,
        "sha256": hashlib.sha256(sub_images.stack.tobytes()).hexdigest(),
    }
    path = run / "frames.json"
    try:
        if resume and path.is_file() and json.loads(path.read_text(encoding="utf-8")) != frames:
            raise UsageError(
                f"'{run}' is trained on other sub-images than '{movie}' gives with these options: give the same movie, "
                "`sub_images`, `side_px` and `seed`, or start another run."
            )
        open_run(run, options, resume=resume, begun=newest_checkpoint(run) is not None)
        for folder in ("epochs", "reconstructions"):
            (run / folder).mkdir(exist_ok=True)
        write_json(path, frames)
    except (OSError, ValueError) as error:
        raise OutputError(f"'{run}' cannot be written ({error}): choose another folder.") from error


def begin(options: AutoencoderOptions, device: torch.device) -> State[Autoencoder]:
    """The state before the first step."""
    torch.manual_seed(options.seed)
    network, average = Autoencoder(options.features).to(device), Autoencoder(options.features).to(device)
    average.load_state_dict(network.state_dict())
    return State(
        network,
        average.eval(),
        torch.optim.Adam(network.parameters(), RATE),
        torch.Generator(device).manual_seed(options.seed),
        torch.Generator().manual_seed(options.seed + 1),
    )


def _run_epoch(
    state: State[Autoencoder],
    stack: Tensor,
    epoch: int,
    steps: int,
    options: AutoencoderOptions,
    writer: SummaryWriter,
    report: Progress,
) -> None:
    """Train on every sub-image once, in a new random order."""
    order = torch.randperm(len(stack), generator=state.mask_generator).to(stack.device)
    begun, total = time.monotonic(), options.epochs * steps
    before_s = state.trained_s
    losses: list[float] = []
    for chosen in order.split(options.batch):
        losses.append(take_step(state, stack[chosen], state.step / total))
        state.trained_s = before_s + time.monotonic() - begun
        if state.step % REPORT_STEPS == 0 or state.step % steps == 0:
            loss, done = float(np.mean(losses)), state.step / total
            writer.add_scalar("train/loss", loss, state.step)
            left_min = state.trained_s / 60 * (1 / done - 1)
            report(done, f"epoch {epoch} of {options.epochs}, loss {loss:.3f}, {left_min:.1f} min left")
            losses = []


def take_step(state: State[Autoencoder], batch: Tensor, progress: float) -> float:
    """Train on sub-images (B, 1, S, S), flipped and rotated at random; the mean squared error."""
    device = batch.device
    turns = torch.randint(0, 8, (len(batch),), generator=state.generator, device=device)
    views = torch.stack(
        [
            torch.rot90(image.flip(2) if turn >= 4 else image, turn % 4, (1, 2))
            for image, turn in zip(batch, turns.tolist(), strict=True)
        ]
    )
    for group in state.optimizer.param_groups:
        group["lr"] = RATE * rate_factor(state.step, progress)
    loss = functional.mse_loss(state.network(views), views)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.optimizer.step()
    state.step += 1
    update_average(state.average, state.network, state.step)
    return float(loss.detach())


def _save_epoch(
    run: Path,
    movie: Path,
    state: State[Autoencoder],
    sub_images: SubImages,
    epoch: int,
    options: AutoencoderOptions,
    writer: SummaryWriter,
) -> float:
    """Reproduce the held-out frame, save its picture and the network of this epoch; return the share of variance."""
    grey = sub_images.held_out_grey
    reproduced = _reproduce(state.average, grey)
    explained = 1 - float(np.mean((reproduced - grey) ** 2) / grey.var())
    _LOG.info("epoch %d: %.1f %% of the held-out frame's variance reproduced", epoch, 100 * explained)
    picture = draw_comparison(grey, reproduced)
    with write_atomic(run / "reconstructions" / f"epoch_{epoch:03d}.png") as temporary:
        picture.save(temporary)
    writer.add_scalar("held_out/explained", explained, state.step)
    writer.add_image("held_out/reconstruction", np.asarray(picture), state.step, dataformats="HW")
    card = _card(movie, run, sub_images, explained, epoch, state, options)
    description = describe(f"{run.resolve().name}, epoch {epoch}", options, card)
    kept = run / "epochs" / f"epoch_{epoch:03d}.onnx"
    sha256 = export_autoencoder(state.average, kept, description)
    with write_atomic(run / "model.onnx") as temporary:
        shutil.copyfile(kept, temporary)
    write_card(run / "model.onnx", description, sha256)
    return explained


@torch.no_grad()
def _reproduce(network: Autoencoder, grey: np.ndarray) -> np.ndarray:
    """The reconstruction of a whole frame."""
    height, width = grey.shape
    padded = np.pad(grey, [(REACH_PX, REACH_PX + -side % STRIDE_PX) for side in grey.shape], mode="symmetric")
    device = next(network.parameters()).device
    result = network(torch.from_numpy(padded)[None, None].to(device))[0, 0].cpu().numpy()
    return result[REACH_PX : REACH_PX + height, REACH_PX : REACH_PX + width]


def draw_comparison(grey: np.ndarray, reproduced: np.ndarray) -> Image.Image:
    """The middle of a frame beside its reconstruction, in the same greys."""
    low, high = np.percentile(grey, _SHOWN_PERCENT)
    top, left = (max(0, (side - PICTURE_PX) // 2) for side in grey.shape)
    panels = [image[top : top + PICTURE_PX, left : left + PICTURE_PX] for image in (grey, reproduced)]
    panels.insert(1, np.full((panels[0].shape[0], 4), high, np.float32))
    shown = np.clip((np.concatenate(panels, 1) - low) / max(high - low, 1e-6), 0, 1)
    return Image.fromarray(np.rint(shown * 255).astype(np.uint8))


def _card(
    movie: Path,
    run: Path,
    sub_images: SubImages,
    explained: float,
    epoch: int,
    state: State[Autoencoder],
    options: AutoencoderOptions,
) -> dict[str, str]:
    return {
        "Training data": f"{len(sub_images.stack)} sub-images of {options.side_px} px, cut from "
        f"{len(sub_images.frames)} frames of {movie.resolve().name}, flipped and rotated; epoch {epoch} of "
        f"{options.epochs} ({state.step} steps on a {state.generator.device.type.upper()}). No labels."
        + (f" {sub_images.warning}" if sub_images.warning else ""),
        "Split": f"Frame {sub_images.held_out} (counted from 0) was held out. "
        f"Random seed of the training: {options.seed}.",
        "Command": f"`{spell_command('autoencoder', movie, run, options)}`",
        "Validation": f"The network reproduces {explained:.1%} of the held-out frame's variance"
        + (f": it {_NOT_LEARNT}" if explained < ALMOST_NOTHING else "; the rest is meant to be its noise.")
        + " The pictures in reconstructions/ show the frame beside its reconstruction, one for each epoch.",
        "Use": "For the movie it was trained on, or one taken and magnified alike. Its reconstruction, smoothed and "
        "thresholded, gives the particles: no uncertainty and no probability.",
    }
