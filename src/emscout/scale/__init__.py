"""The scale that is printed in a picture: read, compared with what the file says, kept away from the particles."""

from emscout.scale.calibrate import calibrate, choose_calibration
from emscout.scale.colour import read_scale
from emscout.scale.masks import annotation_mask, banner_mask
from emscout.scale.reading import NoScale, ScaleReading, read_scale_bar

__all__ = [
    "NoScale",
    "ScaleReading",
    "annotation_mask",
    "banner_mask",
    "calibrate",
    "choose_calibration",
    "read_scale",
    "read_scale_bar",
]
