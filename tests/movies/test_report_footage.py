"""A frame as it looks once its drift is taken out; and the small movie that all tests of a movie's report share."""

import numpy as np
import pandas as pd
import pytest

from emscout.errors import ReadError
from emscout.movies.report.footage import Footage, aligned_labels, aligned_view, grey_limits

SHAPE = (80, 100)
N_FRAMES = 14
BLANK = 4
DRIFT = np.array([0.5, -0.75])
NM_PER_PX = 0.5
# Row and column on the specimen, radius, growth a frame, first frame in which it is gone.
DISCS = {
    1: (25.0, 30.0, 7.0, 0.25, N_FRAMES),
    2: (55.0, 25.0, 5.0, -0.35, 9),
    3: (45.0, 60.0, 6.0, 0.0, N_FRAMES),
    4: (45.0, 72.0, 6.0, 0.0, 7),
    5: (20.0, 65.0, 8.0, 0.0, N_FRAMES),
}
MERGED_AT = 7
MERGED_RADIUS_PX = (2 * 6.0**3) ** (1 / 3)


def draw_labels(number):
    """Every disc's own label in the frame as recorded, and a row of the tracks for each."""
    rows, cols = np.indices(SHAPE)
    labels, tracks = np.zeros(SHAPE, np.int32), []
    shift = number * DRIFT
    for particle, (row, col, radius, growth, end) in DISCS.items():
        if number >= end:
            continue
        size = MERGED_RADIUS_PX if particle == 3 and number >= MERGED_AT else radius + growth * number
        at = np.array([row, col]) + ([0.0, 6.0] if particle == 3 and number >= MERGED_AT else 0)
        here = at + shift
        labels[(rows - here[0]) ** 2 + (cols - here[1]) ** 2 <= size**2] = particle
        tracks.append(
            {
                "frame": number,
                "particle": particle,
                "label": particle,
                "row_px": at[0],
                "col_px": at[1],
                "row_frame_px": here[0],
                "col_frame_px": here[1],
                "area_px2": np.pi * size**2,
                "equivalent_circular_diameter_px": 2 * size,
                "touches_border": False,
            }
        )
    return labels, tracks


def make_footage(*, calibrated=True, timed=True, n_frames=N_FRAMES, frame=None, tracks=None, field=None):
    """Dark discs that drift: one grows, one shrinks to nothing, two merge, one stays; frame 4 is blank."""

    def grey(number):
        if number == BLANK:
            return np.zeros(SHAPE, np.uint8)
        return np.where(draw_labels(number % N_FRAMES)[0] > 0, 60, 180).astype(np.uint8)

    numbers = np.arange(n_frames)
    measured = [number for number in numbers.tolist() if number != BLANK]
    if tracks is None:
        tracks = pd.DataFrame([row for n in measured for row in draw_labels(n % N_FRAMES)[1] if n < N_FRAMES])
    drift = pd.DataFrame(
        {
            "frame": numbers,
            "row_px": DRIFT[0] * (numbers % N_FRAMES),
            "col_px": DRIFT[1] * (numbers % N_FRAMES),
            "quality": np.where(numbers == BLANK, 0.0, 0.9),
            "status": np.where(numbers == BLANK, "blank", "ok"),
        }
    )
    events = pd.DataFrame(
        [
            (MERGED_AT, "coalescence", "3 4", 45.0, 66.0, 226.0, 179.0, "volume", 0.01, 0.1),
            (9, "vanished", "2", 55.0, 25.0, 16.0, 0.0, "", np.nan, np.nan),
        ],
        columns=[
            *("frame", "kind", "particles", "row_px", "col_px", "area_before_px2", "area_after_px2"),
            *("conserved", "deviation", "tolerance"),
        ],
    )
    return Footage(
        frame=frame or grey,
        labels=lambda number: draw_labels(number % N_FRAMES)[0][2:, :95],
        origins=dict.fromkeys(measured, (2, 0)),
        field=field or (slice(3, 70), slice(12, 95)),
        drift=drift,
        tracks=tracks,
        events=events if len(tracks) else events.head(0),
        times_s=numbers * 2.0 if timed else None,
        nm_per_px=NM_PER_PX if calibrated else None,
    )


def make_noisy_footage(n_frames):
    """Noise as large as a GIF shows it, which makes the file large: one of 60 frames has 10 MB."""

    def grey(number):
        return np.random.default_rng(number).integers(0, 256, (420, 430), dtype=np.uint8)

    return make_footage(n_frames=n_frames, frame=grey, field=(slice(3, 403), slice(12, 412)))


