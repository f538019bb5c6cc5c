"""What every network has in common on its way into an ONNX file."""

from __future__ import annotations

import onnx

__all__ = ["strip_notes"]


def strip_notes(model: onnx.ModelProto) -> None:
    """Take out what the exporter notes of itself: source lines of this computer, and sets in no fixed order."""
    del model.metadata_props[:], model.graph.metadata_props[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
