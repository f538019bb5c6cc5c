import numpy as np
import pytest

from emscout import Segmentation
from emscout.particles.measure import measure_particles
from emscout.synthetic.particles import OUTLINES, make_micrograph, make_mosaic

ALL = tuple(OUTLINES)


def test_the_same_seed_gives_the_same_bytes():
    first, second, other = (
        make_micrograph((200, 300), n_particles=20, shapes=ALL, touching=True, seed=s) for s in (1, 1, 2)
    )
    assert first[0].image.tobytes() == second[0].image.tobytes()
    assert (first[1] == second[1]).all()
    assert first[2].equals(second[2])
    assert first[0].image.tobytes() != other[0].image.tobytes()


@pytest.mark.parametrize("shape", [(512, 512), (200, 700), (64, 64)])
def test_image_labels_and_truth_belong_together(shape):
    micrograph, labels, truth = make_micrograph(shape, n_particles=30, shapes=ALL, seed=3)
    assert micrograph.image.shape == labels.shape == shape
    assert micrograph.image.dtype == np.uint8
    assert labels.dtype == np.int32
    assert truth["label"].tolist() == np.unique(labels)[1:].tolist() == list(range(1, len(truth) + 1))


@pytest.mark.parametrize("polarity", ["dark", "bright"])
def test_polarity(polarity):
    micrograph, labels, _ = make_micrograph(polarity=polarity, seed=1)
    difference = micrograph.image[labels > 0].mean() - micrograph.image[labels == 0].mean()
    assert (difference > 40) == (polarity == "bright")
    assert (difference < -40) == (polarity == "dark")


def test_labels_measure_as_the_truth_says():
    micrograph, labels, truth = make_micrograph((900, 900), n_particles=80, shapes=ALL, diameter_px=(40, 5), seed=2)
    table = measure_particles(Segmentation(labels), micrograph)
    assert (table["touches_border"] == truth["touches_border"]).all()
    whole = ~truth["touches_border"]
    table, truth = table[whole], truth[whole]
    for name in ("row_px", "col_px"):
        assert table[name].to_numpy() == pytest.approx(truth[name].to_numpy(), abs=0.5)
    assert table["area_px2"].to_numpy() == pytest.approx(truth["area_px2"].to_numpy(), rel=0.03)
    assert table["max_feret_px"].to_numpy() == pytest.approx(truth["max_feret_px"].to_numpy(), abs=1.5)
    assert table["min_feret_px"].to_numpy() == pytest.approx(truth["min_feret_px"].to_numpy(), abs=1.0)
    rods = truth["shape"] == "rod"
    turned = table["orientation_deg"][rods] - truth["orientation_deg"][rods]
    assert ((turned + 90) % 180 - 90).to_numpy() == pytest.approx(0, abs=1)
    assert table["aspect_ratio"][rods].to_numpy() == pytest.approx(truth["aspect_ratio"][rods].to_numpy(), rel=0.05)
    assert (table["shape"] == truth["shape"]).mean() > 0.95


def test_diameters_follow_the_asked_distribution():
    _, _, truth = make_micrograph((2000, 2000), n_particles=500, diameter_px=(20, 3), seed=0)
    assert truth["equivalent_circular_diameter_px"].mean() == pytest.approx(20, abs=0.5)
    assert truth["equivalent_circular_diameter_px"].std() == pytest.approx(3, abs=0.4)


def test_some_particles_are_cut_by_the_border():
    _, labels, truth = make_micrograph(n_particles=60, seed=0)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    assert set(truth.loc[truth["touches_border"], "label"]) == set(rim[rim > 0].tolist()) != set()


def test_particles_touch_only_when_asked():
    def touching_pairs(labels):
        pairs = 0
        for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
            both = (a > 0) & (b > 0) & (a != b)
            pairs += len(np.unique(np.sort(np.stack([a[both], b[both]]), axis=0), axis=1).T)
        return pairs

    assert touching_pairs(make_micrograph(seed=4)[1]) == 0
    assert touching_pairs(make_micrograph(touching=True, seed=4)[1]) >= 10


def test_a_crowded_field_holds_what_fits():
    _, labels, truth = make_micrograph((100, 100), n_particles=200, diameter_px=(20, 1), seed=0)
    assert 5 < len(truth) < 30
    assert labels.max() == len(truth)


def test_no_particles():
    micrograph, labels, truth = make_micrograph((50, 60), n_particles=0)
    assert labels.max() == 0
    assert len(truth) == 0
    assert {"label", "row_px", "shape", "touches_border"} <= set(truth)
    assert micrograph.image.std() > 0


def test_noise_and_vignetting_can_be_switched_off():
    image = make_micrograph((80, 80), n_particles=0, noise=0, vignetting=0)[0].image
    assert np.ptp(image) == 0
    noisy = make_micrograph((200, 200), n_particles=0, noise=0.1, vignetting=0)[0].image
    assert noisy.std() == pytest.approx(0.1 * np.sqrt(0.75) * 255, rel=0.1)
    shaded = make_micrograph((200, 200), n_particles=0, noise=0, vignetting=0.3)[0].image
    assert shaded[100, 100] > shaded[[0, 0, -1, -1], [0, -1, 0, -1]].mean() + 20


def test_scale_bar_is_as_long_as_it_says():
    with_bar, labels, _ = make_micrograph((512, 512), nm_per_px=0.5, scale_bar=True, seed=0)
    bar = with_bar.image[500] == 0
    assert bar.sum() == 100  # 50 nm
    assert labels[500, bar].max() == 0
    assert with_bar.nm_per_px == 0.5


@pytest.mark.parametrize("nm_per_px", [0.013, 0.5, 7, 1234])
def test_scale_bars_have_round_lengths(nm_per_px):
    image = make_micrograph((512, 512), n_particles=0, noise=0, nm_per_px=nm_per_px, scale_bar=True)[0].image
    nm = (image[500] == 0).sum() * nm_per_px
    power = 10 ** np.floor(np.log10(nm * 1.02))
    assert min(abs(nm / power - step) / step for step in (1, 2, 5)) < 0.02


@pytest.mark.parametrize(
    "options",
    [{"polarity": "grey"}, {"shapes": ("sphere", "banana")}, {"scale_bar": True, "nm_per_px": None}],
)
def test_impossible_wishes_are_refused(options):
    with pytest.raises(ValueError, match=r"grey|banana|nm_per_px"):
        make_micrograph((50, 50), **options)


def test_uncalibrated():
    assert make_micrograph((50, 50), nm_per_px=None)[0].calibration is None


def test_mosaic():
    micrograph, truth = make_mosaic((2048, 3072), n_particles=600, seed=1)
    assert micrograph.image.shape == (2048, 3072)
    assert micrograph.image.dtype == np.uint8
    assert len(truth) == 600
    assert truth["label"].tolist() == list(range(1, 601))
    at = micrograph.image[truth["row_px"].round().astype(int), truth["col_px"].round().astype(int)]
    assert at.mean() < micrograph.image.mean() - 50
    assert not truth["touches_border"].any()
    assert truth.equals(make_mosaic((2048, 3072), n_particles=600, seed=1)[1])


@pytest.mark.parametrize("shape", [(1000, 1024), (0, 1024)])
def test_mosaics_are_whole_blocks(shape):
    with pytest.raises(ValueError, match="multiples of 1024"):
        make_mosaic(shape)
