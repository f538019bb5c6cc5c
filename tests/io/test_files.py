from pathlib import Path

import pytest

from emscout.errors import OutputError
from emscout.io.files import image_names, sha256_of, write_atomic


def names(*sources):
    return image_names([(Path(s), None) if isinstance(s, str) else (Path(s[0]), s[1]) for s in sources])


def test_a_unique_stem_is_the_name():
    assert names("a/x.tif", "a/y.tif") == ["x", "y"]


def test_the_same_name_from_two_folders_does_not_collide():
    assert names("a/x.tif", "b/x.tif", "b/y.tif") == ["a_x", "b_x", "y"]


def test_deeper_folders_are_added_only_as_needed():
    assert names("p/a/x.tif", "q/a/x.tif", "p/b/x.tif") == ["p_a_x", "q_a_x", "b_x"]


def test_two_formats_of_one_image_keep_their_suffix():
    assert names("a/x.tif", "a/x.png") == ["x_tif", "x_png"]


def test_names_that_differ_in_case_only_are_made_different_for_windows():
    assert len({n.casefold() for n in names("a/X.tif", "b/x.tif")}) == 2


def test_frames_are_counted_in_the_name_and_never_meet_a_file_of_that_name():
    found = names(("s.tif", 0), ("s.tif", 1), "s_f0001.tif")
    assert found[0] == "s_f0000"
    assert len(set(found)) == 3


def test_a_made_up_name_never_meets_a_real_one():
    assert len(set(names("a/x.tif", "b/x.tif", "c/a_x.tif"))) == 3


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(ValueError), write_atomic(path) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_succeeds_replaces_the_file_and_makes_its_folder(tmp_path):
    path = tmp_path / "new" / "t.csv"
    with write_atomic(path) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".csv"
    assert path.read_text() == "whole"


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), write_atomic(tmp_path / "file" / "t.csv") as temporary:
        temporary.write_text("")


def test_sha256_is_the_known_one(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_of(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
