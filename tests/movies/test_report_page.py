"""The report of a movie: what it claims, what it does not claim, and that it needs no other file."""

import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.movies.test_report_footage import N_FRAMES, make_footage, make_noisy_footage, make_tables

from emscout.errors import OutputError
from emscout.micrograph import Notice
from emscout.movies.report.clip import write_clip
from emscout.movies.report.page import write_movie_page
from emscout.movies.report.summary import format_number, summarise
from emscout.movies.report.time_axis import choose_time_axis

NAME = "</script><b>'gold' & \"co\""


def story(footage=None, **changed):
    footage = footage or make_footage()
    tables = whole(footage, make_tables()) | changed
    return summarise(tables, choose_time_axis(footage.times_s, N_FRAMES), footage.nm_per_px)


def whole(footage, tables):
    """All tables of a movie."""
    return {"drift": footage.drift, "tracks": footage.tracks, "events": footage.events} | tables


def fates(**counts):
    """A table of particles with so many of each fate."""
    rows = []
    for fate, n in counts.items():
        end = {"ripened": "vanished", "merged": "coalescence", "lost": "vanished", "left": "left-field", "stays": ""}[
            fate
        ]
        mechanism = {"ripened": "ripening", "merged": "coalescence", "lost": "unclear"}.get(fate, "none")
        rows += [(end, mechanism, 0.0, 12)] * n
    table = pd.DataFrame(rows, columns=["end", "mechanism", "by_exchange_px2", "frames"])
    return table.assign(particle=np.arange(1, len(table) + 1), last_frame=N_FRAMES - 1)


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ({"ripened": 20, "merged": 3}, "mainly by Ostwald ripening"),
        ({"ripened": 3, "merged": 20}, "mainly by coalescence"),
        ({"ripened": 12, "merged": 10}, "both by Ostwald ripening and by coalescence"),
        ({"ripened": 2, "merged": 1, "stays": 50}, "Too few particles were lost"),
        ({"ripened": 6, "merged": 1, "lost": 20}, "neither ripening nor coalescence is claimed"),
        ({"left": 30, "stays": 4}, "Too few particles were lost"),
    ],
)
def test_a_mechanism_is_claimed_only_where_the_losses_show_one(counts, verdict):
    assert verdict in story(particles=fates(**counts))["Why"]


def test_every_particle_that_went_is_accounted_for():
    text = story(particles=fates(ripened=11, merged=7, lost=5, left=3, stays=9))["Why"]
    assert "Of 35 particles followed, 11 shrank to nothing while larger neighbours grew, 7 merged" in text
    assert "5 vanished without explanation, and 3 left the field" in text
    assert "Of the 9 still there at the end" in text


def growth(n, low, high, explains=True):
    nan = float("nan")
    return pd.DataFrame(
        [
            ("mean-radius", nan, nan, nan, nan, nan, nan, False),
            ("single-particles", n, low, high, 1.0, 0.5, 2.0, explains),
        ],
        columns=["method", "n", "n_low", "n_high", "k", "k_low", "k_high", "explains"],
    )


@pytest.mark.parametrize(
    ("figures", "summary", "absent"),
    [
        ((3.0, 2.7, 3.4), "agrees with 3 (growth limited by diffusion)", "too wide to tell"),
        ((3.4, 2.8, 4.2), "3 (growth limited by diffusion) and with 4 (exchange along a surface)", "too wide to tell"),
        ((3.0, 1.2, 6.0), "too wide to tell which law", "agrees"),
        ((2.5, 2.3, 2.7), "No simple law", "agrees"),
        ((float("nan"),) * 3, "No exponent n", "interval"),
        ((3.0, float("nan"), float("nan")), "No exponent n", "interval"),
    ],
)
def test_an_exponent_is_claimed_with_its_interval_or_not_at_all(figures, summary, absent):
    text = story(growth=growth(*figures), particles=fates(ripened=20))["The law"]
    assert summary in text
    assert absent not in text


def test_an_exponent_explains_nothing_where_particles_coalesce():
    particles = fates(merged=20, ripened=2)
    assert "does not explain it" in story(growth=growth(3.0, 2.8, 3.2, explains=False), particles=particles)["The law"]


