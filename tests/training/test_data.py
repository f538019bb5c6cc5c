"""Images as training sees them."""

import numpy as np
import pytest
import tifffile

torch = pytest.importorskip("torch")

from emscout.errors import ReadError  # noqa: E402
from emscout.io.labels import LabelledImage, find_labelled  # noqa: E402
from emscout.training.data import (  # noqa: E402
    LARGEST_SIDE_PX,
    load_labelled,
    read_labelled,
)


def labelled(folder, name, image, labels):
    path = folder / f"{name}.tif"
    tifffile.imwrite(path, image)
    return LabelledImage(name, path, path, lambda shape: labels)


def test_greys_are_stretched_and_pixels_without_a_value_become_the_networks_zero(tmp_path):
    image = np.linspace(-5, 5, 400, dtype=np.float32).reshape(20, 20)
    image[3, 4] = np.nan
    grey, _ = read_labelled(labelled(tmp_path, "x", image, np.zeros((20, 20), np.int32)))
    assert (grey.min(), grey.max(), grey.dtype) == (0, 1, np.float32)
    assert grey[3, 4] == np.float32(0.449)


def test_an_image_of_one_grey_is_named(tmp_path):
    with pytest.raises(ReadError, match=r"flat\.tif"):
        read_labelled(labelled(tmp_path, "flat", np.ones((9, 9), np.uint8), np.zeros((9, 9), np.int32)))


def test_images_of_all_sizes_lie_in_one_stack(tmp_path):
    labels = np.zeros((30, 50), np.int32)
    labels[5:15, 10:20], labels[20:24, 30:34] = 4, 9
    noise = np.random.default_rng(0).integers(0, 255, (40, 20), dtype=np.uint8)
    data = load_labelled(
        [
            labelled(tmp_path, "a", (labels * 20).astype(np.uint8), labels),
            labelled(tmp_path, "b", noise, np.zeros((40, 20), np.int32)),
        ],
        torch.device("cpu"),
        seed=1,
    )
    assert data.images.shape == data.labels.shape == (2, 40, 50)
    assert data.shapes.tolist() == [[30, 50], [40, 20]]
    assert data.labels[0].unique().tolist() == [0, 1, 2]
    assert data.centres[0].tolist() == [[9.5, 14.5], [21.5, 31.5]]
    assert len(data.centres[1]) == 0
    assert data.labels[1].max() == 0


@pytest.mark.parametrize(("diameter_px", "pieces"), [(400, 1), (30, 4)], ids=["large particles", "small ones"])
def test_a_large_image_is_shrunk_or_cut(diameter_px, pieces, tmp_path):
    side = 2 * LARGEST_SIDE_PX
    row, col = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    centres = [(500, 600), (1500, 400), (1400, 1600)]
    for number, (r, c) in enumerate(centres, start=1):
        labels[(row - r) ** 2 + (col - c) ** 2 < (diameter_px / 2) ** 2] = number
    data = load_labelled([labelled(tmp_path, "x", labels.astype(np.uint8), labels)], torch.device("cpu"), seed=1)
    assert data.images.shape == (pieces, LARGEST_SIDE_PX, LARGEST_SIDE_PX)
    assert sum(len(found) for found in data.centres) == 3
    assert torch.equal(data.images > 0, data.labels > 0) or pieces == 1


def test_synthetic_micrographs_join_the_real_ones(tmp_path):
    labels = np.zeros((30, 50), np.int32)
    labels[5:15, 10:20] = 1
    image = labelled(tmp_path, "a", (labels * 20).astype(np.uint8), labels)
    one, same, other = (load_labelled([image] * 5, torch.device("cpu"), seed=seed) for seed in (1, 1, 2))
    assert len(one.images) == 6
    assert len(one.centres[5]) > 0
    assert torch.equal(one.images, same.images)
    assert torch.equal(one.labels, same.labels)
    assert not torch.equal(one.labels[5], other.labels[5])


def test_find_and_read_go_together(tmp_path):
    from emscout.synthetic.particles import make_micrograph

    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    micrograph, truth, _ = make_micrograph((64, 80), n_particles=4, seed=1)
    tifffile.imwrite(tmp_path / "images" / "x.tif", micrograph.image)
    tifffile.imwrite(tmp_path / "labels" / "x.tif", truth)
    grey, labels = read_labelled(find_labelled(tmp_path)[0])
    assert grey.shape == labels.shape
    np.testing.assert_array_equal(labels, truth)
