"""Text in an image, read by RapidOCR at a chosen scale; its networks are part of its package."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emscout.compute import count_threads
from emscout.errors import ModelError

if TYPE_CHECKING:
    from rapidocr import RapidOCR

__all__ = ["TextLine", "read_letters", "read_lines"]

# Letters of 8 to 60 pixels are read best; in an image of this many pixels those of most micrographs are that high.
_DEFAULT_PIXELS = 700_000
_MAX_ENLARGEMENT = 2.0


@dataclass(frozen=True)
class TextLine:
    """A line of text and where it stands.

    Parameters
    ----------
    text : str
        As read.
    score : float
        Mean confidence of its letters, 0..1.
    top, bottom, left, right : float
        Box around it, in pixels of the image; edges of pixels are at half numbers.
    """

    text: str
    score: float
    top: float
    bottom: float
    left: float
    right: float

    @property
    def height_px(self) -> float:
        return self.bottom - self.top

    @property
    def width_px(self) -> float:
        return self.right - self.left


def read_lines(grey: np.ndarray, pixels: int = _DEFAULT_PIXELS) -> list[TextLine]:
    """Find and read all lines of text.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W)
    pixels : int
        The image is shrunk, or enlarged at most twice, to about this many pixels first.
    """
    import cv2

    height, width = grey.shape
    if min(height, width) < 8:
        return []
    scale = min(_MAX_ENLARGEMENT, (pixels / (height * width)) ** 0.5)
    size = max(8, round(width * scale)), max(8, round(height * scale))
    shown = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    found: Any = _reader()(cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR), use_det=True, use_cls=False, use_rec=True)
    if getattr(found, "boxes", None) is None or not found.txts:
        return []
    per_px = np.array([width / size[0], height / size[1]])
    lines = []
    for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
        corners = np.asarray(box, float) * per_px - 0.5
        (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
        lines.append(TextLine(text, float(score), top, bottom, left, right))
    return lines


def read_letters(grey: np.ndarray) -> tuple[str, float]:
    """Read a line of text whose place is known; its text, and the mean confidence of its letters.

    Lines too small or blurred to be detected by `read_lines` can often still be read when they are cut out.

    Parameters
    ----------
    grey : ndarray of uint8, shape (H, W)
        The line with little around it.
    """
    import cv2

    read: Any = _reader()(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), use_det=False, use_cls=False, use_rec=True)
    return (read.txts[0], float(read.scores[0])) if read.txts else ("", 0.0)


@lru_cache(maxsize=1)
def _reader() -> RapidOCR:
    import rapidocr

    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    # Images are handled in parallel already where this is a worker process.
    threads = count_threads()
    return rapidocr.RapidOCR(
        params={
            # Named, because those that it looks for itself are downloaded where they are missing.
            "Det.model_path": _network("det"),
            "Rec.model_path": _network("rec"),
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "Global.text_score": 0.0,  # doubtful readings are checked later, not dropped
            "Det.limit_side_len": 32,  # the scale is chosen here
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _network(task: str) -> str:
    """The file of one of RapidOCR's networks, in its own package."""
    import rapidocr

    for path in sorted((Path(rapidocr.__file__).parent / "models").glob(f"*_{task}_*.onnx")):
        return str(path)
    raise ModelError("The networks that read text are not in the package rapidocr: install it again.")
