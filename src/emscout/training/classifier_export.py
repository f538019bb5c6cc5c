"""A classifier as one ONNX file: a body that calculates features, and a head that is exchanged without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emscout.errors import ModelError
from emscout.models import CATEGORY_INPUT_NAMES, CATEGORY_OUTPUT_NAMES, load_category_model, model_path
from emscout.specimens.heads import CLIP, Head
from emscout.training.onnx_file import trace_network, write_model

if TYPE_CHECKING:
    from torch import nn

__all__ = ["body_of", "export_body", "write_classifier"]

_PREFIX = "head/"
_LARGE = 1024


def export_body(body: nn.Module, side_px: int) -> onnx.ModelProto:
    """The graph from pixels (N, side, side, 3) uint8 to features (N, F); weights are kept in 16 bits.

    Calculation is in single precision all the same.
    """
    import torch

    class FromPixels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = body

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.body(pixels.permute(0, 3, 1, 2).float())

    model = trace_network(
        FromPixels().eval(),
        (torch.zeros(2, side_px, side_px, 3, dtype=torch.uint8),),
        inputs=CATEGORY_INPUT_NAMES,
        outputs=[CATEGORY_OUTPUT_NAMES[1]],
        dynamic_shapes=({0: torch.export.Dim("pictures", min=1, max=4096)},),
    )
    _halve_weights(model)
    return model


def body_of(model: str | Path) -> onnx.ModelProto:
    """The graph of a classifier's features, without its head.

    Raises
    ------
    ModelError
        When it is not a classifier of emscout.
    """
    load_category_model(model)  # refuses what is damaged or foreign
    graph = onnx.load(model_path(model))
    for part in (graph.graph.node, graph.graph.initializer):
        kept = [one for one in part if not one.name.startswith(_PREFIX)]
        del part[:]
        part.extend(kept)
    outputs = [one for one in graph.graph.output if one.name == CATEGORY_OUTPUT_NAMES[1]]
    if len(outputs) != 1:
        raise ModelError(f"{model}: this classifier gives no features: give one written by 'emscout train classifier'.")
    del graph.graph.output[:]
    graph.graph.output.extend(outputs)
    return graph


def write_classifier(body: onnx.ModelProto, head: Head, path: Path, description: dict[str, Any]) -> str:
    """Put a head on a body and write both as one file with its description; return its SHA-256."""
    model = onnx.ModelProto()
    model.CopyFrom(body)
    logits, features, novelty, embedding = CATEGORY_OUTPUT_NAMES
    values = {
        "mean": head.mean,
        "scale": head.scale,
        "low": np.float32(-CLIP),
        "high": np.float32(CLIP),
        "emphasis": head.emphasis,
        "weights": head.weights,
        "intercept": head.intercept,
        "directions": head.directions,
        "threshold": np.float32(head.threshold),
        "foreign": (np.zeros(len(head.mean)) if head.foreign is None else head.foreign)[:, None],
        "foreign_offset": np.float32(-100 if head.foreign is None else head.foreign_offset),
        "two": np.float32(2),
        "embedding": head.embedding,
        "axes": np.array([1], np.int64),
    }
    for name, value in values.items():
        array = np.asarray(value) if name == "axes" else np.asarray(value, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, _PREFIX + name))
    steps = [
        ("Sub", [features, "mean"], "centred"),
        ("Div", ["centred", "scale"], "standard"),
        ("Clip", ["standard", "low", "high"], "held"),
        ("Mul", ["held", "emphasis"], "seen"),
        ("MatMul", ["seen", "weights"], "product"),
        ("Add", ["product", "intercept"], logits),
        ("MatMul", ["seen", "directions"], "along"),
        ("ReduceSumSquare", ["seen", "axes"], "whole"),
        ("ReduceSumSquare", ["along", "axes"], "explained"),
        ("Sub", ["whole", "explained"], "distance"),
        ("Div", ["distance", "threshold"], "distance_in_thresholds"),
        ("MatMul", ["seen", "foreign"], "foreign_column"),
        ("Squeeze", ["foreign_column", "axes"], "foreign_product"),
        ("Add", ["foreign_product", "foreign_offset"], "foreign_logit"),
        ("Sigmoid", ["foreign_logit"], "foreign_probability"),
        ("Mul", ["foreign_probability", "two"], "foreign_in_halves"),
        ("Max", ["distance_in_thresholds", "foreign_in_halves"], novelty),
        ("MatMul", ["held", "embedding"], "place"),
        ("LpNormalization", ["place"], embedding),
    ]
    for operation, inputs, output in steps:
        more: dict[str, Any] = {"ReduceSumSquare": {"keepdims": 0}, "LpNormalization": {"axis": 1}}.get(operation, {})
        names = [one if one == features else _PREFIX + one for one in inputs]
        place = output if output in CATEGORY_OUTPUT_NAMES else _PREFIX + output
        model.graph.node.append(helper.make_node(operation, names, [place], name=_PREFIX + output, **more))
    given = {one.name: one for one in model.graph.output}
    del model.graph.output[:]
    shapes: dict[str, list[str | int]] = {
        logits: ["pictures", len(head.categories)],
        novelty: ["pictures"],
        embedding: ["pictures", head.embedding.shape[1]],
    }
    for name in CATEGORY_OUTPUT_NAMES:
        tensor = given.get(name) or helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name])
        model.graph.output.append(tensor)
    return write_model(path, model, description)


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store large weights in 16 bits, and let the graph widen them when it is loaded."""
    halved, casts = [], []
    for weight in list(model.graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32 and values.size >= _LARGE:
            name = weight.name
            halved.append(numpy_helper.from_array(values.astype(np.float16), name + "/half"))
            casts.append(helper.make_node("Cast", [name + "/half"], [name], name=name + "/wide", to=TensorProto.FLOAT))
            model.graph.initializer.remove(weight)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    model.graph.initializer.extend(halved)
