import numpy as np
import pytest

import emscout as em
from emscout.errors import NothingToFindError
from emscout.particles.segmenters.every_scale import Found, draw_particles
from emscout.particles.segmenters.fields import FieldSettings, contrast_channels, label_fields
from emscout.particles.segmenters.nesting import Choice, choose_level, drop_rivals, find_overlaps, measure_agreement
from emscout.particles.segmenters.pyramid import Candidate, Pyramid, find_candidates

_ALL = Choice([], [], {}, "largest", "")


class _BrightIsMatter:
    """Stands for a network: what is brighter than its surroundings is a particle, its crest where it is brightest."""

    description = {"stride_px": 32}  # noqa: RUF012

    def run(self, channels, masks):
        matter = (channels[0] > 1).astype(np.float32)
        fields = np.stack([matter, matter, np.zeros_like(matter), np.zeros_like(matter)])
        half = np.full((matter.shape[0] // 2, matter.shape[1] // 2), 0.1, np.float32)
        return fields, half, half


def _disc(level, row, col, radius, p=0.9):
    """A candidate: a disc, its centre and radius in pixels of the image."""
    factor = 2.0**level
    side = int(np.ceil(2 * radius / factor)) + 2
    top, left = round(row / factor - side / 2), round(col / factor - side / 2)
    rows, cols = np.mgrid[:side, :side] + 0.5
    away = np.hypot(rows + top - row / factor, cols + left - col / factor)
    mask = away <= radius / factor
    return Candidate(level, top, left, mask, np.zeros(mask.shape, np.float16), np.zeros(7), None), p


def _choose(*discs, level="auto", shape=(256, 256)):
    discs = sorted(discs, key=lambda disc: disc[0].level)
    candidates, p = [disc[0] for disc in discs], np.array([disc[1] for disc in discs])
    shapes = {k: (-(-shape[0] // 2**k), -(-shape[1] // 2**k)) for k in range(4)}
    kept, inside = drop_rivals(candidates, p, find_overlaps(candidates, shapes))
    return candidates, choose_level(candidates, kept, inside, p, level)


def _radii(candidates, indices):
    areas = [np.count_nonzero(candidates[i].mask) * 4.0 ** candidates[i].level for i in indices]
    return sorted(np.round(np.sqrt(np.array(areas) / np.pi)).astype(int).tolist())


def _spots(shape, count, seed=0, radius=6):
    rng = np.random.default_rng(seed)
    image = rng.normal(0.2, 0.02, shape)
    rows, cols = np.mgrid[: 2 * radius + 1, : 2 * radius + 1] - radius
    disc = np.hypot(rows, cols) <= radius
    for row, col in rng.integers(0, np.array(shape) - 2 * radius, (count, 2)):
        image[row : row + 2 * radius + 1, col : col + 2 * radius + 1][disc] = 0.9
    return image.astype(np.float32)


def test_a_large_image_gives_the_particles_of_one_piece():
    image = _spots((1500, 2300), 500)
    pyramid = Pyramid(image)
    candidates = find_candidates(pyramid, _BrightIsMatter(), (), FieldSettings(), lambda found: np.ones(len(found)))
    finest = [one for one in candidates if one.level == 0]
    whole = pyramid.part(0, slice(0, 1500), slice(0, 2300))
    channels = contrast_channels(whole)
    fields, _, _ = _BrightIsMatter().run(channels, ())
    expected = label_fields(*fields[:3], FieldSettings())
    found = draw_particles(image.shape, Found(finest, np.ones(len(finest)), _ALL), range(len(finest))).labels
    assert ((found > 0) == (expected > 0)).all()
    assert found.max() == expected.max()


def test_an_image_mapped_from_a_file_is_the_same(tmp_path):
    image = (_spots((300, 400), 20) * 40000).clip(0).astype(np.uint16)
    np.save(tmp_path / "image.npy", image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    for level in (-1, 0, 1):
        rows, cols = slice(10, 90), slice(20, 140)
        assert (Pyramid(image).part(level, rows, cols) == Pyramid(mapped).part(level, rows, cols)).all()


@pytest.mark.parametrize("level", [-1, 0, 1, 2])
def test_a_part_is_cut_from_the_whole(level):
    pyramid = Pyramid(_spots((501, 700), 30))
    height, width = pyramid.shape(level)
    whole = pyramid.part(level, slice(0, height), slice(0, width))
    assert whole.shape == (height, width)
    assert pyramid.part(level, slice(17, 90), slice(5, 60)) == pytest.approx(whole[17:90, 5:60], abs=1e-6)
    assert 0 <= whole.min() < whole.max() <= 1


@pytest.mark.parametrize("image", [np.ones((40, 40)), np.full((40, 40), np.nan)])
def test_an_image_without_contrast_is_a_sentence(image):
    with pytest.raises(NothingToFindError, match="no contrast"):
        Pyramid(image)


def test_pixels_that_are_not_finite_are_no_particle():
    image = _spots((256, 256), 10)
    image[:40] = np.nan
    assert np.isfinite(Pyramid(image).part(0, slice(0, 256), slice(0, 256))).all()


def test_one_particle_seen_at_two_scales_is_one_the_surer():
    for surer, radius in ((0, 20), (1, 22)):
        candidates, choice = _choose(_disc(0, 100, 100, 20, 0.7 + 0.2 * (surer == 0)), _disc(1, 100, 100, 22, 0.8))
        assert [candidates[i].level for i in choice.counted] == [surer]
        assert _radii(candidates, choice.counted) == [radius]


def test_pieces_that_fill_a_particle_are_its_rivals():
    pieces = [_disc(0, row, col, 14, 0.4) for row in (85, 115) for col in (85, 115)]
    candidates, choice = _choose(*pieces, _disc(2, 100, 100, 32, 0.8))
    assert [candidates[i].level for i in choice.counted] == [2]
    sure = [(piece, 0.9) for piece, _ in pieces]
    candidates, choice = _choose(*sure, _disc(2, 100, 100, 32, 0.5))
    assert _radii(candidates, choice.counted) == [14] * 4


@pytest.mark.parametrize(
    ("level", "radii"), [("auto", [4] * 5), ("smallest", [4] * 5), ("largest", [60]), ("all", [4] * 5 + [60])]
)
def test_spots_on_a_support(level, radii):
    spots = [_disc(0, 128 + 30 * np.sin(k), 128 + 30 * np.cos(k), 4) for k in range(5)]
    candidates, choice = _choose(*spots, _disc(2, 128, 128, 60, 0.6), level=level)
    assert _radii(candidates, choice.counted) == radii
    assert choice.nested == "supports"


def _drawn_diameters(candidates, choice, shape=(256, 256)):
    found = draw_particles(shape, Found(candidates, np.full(len(candidates), 0.9), choice), choice.counted)
    table = em.measure_particles(found, em.Micrograph(np.zeros(shape)))
    return table[[name for name in table if name in ("equivalent_circular_diameter_px", "core_diameter_px")]]


@pytest.mark.parametrize("seen", ["as a particle of its own", "as a core"])
def test_cores_and_shells_are_the_shells_with_their_cores(seen):
    discs = []
    for row in (60, 130, 200):
        core, shell = _disc(0, row, 60, 10), _disc(0, row, 60, 25)
        if seen == "as a core":
            rows, cols = np.mgrid[: shell[0].mask.shape[0], : shell[0].mask.shape[1]]
            inner = np.hypot(rows + shell[0].row - row + 0.5, cols + shell[0].col - 60 + 0.5) <= 10
            discs.append((shell[0]._replace(core=inner), 0.9))
        else:
            discs += [core, (_disc(1, row, 60, 25)[0], 0.9)]
    candidates, choice = _choose(*discs)
    assert choice.nested == "cores"
    shells = _drawn_diameters(candidates, choice)
    assert shells["equivalent_circular_diameter_px"].tolist() == pytest.approx([50] * 3, rel=0.03)
    assert shells["core_diameter_px"].tolist() == pytest.approx([20] * 3, rel=0.03)
    candidates, smallest = _choose(*discs, level="smallest")
    cores = _drawn_diameters(candidates, smallest)
    assert cores["equivalent_circular_diameter_px"].tolist() == pytest.approx([20] * 3, rel=0.03)
    assert "core_diameter_px" not in cores


def test_two_populations_side_by_side_both_count():
    small = [_disc(0, 30, 20 * k + 20, 5) for k in range(8)]
    candidates, choice = _choose(*small, _disc(2, 150, 150, 50))
    assert _radii(candidates, choice.counted) == [5] * 8 + [50]


def test_one_speck_does_not_make_a_support_of_a_particle():
    candidates, choice = _choose(_disc(0, 90, 90, 4), _disc(2, 128, 128, 60))
    assert _radii(candidates, choice.counted) == [60]


def test_agreement_is_the_overlap_with_another_scale():
    discs = [_disc(0, 100, 100, 20), _disc(0, 200, 200, 20), _disc(1, 100, 100, 20)]
    candidates = [disc for disc, _ in discs]
    agreement = measure_agreement(candidates, find_overlaps(candidates, {0: (256, 256), 1: (128, 128)}))
    assert agreement[0] == agreement[2] > 0.85
    assert agreement[1] == 0


@pytest.mark.parametrize("level", [-1, 0, 1, 2, 3])
def test_a_disc_of_any_scale_is_drawn_where_it_lies(level):
    one, p = _disc(level, 101, 118, 40)
    found = draw_particles((256, 256), Found([one], np.array([p]), _ALL), [0])
    row, col = np.nonzero(found.labels)
    assert (row.mean() + 0.5, col.mean() + 0.5) == pytest.approx((101, 118), abs=2.0**level / 2 + 0.5)
    assert len(row) == pytest.approx(np.pi * 40**2, rel=0.03)
    assert found.score.tolist() == [p]