def test_a_change_within_its_band_is_not_called_a_change():
    curves = make_tables()["curves"]
    summary = story()["Sizes"]
    assert "the mean radius rose from" in summary
    assert "nm (+" in summary
    assert "perhaps unchanged: the area covered" in summary
    wide = curves.assign(mean_radius_px_low=0.0, mean_radius_px_high=100.0)
    assert "the mean radius rose" not in story(curves=wide)["Sizes"]
    assert "px (+" in story(make_footage(calibrated=False))["Sizes"]


@pytest.mark.parametrize(
    ("aic", "apart", "summary"),
    [
        ((100.0, 180.0), (0.05, 0.2), "the LSW distribution of ripening better than the log-normal"),
        ((180.0, 100.0), (0.2, 0.05), "the log-normal distribution better than the LSW"),
        ((100.0, 104.0), (0.05, 0.05), "about equally well"),
        ((900.0, 100.0), (0.6, 0.5), "neither fits well"),
        ((np.nan, np.nan), (np.nan, np.nan), "There are too few sizes (40)"),
    ],
)
def test_a_distribution_is_preferred_only_where_the_sizes_show_one(aic, apart, summary):
    shapes = make_tables()["shapes"].assign(aic=aic, kolmogorov=apart)
    assert summary in story(shapes=shapes)["The distribution"]


def test_many_errors_of_the_segmentation_are_said_to_spoil_the_counts():
    footage = make_footage()
    assert "Errors" not in story(footage)
    error = footage.events.head(1).assign(kind="segmentation-error")
    for others, spoilt in ((("6 7", "8 9", "5 6"), True), (("6 7", "6 7", "6 7"), False)):
        wrong = pd.concat([footage.events, *[error.assign(particles=some) for some in others]])
        summary = story(replace(footage, events=wrong.reset_index(drop=True)))["Errors"]
        assert "3 events are flagged" in summary
        # The same two taken for one again and again spoil no other count.
        assert ("before you believe" in summary) == spoilt
        assert ("They concern one particle or pair only." in summary) != spoilt


@pytest.mark.parametrize(
    ("value", "text"), [(0.012345, "0.0123"), (5.4321, "5.43"), (123.4, "123"), (12345, "12\u202f345")]
)
def test_numbers_have_three_digits(value, text):
    assert format_number(value) == text