def make_tables():
    """The tables that belong to `make_footage`."""
    frames = [number for number in range(N_FRAMES) if number != BLANK]
    curves = pd.DataFrame({"frame": frames})
    for name, values in (
        ("n", np.where(np.array(frames) < MERGED_AT, 5, np.where(np.array(frames) < 9, 4, 3))),
        ("mean_radius_px", np.linspace(6.4, 8.2, len(frames)) ** 1.02),
        ("coverage", np.linspace(0.11, 0.108, len(frames))),
        ("volume_px3", np.linspace(5800, 5900, len(frames))),
    ):
        curves[name], curves[f"{name}_low"], curves[f"{name}_high"] = values, values * 0.97, values * 1.03
    particles = pd.DataFrame(
        {
            "particle": list(DISCS),
            "frames": [13, 8, 13, 6, 13],
            "last_frame": [13, 8, 13, 6, 13],
            "beginning": [""] * 5,
            "end": ["", "vanished", "", "coalescence", ""],
            "by_exchange_px2": [150.0, -70.0, 1.0, 0.0, 0.5],
            "mechanism": ["ripening", "ripening", "coalescence", "coalescence", "none"],
        }
    )
    growth = pd.DataFrame(
        {
            "method": ["mean-radius", "single-particles"],
            "n": [3.4, 2.9],
            "n_low": [1.2, 2.6],
            "n_high": [6.9, 3.3],
            "k": [4.0, 2.0],
            "k_low": [1.0, 1.5],
            "k_high": [9.0, 2.5],
            "explains": [True, True],
        }
    )
    shapes = pd.DataFrame(
        {
            "shape": ["lsw", "log-normal"],
            "scale": [7.0, 6.8],
            "spread": [np.nan, 0.2],
            "aic": [120.0, 150.0],
            "kolmogorov": [0.1, 0.2],
            "n": [40, 40],
        }
    )
    return {"curves": curves, "particles": particles, "growth": growth, "shapes": shapes}


def middle_of(dark):
    return np.argwhere(dark).mean(axis=0)


@pytest.mark.parametrize("number", [0, 3, 13])
def test_what_stands_still_on_the_specimen_stands_still_in_view(number):
    footage = make_footage()
    view = aligned_view(footage, number, (3 * 67, 3 * 83))
    # The disc that never changes, whose middle is at (20, 65) of the first frame, so at (17, 53) of what is shown.
    around = view[3 * 5 : 3 * 29, 3 * 41 : 3 * 65] < 120
    place = (middle_of(around) + 0.5) / 3 - 0.5 + [5, 41]
    assert place == pytest.approx([17, 53], abs=0.4)
    own = footage.tracks.eval(f"frame == {number} and particle == 5").to_numpy()
    assert footage.in_view()[own][0] == pytest.approx([17, 53])


@pytest.mark.parametrize("number", [0, 5, 12])
def test_labels_lie_over_their_particles_at_any_size(number):
    footage = make_footage()
    size = (3 * 67, 3 * 83)
    dark = aligned_view(footage, number, size) < 120
    inside = aligned_labels(footage, number, size) > 0
    assert 2 * (dark & inside).sum() / (dark.sum() + inside.sum()) > 0.98


def test_where_a_frame_shows_nothing_of_the_field_is_no_number():
    footage = make_footage(field=(slice(0, 80), slice(0, 100)))
    assert np.isfinite(aligned_view(footage, 0, SHAPE)).all()
    view = aligned_view(footage, 12, SHAPE)  # moved down by 6 and to the left by 9: its first 9 columns are gone
    assert np.isnan(view[:, :8]).all()
    assert np.isnan(view[75:]).all()
    assert np.isfinite(view[:73, 10:]).all()
    assert aligned_labels(footage, 12, SHAPE).shape == SHAPE


def test_a_field_that_a_frame_does_not_touch_is_no_number_at_all():
    footage = make_footage(field=(slice(200, 260), slice(0, 90)))
    assert np.isnan(aligned_view(footage, 0, (60, 90))).all()
    assert not aligned_labels(footage, 0, (60, 90)).any()


def test_a_frame_that_cannot_be_read_is_no_number_at_all():
    def frame(number):
        raise ReadError("broken")

    assert np.isnan(aligned_view(make_footage(frame=frame), 3, (20, 30))).all()


def test_places_of_events_do_not_depend_on_where_the_tracks_count_from():
    footage = make_footage()
    moved = make_footage()
    for table in (moved.tracks, moved.events):
        table[["row_px", "col_px"]] -= [3.0, 12.0]
    assert footage.events_in_view()[0] == pytest.approx([42, 54])
    assert moved.events_in_view() == pytest.approx(footage.events_in_view())


def test_grey_limits_hold_for_the_whole_movie_and_leave_the_blank_frame_out():
    low, high = grey_limits(make_footage())
    assert low == pytest.approx(60, abs=15)
    assert high == pytest.approx(180, abs=15)


def test_a_constant_movie_has_grey_limits_too():
    low, high = grey_limits(make_footage(frame=lambda number: np.full(SHAPE, 7, np.uint8)))
    assert low < high
