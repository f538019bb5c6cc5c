"""The public API: complete, described, and the same answers in memory as in a folder of results."""

import doctest
import importlib
import inspect

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import emscout as em
from emscout.synthetic.particles import make_micrograph
from emscout.synthetic.scale import print_scale

PUBLIC = {
    # what is passed on
    *("Calibration", "Micrograph", "Notice", "Report", "Segmentation", "Series"),
    # reading
    *("read", "read_series", "read_scale", "calibrate", "ScaleReading", "NoScale"),
    # in memory
    *("find_particles", "measure_particles", "ParticleResult", "SEGMENTERS"),
    *("find_crystals", "CrystalResult"),
    *("follow_particles", "MovieResult"),
    *("classify", "ClassificationResult", "find_similar", "SimilarResult"),
    *("find_panels", "Panel", "PanelResult"),
    # into a folder
    *("analyze", "ParticleOptions", "locate", "CrystalOptions", "follow", "MovieOptions", "mine", "LiteratureOptions"),
    *("categorize", "SpecimenOptions", "search_similar", "SimilarOptions", "read_scales"),
    # errors
    *("EmscoutError", "UsageError", "ReadError", "NonSquarePixelsError", "NotOneImageError", "CalibrationError"),
    *("ModelError", "NothingToFindError", "OutputError"),
}


def test_everything_public_is_there_and_nothing_else():
    assert set(em.__all__) == PUBLIC
    assert set(em.__all__) <= set(dir(em))
    for name in em.__all__:
        assert getattr(em, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        _ = em.segment


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_public_names_are_described(name):
    thing = getattr(em, name)
    if not callable(thing):
        return
    text = inspect.getdoc(thing)
    assert text, name
    if inspect.isfunction(thing):
        assert all(parameter in text for parameter in ("Parameters", "Returns")), name
        assert "Examples" in text, name
        hints = inspect.get_annotations(thing)
        assert set(inspect.signature(thing).parameters) <= set(hints), name


@pytest.mark.parametrize(
    "module", ["micrograph", "errors", "scale.calibrate", "particles.find", "particles.measure", "crystals.find"]
)
def test_examples_of_the_docstrings_run(module):
    failed, tried = doctest.testmod(importlib.import_module(f"emscout.{module}"))
    assert tried and not failed


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """A picture whose only pixel size is that of its printed bar."""
    micrograph, _, _ = make_micrograph((320, 448), n_particles=25, diameter_px=(28, 5), seed=3)
    low, high = np.percentile(micrograph.image, (0.5, 99.5))
    grey = np.clip((micrograph.image - low) / (high - low) * 190 + 30, 0, 255).astype(np.uint8)
    image, _ = print_scale("100 nm", "box", length_px=120, ground="banner", side="below", image=grey, seed=6)
    path = tmp_path_factory.mktemp("api") / "export.png"
    Image.fromarray(image).save(path)
    return path


@pytest.mark.parametrize("settings", [{}, {"model": "watershed"}, {"min_probability": 0.9, "min_diameter": "5nm"}])
def test_particles_in_memory_are_those_of_the_folder(printed, tmp_path, settings):
    found = em.find_particles(em.read(printed), **settings)
    report = em.analyze([printed], tmp_path / "out", em.ParticleOptions(**settings))
    assert len(found.table) and "equivalent_circular_diameter_nm" in found.table
    pd.testing.assert_frame_equal(
        report.tables["particles"].drop(columns="image"), found.table, check_dtype=False, check_exact=True
    )
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "labels" / "export.tif"), found.segmentation.labels)
    row = report.tables["images"].iloc[0]
    for name, value in found.summary.items():
        assert row[name] == value or (pd.isna(row[name]) and (value is None or pd.isna(value))), name
    assert row["count_dropped"] == found.doubtful.labels.max()


def test_a_calibrated_micrograph_gives_the_same_particles(printed):
    m = em.calibrate(em.read(printed))
    assert m.calibration.source == "scale-bar"
    once, twice = em.find_particles(em.read(printed), model="watershed"), em.find_particles(m, model="watershed")
    pd.testing.assert_frame_equal(once.table, twice.table)


def test_a_disagreement_is_a_warning_and_can_be_resolved(printed):
    m = em.calibrate(em.read(printed, pixel_size_nm=None))
    tag = em.Micrograph(m.image, em.Calibration(2 * m.nm_per_px, "metadata"))
    doubted = em.calibrate(tag)
    assert doubted.calibration is None
    assert [notice.code for notice in doubted.warnings] == ["pixel-size"]
    # Whoever looks again sees the same, and can say which is right.
    assert em.calibrate(doubted) == doubted or em.calibrate(doubted).calibration is None
    assert em.calibrate(doubted, trust="bar").calibration.source == "scale-bar"
    assert em.calibrate(doubted, trust="metadata").nm_per_px == pytest.approx(2 * m.nm_per_px)
    found = em.find_particles(doubted, model="watershed")
    assert found.micrograph.calibration is None
    assert "pixel-size" in {notice.code for notice in found.warnings}


def test_evaluation_scores_what_find_particles_finds(printed, tmp_path):
    from emscout.io.labels import find_labelled
    from emscout.particles.accuracy import evaluate_particles

    found = em.find_particles(em.read(printed))
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "images" / "export.png").write_bytes(printed.read_bytes())
    tifffile.imwrite(tmp_path / "labels" / "export.tif", found.segmentation.labels)
    scores = evaluate_particles(find_labelled(tmp_path), model="particles-v2")["scores"]
    filtered = scores[(scores["particles"] == "filtered") & (scores["over"] == "pooled")].iloc[0]
    assert filtered["n_true"] == filtered["n_predicted"] == len(found.table)
    assert filtered["f1_50"] == 1


def test_the_same_warnings_in_every_door(tmp_path):
    from emscout.errors import spell_options

    image = np.full((64, 64), 100, np.uint8)
    tifffile.imwrite(tmp_path / "flat.tif", image)
    found = em.find_particles(em.read(tmp_path / "flat.tif"))
    (notice,) = found.warnings
    assert notice.code == "empty" and notice.sentence
    report = em.analyze([tmp_path / "flat.tif"], tmp_path / "out")
    assert [(one.image, one.code, str(one)) for one in report.warnings] == [("flat", "empty", str(notice))]
    cell = pd.read_csv(tmp_path / "out" / "images.csv")["warnings"].iloc[0]
    assert cell == f"[empty] {notice}"
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert spell_options(notice.sentence, lambda field, value: "").split(":")[-1].strip()[:30] in page
