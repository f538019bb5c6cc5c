import numpy as np
import pandas as pd
import pytest

from emscout.errors import UsageError
from emscout.evaluate.movies import score_links
from emscout.movies.tracking.link import link_particles
from emscout.synthetic.movie import make_movie


def observations(*rows: tuple[int, float, float, float]) -> pd.DataFrame:
    """A table from (frame, row, column, radius)."""
    table = pd.DataFrame(rows, columns=["frame", "row_px", "col_px", "radius_px"])
    return table.assign(area_px2=np.pi * table.pop("radius_px") ** 2)


def measured(true: pd.DataFrame, seed: int, *, noise_px: float = 0.2, missing: float = 0.0) -> pd.DataFrame:
    """What a segmentation makes of true tracks."""
    rng = np.random.default_rng([seed, 1])
    radius = true["radius_px"] + rng.normal(0, noise_px, len(true))
    keep = (radius > 1.5) & (rng.random(len(true)) >= missing)
    table = true[["frame"]].assign(
        row_px=true["row_px"] + rng.normal(0, noise_px, len(true)),
        col_px=true["col_px"] + rng.normal(0, noise_px, len(true)),
        area_px2=np.pi * radius**2,
    )
    return table[keep].reset_index(drop=True)


def still(n: int, n_frames: int) -> pd.DataFrame:
    """True tracks of particles that stay, on a grid."""
    row, col = np.divmod(np.arange(n), 10)
    frames = [
        pd.DataFrame(
            {"frame": f, "particle": np.arange(n), "row_px": 20.0 * row, "col_px": 20.0 * col, "radius_px": 6.0}
        )
        for f in range(n_frames)
    ]
    return pd.concat(frames, ignore_index=True)


def test_links_are_right_where_particles_merge_vanish_and_drift_out_of_the_field():
    movie = make_movie(30, (360, 360), n_particles=120, process="mixed", growth=1.2, merges=25, seed=5)
    scores = score_links(movie.tracks, link_particles(measured(movie.tracks, 5, missing=0.002)))
    assert scores["found"] > 0.98
    assert scores["found_of_detected"] > 0.995
    assert scores["right"] > 0.995


def test_numbers_go_by_first_appearance_and_columns_are_kept():
    table = observations((7, 50, 50, 5), (3, 10, 10, 5), (7, 10, 10, 5)).assign(label=[4, 9, 2])
    tracks = link_particles(table)
    assert list(tracks.columns) == ["frame", "particle", "row_px", "col_px", "area_px2", "label"]
    assert tracks[["frame", "label", "particle"]].to_numpy().tolist() == [[3, 9, 1], [7, 4, 2], [7, 2, 1]]


@pytest.mark.parametrize(("gap", "numbers"), [(3, 2), (4, 3)])
def test_a_particle_may_be_missing_for_three_frames(gap, numbers):
    here = [(f, 10.0, 10.0, 5.0) for f in range(20) if not 8 <= f < 8 + gap]
    tracks = link_particles(observations(*here, *((f, 60.0, 60.0, 5.0) for f in range(20))))
    assert tracks["particle"].nunique() == numbers


def test_a_particle_may_be_missing_for_no_frame_with_max_gap_zero():
    here = [(f, 10.0, 10.0, 5.0) for f in range(9) if f != 4]
    tracks = link_particles(observations(*here, *((f, 60.0, 60.0, 5.0) for f in range(9))), max_gap=0)
    assert tracks["particle"].nunique() == 3


@pytest.mark.parametrize("frames_as_one", [1, 2, 3])
def test_neighbours_that_are_one_for_a_moment_keep_their_numbers(frames_as_one):
    as_one = range(5, 5 + frames_as_one)
    rows = []
    for f in range(12):
        if f in as_one:
            rows.append((f, 50.0, 50.0, 8.0 * np.sqrt(2)))
        else:  # in turns, so that nothing but their places tells them apart
            rows += [(f, 50.0, 41.5, 8.0), (f, 50.0, 58.5, 8.0)][:: 1 if f < 5 else -1]
    tracks = link_particles(observations(*rows))
    last = tracks[tracks["frame"] == 11].set_index("col_px")["particle"]
    assert tracks["particle"].nunique() == 2
    assert last.to_dict() == {41.5: 1, 58.5: 2}


