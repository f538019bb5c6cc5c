"""The pages that run a command and show its report, over HTTP."""

import pandas as pd
import pytest
import tifffile

from emscout.synthetic.movie import make_movie


@pytest.fixture(scope="session")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("movies") / "heating.tif"
    tifffile.imwrite(path, make_movie(6, (128, 128), n_particles=12, seed=1).frames, imagej=True)
    return path


def run(client, finish, page, path, out, **options):
    client.post(f"/{page}/run", json={"path": str(path), "out": str(out), "options": options})
    job = finish(client)
    assert (job["state"], job["error"]) == ("done", "")
    return client.get(f"/{page}/state").json()


def test_a_movie_is_followed_and_its_report_shown(client, finish, movie, tmp_path):
    state = run(client, finish, "movie", movie, tmp_path / "out", model="watershed", frame_time="2s")
    assert state == {"number": 1, "out": str(tmp_path / "out")}
    report = client.get("/movie/result/report.html")
    assert "heating" in report.text
    assert pd.read_csv(tmp_path / "out" / "drift.csv")["time_s"].tolist() == [0, 2, 4, 6, 8, 10]


def test_pictures_are_named_and_their_report_shown(client, finish, micrographs, tmp_path):
    run(client, finish, "classify", micrographs, tmp_path / "out", evidence=False)
    classes = pd.read_csv(tmp_path / "out" / "classes.csv")
    assert classes["status"].tolist() == ["failed", "ok", "ok"]
    assert "scan_1" in client.get("/classify/result/report.html").text


def test_a_report_may_be_framed_by_the_app_alone_and_holds_its_own_movie(client, finish, micrographs, tmp_path):
    run(client, finish, "classify", micrographs, tmp_path / "out", evidence=False)
    policy = client.get("/classify/result/report.html").headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert "sandbox" in policy
    assert "media-src data:" in policy


@pytest.mark.parametrize("page", ["movie", "classify"])
def test_before_a_run_there_is_nothing(client, page):
    assert client.get(f"/{page}/state").json() is None
    assert client.get(f"/{page}/result/report.html").status_code == 404


def test_wrong_options_are_refused_before_any_work(client, movie, tmp_path):
    asked = {"path": str(movie), "out": str(tmp_path / "out"), "options": {"frame_time": "soon"}}
    answer = client.post("/movie/run", json=asked)
    assert answer.status_code == 400
    assert "soon" in answer.json()["error"]
    assert not (tmp_path / "out").exists()
