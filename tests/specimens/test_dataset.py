"""Labelled pictures: how they are found, and that no source is on both sides of a split."""

import csv
import shutil

import numpy as np
import pytest

from emscout.errors import ReadError, UsageError
from emscout.specimens.dataset import (
    SHARES,
    drop_duplicates,
    find_near_duplicates,
    find_pictures,
    group_pictures,
    split_at_random,
    split_groups,
)
from emscout.specimens.features import compute_features, picture_hash
from emscout.specimens.views import view_picture
from emscout.synthetic.specimens import KINDS, make_specimen


def test_a_folder_a_category(specimens):
    table = find_pictures(specimens)
    assert table["category"].value_counts().to_dict() == dict.fromkeys(KINDS, 12)
    assert table["source"].nunique() == 18


def test_a_csv_says_the_same_as_folders(specimens, tmp_path):
    table = find_pictures(specimens)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "category", "source"])
        writer.writerows(table[["path", "category", "source"]].itertuples(index=False))
    assert find_pictures(tmp_path / "labels.csv").equals(table)


@pytest.mark.parametrize(
    ("name", "content", "error", "sentence"),
    [
        ("labels.csv", "picture,kind\na.png,x\n", ReadError, "path and category"),
        ("labels.csv", "path,category\na.png,x\nb.png,x\n", UsageError, "fewer than two categories"),
        ("labels.csv", "", ReadError, "path and category"),
        ("missing", None, UsageError, "does not exist"),
    ],
)
def test_what_is_no_set_of_labelled_pictures_is_a_sentence(name, content, error, sentence, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(error, match=sentence):
        find_pictures(tmp_path / name)


def test_one_folder_is_no_classification(specimens, tmp_path):
    shutil.copytree(specimens / "pores", tmp_path / "data" / "pores")
    with pytest.raises(UsageError, match=r"fewer than two categories \(pores\)"):
        find_pictures(tmp_path / "data")


def test_copies_are_dropped_and_contrary_labels_named(specimens, tmp_path):
    for kind in KINDS:
        shutil.copytree(specimens / kind, tmp_path / kind)
    shutil.copy(tmp_path / "pores" / "pores_00.png", tmp_path / "pores" / "again.png")
    shutil.copy(tmp_path / "pores" / "pores_01.png", tmp_path / "fibres" / "surely_fibres.png")
    kept, dropped, notes = drop_duplicates(find_pictures(tmp_path))
    assert (len(kept), dropped) == (35, 3)
    assert len(notes) == 1 and "surely_fibres.png" in notes[0] and "pores_01.png" in notes[0]


def test_a_copy_made_smaller_is_a_near_twin_and_another_picture_is_not():
    generator = np.random.default_rng(0)
    features = generator.standard_normal((5, 200))
    features[3] = features[0] + 0.2 * generator.standard_normal(200)
    big = [make_specimen("pores", 256, seed=i) for i in range(4)]
    views = [view_picture(one) for one in [*big[:3], big[0][::2, ::2], big[3]]]
    hashes = np.array([picture_hash(view) for view in views])
    assert find_near_duplicates(features, hashes).tolist() == [[0, 3]]
    assert np.bitwise_count(hashes[0] ^ hashes[3]) <= 3 < np.bitwise_count(hashes[0] ^ hashes[1])


def test_groups_join_sources_and_twins():
    groups = group_pictures(["a", "a", "b", "", "", ""], np.array([[1, 2], [3, 4]]))
    assert len(set(groups[:3])) == 1 and groups[3] == groups[4]
    assert len(set(groups)) == 3


def test_no_group_is_on_two_sides_and_every_category_is_on_all():
    generator = np.random.default_rng(0)
    groups = np.sort(generator.integers(0, 90, 600))
    categories = np.array(list("abc"))[groups % 3]
    sides = split_groups(categories, groups, [str(i) for i in range(600)], seed=1)
    for group in np.unique(groups):
        assert len(set(sides[groups == group])) == 1
    for side, share in SHARES.items():
        for name in "abc":
            assert (sides[categories == name] == side).mean() == pytest.approx(share, abs=0.05)


def test_the_split_does_not_depend_on_the_order_of_the_files():
    groups = np.repeat(np.arange(30), 4)
    categories, names = np.array(list("ab"))[groups % 2], np.array([f"n{i}" for i in range(120)])
    order = np.random.default_rng(0).permutation(120)
    one = split_groups(categories, groups, names.tolist(), seed=3)
    other = split_groups(categories[order], 29 - groups[order], names[order].tolist(), seed=3)
    assert (one[order] == other).all()


def test_the_naive_split_takes_its_shares_of_each_category():
    categories = ["a"] * 100 + ["b"] * 50
    sides = split_at_random(categories, seed=0)
    assert [(sides[:100] == side).sum() for side in SHARES] == [70, 20, 10]
    assert [(sides[100:] == side).sum() for side in SHARES] == [35, 10, 5]


def test_a_file_that_is_missing_is_left_to_be_named(specimens, tmp_path):
    (tmp_path / "labels.csv").write_text("path,category\ngone.png,a\nalso_gone.png,b\n")
    kept, dropped, notes = drop_duplicates(find_pictures(tmp_path / "labels.csv"))
    assert len(kept) == 2 and not dropped and not notes
    failures = compute_features(list(kept["path"]), lambda views: views, side_px=32, mask_banner=False).failures
    assert "also_gone.png' does not exist" in failures[1]