def write(tmp_path, footage=None, tables=None, warnings=()):
    footage = footage or make_footage()
    written = write_movie_page(
        tmp_path,
        footage,
        whole(footage, tables or make_tables()),
        warnings=warnings,
        provenance={"options": {"model": NAME}, "emscout": "0", "python": "3", "libraries": {"numpy": "2"}},
        name=NAME,
    )
    return written, (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write(tmp_path_factory.mktemp("movie"), warnings=[Notice("missing-frames", "Frame <3> is missing.")])


def test_names_and_warnings_are_text_and_never_markup(made):
    page = made[1]
    assert "<b>'gold'" not in page
    assert page.count("</script>") == 1
    assert page.count("&lt;b&gt;") >= 3  # title, heading, option
    assert "Frame &lt;3&gt; is missing." in page


def test_the_page_needs_no_other_file_and_no_network(made):
    sources = re.findall(r'(?:src|href)="([^"]{1,40})', made[1])
    assert sources
    assert all(source.startswith("data:") for source in sources)


def test_everything_drawn_is_also_a_file(made):
    written = made[0]
    assert all(path.is_file() for path in written)
    names = {path.name for path in written}
    assert {"report.html", "time_outlines.png", "event_map.png"} <= names
    assert {f"{name}.svg" for name in ("drift", "sizes", "single_particles", "curves", "growth", "shapes")} <= names
    assert names & {"movie.mp4", "movie.gif"}


def test_events_and_flagged_frames_are_listed(made):
    text = re.sub(r"<[^>]+>", "|", made[1])
    assert re.search(r"\|1\|+14\|+7\|+coalescence\|+3 4\|", text)
    assert "volume: +1 %, 10 % allowed" in text
    assert re.search(r"\|4\|+8\|+blank\|+shows no specimen\|", text)


def test_the_same_results_give_the_same_bytes(made, tmp_path):
    again, page = write(tmp_path, warnings=[Notice("missing-frames", "Frame <3> is missing.")])
    assert page == made[1]
    for one, other in zip(made[0], again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_page_that_cannot_be_written_says_so_and_leaves_no_half_file(tmp_path):
    (tmp_path / "pictures").write_text("not a folder")
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path)
    (tmp_path / "pictures").unlink()
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    shutil.rmtree(tmp_path / "pictures")
    (tmp_path / "report.html").rmdir()
    next(tmp_path.glob("movie.*")).unlink()

    def stop(done, total, what):
        raise KeyboardInterrupt

    footage = make_footage()
    with pytest.raises(KeyboardInterrupt):
        write_clip(tmp_path, footage, make_tables()["particles"], choose_time_axis(None, N_FRAMES), progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_large_clip_lies_beside_the_page(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # a GIF of noise becomes large with few frames
    written, page = write(tmp_path, make_noisy_footage(60))
    clip = next(path.name for path in written if path.stem == "movie")
    assert f'src="{clip}"' in page
    assert "keep both together" in page
    assert len(page) < 8_000_000 < (tmp_path / clip).stat().st_size


def test_a_new_run_leaves_no_clip_of_another_kind(tmp_path):
    (tmp_path / "movie.gif").write_bytes(b"old")
    (tmp_path / "movie.mp4").write_bytes(b"old")
    written, _ = write(tmp_path)
    assert len(list(tmp_path.glob("movie.*"))) == 1
    assert all(path.read_bytes() != b"old" for path in written)


def test_without_calibration_and_times_the_page_claims_neither(tmp_path):
    _, page = write(tmp_path, make_footage(calibrated=False, timed=False))
    text = re.sub(r'"data:[^"]*"', "", page)
    assert "uncalibrated" in text
    assert "frame time unknown" in text
    assert "pxⁿ/frame" in text
    assert "nm²" not in text
    assert "time (s)" not in text


def test_a_movie_without_particles_still_has_its_report(tmp_path):
    footage = make_footage()
    empty = make_footage(tracks=footage.tracks.head(0))
    object.__setattr__(empty, "labels", lambda number: np.zeros((78, 95), np.int32))
    tables = make_tables()
    nothing = tables["curves"].assign(n=0, mean_radius_px=np.nan, coverage=0.0, volume_px3=0.0)
    tables |= {"curves": nothing, "particles": tables["particles"].head(0)}
    _, page = write(tmp_path, empty, tables)
    assert "No particle was found in any frame." in page
    assert "Nothing: no particle appeared" in page


def test_frames_with_something_wrong_are_named_by_their_files_too(tmp_path):
    footage = make_footage()
    _, page = write(tmp_path, footage)
    assert "heating_" not in page
    footage.drift["file"] = [f"heating_{number + 20:03d}.tif" for number in range(N_FRAMES)]
    _, page = write(tmp_path, footage)
    assert "<td>4</td><td>heating_024.tif</td>" in page


def test_of_a_movie_of_one_good_frame_nothing_is_said_about_change(tmp_path):
    footage = make_footage()
    only = replace(
        footage,
        origins={0: (2, 0)},
        tracks=footage.tracks[footage.tracks["frame"] == 0],
        events=footage.events.head(0),
        drift=footage.drift.assign(status=["ok", *["blank"] * (N_FRAMES - 1)]),
    )
    tables = make_tables()
    tables["curves"] = tables["curves"].head(1)
    summary = story(only, curves=tables["curves"])
    assert summary["Particles"].startswith(
        "Only frame 0 could be measured, so nothing can be said about change; it shows 5 "
    )
    assert set(summary) == {"The specimen", "Particles"}
    _, page = write(tmp_path, only, tables)
    assert "in the only measured frame" in page
    assert "Growth law" not in page
    assert ">Events<" not in page
