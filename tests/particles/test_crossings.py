import numpy as np
import pytest
from scipy import ndimage

from emscout.particles.segmenters.crossings import join_crossings
from emscout.particles.segmenters.pyramid import Candidate


def _bar(shape, middle, angle_deg, length, width):
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    turn = np.radians(angle_deg)
    along = (cols - middle[1]) * np.cos(turn) + (rows - middle[0]) * np.sin(turn)
    across = (rows - middle[0]) * np.cos(turn) - (cols - middle[1]) * np.sin(turn)
    return (np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)


def _pieces(*masks):
    """Candidates of bars of which each lies on those before it."""
    found, free = [], np.ones(masks[0].shape, bool)
    for mask in masks[::-1]:
        labels, _ = ndimage.label(mask & free)
        free &= ~mask
        for number, box in enumerate(ndimage.find_objects(labels), 1):
            piece = labels[box] == number
            found.append(
                Candidate(0, box[0].start, box[1].start, piece, np.zeros(piece.shape, np.float16), np.ones(7), None)
            )
    return found


def _areas(candidates):
    return sorted(int(np.count_nonzero(one.mask)) for one in candidates)


@pytest.mark.parametrize("angle_deg", [30, 60, 90, 130])
@pytest.mark.parametrize("width", [4, 9])
def test_a_fibre_under_another_is_one(angle_deg, width):
    under, above = (_bar((200, 200), (100, 100), angle, 170, width) for angle in (angle_deg, 0))
    pieces = _pieces(under, above)
    assert len(pieces) == 3
    assert _areas(join_crossings(pieces)) == sorted([above.sum(), (under & ~above).sum()])


def test_a_fibre_under_two_others_is_one():
    under = _bar((200, 300), (100, 150), 0, 280, 6)
    above = [_bar((200, 300), (100, col), 90, 180, 6) for col in (90, 200)]
    assert len(_pieces(under, *above)) == 5
    assert len(join_crossings(_pieces(under, *above))) == 3


def test_rods_in_line_with_nothing_between_them_are_two():
    rods = [_bar((100, 200), (50, col), 0, 60, 8) for col in (50, 118)]
    assert len(join_crossings(_pieces(*rods))) == 2


def test_rods_that_touch_end_to_end_are_two():
    rods = [_bar((100, 200), (50, col), 0, 60, 8) for col in (50, 111)]
    assert len(join_crossings(_pieces(*rods))) == 2


def test_rods_that_end_at_another_from_either_side_at_an_angle_are_not_joined():
    wall = _bar((200, 200), (100, 100), 90, 180, 8)
    sides = _bar((200, 200), (60, 60), 45, 100, 6), _bar((200, 200), (60, 140), -45, 100, 6)
    assert len(join_crossings(_pieces(*sides, wall))) == 3


def test_round_particles_are_left_alone():
    rows, cols = np.mgrid[:100, :200]
    discs = [np.hypot(rows - 50, cols - col) <= 20 for col in (40, 82, 124)]
    pieces = _pieces(*discs)
    assert join_crossings(pieces) == pieces


def test_what_is_known_of_the_pieces_goes_on():
    under, above = (_bar((200, 200), (100, 100), angle, 170, 6) for angle in (90, 0))
    (joined,) = (one for one in join_crossings(_pieces(under, above)) if one.mask.shape[0] > one.mask.shape[1])
    assert joined.features[:4] == pytest.approx(1)
    assert np.exp(joined.features[4]) == pytest.approx(2 * np.sqrt((under & ~above).sum() / np.pi))
