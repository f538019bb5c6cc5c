"""What the export of every network to ONNX has in common: tracing it, and writing it with its description."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper

from emscout.io.files import write_atomic
from emscout.models import METADATA_KEY

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["trace_network", "write_model"]

_OPSET = 18


def trace_network(
    network: nn.Module,
    example: tuple[Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic_shapes: tuple[dict[int, Any], ...],
) -> onnx.ModelProto:
    """The graph of a network, from an example of its input; its exporter's messages are not shown."""
    import torch  # here, because models are also written again without it

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            example,
            dynamo=True,
            verbose=False,
            opset_version=_OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic_shapes,
        )
    assert program is not None
    model = program.model_proto
    _strip_notes(model)
    return model


def write_model(path: Path, model: onnx.ModelProto, description: dict[str, Any]) -> str:
    """Write a graph with its description as one file, the same bytes for the same graph; return its SHA-256."""
    _strip_notes(model)
    helper.set_model_props(model, {METADATA_KEY: json.dumps(description)})
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString(deterministic=True)
    with write_atomic(path) as temporary:
        temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def _strip_notes(model: onnx.ModelProto) -> None:
    """Remove the notes of the exporter: source lines of this computer, and sets in random order."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
