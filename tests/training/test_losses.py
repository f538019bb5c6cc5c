"""The loss on cases small enough to work out by hand."""

import pytest

torch = pytest.importorskip("torch")

from emscout.training.losses import lovasz_hinge, particle_loss, pixel_embeddings  # noqa: E402
from emscout.training.network import COORDINATE_UNIT_PX  # noqa: E402


@pytest.mark.parametrize(
    ("score", "truth", "loss"),
    [
        ([1.0, -1.0, 1.0], [1.0, 0.0, 1.0], 0.0),  # all right
        ([-1.0, -1.0, -1.0], [1.0, 0.0, 1.0], 2.0),  # nothing found: hinge 2, IoU 0
        ([1.0, -1.0, -1.0], [1.0, 0.0, 1.0], 1.0),  # half of it found: hinge 2 times half of the IoU lost
        ([1.0, 1.0, 1.0], [1.0, 0.0, 1.0], 2 / 3),  # one pixel too much: 2 of a union of 3
    ],
)
def test_lovasz_hinge_by_hand(score, truth, loss):
    assert lovasz_hinge(torch.tensor([score]), torch.tensor([truth])).item() == pytest.approx(loss, abs=1e-6)


def test_embedding_is_place_plus_offset():
    output = torch.zeros(1, 4, 3, 5)
    output[:, 1] = 0.5
    place = pixel_embeddings(output)[0, 2, 4]
    assert place.tolist() == pytest.approx([2 / COORDINATE_UNIT_PX, 4 / COORDINATE_UNIT_PX + 0.5])


def scene(side_px=64):
    """Two squares: instances, boxes, image index, nothing ignored."""
    instances = torch.zeros(1, side_px, side_px, dtype=torch.long)
    instances[0, 8:20, 8:20], instances[0, 30:50, 34:54] = 1, 2
    boxes = torch.tensor([[8, 8, 20, 20], [30, 34, 50, 54]])
    return instances, boxes, torch.zeros(2, dtype=torch.long), torch.zeros(1, side_px, side_px, dtype=torch.bool)


def perfect_output(instances, boxes):
    """Each pixel points to the middle of its square with a Gaussian that ends before the other one."""
    side_px = instances.shape[-1]
    output = torch.zeros(1, 4, side_px, side_px)
    middle = (boxes[:, :2] + boxes[:, 2:] - 1) / 2 / COORDINATE_UNIT_PX
    place = torch.stack(torch.meshgrid(*[torch.arange(side_px) / COORDINATE_UNIT_PX] * 2, indexing="ij"))
    for index, centre in enumerate(middle):
        inside = instances[0] == index + 1
        output[0, :2, inside] = (centre[:, None, None] - place)[:, inside]
    output[:, 2] = 12.0
    output[:, 3] = torch.where(instances > 0, 12.0, -12.0)
    return output


def loss_of(output, *truth):
    return particle_loss(output, *truth, torch.Generator().manual_seed(0))


def test_a_perfect_output_costs_next_to_nothing():
    instances, boxes, image_index, ignored = scene()
    parts = loss_of(perfect_output(instances, boxes), instances, boxes, image_index, ignored)
    # Far pixels that lie on a square's middle by themselves are the little that is left.
    assert parts.overlap > 0.95
    assert parts.total < 0.15
    assert parts.smoothness.item() == pytest.approx(0, abs=1e-9)


def test_ignored_pixels_do_not_count_in_the_seed_score():
    instances, boxes, image_index, ignored = scene()
    output = perfect_output(instances, boxes)
    output[:, 3, :4] = 12.0  # background taken for particle
    wrong = loss_of(output, instances, boxes, image_index, ignored).seed
    ignored[:, :4] = True
    assert loss_of(output, instances, boxes, image_index, ignored).seed < 0.1 * wrong


def test_a_view_without_particles_teaches_the_background_alone():
    output = torch.zeros(2, 4, 32, 32, requires_grad=True)
    nothing = torch.zeros(2, 32, 32, dtype=torch.long)
    parts = loss_of(output, nothing, torch.zeros(0, 4, dtype=torch.long), torch.zeros(0, dtype=torch.long), nothing > 0)
    parts.total.backward()
    assert parts.seed.item() == pytest.approx(torch.log(torch.tensor(2.0)).item())
    assert output.grad[:, 3].min() > 0
    assert output.grad[:, :3].abs().max() == 0
