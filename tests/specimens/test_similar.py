"""A search finds what looks alike, reads each picture once, and forgets what is gone."""

import shutil

import numpy as np
import pytest
from PIL import Image

from emscout.errors import NothingToFindError, ReadError, UsageError
from emscout.specimens import similar
from emscout.specimens.similar import SimilarOptions, find_similar, nearest_rows
from emscout.synthetic.specimens import make_specimen


@pytest.fixture
def asked(tmp_path):
    path = tmp_path / "asked.png"
    Image.fromarray(make_specimen("pores", seed=99)).save(path)
    return path


def test_pictures_of_the_same_kind_come_first(specimens, asked, tmp_path):
    found, notes = find_similar(asked, specimens, tmp_path / "index.npz", SimilarOptions(count=20))
    assert not notes
    assert found["rank"].tolist() == list(range(1, 21))
    assert found["similarity"].is_monotonic_decreasing
    assert all("pores" in path for path in found["path"][:12])


def test_the_picture_itself_is_left_out_and_its_copy_is_first(specimens, tmp_path):
    folder = tmp_path / "archive"
    shutil.copytree(specimens / "fibres", folder / "2019" / "fibres")
    image = folder / "2019" / "fibres" / "fibres_03.png"
    Image.open(image).resize((200, 200)).save(folder / "larger.png")
    found, _ = find_similar(image, folder, tmp_path / "index.npz")
    assert str(image) not in found["path"].tolist()
    assert found["path"][0].endswith("larger.png") and found["similarity"][0] > 0.7
    assert len(found) == 12


def test_only_new_and_changed_pictures_are_read_again(specimens, asked, tmp_path, monkeypatch):
    folder = tmp_path / "archive"
    shutil.copytree(specimens / "pores", folder)
    index = tmp_path / "index.npz"
    first, _ = find_similar(asked, folder, index)
    seen = []
    describe = similar.describe_files

    def watch(paths, *args, **kwargs):
        seen.extend(path.name for path in paths)
        return describe(paths, *args, **kwargs)

    monkeypatch.setattr(similar, "describe_files", watch)
    again, _ = find_similar(asked, folder, index)
    assert seen == [] and again.equals(first)
    (folder / "pores_00.png").unlink()
    Image.fromarray(make_specimen("pores", seed=50)).save(folder / "new.png")
    later, _ = find_similar(asked, folder, index)
    assert seen == ["new.png"]
    names = {path.rsplit("/", 1)[-1] for path in later["path"]}
    assert "new.png" in names and "pores_00.png" not in names


def test_a_bad_file_is_noted_and_the_rest_searched(specimens, asked, tmp_path):
    folder = tmp_path / "archive"
    shutil.copytree(specimens / "pores", folder)
    (folder / "bad.png").write_text("no picture")
    Image.fromarray(np.full((30, 30), 80, np.uint8)).save(folder / "flat.png")
    found, notes = find_similar(asked, folder, tmp_path / "index.npz")
    assert len(found) == 12
    assert sorted("bad.png" in note for note in notes) == [False, True]
    assert any("flat.png" in note and "single grey value" in note for note in notes)


def test_what_cannot_be_searched_is_a_sentence(specimens, asked, tmp_path):
    flat = tmp_path / "flat.png"
    Image.fromarray(np.full((30, 30), 80, np.uint8)).save(flat)
    with pytest.raises(NothingToFindError, match=r"flat\.png.* single grey value"):
        find_similar(flat, specimens, tmp_path / "index.npz")
    with pytest.raises(UsageError, match="is a folder: name one picture"):
        find_similar(specimens, specimens, tmp_path / "index.npz")
    with pytest.raises(UsageError, match="no folder"):
        find_similar(asked, tmp_path / "nowhere", tmp_path / "index.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture"):
        find_similar(asked, tmp_path / "empty", tmp_path / "index.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ReadError, match=r"broken\.npz.* another place with `index"):
        find_similar(asked, specimens, tmp_path / "broken.npz")


def test_the_nearest_are_those_of_the_largest_cosine():
    vectors = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
    rows, similarity = nearest_rows(vectors, vectors[7], 10)
    expected = np.argsort(-(vectors @ vectors[7]))[:10]
    assert rows.tolist() == expected.tolist()
    assert (np.diff(similarity) <= 0).all()
    assert len(nearest_rows(vectors[:3], vectors[0], 10)[0]) == 3


def test_a_closed_subfolder_is_named_and_the_rest_is_searched(specimens, tmp_path, monkeypatch):
    real = similar.images_in

    def closed(folder):
        if folder.name == "fibres":
            raise ReadError(f"The folder '{folder}' cannot be read.")
        return real(folder)

    monkeypatch.setattr(similar, "images_in", closed)
    found, notes = find_similar(specimens / "pores" / "pores_03.png", specimens, tmp_path / "index.npz")
    assert len(notes) == 1 and "fibres" in notes[0]
    assert len(found) > 3 and not found["path"].str.contains("fibres").any()


def test_a_folder_of_damaged_pictures_is_a_sentence(asked, tmp_path):
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.png").write_bytes(asked.read_bytes()[:60])
    with pytest.raises(UsageError, match=r"no picture that can be read: .*a\.png"):
        find_similar(asked, tmp_path / "damaged", tmp_path / "index.npz")


def test_a_picture_that_is_not_there_is_wrong_usage(specimens, tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        find_similar(tmp_path / "nope.png", specimens, tmp_path / "index.npz")
