"""Particles beside a printed scale: measured by it, and never counted from it."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from emscout.particles.analyze import AnalyzeOptions, analyze
from emscout.synthetic.particles import make_micrograph
from emscout.synthetic.scale import print_scale


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A picture without metadata, and the same as a TIFF whose tag says half the pixel size that the bar does."""
    folder = tmp_path_factory.mktemp("printed")
    micrograph, _, _ = make_micrograph((384, 512), n_particles=20, diameter_px=(30, 4), seed=5)
    low, high = np.percentile(micrograph.image, (0.5, 99.5))
    grey = np.clip((micrograph.image - low) / (high - low) * 190 + 30, 0, 255).astype(np.uint8)
    image, printed = print_scale("100 nm", "box", length_px=150, ground="banner", side="below", image=grey, seed=6)
    Image.fromarray(image).save(folder / "export.png")
    nm_per_px = 100 / printed.length_px
    tifffile.imwrite(
        folder / "binned.tif", image, imagej=True, resolution=(2 / nm_per_px,) * 2, metadata={"unit": "nm"}
    )
    return folder, image, printed


def images(out, source, **options):
    report = analyze([source], out, AnalyzeOptions(model="watershed", **options))
    return report.tables["images"].iloc[0], report.tables["particles"]


def test_a_picture_without_metadata_is_measured_by_its_bar(folder, tmp_path):
    source, image, printed = folder
    row, particles = images(tmp_path / "out", source / "export.png")
    assert row["calibration_source"] == "scale-bar"
    assert row["nm_per_px"] == pytest.approx(100 / printed.length_px, rel=0.01)
    assert row["count"] > 5
    specimen_px2 = (image.shape[0] - printed.banner_px) * image.shape[1]
    counted = row["count"] - row["count_border"] / 2
    assert row["number_density_per_px2"] == pytest.approx(counted / specimen_px2, rel=0.02)
    assert (particles["row_px"] < image.shape[0] - printed.banner_px).all()


def test_a_bar_that_disagrees_with_the_tag_stops_nanometres(folder, tmp_path):
    row, particles = images(tmp_path / "out", folder[0] / "binned.tif")
    assert pd.isna(row["nm_per_px"])
    assert "`trust=bar`" in row["calibration_note"]
    assert not [name for name in particles if name.endswith("_nm")]


@pytest.mark.parametrize(("trust", "source", "factor"), [("bar", "scale-bar", 1.0), ("metadata", "metadata", 0.5)])
def test_the_user_says_which_to_trust(folder, tmp_path, trust, source, factor):
    row, _ = images(tmp_path / "out", folder[0] / "binned.tif", trust=trust)
    assert row["calibration_source"] == source
    assert row["nm_per_px"] == pytest.approx(factor * 100 / folder[2].length_px, rel=0.01)


def test_or_gives_the_pixel_size(folder, tmp_path):
    row, _ = images(tmp_path / "out", folder[0] / "binned.tif", pixel_size="3nm")
    assert (row["calibration_source"], row["nm_per_px"], row["calibration_note"]) == ("user", 3.0, "")
