"""Splits that keep a source together."""

import pytest

from emscout.errors import ReadError, UsageError
from emscout.evaluate.split import read_sources, split_by_source, split_images

SOURCES = [(f"image{i:02d}", f"paper{i % 7}") for i in range(40)]


def test_no_source_is_on_both_sides():
    training, validation = split_by_source(SOURCES, 10, seed=1)
    source = dict(SOURCES)
    assert sorted(training + validation) == sorted(source)
    assert not {source[name] for name in training} & {source[name] for name in validation}
    assert len(validation) >= 10


def test_the_split_depends_on_the_seed_alone():
    split = split_by_source(SOURCES, 10, seed=1)
    assert split == split_by_source(SOURCES[::-1], 10, seed=1)
    assert split != split_by_source(SOURCES, 10, seed=2)


def test_the_split_of_published_images_is_by_paper(data):
    folder = data / "emps"
    names = [path.stem for path in (folder / "images").iterdir()]
    training, validation = split_images(folder, names, 0.19, 2021)
    source = dict(read_sources(folder, names))
    assert (len(training), len(validation)) == (296, 70)
    assert not {source[name] for name in training} & {source[name] for name in validation}


def test_without_sources_images_are_split_one_by_one(tmp_path):
    training, validation = split_images(tmp_path, list("abcde"), 0.2, 0)
    assert (len(training), len(validation)) == (4, 1)


@pytest.mark.parametrize(
    ("table", "match"),
    [("name,paper\na,1\n", "columns name and source"), ("name,source\na,1\n", "'b' is missing"), ("", "missing")],
)
def test_sources_that_say_too_little_are_named(table, match, tmp_path):
    (tmp_path / "sources.csv").write_text(table)
    with pytest.raises(ReadError, match=match):
        split_images(tmp_path, ["a", "b"], 0.2, 0)


def test_one_source_alone_cannot_be_split(tmp_path):
    (tmp_path / "sources.csv").write_text("name,source\na,1\nb,1\n")
    with pytest.raises(UsageError, match="at least two"):
        split_images(tmp_path, ["a", "b"], 0.2, 0)
