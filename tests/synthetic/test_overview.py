"""The made overviews hold what they say."""

import numpy as np
import pytest

from emscout.synthetic.overview import make_overview


def test_images_and_masks_go_together():
    overview = make_overview((2, 3), (200, 240), n_crystals=10, seed=1)
    assert list(overview.images) == [f"Tile_00{r}-00{c}" for r in (1, 2) for c in (1, 2, 3)]
    for name, micrograph in overview.images.items():
        assert micrograph.image.shape == overview.crystals[name].shape == overview.bars[name].shape == (200, 240)
        assert micrograph.image.dtype == np.uint16
        assert not (overview.crystals[name] & overview.bars[name]).any()
    assert sum(mask.any() for mask in overview.crystals.values()) >= 3


def test_bars_are_black_and_crystals_darker_than_film():
    overview = make_overview(vignetting=0, brightness_steps=0, seed=2)
    grey = np.concatenate([micrograph.image.ravel() for micrograph in overview.images.values()])
    crystal, bar = (np.concatenate([m.ravel() for m in masks.values()]) for masks in (overview.crystals, overview.bars))
    film = np.median(grey[~crystal & ~bar])
    assert np.median(grey[crystal]) == pytest.approx(film * (1 - 0.35 * 0.8), rel=0.05)
    assert np.median(grey[bar]) < 0.1 * film


def test_light_falls_off_and_steps_between_images():
    overview = make_overview((1, 2), bars=False, n_crystals=0, seed=3)
    one, two = (micrograph.image.astype(float) for micrograph in overview.images.values())
    assert one[190:210, 190:210].mean() > 1.15 * one[:20, :20].mean()
    assert abs(one.mean() / two.mean() - 1) > 0.02


def test_the_same_seed_gives_the_same_bytes():
    first, again, other = (make_overview(seed=seed).images["Tile_002-002"].image for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
