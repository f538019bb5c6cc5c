"""Augmented views keep image and labels aligned, and are the same for the same seed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from emscout.training import augment  # noqa: E402
from emscout.training.data import Labelled  # noqa: E402

SIDE_PX = 128


@pytest.fixture
def data():
    """An image that is its own label map: particles of grey 100 and 200 on black, far from the edges of grey."""
    labels = np.zeros((1, 160, 200), np.int16)
    row, col = np.mgrid[:160, :200]
    labels[0][np.hypot(row - 50, col - 60) < 30] = 1
    labels[0][np.hypot(row - 110, col - 140) < 35] = 2
    return Labelled(
        torch.from_numpy((labels * 100).astype(np.uint8)),
        torch.from_numpy(labels),
        torch.tensor([[160.0, 200.0]]),
        torch.tensor([65.0]),
        [torch.tensor([[50.0, 60.0], [110.0, 140.0]])],
    )


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(6))
def test_image_and_labels_stay_aligned(data, seed):
    index = torch.zeros(4, dtype=torch.long)
    matrices, centres = augment.draw_views(data, index, SIDE_PX, generator(seed))
    images, labels, inside = augment.cut_views(data, index, matrices, centres, SIDE_PX)
    nearest = torch.round(images * 255 / 100)
    # Pixels on an outline are mixed; all others show what their label says.
    assert (nearest == labels).float().mean() > 0.97
    assert labels[~inside].eq(0).all()


def test_every_view_shows_something(data):
    index = torch.zeros(64, dtype=torch.long)
    matrices, centres = augment.draw_views(data, index, SIDE_PX, generator(0))
    _, labels, inside = augment.cut_views(data, index, matrices, centres, SIDE_PX)
    assert inside.flatten(1).float().mean(1).min() > 0.2
    assert (labels.flatten(1).amax(1) > 0).float().mean() > 0.9


def test_greys_stay_in_range(data):
    views = torch.rand(8, SIDE_PX, SIDE_PX, generator=generator(1))
    changed = augment.degrade(augment.change_greys(views, generator(2)), generator(3))
    assert changed.min() >= 0 and changed.max() <= 1
    assert changed.isfinite().all()


def test_prints_hide_particles_under_boxes_and_leave_strokes_unknown():
    annotations = augment.render_annotations(40, SIDE_PX, seed=0)
    assert annotations.shape == (40, 3, SIDE_PX, SIDE_PX)
    images, labels = torch.full((40, SIDE_PX, SIDE_PX), 0.5), torch.ones(40, SIDE_PX, SIDE_PX, dtype=torch.long)
    printed, left, unknown = augment.paste_annotations(images, labels, annotations, generator(0))
    touched = (printed != 0.5).flatten(1).any(1)
    assert 0 < touched.sum() < 40
    assert left[~touched].eq(1).all()
    assert not unknown[~touched].any()
    assert (left == 0).any() and unknown.any()
    assert not (unknown & (left == 0)).any()


def test_instances_are_numbered_through_the_batch():
    labels = torch.zeros(2, 20, 20, dtype=torch.long)
    labels[0, 2:8, 3:9], labels[0, 12:14, 1:3], labels[1, 5:15, 5:18] = 7, 2, 2
    instances, boxes, image_index, ignored = augment.number_instances(labels, smallest_px2=10)
    assert boxes.tolist() == [[2, 3, 8, 9], [5, 5, 15, 18]]
    assert image_index.tolist() == [0, 1]
    assert instances[0, 4, 4] == 1 and instances[1, 7, 7] == 2
    assert ignored.sum() == 4  # too small to be learnt from, too large to be called background


def test_a_batch_is_the_same_for_the_same_seed_and_never_twice(data):
    annotations = augment.render_annotations(4, SIDE_PX, seed=0)
    once, again, other = (augment.draw_batch(data, annotations, 3, SIDE_PX, generator(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
