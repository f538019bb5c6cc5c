import numpy as np
import pandas as pd
import pytest

from emscout.evaluate.movies import match_tracks, score_drift, score_events, score_links


def tracks(*rows: tuple[int, int, float, float]) -> pd.DataFrame:
    """From (frame, particle, row, column); of radius 5."""
    return pd.DataFrame(rows, columns=["frame", "particle", "row_px", "col_px"]).assign(radius_px=5.0)


def events(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["frame", "kind", "particles"])


THREE = tracks(*((f, k, 10.0, 20.0 * k) for f in range(6) for k in (1, 2, 3)))


def test_drift_is_scored_after_the_constant_offset():
    true = np.array([[0, 0], [1, 2], [3, 3], [4, 5]], dtype=float)
    assert score_drift(true, true + 7) == {"frames": 4, "rms_px": 0, "worst_px": 0, "wrong_frames": 0}
    off = true.copy()
    off[3] += (4.0, 0.0)
    scores = score_drift(true, off)
    assert scores["rms_px"] == pytest.approx(np.sqrt((3 * 1 + 9) / 4))
    assert scores["worst_px"] == pytest.approx(3)
    assert scores["wrong_frames"] == 1
    assert score_drift(true, off, np.array([True, True, True, False]))["rms_px"] == 0


def test_drift_of_no_frame_and_of_another_length():
    assert np.isnan(score_drift(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros(2, bool))["rms_px"])
    with pytest.raises(ValueError, match="shape"):
        score_drift(np.zeros((2, 2)), np.zeros((3, 2)))


def test_centroids_match_within_half_a_diameter_and_one_to_one():
    found = tracks((0, 8, 10, 24.5), (0, 9, 10, 45.5), (0, 7, 10, 61), (0, 6, 10, 62))
    matched = match_tracks(THREE, found)
    assert matched[["true_particle", "particle"]].to_numpy().tolist() == [[1, 8], [3, 7]]


def test_as_many_match_as_possible():
    """The closest pair is not taken when that leaves another without a partner."""
    true = tracks((0, 1, 0, 0), (0, 2, 0, 4))
    found = tracks((0, 1, 0, 3.5), (0, 2, 0, 8))
    assert len(match_tracks(true, found)) == 2


def test_links_of_a_perfect_answer_with_other_numbers():
    scores = score_links(THREE, THREE.assign(particle=30 - THREE["particle"]))
    assert scores == {
        "true_links": 15,
        "found": 1,
        "detected_links": 15,
        "found_of_detected": 1,
        "links": 15,
        "right": 1,
    }


def test_a_swap_costs_the_links_it_breaks():
    swapped = THREE.copy()
    late = swapped["frame"] >= 3
    swapped.loc[late, "particle"] = swapped.loc[late, "particle"].replace({1: 2, 2: 1})
    scores = score_links(THREE, swapped)
    assert scores["found"] == pytest.approx(13 / 15)
    assert scores["right"] == pytest.approx(13 / 15)


def test_a_particle_not_found_costs_its_links_but_not_those_of_what_was_found():
    scores = score_links(THREE, THREE[~((THREE["frame"] == 2) & (THREE["particle"] == 1))])
    assert scores["found"] == pytest.approx(13 / 15)
    assert scores["found_of_detected"] == 1


def test_links_go_over_frames_that_cannot_be_linked():
    without = THREE[THREE["frame"] != 2]
    assert score_links(THREE, without)["found"] == pytest.approx(9 / 15)
    assert score_links(THREE, without, frames=np.array([0, 1, 3, 4, 5]))["found"] == 1


def test_no_tracks_have_no_links():
    assert score_links(THREE, THREE.iloc[:0])["found"] == 0
    assert np.isnan(score_links(THREE.iloc[:0], THREE)["found"])


def score(true: pd.DataFrame, found: pd.DataFrame, **options: int) -> pd.DataFrame:
    return score_events(true, found, THREE, THREE.assign(particle=THREE["particle"] + 10), **options).set_index("kind")


def test_events_need_the_kind_the_particles_and_the_frame():
    true = events((2, "coalescence", (1, 2)), (3, "vanished", (3,)))
    assert score(true, events((4, "coalescence", "12 11"), (3, "vanished", "13")))["f1"].tolist() == [1, 1]
    assert score(true, events((5, "coalescence", "12 11")))["matched"].tolist() == [0, 0]
    assert score(true, events((5, "coalescence", "12 11")), tolerance_frames=3)["matched"].tolist() == [1, 0]
    assert score(true, events((2, "coalescence", "11 13")))["matched"].tolist() == [0, 0]
    assert score(true, events((2, "vanished", "11 12")))["matched"].tolist() == [0, 0]


def test_an_event_matches_once():
    scores = score(events((2, "vanished", (1,))), events((2, "vanished", "11"), (3, "vanished", "11"))).loc["vanished"]
    assert (scores["precision"], scores["recall"]) == (0.5, 1)


def test_particles_are_known_by_where_they_were_before_the_event():
    """The number that goes on after a merger may be that of either particle."""
    true = THREE[(THREE["frame"] < 3) | (THREE["particle"] != 2)]
    after = (true["frame"] >= 3) & (true["particle"] == 1)
    found = true.assign(particle=true["particle"].mask(after, 2))
    scores = score_events(events((3, "coalescence", (1, 2))), events((3, "coalescence", "1 2")), true, found)
    assert scores["matched"].tolist() == [1]


def test_a_particle_that_is_none_makes_the_event_wrong():
    found = pd.concat([THREE.assign(particle=THREE["particle"] + 10), tracks((1, 99, 90, 90))])
    scores = score_events(events((2, "coalescence", (1, 2))), events((2, "coalescence", "11 12 99")), THREE, found)
    assert scores["matched"].tolist() == [0]


def test_what_is_out_of_the_field_does_not_count():
    scores = score(events((2, "coalescence", (1, 99)), (3, "vanished", (3,))), events((3, "vanished", "13")))
    assert scores["n_true"].to_dict() == {"vanished": 1}
