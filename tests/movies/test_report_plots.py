"""Plots of a movie: well-formed, the same each time, in the units that are known, and honest about gaps."""

import math
import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
from tests.movies.test_report_footage import BLANK, N_FRAMES, NM_PER_PX, make_footage, make_tables

from emscout.movies.report.curves import plot_curves, plot_drift
from emscout.movies.report.growth_plots import plot_growth_law, plot_size_distribution
from emscout.movies.report.particle_plots import plot_single_particles, plot_sizes_through_time
from emscout.movies.report.time_axis import choose_time_axis

NAMES = ("drift", "sizes", "single", "curves", "growth", "shapes")


def draw(name, calibrated=True, timed=True):
    footage, tables = make_footage(calibrated=calibrated, timed=timed), make_tables()
    time_axis, nm = choose_time_axis(footage.times_s, N_FRAMES), footage.nm_per_px
    if name == "drift":
        return plot_drift(footage.drift, time_axis)
    if name == "sizes":
        return plot_sizes_through_time(footage.tracks, footage.measured, time_axis, nm)
    if name == "single":
        return plot_single_particles(footage.tracks, tables["particles"], footage.events, time_axis, nm)
    if name == "curves":
        return plot_curves(tables["curves"], footage.events, time_axis, nm)
    if name == "growth":
        return plot_growth_law(tables["curves"], tables["growth"], time_axis, nm)
    radii = footage.tracks["equivalent_circular_diameter_px"].to_numpy() / 2
    return plot_size_distribution(radii, tables["shapes"], nm)


def words_of(svg):
    return re.findall(r"<!-- (.*?) -->", svg)


@pytest.mark.parametrize("name", NAMES)
def test_a_plot_is_well_formed_and_the_same_each_time_and_leaves_matplotlib_alone(name):
    before = dict(matplotlib.rcParams)
    svg = draw(name)
    assert dict(matplotlib.rcParams) == before
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert "date" not in svg.lower()
    assert svg == draw(name)


@pytest.mark.parametrize("name", NAMES)
def test_without_frame_time_and_pixel_size_neither_seconds_nor_nanometres_are_claimed(name):
    known, unknown = (words_of(draw(name, calibrated, calibrated)) for calibrated in (True, False))
    if name != "drift":
        assert any("nm" in word for word in known)
        assert not any("nm" in word for word in unknown)
        assert any("px" in word for word in unknown)
    if name != "shapes":
        assert "time (s)" in known
        assert "frame" in unknown
        assert not any("(s)" in word for word in unknown)


@pytest.mark.parametrize(
    ("span_s", "unit", "last"), [(0.2, "ms", 200.0), (90, "s", 90.0), (1200, "min", 20.0), (36000, "h", 10.0)]
)
def test_the_clock_is_in_the_unit_that_keeps_numbers_small(span_s, unit, last):
    time_axis = choose_time_axis(np.linspace(0, span_s, 11), 11)
    assert time_axis.unit == unit
    assert time_axis.when[-1] == pytest.approx(last)
    assert time_axis.spell(10) == f"{last:g} {unit}"


def test_frames_with_a_fault_are_named_and_counted():
    footage = make_footage()
    assert "blank (1)" in words_of(plot_drift(footage.drift, choose_time_axis(None, N_FRAMES)))
    drift = footage.drift.assign(status="ok")
    assert not any("blank" in word for word in words_of(plot_drift(drift, choose_time_axis(None, N_FRAMES))))


def path_of(svg, colour):
    """The longest path drawn in that colour, as how many strokes it has."""
    paths = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none; stroke: {colour}', svg)
    return [path.count("M") for path in paths]


def test_no_line_is_drawn_over_a_frame_that_was_not_measured():
    tables, footage = make_tables(), make_footage()
    time_axis = choose_time_axis(None, N_FRAMES)
    assert max(path_of(plot_curves(tables["curves"], footage.events, time_axis, None), "#0072b2")) == 2
    whole = pd.concat([tables["curves"], tables["curves"].tail(1).assign(frame=BLANK)]).sort_values("frame")
    assert max(path_of(plot_curves(whole, footage.events, time_axis, None), "#0072b2")) == 1


def test_particles_cut_by_the_border_are_not_in_the_sizes():
    footage = make_footage()
    time_axis = choose_time_axis(None, N_FRAMES)
    big = footage.tracks.assign(
        equivalent_circular_diameter_px=lambda t: t["equivalent_circular_diameter_px"].where(t["particle"] != 5, 500.0)
    )
    cut = big.assign(touches_border=big["particle"] == 5)
    assert "400" in words_of(plot_sizes_through_time(big, footage.measured, time_axis, None))
    assert "400" not in words_of(plot_sizes_through_time(cut, footage.measured, time_axis, None))


def test_a_long_movie_does_not_make_a_heavy_plot():
    n = 3000
    rng = np.random.default_rng(0)
    tracks = pd.DataFrame(
        {
            "frame": np.repeat(np.arange(n), 20),
            "equivalent_circular_diameter_px": rng.normal(12, 2, 20 * n),
            "touches_border": False,
        }
    )
    drift = pd.DataFrame(
        {"row_px": np.arange(n), "col_px": 0.0, "quality": 0.9, "status": np.where(np.arange(n) % 2, "ok", "blank")}
    )
    time_axis = choose_time_axis(np.arange(n) * 0.5, n)
    assert len(plot_sizes_through_time(tracks, list(range(n)), time_axis, None)) < 400_000
    assert ElementTree.fromstring(plot_drift(drift, time_axis)) is not None


def test_particles_that_change_most_are_shown_and_those_outlined_wrongly_come_last():
    footage, tables = make_footage(), make_tables()
    time_axis = choose_time_axis(None, N_FRAMES)
    svg = plot_single_particles(footage.tracks, tables["particles"], footage.events, time_axis, NM_PER_PX)
    words = words_of(svg)
    assert {"largest growers", "largest shrinkers", "largest coalescences", "vanished", "coalescence"} <= set(words)
    assert "none" not in words
    nothing = tables["particles"].assign(mechanism="none")
    words = words_of(plot_single_particles(footage.tracks, nothing, footage.events.head(0), time_axis, None))
    assert words.count("none") == 3


def test_an_exponent_that_is_not_determined_is_not_drawn():
    tables = make_tables()
    time_axis = choose_time_axis(None, N_FRAMES)
    growth = tables["growth"]
    assert "not determined" not in words_of(plot_growth_law(tables["curves"], growth, time_axis, None))
    growth = growth.assign(**dict.fromkeys(("n", "n_low", "n_high"), math.nan))
    words = words_of(plot_growth_law(tables["curves"], growth, time_axis, None))
    assert words.count("not determined") == 2
    assert not any("best fit" in word for word in words)


def test_radii_that_do_not_grow_follow_no_law():
    tables = make_tables()
    shrinking = tables["curves"].assign(mean_radius_px=np.linspace(9, 5, len(tables["curves"])))
    words = words_of(plot_growth_law(shrinking, tables["growth"], choose_time_axis(None, N_FRAMES), None))
    assert not any(word.startswith("n = ") for word in words)


def test_too_few_sizes_are_shown_without_a_shape():
    tables = make_tables()
    empty = tables["shapes"].assign(scale=np.nan, spread=np.nan)
    words = words_of(plot_size_distribution(np.array([3.0, 4.0]), empty, None))
    assert "n = 2" in words
    assert not any("LSW" in word for word in words)
