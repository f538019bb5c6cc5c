"""The trained networks that lie in the package, and anybody's own: found by name or path, checked, loaded once.

A model is an ONNX file that carries its own description (JSON under `METADATA_KEY`): how its input is to be scaled,
how its output is to be read, what it was trained on. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emscout.errors import ModelError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["INPUT_NAMES", "METADATA_KEY", "MODELS", "OUTPUT_NAMES", "Model", "load_model"]

MODELS = {
    "particles-v2": ("particles-v2.onnx", "b3de43a5e15d5ca88d20fae8f2a2bd70273aa798f7445fa932db1b3098d89349"),
}
"""Name of each shipped model: its file in this folder, and the SHA-256 of that file."""

METADATA_KEY = "emscout"
INPUT_NAMES = ("image", "coarse_mask", "fine_mask")
OUTPUT_NAMES = ("maps", "features")

_DESCRIBED = (
    "name",
    "task",
    "stride_px",
    "coordinate_unit_px",
    "outside_grey",
    "dropout_rate",
    "dropout_channels",
    "settings",
    "calibration",
)


@dataclass(frozen=True, eq=False)
class Model:
    """A network ready to run.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    description : dict
        What the file says of itself, as `emscout.training.export.describe` wrote it.
    sha256 : str
        Of the file.
    """

    session: InferenceSession
    description: dict[str, Any]
    sha256: str

    def run(self, image: np.ndarray, masks: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Maps (5, H, W) float32 of a grey image (H, W) float32 whose sides are multiples of the stride."""
        return self._calculate(OUTPUT_NAMES[0], image, masks)

    def encode(self, image: np.ndarray) -> np.ndarray:
        """Features (C, H/8, W/8) float32 that the network sees in a grey image (H, W), as `run` takes it."""
        return self._calculate(OUTPUT_NAMES[1], image, self.full_masks)

    @property
    def full_masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Masks of one sample that drops nothing."""
        first, second = (np.ones((1, count, 1, 1), np.float32) for count in self.description["dropout_channels"])
        return first, second

    def _calculate(self, output: str, image: np.ndarray, masks: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        values = (image[None, None], *masks)
        return self.session.run([output], dict(zip(INPUT_NAMES, values, strict=True)))[0][0]


def load_model(model: str | Path) -> Model:
    """Load a shipped model by its name, or any other by its path.

    Parameters
    ----------
    model : str or Path
        A key of `MODELS`, or the path of an ONNX file written by ``emscout train``.

    Raises
    ------
    ModelError
        When there is no such model, or the file is damaged or not emscout's.
    """
    if str(model) in MODELS:
        file, sha256 = MODELS[str(model)]
        path, expected = Path(__file__).parent / file, sha256
    else:
        path, expected = Path(model), None
        if path.suffix.lower() != ".onnx":
            raise ModelError(f"There is no model '{model}': give {', '.join(MODELS)}, or the path of an .onnx file.")
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror}).") from error
    return _load_file(path.resolve(), changed, expected)


@lru_cache(maxsize=4)
def _load_file(path: Path, changed: int, expected: str | None) -> Model:
    """Load a file; ``changed`` (its time of change) makes a file that was written anew a new entry of the cache."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror}).") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if expected is not None and sha256 != expected:
        raise ModelError(f"{path}: the model file is damaged (its checksum is wrong); install emscout again.")
    session = _start_session(path, content)
    return Model(session, _read_description(path, session), sha256)


def _start_session(path: Path, content: bytes) -> InferenceSession:
    import onnxruntime  # half a second of import, for those who run a network only

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Images are handled in parallel already where this is a worker process.
    options.intra_op_num_threads = 1 if multiprocessing.parent_process() else _count_cores()
    options.inter_op_num_threads = 1
    # Waiting threads sleep, and memory is not planned for one size: every image has its own.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common ancestor
        raise ModelError(f"{path}: this is not an ONNX model, or it is damaged.") from error


def _read_description(path: Path, session: InferenceSession) -> dict[str, Any]:
    foreign = ModelError(f"{path}: this ONNX file is not a model of emscout; give one written by 'emscout train'.")
    try:
        description = json.loads(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
    except (KeyError, ValueError) as error:
        raise foreign from error
    if not isinstance(description, dict) or any(name not in description for name in _DESCRIBED):
        raise foreign
    inputs = {tensor.name: tensor.shape for tensor in session.get_inputs()}
    channels = [1, *description["dropout_channels"]]
    matching = tuple(inputs) == INPUT_NAMES and all(
        len(shape) == 4 and shape[1] == count for shape, count in zip(inputs.values(), channels, strict=True)
    )
    if not matching or tuple(tensor.name for tensor in session.get_outputs()) != OUTPUT_NAMES:
        raise foreign
    return description


def _count_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Windows and macOS
        return os.cpu_count() or 1
