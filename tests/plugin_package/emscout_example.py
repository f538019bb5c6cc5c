"""A segmenter and a reader, as `docs/extending.md` builds them."""

from functools import partial

import numpy as np
from skimage.filters import threshold_otsu
from skimage.measure import label

from emscout.io import Frames, Reader


def find_dark_spots(micrograph, *, polarity="auto"):
    """Everything darker than Otsu's threshold, or brighter where ``polarity`` is ``bright``."""
    image = micrograph.image
    threshold = threshold_otsu(image)
    return label(image > threshold if polarity == "bright" else image < threshold)


def open_raw(path):
    """A line of text (``EMRAW frames height width nm_per_px``), then the frames as 16-bit integers."""
    header = path.open("rb").readline()
    frames, height, width, nm_per_px = header.split()[1:]
    shape = (int(height), int(width))
    load = partial(load_raw, path, len(header), shape)
    return Frames(load, int(frames), shape, np.dtype("uint16"), pixel_size_nm=(float(nm_per_px),) * 2)


def load_raw(path, offset, shape, frame):
    size = shape[0] * shape[1]
    return np.fromfile(path, "<u2", size, offset=offset + 2 * size * frame).reshape(shape)


RAW_CAMERA = Reader(open_raw, suffixes=(".raw",), signatures=(b"EMRAW ",))
