import numpy as np
import pytest

from emscout.synthetic.kinds import KINDS, draw_kind


@pytest.mark.parametrize("kind", KINDS)
def test_image_labels_and_table_belong_together(kind):
    drawn = draw_kind(kind, (96, 128), seed=4)
    assert drawn.image.shape == drawn.labels.shape == drawn.cores.shape == (96, 128)
    assert drawn.image.dtype == np.uint8
    assert drawn.labels.dtype == drawn.cores.dtype == np.int32
    assert np.unique(np.append(0, drawn.labels)).tolist() == list(range(len(drawn.particles) + 1))
    assert drawn.particles["label"].tolist() == list(range(1, len(drawn.particles) + 1))
    cored = drawn.cores > 0
    assert (drawn.cores[cored] == drawn.labels[cored]).all()
    assert np.ptp(drawn.image) > 100


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes(kind):
    first, second, other = (draw_kind(kind, (64, 64), seed=seed) for seed in (7, 7, 8))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()
    assert first.particles.equals(second.particles)
    assert first.image.tobytes() != other.image.tobytes()


def test_a_kind_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="'sponge' is not a kind: there are round"):
        draw_kind("sponge")


def _median_diameter(drawn):
    areas = np.bincount(drawn.labels.ravel())[1:]
    return np.median(2 * np.sqrt(areas / np.pi))


def test_tiny_particles_are_many_and_a_few_pixels_wide():
    drawn = [draw_kind("tiny", (256, 256), seed=seed) for seed in range(6)]
    assert all(1.5 < _median_diameter(one) < 8 for one in drawn)
    assert max(len(one.particles) for one in drawn) > 150


def test_particles_that_fill_the_frame_are_few_and_large():
    drawn = [draw_kind("fills the frame", (128, 128), seed=seed) for seed in range(6)]
    assert all(len(one.particles) <= 15 for one in drawn)
    assert np.median([np.bincount(one.labels.ravel())[1:].max() for one in drawn]) > 0.15 * 128**2


def test_cores_lie_within_whole_particles():
    drawn = [draw_kind("core-shell", (192, 192), seed=seed) for seed in range(8)]
    cored = [one for one in drawn if one.cores.any()]
    assert cored
    for one in cored:
        shelled = one.particles["core_diameter_px"].notna()
        assert set(np.unique(one.cores)) - {0} <= set(one.particles["label"][shelled])
    assert any(one.particles["hollow"].any() for one in drawn)


def test_agglomerates_say_which_particles_belong_together():
    drawn = draw_kind("agglomerate", (256, 256), seed=2)
    assert (drawn.particles["aggregate"] > 0).all()
    assert drawn.particles.groupby("aggregate").size().max() >= 2


def test_holes_of_a_film_are_no_particles():
    for seed in range(6):
        drawn = draw_kind("on film", (192, 192), seed=seed)
        assert (drawn.labels > 0).mean() < 0.3


def test_an_empty_field_has_no_particle():
    drawn = draw_kind("empty", (64, 64), seed=1)
    assert not drawn.labels.any()
    assert drawn.particles.empty


def test_larger_images_hold_more_particles():
    small, large = (
        np.mean([len(draw_kind("on support", (side, side), seed=seed).particles) for seed in range(4)])
        for side in (128, 256)
    )
    assert large > 2 * small
