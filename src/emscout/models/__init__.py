"""The trained networks of the package and those of users: found by name or path, checked, loaded once.

A model is an ONNX file that carries its own description (JSON under `METADATA_KEY`): how its input is to be scaled,
how its output is to be read, what it was trained on. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from emscout.compute import count_threads
from emscout.errors import ModelError, UsageError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = [
    "AUTOENCODER_INPUT_NAMES",
    "AUTOENCODER_OUTPUT_NAMES",
    "CATEGORY_INPUT_NAMES",
    "CATEGORY_OUTPUT_NAMES",
    "FIELD_INPUT_NAMES",
    "FIELD_OUTPUT_NAMES",
    "INPUT_NAMES",
    "METADATA_KEY",
    "MODELS",
    "OUTPUT_NAMES",
    "AutoencoderModel",
    "CategoryModel",
    "FieldModel",
    "Model",
    "load_autoencoder_model",
    "load_category_model",
    "load_model",
    "load_particle_model",
    "model_path",
]

MODELS = {
    "particles-v2": ("particles-v2.onnx", "b3de43a5e15d5ca88d20fae8f2a2bd70273aa798f7445fa932db1b3098d89349"),
    "technique-v1": ("technique-v1.onnx", "928775548a40fba68894ffe59a56c8cde7fd33b55547eacad2a4a226befbb1c0"),
}
"""Name of each shipped model: its file in this folder, and the SHA-256 of that file."""

METADATA_KEY = "emscout"
INPUT_NAMES = ("image", "coarse_mask", "fine_mask")
OUTPUT_NAMES = ("maps", "features")
CATEGORY_INPUT_NAMES = ("pixels",)
CATEGORY_OUTPUT_NAMES = ("logits", "features", "novelty", "embedding")
FIELD_INPUT_NAMES = ("channels", "coarse_mask", "fine_mask")
FIELD_OUTPUT_NAMES = ("fields", "chance", "information")
AUTOENCODER_INPUT_NAMES = ("image",)
AUTOENCODER_OUTPUT_NAMES = ("reconstruction",)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A network ready to run.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    description : dict
        What the file says of itself, as training wrote it.
    sha256 : str
        Of the file.
    """

    described: ClassVar[tuple[str, ...]] = ("name", "task")
    task: ClassVar[str]
    shipped: ClassVar[tuple[str, ...]] = ()
    purpose: ClassVar[str]

    session: InferenceSession
    description: dict[str, Any]
    sha256: str

    @classmethod
    def fits(cls, session: InferenceSession, description: dict[str, Any]) -> bool:
        """Whether inputs and outputs of the graph are those of the description."""
        raise NotImplementedError


def _takes_masks(
    session: InferenceSession, inputs: tuple[str, ...], outputs: tuple[str, ...], channels: list[int]
) -> bool:
    """Whether a graph has these inputs, an image and dropout masks of so many channels each, and these outputs."""
    shapes = {tensor.name: tensor.shape for tensor in session.get_inputs()}
    return (
        tuple(shapes) == inputs
        and all(len(shape) == 4 and shape[1] == count for shape, count in zip(shapes.values(), channels, strict=True))
        and tuple(tensor.name for tensor in session.get_outputs()) == outputs
    )


