"""Choosing images by clicking through folders."""

import os

import pytest


def test_a_folder_says_how_many_images_it_holds(client, overview):
    found = client.get("/folder", params={"path": str(overview)}).json()
    assert (found["n_images"], found["path"]) == (2, str(overview))
    assert found["names"] == ["Tile_001-001.tif", "Tile_001-002.tif"]
    assert found["parent"] == str(overview.parent)


def test_folders_inside_can_be_clicked_and_hidden_ones_are_not_shown(client, tmp_path):
    for name in ("b10", "b2", ".hidden"):
        (tmp_path / name).mkdir()
    found = client.get("/folder", params={"path": str(tmp_path)}).json()
    assert [folder["name"] for folder in found["folders"]] == ["b2", "b10"]
    inner = client.get("/folder", params={"path": found["folders"][0]["path"]}).json()
    assert (inner["n_images"], inner["folders"], inner["parent"]) == (0, [], str(tmp_path))


def test_a_pattern_counts_what_it_matches(client, overview):
    found = client.get("/folder", params={"path": f"{overview}/*-002.tif"}).json()
    assert (found["n_images"], found["folder"]) == (1, str(overview))


def test_one_image_is_enough(client, overview):
    found = client.get("/folder", params={"path": str(overview / "Tile_001-001.tif")}).json()
    assert (found["n_images"], found["folder"]) == (1, str(overview))


def test_without_a_path_the_users_own_folder_is_shown(client, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert client.get("/folder").json()["path"] == str(tmp_path)


def test_the_root_has_nothing_above(client):
    assert client.get("/folder", params={"path": os.path.abspath(os.sep)}).json()["parent"] is None  # noqa: PTH100


@pytest.mark.parametrize("path", ["/no/such/folder", "/no/such/*.tif", "nul\0byte"])
def test_what_is_not_there_is_a_sentence(client, path):
    answer = client.get("/folder", params={"path": path})
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_a_sentence(client, tmp_path):
    tmp_path.chmod(0)
    answer = client.get("/folder", params={"path": str(tmp_path)})
    tmp_path.chmod(0o700)
    assert answer.status_code == 400
