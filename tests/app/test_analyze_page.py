"""The particles' page over HTTP."""

import pandas as pd
import pytest
import tifffile

from emscout.synthetic.particles import make_micrograph

OPTIONS = {"model": "watershed"}


@pytest.fixture
def measured(client, finish, micrographs, tmp_path):
    asked = {"path": str(micrographs), "out": str(tmp_path / "out"), "options": OPTIONS}
    client.post("/analyze/run", json=asked)
    assert finish(client)["state"] == "done"
    return client


def test_every_image_has_its_row_and_a_bad_one_its_sentence(measured, tmp_path):
    state = measured.get("/analyze/state").json()
    assert state["out"] == str(tmp_path / "out")
    bad, *good = state["images"]
    assert (bad["status"], bad["count"]) == ("failed", None)
    assert "bad.tif" in bad["error"]
    assert all(image["count"] > 0 and image["unit"] == "nm" and image["d50"] > 0 for image in good)


def test_particles_are_listed_in_nm_and_counted(measured):
    found = measured.get("/analyze/particles/1").json()
    assert found["columns"][:2] == ["label", "equivalent_circular_diameter_nm"]
    summary = measured.get("/analyze/state").json()["images"][1]
    assert len(found["rows"]) == len(found["places"]) == found["count"] == summary["count"] > 0
    assert found["size"] == [128, 160]
    assert measured.get("/analyze/particles/0").json()["rows"] == []
    assert measured.get("/analyze/particles/9").status_code == 400


def test_overlay_and_report_can_be_looked_at(measured):
    assert measured.get("/analyze/result/overlays/scan_0.png").headers["content-type"] == "image/png"
    assert "text/html" in measured.get("/analyze/result/report.html").headers["content-type"]
    assert measured.get("/analyze/result/overlays/bad.png").status_code == 404


def test_bad_files_alone_have_their_sentences(client, finish, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.tif").write_text("no image")
    client.post("/analyze/run", json={"path": str(tmp_path / "in"), "out": str(tmp_path / "out"), "options": OPTIONS})
    assert finish(client)["state"] == "done"
    assert "bad.tif" in client.get("/analyze/state").json()["images"][0]["error"]
    assert client.get("/analyze/particles/0").json()["rows"] == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"out": ""}, "folder for the results"),
        ({"options": {"samples": "few"}}, "“samples” must be a whole number"),
        ({"options": {"samples": "0"}}, "“samples” must be 1 or more"),
    ],
)
def test_wrong_options_are_refused_before_any_work(client, micrographs, tmp_path, change, word):
    asked = {"path": str(micrographs), "out": str(tmp_path / "out"), "options": OPTIONS} | change
    answer = client.post("/analyze/run", json=asked)
    assert answer.status_code == 400
    assert word in answer.json()["error"]
    assert client.get("/job").json() is None
    assert not (tmp_path / "out").exists()


def test_before_a_run_there_is_nothing(client):
    assert client.get("/analyze/state").json() is None
    assert client.get("/analyze/particles/0").status_code == 400
    assert client.get("/analyze/result/report.html").status_code == 404


def test_warnings_are_shown_beside_the_image_as_in_its_table(client, finish, tmp_path):
    (tmp_path / "in").mkdir()
    micrograph, *_ = make_micrograph((128, 160), n_particles=8, seed=1)
    tifffile.imwrite(tmp_path / "in" / "scan.tif", micrograph.image)
    client.post("/analyze/run", json={"path": str(tmp_path / "in"), "out": str(tmp_path / "out"), "options": OPTIONS})
    assert finish(client)["state"] == "done"
    (image,) = client.get("/analyze/state").json()["images"]
    written = pd.read_csv(tmp_path / "out" / "images.csv")["warnings"].astype(object).fillna("")[0]
    assert len(image["notes"]) == written.count("[")
    assert not [note for note in image["notes"] if "`" in note or "--" in note]


def test_a_page_runs_no_function_that_is_named_as_a_model(client, micrographs, tmp_path):
    asked = {"path": str(micrographs), "out": str(tmp_path / "out"), "options": {"model": "os:getcwd"}}
    answer = client.post("/analyze/run", json=asked)
    assert answer.status_code == 400 and "function" in answer.json()["error"]
    assert client.post("/movie/run", json=asked).status_code == 400
    assert client.get("/job").json() is None
