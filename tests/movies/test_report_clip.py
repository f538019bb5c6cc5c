"""The clip: every frame of the movie, what is drawn on it, and its bounds."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageColor
from tests.movies.test_report_footage import BLANK, MERGED_AT, N_FRAMES, make_footage, make_noisy_footage, make_tables

from emscout.errors import ReadError
from emscout.movies.report.clip import write_clip
from emscout.movies.report.curves import EVENT_COLOURS
from emscout.movies.report.painter import FATES, Painter
from emscout.movies.report.time_axis import choose_time_axis

PARTICLES = make_tables()["particles"]


def time_axis_of(footage):
    return choose_time_axis(footage.times_s, len(footage.drift))


def paint(footage, number, side_px=400):
    return np.asarray(Painter(footage, PARTICLES, time_axis_of(footage), side_px, 3).paint(number)).astype(int)


def drawn(picture, colour):
    """Pixels of exactly that colour, below the strip with the key."""
    return (picture[70:] == ImageColor.getrgb(colour)).all(axis=2)


def test_a_particle_is_outlined_in_the_colour_of_what_becomes_of_it():
    footage = make_footage()
    picture = paint(footage, 1)
    for fate in ("grows", "shrinks", "merges", "does not change"):
        assert drawn(picture, FATES[fate]).any(), fate
    assert not drawn(picture, FATES["unclear"]).any()


def test_an_outline_stands_still_while_the_frame_drifts():
    footage = make_footage()
    places = [np.argwhere(drawn(paint(footage, n), FATES["does not change"])).mean(axis=0) for n in (0, 6, 13)]
    scale = 4  # the greatest enlargement of a field of 83 px
    assert np.ptp(places, axis=0).max() < 0.6 * scale


def test_an_event_is_ringed_when_it_happens_and_for_a_while():
    footage = make_footage()
    shown = [drawn(paint(footage, number), EVENT_COLOURS["coalescence"]).any() for number in range(N_FRAMES)]
    assert [number for number, ring in enumerate(shown) if ring] == [MERGED_AT, MERGED_AT + 1, MERGED_AT + 2]


def test_a_particle_that_moves_has_a_tail():
    footage = make_footage()
    still = paint(footage, 13)
    moved = footage.tracks.copy()
    moving = moved["particle"] == 5
    moved.loc[moving, "col_frame_px"] -= (13 - moved.loc[moving, "frame"]) * 1.5
    tail = paint(make_footage(tracks=moved), 13)
    colour = FATES["does not change"]
    assert drawn(tail, colour).sum() > drawn(still, colour).sum() + 20


def test_a_blank_or_unreadable_frame_is_shown_as_what_it_is():
    def frame(number):
        if number == 6:
            raise ReadError("broken")
        return np.full((80, 100), 100 + number, np.uint8)

    footage = make_footage(frame=frame)
    red = (0xB3, 0x26, 0x1E)
    for number, faulty in ((2, False), (BLANK, True)):
        assert (paint(footage, number)[:70] == red).all(axis=2).any() == faulty
    broken = make_footage(frame=frame)
    object.__setattr__(broken, "origins", {number: at for number, at in footage.origins.items() if number != 6})
    picture = paint(broken, 6)
    assert (picture[:70] == red).all(axis=2).any()
    assert (picture[70:].max(axis=2) == 0).mean() > 0.9


def test_an_mp4_shows_every_frame_and_is_the_same_each_time(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    footage = make_footage()
    calls = []
    clip = write_clip(tmp_path, footage, PARTICLES, time_axis_of(footage), progress=lambda *some: calls.append(some))
    assert (clip.path.name, clip.media_type, clip.n_frames, clip.note) == ("movie.mp4", "video/mp4", N_FRAMES, "")
    assert imageio_ffmpeg.count_frames_and_secs(str(clip.path))[0] == N_FRAMES
    assert calls[-1] == (N_FRAMES, N_FRAMES, "clip")
    assert [file.name for file in tmp_path.iterdir()] == ["movie.mp4"]
    first = clip.path.read_bytes()
    assert write_clip(tmp_path, footage, PARTICLES, time_axis_of(footage)).path.read_bytes() == first


def test_of_a_movie_too_long_for_a_minute_an_mp4_leaves_out_frames(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    # So many frames are drawn fast if they are small and nothing is found in them.
    nothing = make_footage().tracks.head(0)
    footage = make_footage(n_frames=1501, tracks=nothing, field=(slice(0, 7), slice(0, 30)))
    footage = replace(footage, origins={})
    clip = write_clip(tmp_path, footage, PARTICLES, time_axis_of(footage))
    assert clip.n_frames == 751  # all of them, at 25 a second, take more than 60 seconds
    assert clip.note == "It shows one frame in 2."
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(clip.path))
    assert frames == 751
    assert seconds == pytest.approx(751 / 25, abs=0.3)


def without_ffmpeg(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)


def test_without_ffmpeg_there_is_a_gif(tmp_path, monkeypatch):
    without_ffmpeg(monkeypatch)
    footage = make_footage()
    clip = write_clip(tmp_path, footage, PARTICLES, time_axis_of(footage))
    assert (clip.path.name, clip.media_type, clip.n_frames) == ("movie.gif", "image/gif", N_FRAMES)
    with Image.open(clip.path) as picture:
        assert picture.n_frames == N_FRAMES
        assert picture.info["duration"] == 250
    assert [file.name for file in tmp_path.iterdir()] == ["movie.gif"]


def test_a_gif_keeps_to_its_bound_and_says_what_it_left_out(tmp_path, monkeypatch):
    without_ffmpeg(monkeypatch)
    footage = make_noisy_footage(96)
    clip = write_clip(tmp_path, footage, PARTICLES, time_axis_of(footage))
    assert clip.path.stat().st_size <= 15_000_000
    assert 10 <= clip.n_frames < 96
    assert clip.note.startswith("It shows one frame in ")


@pytest.mark.parametrize("shape", [(slice(0, 7), slice(0, 90)), (slice(0, 80), slice(0, 11))])
def test_a_narrow_field_makes_a_picture_of_even_sides(shape):
    picture = paint(make_footage(field=shape), 1, side_px=333)
    assert picture.shape[0] % 2 == 0
    assert picture.shape[1] % 2 == 0
