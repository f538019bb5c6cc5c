"""What the export of every network to ONNX has in common."""

from __future__ import annotations

import onnx

__all__ = ["strip_notes"]


def strip_notes(model: onnx.ModelProto) -> None:
    """Remove the notes of the exporter: source lines of this computer, and sets in random order."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
