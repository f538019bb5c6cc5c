import json

import numpy as np
import pytest

from emscout.crystals.choice.propose import load_tile_model, score_tiles
from emscout.crystals.choice.user_labels import (
    collect_labels,
    load_user_labels,
    most_uncertain,
    save_user_labels,
    score_with_labels,
    similarity_to,
)
from emscout.errors import OutputError, ReadError, UsageError


def predictors(n=300, seed=0):
    """Tiles of two kinds that the model cannot tell apart by itself, and which is which."""
    rng = np.random.default_rng(seed)
    n_predictors = len(load_tile_model().mean)
    kind = rng.random(n) < 0.5
    tiles = rng.normal(0, 0.4, (n, n_predictors))
    tiles[:, 0], tiles[:, 1] = 1, rng.normal(0, 0.2, n)
    tiles[:, 2:4] += np.where(kind, 1.2, -1.2)[:, None]
    return tiles, kind


def test_without_answers_tiles_score_as_proposed():
    tiles, _ = predictors()
    assert score_with_labels(tiles, None) == pytest.approx(score_tiles(tiles))


def test_five_answers_separate_two_kinds():
    tiles, kind = predictors()
    scores, asked = score_with_labels(tiles, None), []
    before = ((scores >= 0.5) == kind).mean()
    for _ in range(5):
        asked.append(most_uncertain(scores, asked))
        scores = score_with_labels(
            tiles, collect_labels(tiles, *([i for i in asked if kind[i] == k] for k in (True, False)))
        )
    assert len(set(asked)) == 5
    assert before < 0.75
    assert ((scores >= 0.5) == kind).mean() > 0.9


def test_an_answer_moves_its_own_tile_and_those_like_it():
    tiles, kind = predictors()
    tile = int(np.flatnonzero(kind)[0])
    near = np.argsort(np.linalg.norm(tiles - tiles[tile], axis=1))[:10]
    before = score_with_labels(tiles, None)
    assert (score_with_labels(tiles, collect_labels(tiles, [tile], []))[near] > before[near]).all()
    assert (score_with_labels(tiles, collect_labels(tiles, [], [tile]))[near] < before[near]).all()


def test_hundreds_of_answers_are_learned_too():
    tiles, kind = predictors(600)
    knowledge = collect_labels(tiles, np.flatnonzero(kind)[:200].tolist(), np.flatnonzero(~kind)[:200].tolist())
    scores = score_with_labels(tiles, knowledge)
    assert np.isfinite(scores).all()
    assert ((scores >= 0.5) == kind).mean() > 0.97


def test_what_was_learned_is_used_on_the_next_grid(tmp_path):
    tiles, kind = predictors()
    knowledge = collect_labels(tiles, np.flatnonzero(kind)[:3].tolist(), np.flatnonzero(~kind)[:3].tolist())
    save_user_labels(knowledge, tmp_path / "knowledge.json")
    loaded = load_user_labels(tmp_path / "knowledge.json")
    assert loaded == knowledge
    others, other_kind = predictors(seed=1)
    assert ((score_with_labels(others, loaded) >= 0.5) == other_kind).mean() > 0.9
    more = collect_labels(others, [0], [1], before=loaded)
    assert len(more.examples) == 8
    assert more.examples[:6] == knowledge.examples


def test_similar_tiles_come_first():
    tiles, kind = predictors()
    example = int(np.flatnonzero(kind)[0])
    similarity = similarity_to(tiles[:, 2:], [example])
    assert similarity[example] == pytest.approx(1)
    assert kind[np.argsort(similarity)[-50:]].mean() > 0.9
    both = similarity_to(tiles[:, 2:], [example, int(np.flatnonzero(~kind)[0])])
    assert (both >= similarity - 1e-12).all()


def test_the_least_sure_tile_is_asked_about_once():
    scores = np.array([0.1, 0.48, 0.9, np.nan, 0.6])
    assert most_uncertain(scores) == 1
    assert most_uncertain(scores, [1]) == 4
    assert scores[1] == 0.48
    with pytest.raises(UsageError, match="none left"):
        most_uncertain(scores, [0, 1, 2, 4])


def test_contradictions_and_empty_lessons_are_refused():
    tiles, _ = predictors()
    with pytest.raises(UsageError, match="at once"):
        collect_labels(tiles, [1, 2], [2])
    with pytest.raises(UsageError, match="at least one tile"):
        collect_labels(tiles, [], [])
    with pytest.raises(UsageError, match="at least one tile"):
        similarity_to(tiles, [])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"format": "something else"}, ReadError, "not a knowledge file"),
        ({"version": 99}, ReadError, "not a knowledge file"),
        ({"model": "tiles-of-others"}, UsageError, "other statistics"),
        ({"examples": [[1.0, 2.0]]}, ReadError, "damaged"),
        ({"examples": "none"}, ReadError, "damaged"),
        ({"crystal": [True, "yes"]}, ReadError, "damaged"),
        ({"crystal": None}, ReadError, "damaged"),
        ({"examples": [], "crystal": []}, ReadError, "damaged"),
    ],
)
def test_a_foreign_or_damaged_file_is_refused(tmp_path, change, error, words):
    path = tmp_path / "knowledge.json"
    save_user_labels(collect_labels(predictors()[0], [0], [1]), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match=words):
        load_user_labels(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xff\xfe\x00", b'"text"'])
def test_what_is_no_json_of_ours_is_refused(tmp_path, content):
    path = tmp_path / "knowledge.json"
    path.write_bytes(content)
    with pytest.raises(ReadError, match="`save_knowledge"):
        load_user_labels(path)


def test_a_file_that_is_not_there_and_a_place_that_cannot_be_written_are_said(tmp_path):
    with pytest.raises(ReadError, match="cannot be read"):
        load_user_labels(tmp_path / "none.json")
    (tmp_path / "a file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        save_user_labels(collect_labels(predictors()[0], [0], []), tmp_path / "a file" / "knowledge.json")
