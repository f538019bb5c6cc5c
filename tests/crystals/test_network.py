"""What the particle network says of tiles."""

import numpy as np
import pandas as pd
import pytest

from emscout.crystals.choice.decide import HALF_SHARE, combine_scores
from emscout.crystals.locate import CrystalOptions
from emscout.crystals.tiles.grid import cut_grid, cut_tiles
from emscout.crystals.tiles.network import ENCODER_STATISTICS, PARTICLE_SHARE, encode_tiles, particle_share
from emscout.crystals.tiles.windows import window_sums
from emscout.errors import UsageError
from emscout.synthetic.particles import make_micrograph


@pytest.fixture(scope="module")
def scene():
    micrograph, labels, _ = make_micrograph((256, 320), n_particles=14, seed=2)
    return micrograph.image, labels


def test_the_share_of_particles_is_that_of_the_truth(scene):
    image, labels = scene
    lattice = cut_grid(image.shape, 8, 10)
    share = particle_share(image, lattice)
    truth = window_sums(labels > 0, lattice) / lattice.areas
    assert share.shape == (8, 10)
    assert np.abs(share - truth).mean() < 0.05
    assert ((share > 0.2) == (truth > 0.2)).mean() > 0.9


def test_an_image_of_one_grey_holds_no_particle():
    flat = np.full((64, 64), 7, np.uint8)
    lattice = cut_grid(flat.shape, 2, 2)
    assert (particle_share(flat, lattice) == 0).all()
    assert np.isfinite(encode_tiles(flat, lattice)).all()


def test_features_of_all_tiles_average_to_those_of_the_image(scene):
    image, _ = scene
    whole = encode_tiles(image, cut_grid(image.shape, 1, 1))
    tiles = encode_tiles(image, cut_grid(image.shape, 4, 5))
    assert tiles.shape == (4, 5, len(ENCODER_STATISTICS))
    np.testing.assert_allclose(tiles.mean((0, 1)), whole[0, 0], rtol=1e-6, atol=1e-9)


def test_features_distinguish_particles_from_background(scene):
    image, labels = scene
    lattice = cut_tiles(image.shape, 16)
    features = encode_tiles(image, lattice).reshape(-1, len(ENCODER_STATISTICS))
    covered = (window_sums(labels > 0, lattice) / lattice.areas).ravel()
    middle = (features[covered > 0.9].mean(0) + features[covered == 0].mean(0)) / 2
    across = features[covered > 0.9].mean(0) - features[covered == 0].mean(0)
    plain = (covered > 0.9) | (covered == 0)
    assert (((features - middle) @ across > 0) == (covered > 0.5))[plain].mean() > 0.95


def test_answers_outweigh_the_network_in_the_end():
    share, scores = np.array([0.0, 0.2, 1.0]), np.array([1.0, 1.0, 0.0])
    np.testing.assert_allclose(combine_scores(share, HALF_SHARE, scores, 0), [0.0, 0.5, 1 / 1.2])
    assert combine_scores(share, HALF_SHARE, scores, 50)[0] > 0.5 > combine_scores(share, HALF_SHARE, scores, 50)[2]


def test_the_encoder_is_asked_for_by_one_name():
    names = CrystalOptions(statistics="mean, network").recipe.statistics
    assert names == ("mean", *ENCODER_STATISTICS)
    with pytest.raises(UsageError, match="network"):
        CrystalOptions(statistics="networks")


def test_a_run_with_the_network_marks_what_it_takes_for_particle(tmp_path):
    import tifffile

    from emscout.crystals import locate

    micrograph, _, _ = make_micrograph((256, 256), n_particles=8, diameter_px=(36, 3), seed=4)
    tifffile.imwrite(tmp_path / "a.tif", micrograph.image)
    options = CrystalOptions(grid="8x8", network=True, statistics="network")
    locate([tmp_path / "a.tif"], tmp_path / "out", options)
    tiles = pd.read_csv(tmp_path / "out" / "tiles.csv")
    assert {PARTICLE_SHARE, *ENCODER_STATISTICS} <= set(tiles.columns)
    assert (tiles["target"] == (tiles[PARTICLE_SHARE] >= 0.2)).all()
    assert tiles["target"].any()
