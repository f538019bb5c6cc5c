import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emscout.training.real_sets import SETS, RealImage, assign_folds, find_real_images

DATA = Path(os.environ.get("EMSCOUT_DATA", Path(__file__).parents[3] / "shared" / "data"))


def _image(name, source):
    return RealImage(name, Path(name), Path(name), source, "", "instances")


def test_a_source_lies_in_one_fold_and_each_set_in_all_it_can():
    images = [_image(f"emps/{n}", f"doi {n // 3}") for n in range(60)]
    images += [_image(f"soot/{n}", "soot") for n in range(9)]
    folds = assign_folds(images)
    for source in {image.source for image in images}:
        assert len({folds[image.name] for image in images if image.source == source}) == 1
    assert {folds[f"emps/{n}"] for n in range(60)} == set(range(5))
    assert folds == assign_folds(images[::-1])


def test_boxes_become_ellipses_with_an_unsure_rim(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (100, 200), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("0 0.25 0.5 0.2 0.2\n0 0.75 0.5 0.1 0.4\n")
    truth = RealImage("stem_boxes/a", tmp_path / "a.png", tmp_path / "a.txt", "a", "on support", "boxes").read()
    assert np.unique(truth.labels).tolist() == [0, 1, 2]
    assert truth.labels[50, 50] > 0
    assert truth.labels[50, 150] > 0
    assert truth.labels[50, 100] == 0
    areas = np.bincount(truth.labels.ravel())[1:]
    assert sorted(areas) == pytest.approx([np.pi * 10 * 20, np.pi * 10 * 20], rel=0.03)
    assert truth.matter_known[50, 50]
    assert truth.matter_known[5, 5]
    assert not truth.matter_known[50, 50 - 20]


def test_only_the_background_of_a_foreground_mask_is_known(tmp_path):
    Image.fromarray(np.arange(6400, dtype=np.uint16).reshape(80, 80).astype(np.uint8)).save(tmp_path / "a.png")
    mask = np.zeros((80, 80), np.uint8)
    mask[10:30, 10:30] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    truth = RealImage("x/a", tmp_path / "a.png", tmp_path / "m.png", "x", "", "foreground").read()
    assert truth.matter_known.all()
    assert (truth.instances_known == (mask == 0)).all()


@pytest.mark.skipif(not (DATA / "particle_sets").is_dir(), reason="the shared data are not here")
def test_all_shared_sets_are_found():
    images = find_real_images(DATA)
    assert {image.name.split("/")[0] for image in images} == {name.split("/")[-1] for name in SETS}
    assert len({image.name for image in images}) == len(images)
    assert all(image.path.is_file() and image.truth.is_file() for image in images)
    by_set = {image.name.split("/")[0]: image for image in images}
    for image in by_set.values():
        truth = image.read()
        assert truth.grey.shape == truth.labels.shape == truth.matter_known.shape
        assert truth.labels.any()
