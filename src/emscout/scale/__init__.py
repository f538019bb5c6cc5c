"""The scale that is printed in an image: read, compared with the metadata, and masked."""

from emscout.scale.calibrate import calibrate, choose_calibration
from emscout.scale.colour import read_scale
from emscout.scale.masks import annotation_mask, annotation_masks
from emscout.scale.read_scales import read_scales
from emscout.scale.reading import NoScale, ScaleReading, read_scale_bar

__all__ = [
    "NoScale",
    "ScaleReading",
    "annotation_mask",
    "annotation_masks",
    "calibrate",
    "choose_calibration",
    "read_scale",
    "read_scale_bar",
    "read_scales",
]