@dataclass(frozen=True, eq=False)
class Model(_Loaded):
    """A network that finds particles."""

    described = (
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
    task = "particles"
    shipped = ("particles-v2",)
    purpose = "finds particles"

    @classmethod
    def fits(cls, session: InferenceSession, description: dict[str, Any]) -> bool:
        return _takes_masks(session, INPUT_NAMES, OUTPUT_NAMES, [1, *description["dropout_channels"]])

    def run(self, image: np.ndarray, masks: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Maps (5, H, W) float32 of a grey image (H, W) float32 whose sides are multiples of the stride."""
        return self._calculate(OUTPUT_NAMES[0], image, masks)

    def encode(self, image: np.ndarray) -> np.ndarray:
        """Features (C, H/8, W/8) float32 that the network sees in a grey image (H, W), as `run` takes it."""
        return self._calculate(OUTPUT_NAMES[1], image, self.full_masks)

    @property
    def full_masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Dropout masks of one sample in which nothing is dropped."""
        first, second = (np.ones((1, count, 1, 1), np.float32) for count in self.description["dropout_channels"])
        return first, second

    def _calculate(self, output: str, image: np.ndarray, masks: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        values = (image[None, None], *masks)
        return self.session.run([output], dict(zip(INPUT_NAMES, values, strict=True)))[0][0]


@dataclass(frozen=True, eq=False)
class FieldModel(_Loaded):
    """A network that says of each pixel what lies there: see `emscout.particles.segmenters.fields`."""

    described = (
        "name",
        "task",
        "stride_px",
        "dropout_rate",
        "dropout_channels",
        "settings",
        "calibration",
        "min_probability",
    )
    task = "particle fields"
    purpose = "finds particles by fields"

    @classmethod
    def fits(cls, session: InferenceSession, description: dict[str, Any]) -> bool:
        return _takes_masks(session, FIELD_INPUT_NAMES, FIELD_OUTPUT_NAMES, [2, *description["dropout_channels"]])

    def run(
        self, channels: np.ndarray, masks: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fields (4, H, W) of channels (2, H, W), and over the samples of the masks, both (H/2, W/2), the chance of a
        particle and its mutual information in nats; all float32. The sides are multiples of the stride.
        """
        values = dict(zip(FIELD_INPUT_NAMES, (channels[None], *masks), strict=True))
        fields, chance, information = self.session.run(list(FIELD_OUTPUT_NAMES), values)
        return fields[0], chance[0, 0], information[0, 0]


@dataclass(frozen=True, eq=False)
class CategoryModel(_Loaded):
    """A network that classifies pictures."""

    described = ("name", "task", "categories", "side_px", "temperature", "mask_banner", "n_statistics")
    task = "categories"
    shipped = ("technique-v1",)
    purpose = "classifies pictures"

    @classmethod
    def fits(cls, session: InferenceSession, description: dict[str, Any]) -> bool:
        outputs = {tensor.name: tensor.shape for tensor in session.get_outputs()}
        return (
            tuple(tensor.name for tensor in session.get_inputs()) == CATEGORY_INPUT_NAMES
            and tuple(outputs) == CATEGORY_OUTPUT_NAMES
            and outputs["logits"][-1] == len(description["categories"]) > 1
        )

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits (N, categories), features (N, F) and novelty (N,), float32, of views (N, side, side, 3) uint8."""
        logits, features, novelty = self.session.run(list(CATEGORY_OUTPUT_NAMES[:3]), {CATEGORY_INPUT_NAMES[0]: pixels})
        return logits, features, novelty

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        """Vectors (N, D) of length 1, float32, of views as `run` takes them: similar pictures have similar vectors."""
        (embedding,) = self.session.run([CATEGORY_OUTPUT_NAMES[3]], {CATEGORY_INPUT_NAMES[0]: pixels})
        return embedding


@dataclass(frozen=True, eq=False)
class AutoencoderModel(_Loaded):
    """A network that reproduces the frames of a movie."""

    described = ("name", "task", "stride_px", "reach_px", "settings")
    task = "autoencoder"
    purpose = "reproduces frames"

    @classmethod
    def fits(cls, session: InferenceSession, description: dict[str, Any]) -> bool:
        (*inputs,) = session.get_inputs()
        return (
            tuple(tensor.name for tensor in inputs) == AUTOENCODER_INPUT_NAMES
            and len(inputs[0].shape) == 4
            and inputs[0].shape[1] == 1
            and tuple(tensor.name for tensor in session.get_outputs()) == AUTOENCODER_OUTPUT_NAMES
        )

    def run(self, image: np.ndarray) -> np.ndarray:
        """The reproduction (H, W) float32 of a normalised image (H, W) whose sides are multiples of the stride."""
        (reconstruction,) = self.session.run(
            list(AUTOENCODER_OUTPUT_NAMES), {AUTOENCODER_INPUT_NAMES[0]: image[None, None]}
        )
        return reconstruction[0, 0]


_KINDS: dict[str, type[_Loaded]] = {kind.task: kind for kind in (Model, FieldModel, CategoryModel, AutoencoderModel)}
_Kind = TypeVar("_Kind", bound=_Loaded)


def load_model(model: str | Path) -> Model:
    """Load a network that finds particles: a shipped one by its name, or any other by its path.

    Parameters
    ----------
    model : str or Path
        A key of `MODELS`, or the path of an ONNX file written by ``emscout train``.

    Raises
    ------
    UsageError
        When there is no such model.
    ModelError
        When the file is damaged, or not a model of emscout.
    """
    return _load(model, Model)


def load_particle_model(model: str | Path) -> Model | FieldModel:
    """Load a network that finds particles, of either kind; otherwise as `load_model`."""
    return _load(model, Model, FieldModel)  # type: ignore[return-value]  # joined to their common ancestor


def load_category_model(model: str | Path) -> CategoryModel:
    """Load a network that classifies pictures; otherwise as `load_model`."""
    return _load(model, CategoryModel)


def load_autoencoder_model(model: str | Path) -> AutoencoderModel:
    """Load a network that reproduces frames; otherwise as `load_model`."""
    return _load(model, AutoencoderModel)


def model_path(model: str | Path) -> Path:
    """The file of a model: a shipped one by its name, or a path."""
    return Path(__file__).parent / MODELS[str(model)][0] if str(model) in MODELS else Path(model)


def _load(model: str | Path, *kinds: type[_Kind]) -> _Kind:
    path = model_path(model)
    if str(model) not in MODELS and path.suffix.lower() != ".onnx":
        names = "".join(f"{name}, or " for kind in kinds for name in kind.shipped)
        raise UsageError(f"There is no model '{model}': give {names}the path of an .onnx file.")
    expected = MODELS[str(model)][1] if str(model) in MODELS else None
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError as error:
        raise UsageError(f"There is no model '{path}': check the spelling of the path.") from error
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror}).") from error
    loaded = _load_file(path.resolve(), changed, expected)
    if not isinstance(loaded, kinds):
        raise ModelError(f"{path}: this model {loaded.purpose}; give one that {kinds[0].purpose}.")
    return loaded


@lru_cache(maxsize=4)
def _load_file(path: Path, changed: int, expected: str | None) -> _Loaded:
    """Load a file; ``changed`` is its modification time, so that a file written again is loaded again."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the model cannot be read ({error.strerror}).") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if expected is not None and sha256 != expected:
        raise ModelError(f"{path}: the model file is damaged (its checksum is wrong); install emscout again.")
    session = _start_session(path, content)
    description = _read_description(path, session)
    return _KINDS[description["task"]](session, description, sha256)


def _start_session(path: Path, content: bytes) -> InferenceSession:
    import onnxruntime  # here, because the import takes half a second

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Images are handled in parallel already where this is a worker process.
    options.intra_op_num_threads = count_threads()
    options.inter_op_num_threads = 1
    # Waiting threads sleep; memory is not planned for one size, because images differ.
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
    kind = _KINDS.get(str(description.get("task"))) if isinstance(description, dict) else None
    if kind is None or any(name not in description for name in kind.described) or not kind.fits(session, description):
        raise foreign
    return description
