"""Particles beside a printed scale: measured by it, and never counted from it."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import emscout as em
from emscout.particles.analyze import ParticleOptions, analyze
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
    report = analyze([source], out, ParticleOptions(model="watershed", **options))
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


@pytest.fixture(scope="module")
def discs():
    """Discs on a grid of 60 px; the row at 330 px is cut in the middle by a banner that begins there."""
    rows, cols = np.indices((400, 480))
    grey = np.full(rows.shape, 60.0)
    for row in range(30, 400, 60):
        for col in range(30, 480, 60):
            grey[(rows - row) ** 2 + (cols - col) ** 2 <= 20**2] = 170
    grey += np.random.default_rng(0).normal(0, 4, grey.shape)
    image, printed = print_scale(
        "100 nm", "line", length_px=120, ground="banner", side="below", image=grey.astype(np.uint8), seed=1
    )
    return image, image.shape[0] - printed.banner_px


@pytest.mark.parametrize("model", ["watershed", "particles-v2"])
def test_particles_cut_by_the_banner_are_cut_by_the_border(discs, model):
    image, top = discs
    found = em.find_particles(em.Micrograph(image), model=model)
    table = found.table
    reach = table["row_px"] + table["equivalent_circular_diameter_px"] / 2
    at_banner = table["max_feret_px"] < 36  # what is left of a disc of 41 px
    assert not table.loc[table["row_px"] < top - 25, "touches_border"].any()
    assert table.loc[at_banner & (reach > top - 12), "touches_border"].all()
    assert table["touches_border"].sum() >= 6
    whole = table.loc[~table["touches_border"], "equivalent_circular_diameter_px"]
    assert whole.min() > 36
    # The banner is no field of view: nothing can be found there.
    assert found.summary["coverage"] == pytest.approx(table["area_px2"].sum() / (480 * top), rel=0.02)


def test_particles_cut_by_what_covers_them_are_cut_by_the_border():
    rows, cols = np.indices((300, 300))
    grey = np.full(rows.shape, 60.0)
    for row in range(30, 300, 60):
        for col in range(30, 300, 60):
            grey[(rows - row) ** 2 + (cols - col) ** 2 <= 20**2] = 170
    grey += np.random.default_rng(0).normal(0, 4, grey.shape)
    hidden = np.zeros(grey.shape, bool)
    hidden[:90, 150:] = True
    grey[hidden] = 60
    open_field = em.find_particles(em.Micrograph(grey.astype(np.uint8)), model="watershed")
    found = em.find_particles(em.Micrograph(grey.astype(np.uint8)), model="watershed", hidden=hidden)
    assert len(found.table) == len(open_field.table)
    cut = found.table[found.table["touches_border"]]
    assert len(cut) and not open_field.table["touches_border"].any()
    # Those at the lower and the left edge of what is hidden, and no others.
    assert ((cut["row_px"] < 115) & (cut["col_px"] > 125)).all()
    assert found.summary["coverage"] == pytest.approx(
        open_field.summary["coverage"] * hidden.size / (hidden.size - hidden.sum())
    )
