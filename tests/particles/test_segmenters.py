"""Any segmenter: by name, by function, and what happens when it does not keep to the rules."""

import numpy as np
import pytest
import tifffile
from skimage import filters, measure

import emscout as em
from emscout.errors import UsageError
from emscout.synthetic.particles import make_micrograph


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    micrograph, _, _ = make_micrograph((192, 256), n_particles=10, nm_per_px=0.5, seed=2)
    path = tmp_path_factory.mktemp("scan") / "scan.tif"
    tifffile.imwrite(path, micrograph.image, imagej=True, resolution=(2, 2), metadata={"unit": "nm"})
    return path


def otsu(micrograph):
    """Labels by one threshold: what a user brings along."""
    image = micrograph.image
    return measure.label(image < filters.threshold_otsu(image))


def doubtful(micrograph):
    """A segmentation that knows how sure it is."""
    labels = otsu(micrograph).astype(np.int32)
    score = np.linspace(0, 1, labels.max())
    return em.Segmentation(labels, np.full(labels.shape, 0.01, np.float32), score)


def test_a_function_takes_the_place_of_the_network(scan):
    m = em.read(scan)
    found = em.find_particles(m, segmenter=otsu)
    assert np.array_equal(found.segmentation.labels, otsu(m))
    assert "equivalent_circular_diameter_nm" in found.table and "probability" not in found.table
    assert found.summary["count_expected"] is None


def test_a_function_is_found_by_its_name_in_the_folder_too(scan, tmp_path):
    options = em.ParticleOptions(model="tests.particles.test_segmenters:otsu")
    report = em.analyze([scan], tmp_path / "out", options)
    assert len(report.tables["particles"]) == otsu(em.read(scan)).max()
    assert report.options["model"] == "tests.particles.test_segmenters:otsu"


def test_probabilities_of_a_segmenter_count(scan):
    every = em.find_particles(em.read(scan), segmenter=doubtful)
    sure = em.find_particles(em.read(scan), segmenter=doubtful, min_probability=0.5)
    assert (sure.table["probability"] >= 0.5).all()
    assert 0 < len(sure.table) < len(every.table)
    assert sure.doubtful.labels.max() == len(every.table) - len(sure.table)
    assert "doubtful" in {notice.code for notice in every.warnings}
    assert "doubtful" not in {notice.code for notice in sure.warnings}


def test_labels_with_gaps_of_any_integer_type_are_numbered_anew(scan):
    def sparse(micrograph):
        return (10 * otsu(micrograph)).astype(np.uint16)

    found = em.find_particles(em.read(scan), segmenter=sparse)
    assert found.segmentation.labels.dtype == np.int32
    assert found.table["label"].tolist() == list(range(1, len(found.table) + 1))


@pytest.mark.parametrize(
    "returned", [np.zeros((3, 3), int), np.zeros((192, 256)), np.full((192, 256), -1), np.zeros((192, 256, 1), int)]
)
def test_what_is_not_a_segmentation_is_refused(scan, returned):
    with pytest.raises(UsageError, match="a segmenter returns"):
        em.find_particles(em.read(scan), segmenter=lambda micrograph: returned)


@pytest.mark.parametrize("name", ["particles-v999", "no.such.module:find", "tests.particles.test_segmenters:gone"])
def test_an_unknown_segmenter_is_a_sentence(name):
    with pytest.raises(UsageError, match=r"particles-v2|cannot be imported"):
        em.ParticleOptions(model=name)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("watershed", {"diameter": "20px"}),
        ("watershed", {"samples": 3}),
        ("watershed", {"min_probability": 0.5}),
        ("watershed", {"max_uncertainty": 0.1}),
        ("particles-v2", {"polarity": "dark"}),
        ("particles-v2", {"split": False}),
        ("tests.particles.test_segmenters:otsu", {"samples": 3}),
    ],
)
def test_an_option_without_effect_is_refused(model, settings):
    name = next(iter(settings))
    with pytest.raises(UsageError, match=f"does not use `{name}"):
        em.ParticleOptions(model=model, **settings)


def test_a_threshold_on_what_a_segmenter_does_not_say_is_refused(scan):
    with pytest.raises(UsageError, match="`min_probability` has no effect"):
        em.find_particles(em.read(scan), segmenter=otsu, min_probability=0.5)


def test_misspelled_and_impossible_options_are_sentences():
    with pytest.raises(UsageError, match="no option `min_diametre`"):
        em.ParticleOptions(min_diametre="5nm")
    with pytest.raises(UsageError, match="`samples` must be 1 or more, not 0"):
        em.ParticleOptions(samples=0)
    with pytest.raises(UsageError, match="`min_probability` must be 1 or less, not 2"):
        em.ParticleOptions(min_probability=2)
    with pytest.raises(UsageError, match="`polarity` must be auto, bright or dark, not 'black'"):
        em.ParticleOptions(model="watershed", polarity="black")
    with pytest.raises(UsageError, match="either `options` or its fields"):
        em.find_particles(em.Micrograph(np.eye(9)), em.ParticleOptions(), samples=3)