def test_the_larger_of_two_that_merge_goes_on():
    before = [row for f in range(4) for row in [(f, 50.0, 40.0, 6.0), (f, 50.0, 56.0, 9.0)]]
    after = [(f, 50.0, 52.0, (6.0**3 + 9.0**3) ** (1 / 3)) for f in range(4, 8)]
    tracks = link_particles(observations(*before, *after))
    assert set(tracks.loc[tracks["frame"] >= 4, "particle"]) == {2}


def test_label_maps_show_what_centroids_do_not():
    """A long thin particle slides along itself, farther than its disc reaches."""
    maps = {}
    for f in range(4):
        maps[f] = np.zeros((40, 320), np.int32)
        maps[f][20, 10 + 30 * f : 210 + 30 * f] = 1
    table = pd.DataFrame({"frame": range(4), "label": 1, "row_px": 20.0, "area_px2": 200})
    table["col_px"] = 109.5 + 30 * table["frame"]
    assert link_particles(table, maps.__getitem__, max_step_px=5)["particle"].tolist() == [1, 1, 1, 1]
    assert link_particles(table, max_step_px=5)["particle"].tolist() == [1, 2, 3, 4]


def test_labels_without_a_row_and_rows_without_a_label_are_no_matter():
    maps = {f: np.zeros((40, 40), np.int32) for f in range(3)}
    for f in maps:
        maps[f][5:15, 5:15] = 7
        maps[f][25:35, 25:35] = 2  # too small to be measured, say
    table = pd.DataFrame({"frame": [0, 1, 1, 2], "label": [7, 7, 9, 7], "row_px": [9.5, 9.5, 30, 9.5]})
    table = table.assign(col_px=table["row_px"], area_px2=100)
    tracks = link_particles(table, maps.__getitem__)
    assert tracks["particle"].tolist() == [1, 1, 2, 1]


def test_a_long_movie_in_many_windows_has_no_seams():
    true = still(30, 220)
    tracks = link_particles(measured(true, 1, missing=0.02))
    assert tracks["particle"].nunique() == 30
    assert score_links(true, tracks)["found_of_detected"] == 1


def test_frames_without_a_row_are_passed_over():
    tracks = link_particles(still(20, 40).query("frame < 10 or frame >= 30").assign(area_px2=100.0))
    assert tracks["particle"].nunique() == 20


def test_a_new_particle_elsewhere_is_not_an_old_one():
    there = [(f, 10.0, 10.0, 5.0) for f in range(5)] + [(f, 10.0, 40.0, 5.0) for f in range(5, 10)]
    tracks = link_particles(observations(*there, *((f, 90.0, 90.0, 5.0) for f in range(10))))
    assert tracks["particle"].nunique() == 3


def test_progress_counts_frames():
    calls = []
    link_particles(still(5, 4).assign(area_px2=100.0), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(2, 4), (3, 4), (4, 4)]


def test_no_particle_and_one_frame_have_an_answer():
    table = observations((0, 5, 5, 2), (0, 20, 20, 2))
    assert link_particles(table)["particle"].tolist() == [1, 2]
    assert link_particles(table.iloc[:0])["particle"].tolist() == []


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"area_px2": np.nan}, {}, "position and an area"),
        ({"area_px2": 0}, {}, "position and an area"),
        ({}, {"max_step_px": 0}, "step"),
        ({}, {"max_gap": -1}, "gap"),
        ({}, {"labels": dict}, "column label"),
    ],
)
def test_what_cannot_be_linked_is_said(change, options, message):
    table = observations((0, 5, 5, 2), (1, 5, 5, 2)).assign(**change)
    with pytest.raises(UsageError, match=message):
        link_particles(table, **options)


def test_label_maps_of_different_size_are_refused():
    table = observations((0, 5, 5, 2), (1, 5, 5, 2)).assign(label=1)
    with pytest.raises(UsageError, match="differ in shape"):
        link_particles(table, lambda frame: np.ones((10, 10 + frame), np.int32))
