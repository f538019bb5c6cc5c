"""The page of the crystals over HTTP: search, answer, choose, save."""

import base64
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emscout.crystals.locate import CrystalOptions, locate


def tiles_of(judged, image, what):
    return np.frombuffer(base64.b64decode(judged["tiles"][image][what]), np.uint8)


def test_before_a_search_there_is_nothing(client):
    assert client.get("/locate/state").json() is None
    assert client.post("/locate/forget").status_code == 400


def test_a_search_shows_images_tiles_and_targets(searched, overview):
    state = searched.get("/locate/state").json()
    assert [image["name"] for image in state["images"]] == ["Tile_001-001", "Tile_001-002"]
    assert [image["place"] for image in state["images"]] == [[0, 0], [0, 1]]
    assert state["images"][0]["rows"] == list(range(0, 161, 20))
    assert state["paths"] == [str(overview)]
    judged = state["judged"]
    assert all(len(tiles_of(judged, image, what)) == 64 for image in (0, 1) for what in ("cluster", "score", "target"))
    assert (tiles_of(judged, 0, "cluster") == 0).any(), "the bar is left out"
    assert judged["n_targets"] == len(judged["targets"]) > 0
    assert [target["rank"] for target in judged["targets"]] == list(range(1, judged["n_targets"] + 1))
    assert sum(cluster["n_tiles"] for cluster in judged["clusters"]) == sum(
        (tiles_of(judged, image, "cluster") > 0).sum() for image in (0, 1)
    )


def test_pictures_are_the_images(searched):
    picture = np.asarray(Image.open(io.BytesIO(searched.get("/locate/picture/1").content)))
    assert picture.shape == (160, 160)
    assert np.ptp(picture) > 100
    assert searched.get("/locate/picture/2").status_code == 400


def test_an_answer_holds_for_its_tile_and_can_be_taken_back(searched):
    before = searched.get("/locate/state").json()["judged"]
    asked = before["question"]
    index = asked["row"] * 8 + asked["col"]
    for crystal in (True, False):
        judged = searched.post("/locate/answer", json=asked | {"crystal": crystal}).json()
        assert judged["answers"] == [asked | {"crystal": crystal}]
        assert tiles_of(judged, asked["image"], "target")[index] == crystal
        assert tiles_of(judged, asked["image"], "score")[index] == 250 * crystal
        assert judged["question"] != asked
        assert "1 example" in judged["found"]["how"]
    after = searched.post("/locate/answer", json=asked | {"crystal": None}).json()
    assert after == before


def test_answers_read_no_file_again(client, finish, overview, tmp_path):
    shutil.copytree(overview, tmp_path / "moved")
    client.post("/locate/search", json={"path": str(tmp_path / "moved"), "options": {"grid": "8x8"}})
    assert finish(client)["state"] == "done"
    shutil.rmtree(tmp_path / "moved")
    question = client.get("/locate/state").json()["judged"]["question"]
    assert client.post("/locate/answer", json=question | {"crystal": True}).status_code == 200
    assert client.post("/locate/choose", json={"clusters": 5}).status_code == 200


def test_a_chosen_cluster_is_the_target_until_an_answer_counts(searched):
    judged = searched.post("/locate/choose", json={"target": 2}).json()
    for image in (0, 1):
        assert ((tiles_of(judged, image, "cluster") == 2) == tiles_of(judged, image, "target")).all()
    assert "cluster 2, as requested" in judged["found"]["how"]
    judged = searched.post("/locate/answer", json=judged["question"] | {"crystal": True}).json()
    assert judged["target"] is None


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_number_of_clusters_can_be_chosen(searched, count):
    judged = searched.post("/locate/choose", json={"clusters": count}).json()
    assert [cluster["cluster"] for cluster in judged["clusters"]] and len(judged["clusters"]) == count
    assert judged["n_clusters"] == count
    assert max(tiles_of(judged, image, "cluster").max() for image in (0, 1)) == count


@pytest.mark.parametrize(
    ("address", "content", "word"),
    [
        ("/locate/choose", {"target": 9}, "no cluster 9"),
        ("/locate/choose", {"clusters": 9999}, "cluster"),
        ("/locate/answer", {"image": 7, "row": 0, "col": 0, "crystal": True}, "no such image"),
        ("/locate/answer", {"image": 0, "row": 99, "col": 0, "crystal": True}, "is not a tile"),
        ("/locate/answer", {"image": 0, "row": 0, "col": 0, "crystal": True}, "black"),
        ("/locate/save", {"out": ""}, "folder for the results"),
        ("/locate/save", {"out": "found"}, "full path"),
    ],
)
def test_what_cannot_be_is_a_sentence_and_changes_nothing(searched, address, content, word):
    before = searched.get("/locate/state").json()
    answer = searched.post(address, json=content)
    assert answer.status_code == 400
    assert word in answer.json()["error"]
    assert searched.get("/locate/state").json() == before


