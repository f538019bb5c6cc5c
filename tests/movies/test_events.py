import numpy as np
import pandas as pd
import pytest

from emscout.errors import UsageError
from emscout.evaluate.movies import score_events
from emscout.movies.tracking.events import find_events
from emscout.movies.tracking.link import link_particles
from emscout.synthetic.movie import make_movie

FIELD = (200, 200)
Radii = dict[int, float]


def tracks_of(*particles: tuple[float, float, Radii], others: int = 16, n_frames: int = 20) -> pd.DataFrame:
    """Tracks of particles (row, column, radius by frame), numbered from 1, among others that do not change.

    Outlines are off by a twentieth of a pixel.
    """
    rng = np.random.default_rng(0)
    rows = [
        (frame, number, row, col, radius)
        for number, (row, col, radii) in enumerate(particles, start=1)
        for frame, radius in radii.items()
    ]
    for k in range(others):
        rows += [(f, 100 + k, 150.0 + 15 * (k // 8), 20.0 + 20 * (k % 8), 4.0 + k % 3) for f in range(n_frames)]
    table = pd.DataFrame(rows, columns=["frame", "particle", "row_px", "col_px", "radius_px"])
    radius = table.pop("radius_px") + rng.normal(0, 0.05, len(table))
    return table.assign(area_px2=np.pi * radius**2)


def steady(radius: float, first: int = 0, last: int = 19) -> Radii:
    return dict.fromkeys(range(first, last + 1), radius)


def summarize_events(events: pd.DataFrame) -> list[tuple]:
    return list(events[["frame", "kind", "particles"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(("conserve", "seed"), [("volume", 7), ("area", 8)])
def test_coalescence_and_vanishing_are_found(conserve, seed):
    shape = (460, 460)
    movie = make_movie(
        40, shape, n_particles=180, process="mixed", growth=1.25, merges=60, conserve=conserve, seed=seed
    )
    rng = np.random.default_rng([seed, 1])
    table = (
        movie.tracks[["frame", "row_px", "col_px"]]
        + np.c_[np.zeros(n := len(movie.tracks)), rng.normal(0, 0.2, (n, 2))]
    )
    radius = movie.tracks["radius_px"] + rng.normal(0, 0.2, n)
    table = table.assign(frame=movie.tracks["frame"], area_px2=np.pi * radius**2)
    tracks = link_particles(table[(radius > 1.5) & (rng.random(n) > 0.002)])
    drift = pd.DataFrame(movie.shift_px, columns=["row_px", "col_px"]).assign(frame=range(40))
    events = find_events(tracks, shape, drift=drift)
    scores = score_events(movie.events, events, movie.tracks, tracks).set_index("kind")
    assert scores.loc["coalescence", "n_true"] > 15
    for kind in ("coalescence", "vanished"):
        assert scores.loc[kind, "precision"] >= 0.9
        assert scores.loc[kind, "recall"] >= 0.9


@pytest.mark.parametrize(("quantity", "power"), [("area", 2), ("volume", 3)])
def test_a_merger_says_what_it_conserves(quantity, power):
    whole = (8.0**power + 6.0**power) ** (1 / power)
    tracks = tracks_of(
        (50, 50, steady(8.0, last=9) | steady(whole, 10)),
        (50, 64, steady(6.0, last=9)),
    )
    events = find_events(tracks, FIELD)
    assert summarize_events(events) == [(10, "coalescence", "1 2")]
    merger = events.iloc[0]
    assert merger["conserved"] == quantity
    assert abs(merger["deviation"]) < 0.05
    assert 0.1 <= merger["tolerance"] < 0.13
    assert merger["area_before_px2"] == pytest.approx(np.pi * 100, rel=0.05)
    assert merger["area_after_px2"] == pytest.approx(np.pi * whole**2, rel=0.05)


def test_a_merger_that_conserves_nothing_is_a_segmentation_error():
    events = find_events(
        tracks_of((50, 50, steady(8.0, last=9) | steady(15.0, 10)), (50, 64, steady(6.0, last=9))), FIELD
    )
    assert summarize_events(events) == [(10, "segmentation-error", "1 2")]
    assert events["conserved"].tolist() == ["nothing"]
    assert events["deviation"].iloc[0] > events["tolerance"].iloc[0]


def test_shrinking_to_nothing_beside_a_neighbour_is_no_merger():
    shrinking = {f: (8.0 * (10.5 - f)) ** (1 / 3) for f in range(10)}
    events = find_events(
        tracks_of((50, 50, steady(8.0)), (50, 60.5, shrinking), (90, 90, {0: 1.6, 1: 1.6, 2: 1.6})), FIELD
    )
    assert (10, "vanished", "2") in summarize_events(events)
    assert "coalescence" not in set(events["kind"])


def test_a_small_one_that_did_not_shrink_has_merged_though_nothing_shows_in_the_larger():
    events = find_events(tracks_of((50, 50, steady(12.0)), (50, 66, steady(3.5, last=9)), (90, 90, steady(2.0))), FIELD)
    assert summarize_events(events) == [(10, "coalescence", "1 2")]


def shrinks(radius: float, by_px3: float, first: int, last: int) -> Radii:
    return {f: (radius**3 - by_px3 * (f - first)) ** (1 / 3) for f in range(first, last + 1)}


def test_two_that_shrink_before_and_after_they_merge_have_merged():
    parts = shrinks(5.6, 14, 0, 9)
    whole = shrinks((2 * (parts[9] ** 3 - 7)) ** (1 / 3), 5, 10, 19)
    events = find_events(tracks_of((46, 50, parts | whole), (55, 50, parts)), FIELD)
    assert summarize_events(events)[0] == (10, "coalescence", "1 2")


@pytest.mark.parametrize(("step_px", "kind"), [(0.0, "vanished"), (2.2, "coalescence")])
def test_the_position_of_the_neighbour_decides_about_a_small_one_that_fades(step_px, kind):
    """Its area is lost in that of the neighbour, which goes to the common centre of the two, or stays."""
    fading = shrinks(4.5, 7, 0, 9)
    tracks = tracks_of((50, 50, shrinks(8.0, -2, 0, 19)), (50, 63, fading), (90, 90, steady(2.2)))
    moved = (tracks["particle"] == 1) & (tracks["frame"] >= 10)
    tracks.loc[moved, "col_px"] += step_px
    tracks.loc[moved, "area_px2"] *= 1.08 if step_px else 1.0
    events = find_events(tracks, FIELD)
    assert (10, kind) in [(frame, what) for frame, what, _ in summarize_events(events)]
    assert len(events) == 1


def test_a_merger_at_the_edge_need_not_conserve_what_the_edge_hides():
    """A third of one particle is out of sight; their common centre lies farther in."""
    hidden, seen = 5.0, 6.0
    whole = 1.15 * np.hypot(hidden, seen)
    tracks = tracks_of((4.2, 50, steady(hidden, last=9)), (15, 50, steady(seen, last=9) | steady(whole, 10)))
    tracks.loc[(tracks["particle"] == 2) & (tracks["frame"] >= 10), "row_px"] = 10.5
    assert summarize_events(find_events(tracks, FIELD)) == [(10, "coalescence", "1 2")]


def cut_by_edge(row: float, col: np.ndarray, radius: float) -> pd.DataFrame:
    """Track of particle 1, a disc of which the edge at column -0.5 hides all beyond it: what is left of it."""
    r, c = np.ogrid[-20:20:400j, -0.45:30:306j]
    rows = []
    for frame, middle in enumerate(col):
        here = np.argwhere(r**2 + (c - middle) ** 2 < radius**2)
        if len(here) > 40:
            place = here.mean(axis=0) / 10 + [-20, -0.45]
            rows.append((frame, 1, row + place[0], place[1], len(here) / 100))
    return pd.DataFrame(rows, columns=["frame", "particle", "row_px", "col_px", "area_px2"])


def test_what_shrinks_to_nothing_beside_the_edge_has_vanished_and_what_slips_over_it_has_left():
    fading = tracks_of((100, 2.5, shrinks(3.5, 4, 0, 9)))
    assert summarize_events(find_events(fading, FIELD)) == [(10, "vanished", "1")]
    slipping = cut_by_edge(100, 6.0 - 0.9 * np.arange(20), 6.0)
    last = int(slipping["frame"].max())
    assert 10 < last < 17
    left = find_events(pd.concat([slipping, tracks_of()]), FIELD)
    assert summarize_events(left) == [(last + 1, "left-field", "1")]
    slipping["frame"] = 19 - slipping["frame"]
    entered = find_events(pd.concat([slipping, tracks_of()]), FIELD)
    assert summarize_events(entered) == [(19 - last, "entered-field", "1")]


def test_a_flickering_sliver_at_the_edge_gives_no_event():
    """It may shrink, vanish, merge or drop below what is seen; the middle of it was never in the field."""
    rng = np.random.default_rng(1)
    sliver = cut_by_edge(100, np.full(20, -1.5) + rng.normal(0, 0.2, 20), 5.0)
    assert len(sliver) == 20
    for gone in (sliver["frame"] > 8, sliver["frame"] < 8):
        assert summarize_events(find_events(pd.concat([sliver[~gone], tracks_of()]), FIELD)) == []


def test_two_that_vanish_far_from_all_have_not_merged():
    events = find_events(tracks_of((50, 50, steady(6.0, last=9)), (100, 120, steady(6.0, last=9))), FIELD)
    assert summarize_events(events) == [(10, "vanished", "1"), (10, "vanished", "2")]


def test_three_merge_at_once():
    whole = (3 * 6.0**3) ** (1 / 3)
    events = find_events(
        tracks_of(
            (50, 50, steady(6.0, last=9) | steady(whole, 10)),
            (50, 62, steady(6.0, last=9)),
            (61, 56, steady(6.0, last=9)),
        ),
        FIELD,
    )
    assert summarize_events(events) == [(10, "coalescence", "1 2 3")]


def test_two_that_merge_into_one_of_a_new_number_have_merged():
    whole = 2 ** (1 / 3) * 6.0
    events = find_events(
        tracks_of((50, 44, steady(6.0, last=9)), (50, 56, steady(6.0, last=9)), (50, 50, steady(whole, 10))), FIELD
    )
    assert summarize_events(events) == [(10, "coalescence", "1 2 3")]


def test_a_split_is_a_merger_backwards():
    whole = (8.0**3 + 6.0**3) ** (1 / 3)
    events = find_events(tracks_of((50, 50, steady(whole, last=9) | steady(8.0, 10)), (50, 64, steady(6.0, 10))), FIELD)
    assert summarize_events(events) == [(10, "split", "1 2")]
    assert events["area_before_px2"].iloc[0] == pytest.approx(np.pi * whole**2, rel=0.05)


def test_a_merger_that_a_split_undoes_is_a_segmentation_error():
    as_one = dict.fromkeys(range(8, 12), 10.0)
    events = find_events(
        tracks_of((50, 50, steady(8.0) | as_one), (50, 64, steady(6.0, last=7)), (50, 64, steady(6.0, 12))), FIELD
    )
    assert summarize_events(events) == [(8, "segmentation-error", "1 2"), (12, "segmentation-error", "1 3")]


def test_neighbours_that_are_one_for_a_moment_are_a_segmentation_error():
    radii = steady(6.0)
    del radii[10]
    events = find_events(tracks_of((50, 50, steady(8.0) | {10: 10.0}), (50, 64, radii)), FIELD)
    assert summarize_events(events) == [(10, "segmentation-error", "1 2")]


def test_a_gap_alone_is_no_event():
    radii = steady(6.0)
    del radii[10]
    assert summarize_events(find_events(tracks_of((50, 50, steady(8.0)), (50, 64, radii)), FIELD)) == []


def test_what_is_seen_for_a_frame_or_two_is_a_segmentation_error():
    events = find_events(tracks_of((50, 50, steady(4.0, 8, 9))), FIELD)
    assert summarize_events(events) == [(8, "segmentation-error", "1")]


def test_missing_in_the_first_or_last_frame_is_no_event():
    assert summarize_events(find_events(tracks_of((50, 50, steady(6.0, 1, 18))), FIELD)) == []


def test_particles_carried_over_the_edge_have_left_and_entered():
    """The specimen moves down by 4 px a frame: its last rows leave, new ones come in at the top."""
    drift = pd.DataFrame({"frame": range(20), "row_px": 4.0 * np.arange(20), "col_px": 0.0})
    leaving = {f: 5.0 for f in range(20) if 170 + 4 * f < 200}
    entering = {f: 5.0 for f in range(20) if -30 + 4 * f >= 0}
    tracks = tracks_of((170, 50, leaving), (-30, 50, entering), (100, 100, steady(5.0, last=9)), others=0)
    assert summarize_events(find_events(tracks, FIELD, drift=drift)) == [
        (8, "entered-field", "2"),
        (8, "left-field", "1"),
        (10, "vanished", "3"),
    ]


def test_nucleation_is_an_appearance():
    assert summarize_events(find_events(tracks_of((50, 50, steady(6.0, 8))), FIELD)) == [(8, "appeared", "1")]


def test_frames_without_a_particle_count_when_named():
    tracks = tracks_of((50, 50, steady(6.0, last=9)), others=0)
    assert summarize_events(find_events(tracks, FIELD)) == []
    assert summarize_events(find_events(tracks, FIELD, frames=np.arange(20))) == [(10, "vanished", "1")]


def test_times_are_given_when_known():
    events = find_events(tracks_of((50, 50, steady(6.0, last=9))), FIELD, times_s=5.0 * np.arange(20))
    assert events["time_s"].tolist() == [50]


def test_no_tracks_have_no_events():
    empty = tracks_of(others=0)
    events = find_events(empty, FIELD)
    assert len(events) == 0
    assert {"frame", "kind", "particles", "conserved", "tolerance"} <= set(events.columns)


def test_a_missing_column_is_named():
    with pytest.raises(UsageError, match="area_px2"):
        find_events(tracks_of().drop(columns="area_px2"), FIELD)


def test_what_two_have_become_may_be_missed_for_a_frame():
    small = steady(5.0, last=8)
    large = {**steady(6.0, last=8), **steady((6.0**3 + 5.0**3) ** (1 / 3), first=11)}
    tracks = tracks_of((50.0, 50.0, large), (50.0, 61.5, small))
    events = find_events(tracks, FIELD)
    assert summarize_events(events) == [(9, "coalescence", "1 2")]
    assert events["conserved"].tolist() == ["volume"]


@pytest.mark.parametrize("sum_of", ["area", "volume"])
def test_without_tolerance_exact_sizes_still_count_as_conserved(sum_of):
    whole = np.sqrt(5.0**2 + 6.0**2) if sum_of == "area" else np.cbrt(5.0**3 + 6.0**3)
    place = (50, 50 + 11 * 5.0**2 / whole**2) if sum_of == "area" else (50, 50 + 11 * (5.0 / whole) ** 3)
    rows = [(f, 1, 50, 50, 6.0) for f in range(10)] + [(f, 2, 50, 61, 5.0) for f in range(10)]
    rows += [(f, 1, *place, whole) for f in range(10, 20)] + [(f, 3, 150, 150, 4.0) for f in range(20)]
    tracks = pd.DataFrame(rows, columns=["frame", "particle", "row_px", "col_px", "radius_px"])
    tracks["area_px2"] = np.pi * tracks.pop("radius_px") ** 2
    events = find_events(tracks, FIELD, tolerance=0)
    assert summarize_events(events) == [(10, "coalescence", "1 2")]
    assert events["conserved"].tolist() == [sum_of]
    with pytest.raises(UsageError, match="`tolerance` must be 0 or more"):
        find_events(tracks, FIELD, tolerance=-0.1)
