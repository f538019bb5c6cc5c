"""A segmenter that remembers what it was given: found by its name, as anybody's own is."""

import numpy as np

SEGMENTED: list[str] = []


def segment(micrograph):
    SEGMENTED.append(micrograph.path.stem)
    return (micrograph.image > np.median(micrograph.image) + 2 * micrograph.image.std()).astype(np.uint8)
