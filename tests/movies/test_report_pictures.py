"""Pictures of a movie, judged by the colours on them."""

import numpy as np
import pandas as pd
import pytest
from tests.movies.test_report_footage import N_FRAMES, draw_labels, make_footage

from emscout.movies.report.curves import EVENT_COLOURS
from emscout.movies.report.pictures import draw_event_map, draw_time_outlines
from emscout.movies.report.time_axis import choose_time_axis


def coloured(picture):
    """Pixels that are no grey."""
    return np.ptp(picture.astype(int), axis=2) > 60


def near(picture, colour, by=40):
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.abs(picture.astype(int) - rgb).max(axis=2) < by


@pytest.fixture(scope="module")
def time_axis():
    return choose_time_axis(np.arange(N_FRAMES) * 2.0, N_FRAMES)


def test_drift_correction_lays_the_outlines_of_what_stands_still_over_one_another(time_axis):
    footage = make_footage()
    object.__setattr__(footage, "labels", lambda number: 5 * (draw_labels(number)[0][2:, :95] == 5))
    picture = draw_time_outlines(footage, time_axis)
    height, width, _ = picture.shape
    half = (width - 170) // 2  # right of it is the colour bar
    recorded, corrected = (coloured(part).sum() for part in (picture[:, :half], picture[:, half : 2 * half]))
    assert corrected < 0.5 * recorded
    assert height > 0.5 * width


def test_pictures_are_the_same_each_time(time_axis):
    for draw in (draw_time_outlines, draw_event_map):
        assert np.array_equal(draw(make_footage(), time_axis), draw(make_footage(), time_axis))


def test_every_event_is_on_the_map_in_the_colour_of_its_kind(time_axis):
    footage = make_footage()
    with_events = draw_event_map(footage, time_axis)
    quiet = draw_event_map(make_footage(tracks=footage.tracks.head(0)), time_axis)
    for kind in ("coalescence", "vanished"):
        assert near(with_events, EVENT_COLOURS[kind]).any()
        assert not near(quiet, EVENT_COLOURS[kind]).any()


def test_where_an_event_is_on_the_map_is_where_it_happened(time_axis):
    footage = make_footage()
    picture = draw_event_map(footage, time_axis)
    # The discs that stay dark in the mean tell the scale: the largest is particle 5, in view at row 17, column 53.
    rows, cols = np.nonzero(near(picture, EVENT_COLOURS["vanished"]))
    left = cols < 0.75 * picture.shape[1]  # without the key
    vanished = np.array([rows[left].mean(), cols[left].mean()])
    rows, cols = np.nonzero(near(picture, EVENT_COLOURS["coalescence"]))
    left = cols < 0.75 * picture.shape[1]
    merged = np.array([rows[left].mean(), cols[left].mean()])
    # Row 52, column 13 against row 42, column 54 of what is shown.
    apart = merged - vanished
    assert apart[0] / apart[1] == pytest.approx(-10 / 41, abs=0.03)


@pytest.mark.parametrize("field", [(slice(0, 80), slice(0, 100)), (slice(30, 70), slice(20, 90))])
def test_any_field_can_be_shown(time_axis, field):
    footage = make_footage(field=field)
    assert draw_time_outlines(footage, time_axis).dtype == np.uint8
    assert draw_event_map(footage, time_axis).dtype == np.uint8


def test_a_movie_without_particles_has_its_pictures_too(time_axis):
    footage = make_footage()
    empty = make_footage(tracks=footage.tracks.head(0))
    object.__setattr__(empty, "labels", lambda number: np.zeros((78, 95), np.int32))
    assert draw_time_outlines(empty, time_axis).shape[2] == 3
    assert draw_event_map(empty, time_axis).shape[2] == 3


def test_a_single_measured_frame_is_enough():
    footage = make_footage()
    object.__setattr__(footage, "origins", {0: (2, 0)})
    assert draw_time_outlines(footage, choose_time_axis(None, N_FRAMES)).shape[2] == 3


def test_two_events_at_one_place_are_both_seen(time_axis):
    """A merger and the end of what came of it: neither mark hides the other."""
    footage = make_footage()
    footage.events.loc[:, ["row_px", "col_px"]] = 45.0, 50.0
    picture = draw_event_map(footage, time_axis)
    shown = picture[:, : int(0.75 * picture.shape[1])]  # without the key
    assert near(shown, EVENT_COLOURS["coalescence"]).sum() > 30
    assert near(shown, EVENT_COLOURS["vanished"]).sum() > 30


def test_what_befalls_the_same_place_again_and_again_is_one_mark(time_axis):
    footage = make_footage()
    grey = EVENT_COLOURS["segmentation-error"]
    once = footage.events.head(1).assign(kind="segmentation-error", row_px=40.0, col_px=50.0)
    marks = []
    for n in (1, 5):
        events = pd.concat([once.assign(row_px=40.0 + 0.1 * k) for k in range(n)], ignore_index=True)
        object.__setattr__(footage, "events", events)
        picture = draw_event_map(footage, time_axis)
        marks.append(np.ptp(np.argwhere(near(picture[:, : int(0.7 * picture.shape[1])], grey, 12)), axis=0).max())
    assert abs(marks[1] - marks[0]) <= 2
