import pytest

from emscout.errors import UsageError
from emscout.io import find_images


@pytest.fixture
def folder(tmp_path):
    for name in ("b10.tif", "b2.TIF", "b1.tif", "a.png", "notes.txt", "._b1.tif", "odd.dat"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "c.dm4").touch()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_a_folder_gives_its_images_in_natural_order(folder):
    assert names(find_images([folder])) == ["a.png", "b1.tif", "b2.TIF", "b10.tif"]


def test_a_pattern_is_expanded_where_the_shell_does_not(folder):
    assert names(find_images([str(folder / "b*.tif")])) == ["b1.tif", "b10.tif"]
    assert names(find_images([folder / "**" / "*.dm4"])) == ["c.dm4"]
    assert names(find_images([folder / "*"])) == ["a.png", "b1.tif", "b2.TIF", "b10.tif"]


def test_a_file_named_directly_always_counts(folder):
    assert names(find_images([folder / "odd.dat"])) == ["odd.dat"]


def test_a_file_with_magic_characters_in_its_name(folder):
    (folder / "x[1].tif").touch()
    assert names(find_images([folder / "x[1].tif"])) == ["x[1].tif"]


def test_each_file_counts_once(folder):
    assert (
        names(find_images([folder / "b1.tif", folder, str(folder / "deeper" / ".." / "b1.tif")])).count("b1.tif") == 1
    )


def test_an_emi_and_its_series_count_once(tmp_path):
    for name in ("x.emi", "x_1.ser", "x_2.ser", "lonely.emi"):
        (tmp_path / name).touch()
    assert names(find_images([tmp_path])) == ["lonely.emi", "x_1.ser", "x_2.ser"]
    assert names(find_images([tmp_path / "x.emi", tmp_path / "x_1.ser"])) == ["x_1.ser", "x_2.ser"]


@pytest.mark.parametrize("given", ["missing.tif", "deeper/none*.tif", "empty"])
def test_what_yields_nothing_is_named(folder, given):
    (folder / "empty").mkdir()
    with pytest.raises(UsageError, match=given.split("/")[-1].replace("*", r"\*")):
        find_images([folder / given])


def test_nothing_given():
    with pytest.raises(UsageError, match="No image"):
        find_images([])


def test_images_in_subfolders_only_are_said(tmp_path):
    (tmp_path / "monday").mkdir()
    (tmp_path / "monday" / "scan.tif").touch()
    with pytest.raises(UsageError, match=r"subfolders only.*/\*/\*"):
        find_images([tmp_path])
    assert len(find_images([f"{tmp_path}/*/*"])) == 1
