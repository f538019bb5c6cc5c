import numpy as np
import pandas as pd
import pytest

from emscout.errors import UsageError
from emscout.evaluate.movies import match_tracks
from emscout.movies.kinetics.curves import measure_curves
from emscout.movies.kinetics.mechanisms import MECHANISMS, assign_mechanisms, ripening_prevails
from emscout.movies.tracking.events import find_events
from emscout.movies.tracking.link import link_particles
from emscout.synthetic.movie import make_movie


def grid_tracks(radii: np.ndarray, noise_px: float = 0.05) -> pd.DataFrame:
    """Tracks of particles on a grid from their radii (frames, particles); 0 where one is no more."""
    rng = np.random.default_rng(0)
    frame, particle = np.nonzero(radii > 0)
    radius = radii[frame, particle] + rng.normal(0, noise_px, len(frame))
    table = pd.DataFrame({"frame": frame, "particle": particle + 1, "area_px2": np.pi * radius**2})
    return table.assign(row_px=20.0 * (particle // 6) + 20, col_px=20.0 * (particle % 6) + 20)


def explain(radii: np.ndarray) -> pd.DataFrame:
    tracks = grid_tracks(radii)
    events = find_events(tracks, (160, 160), frames=np.arange(len(radii)))
    return assign_mechanisms(tracks, events, 160**2).set_index("particle")


def test_ripening_is_distinguished_from_coalescence_particle_by_particle():
    shape = (460, 460)
    movie = make_movie(50, shape, n_particles=180, process="mixed", growth=1.25, merges=50, seed=12)
    rng = np.random.default_rng(13)
    radius = movie.tracks["radius_px"] + rng.normal(0, 0.2, len(movie.tracks))
    table = movie.tracks[["frame", "row_px", "col_px"]].assign(area_px2=np.pi * radius**2)
    tracks = link_particles(table[radius > 1.5])
    drift = pd.DataFrame(movie.shift_px, columns=["row_px", "col_px"]).assign(frame=range(50))
    explained = assign_mechanisms(tracks, find_events(tracks, shape, drift=drift), shape[0] * shape[1])
    assert set(explained["mechanism"]) <= set(MECHANISMS)
    mechanism = explained.set_index("particle")["mechanism"]
    which = (
        match_tracks(movie.tracks, tracks).groupby("true_particle")["particle"].agg(lambda some: some.mode().iloc[0])
    )
    true = movie.events[movie.events["frame"] > 5]  # of what is seen for a few frames nobody can tell
    vanished = mechanism[[which[k] for (k,) in true.loc[true["kind"] == "vanished", "particles"] if k in which]]
    merged = [pair for pair in true.loc[true["kind"] == "coalescence", "particles"] if all(k in which for k in pair)]
    assert len(vanished) > 50
    assert len(merged) > 10
    assert (vanished == "ripening").mean() >= 0.9
    # Of two about as large, either number may go on.
    assert np.mean(["coalescence" in mechanism[[which[k] for k in pair]].to_list() for pair in merged]) >= 0.8


def test_one_shrinks_and_its_neighbours_grow():
    radii = np.full((20, 36), 7.0)
    radii[:, 14] = np.cbrt(np.maximum(7.0**3 * (1 - np.arange(20) / 12), 0))
    radii[:, [8, 13, 15, 20]] = np.cbrt(7.0**3 + (7.0**3 - radii[:, 14, None] ** 3) / 4)
    explained = explain(radii)
    assert explained.loc[15, ["end", "mechanism"]].tolist() == ["vanished", "ripening"]
    assert explained.loc[15, "neighbours_px3"] == pytest.approx(4 / 3 * np.pi * 7**3, rel=0.25)
    assert explained.loc[[9, 14, 16, 21], "mechanism"].tolist() == ["ripening"] * 4
    assert explained.loc[[1, 6, 31, 36], "mechanism"].tolist() == ["none"] * 4


def test_what_shrinks_while_nothing_grows_is_unclear():
    radii = np.cbrt(np.maximum(np.linspace(300, 700, 36) - 35 * np.arange(20)[:, None], 0))
    explained = explain(np.where(radii > 1.5, radii, 0))
    vanished = explained[explained["end"] == "vanished"]
    assert len(vanished) > 15
    assert (vanished["mechanism"] == "unclear").mean() > 0.9


def test_what_is_gone_without_shrinking_is_unclear():
    radii = np.full((20, 36), 7.0)
    radii[10:, 14] = 0
    assert explain(radii).loc[15, ["end", "mechanism"]].tolist() == ["vanished", "unclear"]


def test_jumps_of_area_are_set_apart_from_steady_change():
    radii = np.full((20, 36), 7.0)
    radii[:, 0] = np.sqrt(49 + np.where(np.arange(20) < 10, 0, 30) + np.arange(20))
    tracks = grid_tracks(radii)
    events = pd.DataFrame({"frame": [10], "kind": ["coalescence"], "particles": ["1 99"]})
    explained = assign_mechanisms(tracks, events, 160**2).iloc[0]
    assert explained["by_mergers_px2"] == pytest.approx(30 * np.pi, rel=0.25)
    assert explained["by_mergers_px2"] + explained["by_exchange_px2"] == pytest.approx(49 * np.pi, rel=0.1)
    assert explained["mechanism"] == "both"


def test_an_error_of_the_segmentation_does_not_hide_a_merger_in_the_same_frame():
    radii = np.full((20, 36), 7.0)
    radii[10:, 0] = np.sqrt(49 + 30)
    tracks = grid_tracks(radii)
    events = pd.DataFrame(
        {"frame": [10, 10], "kind": ["coalescence", "segmentation-error"], "particles": ["1 99", "1 2"]}
    )
    explained = assign_mechanisms(tracks, events, 160**2).iloc[0]
    assert explained["by_mergers_px2"] == pytest.approx(30 * np.pi, rel=0.1)
    assert explained["mechanism"] == "coalescence"


def test_no_tracks_have_nothing_to_explain():
    tracks = grid_tracks(np.zeros((3, 3)))
    explained = assign_mechanisms(tracks, find_events(tracks, (50, 50)), 2500)
    assert len(explained) == 0
    assert "mechanism" in explained


def frame_of(areas: list[float], **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"frame": 0, "particle": np.arange(len(areas)) + 1, "area_px2": areas, **columns})


def test_curves_by_hand():
    table = measure_curves(frame_of([np.pi * 9, np.pi * 25]), 1000, frames=np.arange(2), times_s=np.array([0.0, 5.0]))
    assert table["time_s"].tolist() == [0, 5]
    assert table["n"].tolist() == [2, 0]
    assert table.loc[0, "mean_radius_px"] == pytest.approx(4)
    assert table["coverage"].tolist() == pytest.approx([np.pi * 34 / 1000, 0])
    assert table["volume_px3"].tolist() == pytest.approx([4 / 3 * np.pi * (27 + 125), 0])
    assert np.isnan(table.loc[1, "mean_radius_px"])


def test_particles_cut_by_the_border_have_no_say_in_radius_and_volume():
    table = measure_curves(frame_of([np.pi * 9, np.pi * 25], touches_border=[False, True]), 1000).iloc[0]
    assert (table["n"], table["mean_radius_px"]) == (2, pytest.approx(3))
    assert table["volume_px3"] == pytest.approx(4 / 3 * np.pi * 27)
    assert table["coverage"] == pytest.approx(np.pi * 34 / 1000)


def test_narrow_and_wide_outlines_make_the_band():
    areas = np.pi * np.array([9.0, 25.0])
    table = measure_curves(
        frame_of(areas, area_low_px2=np.pi * np.array([4.0, 16.0]), area_high_px2=np.pi * np.array([16.0, 36.0])), 1000
    ).iloc[0]
    assert (table["mean_radius_px_low"], table["mean_radius_px_high"]) == (pytest.approx(3), pytest.approx(5))
    assert table["coverage_low"] == pytest.approx(np.pi * 20 / 1000)


def test_doubt_whether_it_is_a_particle_widens_the_band():
    table = measure_curves(frame_of([np.pi * 9] * 100, probability=0.8), 10_000).iloc[0]
    assert table["n_high"] - table["n"] == pytest.approx(1.96 * np.sqrt(100 * 0.16))
    assert table["coverage_high"] > table["coverage"] > table["coverage_low"]


def test_the_band_of_the_mean_radius_holds_what_the_noise_of_the_outlines_does():
    """Over many frames of the same particles the mean scatters as the band says."""
    table = measure_curves(grid_tracks(np.full((400, 36), 7.0), noise_px=0.3), 160**2)
    inside = (table["mean_radius_px_low"] <= 7) & (table["mean_radius_px_high"] >= 7)
    assert 0.92 <= inside.mean() <= 0.98


def test_a_missing_column_is_named():
    with pytest.raises(UsageError, match="area_px2"):
        measure_curves(frame_of([1.0]).drop(columns="area_px2"), 100)


@pytest.mark.parametrize(
    ("ripened", "merged", "unexplained", "prevails"),
    [(20, 10, 0, True), (20, 11, 0, False), (0, 1, 0, False), (5, 0, 6, False), (5, 0, 5, True)],
)
def test_ripening_prevails_where_it_took_most(ripened, merged, unexplained, prevails):
    fates = [("vanished", "ripening")] * ripened + [("coalescence", "coalescence")] * merged
    particles = pd.DataFrame(fates + [("vanished", "unclear")] * unexplained, columns=["end", "mechanism"])
    assert ripening_prevails(particles) == prevails


def test_where_none_was_lost_it_prevails_if_most_change_steadily():
    steady = pd.DataFrame({"end": "", "mechanism": ["ripening", "ripening", "none", "coalescence"]})
    assert ripening_prevails(steady)
    assert not ripening_prevails(steady.iloc[2:])
