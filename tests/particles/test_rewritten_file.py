"""A file that is written again within one process (as under the app) is read again."""

import numpy as np
import pytest
import tifffile

from emscout.particles.analyze import ParticleOptions, analyze
from emscout.synthetic.particles import make_micrograph
from emscout.synthetic.scale import print_scale


def test_the_printed_scale_of_a_stack_is_that_of_the_file_as_it_is_now(tmp_path):
    micrograph, _, _ = make_micrograph((384, 512), n_particles=20, diameter_px=(30, 4), seed=5)
    low, high = np.percentile(micrograph.image, (0.5, 99.5))
    grey = np.clip((micrograph.image - low) / (high - low) * 190 + 30, 0, 255).astype(np.uint8)
    path = tmp_path / "stack.tif"
    for number, (label, length_nm) in enumerate((("100 nm", 100), ("200 nm", 200))):
        image, printed = print_scale(label, "box", length_px=150, ground="banner", side="below", image=grey, seed=6)
        tifffile.imwrite(path, np.stack([image, image]), photometric="minisblack")
        report = analyze([path], tmp_path / str(number), ParticleOptions(model="watershed"), workers=1)
        expected = length_nm / printed.length_px
        assert report.tables["images"]["nm_per_px"].tolist() == pytest.approx([expected] * 2, rel=0.01)
