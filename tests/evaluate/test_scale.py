import math

import pandas as pd
import pytest

from emscout.evaluate.scale import score_scales

NAN = math.nan


def table(*rows):
    return pd.DataFrame(rows, columns=["image", "length_nm", "nm_per_px"])


def test_what_is_right_and_what_is_false():
    truth = table(
        ("right", 500.0, 1.0), ("a little long", 100.0, 1.0), ("wrong value", 100.0, 1.0), ("missed", 50.0, 1.0),
        ("bare", NAN, NAN), ("bare, claimed", NAN, NAN),
    )  # fmt: skip
    read = table(
        ("right", 500.0, 1.001), ("a little long", 100.0, 1.03), ("wrong value", 10.0, 0.1), ("missed", NAN, NAN),
        ("bare", NAN, NAN), ("bare, claimed", 20.0, 2.0),
    )  # fmt: skip
    images, scores = score_scales(read, truth)
    assert scores["n_images"] == 6
    assert scores["n_readable"] == 4
    assert scores["value_right"] == pytest.approx(2 / 4)
    assert scores["length_2"] == pytest.approx(1 / 2)
    assert scores["length_5"] == 1
    assert scores["n_false"] == 1
    assert scores["n_wrong"] == 1
    assert scores["precision"] == pytest.approx(2 / 4)
    assert images.set_index("image").loc["a little long", "error"] == pytest.approx(0.03)


def test_nothing_read_is_nothing_right():
    _, scores = score_scales(table(("a", NAN, NAN)), table(("a", 100.0, 1.0)))
    assert scores["value_right"] == 0
    assert scores["n_false"] == 0
    assert math.isnan(scores["length_2"])
