"""A search finds what looks alike, reads each picture once, and forgets what is gone."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import emscout as em
from emscout.errors import NothingToFindError, OutputError, ReadError, UsageError
from emscout.specimens.index import nearest_rows
from emscout.specimens.similar import SimilarOptions, find_similar, search_folder, search_similar
from emscout.synthetic.specimens import make_specimen


@pytest.fixture
def asked(tmp_path):
    path = tmp_path / "asked.png"
    Image.fromarray(make_specimen("pores", seed=99)).save(path)
    return path


def test_pictures_of_the_same_kind_come_first(specimens, asked, tmp_path):
    found, notes = search_folder(asked, specimens, tmp_path / "index.npz", SimilarOptions(count=20))
    assert not notes
    assert found["rank"].tolist() == list(range(1, 21))
    assert found["similarity"].is_monotonic_decreasing
    assert all("pores" in path for path in found["path"][:12])


def test_the_picture_itself_is_left_out_and_its_copy_is_first(specimens, tmp_path):
    folder = tmp_path / "archive"
    shutil.copytree(specimens / "fibres", folder / "2019" / "fibres")
    image = folder / "2019" / "fibres" / "fibres_03.png"
    Image.open(image).resize((200, 200)).save(folder / "larger.png")
    found, _ = search_folder(image, folder, tmp_path / "index.npz")
    assert str(image) not in found["path"].tolist()
    assert found["path"][0].endswith("larger.png") and found["similarity"][0] > 0.7
    assert len(found) == 12


def test_only_new_and_changed_pictures_are_read_again(specimens, asked, tmp_path):
    folder = tmp_path / "archive"
    shutil.copytree(specimens / "pores", folder)
    index = tmp_path / "index.npz"
    first, _ = search_folder(asked, folder, index)
    # Spoilt, but of the same size and time: what is not read again does not show it.
    for path in folder.iterdir():
        before = path.stat()
        path.write_bytes(bytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    again, notes = search_folder(asked, folder, index)
    assert again.equals(first) and not notes
    (folder / "pores_00.png").unlink()
    (folder / "pores_01.png").write_text("changed")
    Image.fromarray(make_specimen("pores", seed=50)).save(folder / "new.png")
    later, notes = search_folder(asked, folder, index)
    assert len(notes) == 1 and "pores_01.png" in notes[0]
    names = {path.rsplit("/", 1)[-1] for path in later["path"]}
    assert "new.png" in names and "pores_00.png" not in names and len(names) == 11


def test_the_folder_of_a_search_holds_table_report_and_index_and_is_not_overwritten_unasked(specimens, asked, tmp_path):
    report = search_similar(asked, specimens, tmp_path / "out", SimilarOptions(count=3))
    assert len(report.tables["similar"]) == 3 and report.warnings == ()
    for name in ("similar.csv", "report.html", "index.npz", "run.json"):
        assert (tmp_path / "out" / name).is_file()
    with pytest.raises(OutputError, match="other options"):
        search_similar(asked, specimens, tmp_path / "out", SimilarOptions(count=4))
    search_similar(asked, specimens, tmp_path / "out", SimilarOptions(count=4), overwrite=True)


def test_what_cannot_be_read_is_a_warning_of_a_search_and_stands_in_its_report(specimens, asked, tmp_path):
    folder = tmp_path / "archive"
    shutil.copytree(specimens / "pores", folder)
    (folder / "bad.png").write_text("no picture")
    (notice,) = search_similar(asked, folder, tmp_path / "out").warnings
    assert notice.code == "unreadable" and "bad.png" in notice.sentence
    assert "bad.png" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_search_in_memory_gives_what_the_search_of_the_folder_gives(specimens, asked, tmp_path):
    files = sorted(path for path in specimens.glob("*/*.png"))
    found = find_similar(em.read(asked), [*(em.read(file) for file in files), np.zeros((30, 30))], count=5)
    saved, _ = search_folder(asked, specimens, tmp_path / "index.npz", SimilarOptions(count=5))
    assert [str(files[position]) for position in found.table["position"]] == saved["path"].tolist()
    assert found.table["name"].tolist() == [path.rsplit("/", 1)[-1].removesuffix(".png") for path in saved["path"]]
    np.testing.assert_allclose(found.table["similarity"], saved["similarity"], rtol=1e-5)
    assert [notice.code for notice in found.warnings] == ["empty"]
    with pytest.raises(NothingToFindError):
        find_similar(np.zeros((30, 30)), [em.read(files[0])])
    assert find_similar(em.read(asked), []).table.empty


def test_a_bad_file_is_noted_and_the_rest_searched(specimens, asked, tmp_path):
    folder = tmp_path / "archive"
    shutil.copytree(specimens / "pores", folder)
    (folder / "bad.png").write_text("no picture")
    Image.fromarray(np.full((30, 30), 80, np.uint8)).save(folder / "flat.png")
    found, notes = search_folder(asked, folder, tmp_path / "index.npz")
    assert len(found) == 12
    assert sorted("bad.png" in note for note in notes) == [False, True]
    assert any("flat.png" in note and "single grey value" in note for note in notes)


def test_what_cannot_be_searched_is_a_sentence(specimens, asked, tmp_path):
    flat = tmp_path / "flat.png"
    Image.fromarray(np.full((30, 30), 80, np.uint8)).save(flat)
    with pytest.raises(NothingToFindError, match=r"flat\.png.* single grey value"):
        search_folder(flat, specimens, tmp_path / "index.npz")
    with pytest.raises(UsageError, match="is a folder: name one picture"):
        search_folder(specimens, specimens, tmp_path / "index.npz")
    with pytest.raises(UsageError, match="not a folder"):
        search_folder(asked, tmp_path / "nowhere", tmp_path / "index.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no pictures"):
        search_folder(asked, tmp_path / "empty", tmp_path / "index.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ReadError, match=r"broken\.npz.* another place with `index"):
        search_folder(asked, specimens, tmp_path / "broken.npz")


def test_the_nearest_are_those_of_the_largest_cosine():
    vectors = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
    rows, similarity = nearest_rows(vectors, vectors[7], 10)
    expected = np.argsort(-(vectors @ vectors[7]))[:10]
    assert rows.tolist() == expected.tolist()
    assert (np.diff(similarity) <= 0).all()
    assert len(nearest_rows(vectors[:3], vectors[0], 10)[0]) == 3


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be nested that deep")
def test_a_subfolder_that_cannot_be_read_is_named_and_the_rest_is_searched(specimens, tmp_path, monkeypatch):
    folder, name = tmp_path / "archive", "fibres" * 40
    shutil.copytree(specimens / "pores", folder / "pores")
    # So deep that its path is longer than the system takes: unlike permissions, this holds for root, too.
    monkeypatch.chdir(folder)
    for _ in range(18):
        Path(name).mkdir()
        os.chdir(name)
    shutil.copy(specimens / "fibres" / "fibres_03.png", "far.png")
    os.chdir(folder)
    found, notes = search_folder(folder / "pores" / "pores_03.png", folder, tmp_path / "index.npz")
    assert len(notes) == 1 and "fibres" in notes[0] and "cannot be read" in notes[0]
    assert len(found) > 3 and not found["path"].str.contains("fibres").any()


def test_a_folder_of_damaged_pictures_is_a_sentence(asked, tmp_path):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.png").write_bytes(asked.read_bytes()[:60])
    with pytest.raises(UsageError, match=r"no picture that can be read: .*a\.png"):
        search_folder(asked, tmp_path / "damaged", tmp_path / "index.npz")


def test_a_picture_that_is_not_there_is_wrong_usage(specimens, tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        search_folder(tmp_path / "nope.png", specimens, tmp_path / "index.npz")