def test_a_damaged_request_is_a_sentence(searched):
    answer = searched.post("/locate/answer", json={"image": "first"})
    assert answer.status_code == 422
    assert "reload" in answer.json()["error"]


def test_what_is_saved_is_what_the_command_writes(searched, finish, overview, tmp_path):
    out, learned = tmp_path / "found", tmp_path / "learned.json"
    judged = searched.post("/locate/choose", json={"clusters": 4}).json()
    for crystal in (True, False, True):
        judged = searched.post("/locate/answer", json=judged["question"] | {"crystal": crystal}).json()
    searched.post("/locate/save", json={"out": str(out), "knowledge": str(learned)})
    assert finish(searched)["state"] == "done"
    assert searched.get("/locate/state").json()["saved"] == str(out)
    page = searched.get("/locate/result/report.html")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("sandbox")
    options = json.loads((out / "run.json").read_text())["options"]
    assert (len(options["like"]), len(options["unlike"]), options["clusters"]) == (2, 1, 4)
    by_app = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    taught = learned.read_bytes()
    shutil.rmtree(out)
    locate([str(overview)], out, CrystalOptions(**options))
    by_command = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert by_app.keys() == by_command.keys()
    assert [name for name in by_app if by_app[name] != by_command[name]] == []
    assert learned.read_bytes() == taught
    assert len(pd.read_csv(out / "targets.csv")) == judged["n_targets"]


def test_results_are_not_overwritten_unasked(searched, finish, tmp_path):
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "tiles.csv").write_text("mine")
    searched.post("/locate/save", json={"out": str(tmp_path / "others"), "overwrite": True})
    job = finish(searched)
    assert job["state"] == "failed"
    assert "tiles.csv" in job["error"]
    assert (tmp_path / "others" / "tiles.csv").read_text() == "mine"
    out = str(tmp_path / "out")
    searched.post("/locate/save", json={"out": out})
    assert finish(searched)["state"] == "done"
    searched.post("/locate/choose", json={"clusters": 3})
    searched.post("/locate/save", json={"out": out})
    assert "“Replace other results there”" in finish(searched)["error"]
    searched.post("/locate/save", json={"out": out, "overwrite": True})
    assert finish(searched)["state"] == "done"


def test_what_was_learned_serves_on_the_next_grid(searched, finish, overview, tmp_path):
    judged = searched.get("/locate/state").json()["judged"]
    searched.post("/locate/answer", json=judged["question"] | {"crystal": True})
    learned = tmp_path / "learned.json"
    searched.post("/locate/save", json={"out": str(tmp_path / "out"), "knowledge": str(learned)})
    assert finish(searched)["state"] == "done"
    searched.post("/locate/search", json={"path": str(overview), "options": {"grid": "8x8", "knowledge": str(learned)}})
    assert finish(searched)["state"] == "done"
    assert str(learned) in searched.get("/locate/state").json()["judged"]["found"]["how"]


@pytest.mark.parametrize("name", ["../secret.txt", "..%2Fsecret.txt", "%2Fetc%2Fpasswd", "missing.png"])
def test_only_results_are_given_out(searched, finish, tmp_path, name):
    (tmp_path / "secret.txt").write_text("secret")
    searched.post("/locate/save", json={"out": str(tmp_path / "found")})
    assert finish(searched)["state"] == "done"
    assert searched.get(f"/locate/result/{name}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"path": "/no/such/folder", "options": {}}, "does not exist"),
        ({"path": "OVERVIEW", "options": {"knowledge": "/no/file.json"}}, "cannot be read"),
        ({"path": "OVERVIEW", "options": {"grid": "80x80"}}, "4 px"),
    ],
)
def test_a_search_that_fails_says_why_and_keeps_what_was_found(searched, finish, overview, asked, word):
    before = searched.get("/locate/state").json()
    searched.post("/locate/search", json=asked | {"path": asked["path"].replace("OVERVIEW", str(overview))})
    job = finish(searched)
    assert job["state"] == "failed"
    assert word in job["error"]
    assert searched.get("/locate/state").json() == before
