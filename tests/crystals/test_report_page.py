"""The report: whatever an image is called, it shows, and breaks nothing."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from emscout.crystals.report.heat_map import TilePicture
from emscout.crystals.report.page import describe_panel, write_page

NAME = "</script><b>'grid' & \"co\""


@pytest.fixture
def page(tmp_path):
    rows = np.array([[0, 20], [20, 40]])
    picture = TilePicture(
        np.full((40, 40), 90, np.uint8),
        1,
        rows,
        rows,
        np.array([[1, 2], [0, 1]]),
        np.array([[True, False], [False, False]]),
        1,
    )
    score = np.array([[0.9, 0.1], [np.nan, 0.5]])
    targets = pd.DataFrame(
        {
            "rank": [1],
            "image": [NAME],
            "row_px": [9.5],
            "col_px": [9.5],
            "height_px": [20],
            "width_px": [20],
            "area_px2": [400],
            "area_nm2": [1600.0],
            "n_tiles": [1],
            "score": [0.9],
            "bar_distance_px": [np.nan],
            "next_crystal_px": [55.0],
            "stage_x_um": [12.5],
            "stage_y_um": [-3.25],
        }
    )
    clusters = pd.DataFrame(
        {"cluster": [1, 2], "n_tiles": [2, 1], "share": [0.67, 0.33], "score": [0.7, 0.1], "mean": [1, 2]}
    )
    path = tmp_path / "report.html"
    write_page(
        path,
        summary={
            "n_images": 1,
            "n_tiles": 4,
            "n_black": 1,
            "proposed": 1,
            "confidence": 0.86,
            "how": "So it was.",
            "warnings": ["Give `grid=30x30`."],
            "failures": ["bad.tif is <broken>."],
            "question": f"{NAME}:1,1",
            "question_picture": "",
            "commonest": 1,
        },
        panels=[describe_panel(NAME, picture, score, (40, 40), n_images=1, n_tiles=4)],
        targets=targets,
        target_pictures=[],
        clusters=clusters,
        figures={},
        command="emscout locate x -o y",
        labels=[("like", f"{NAME}:0,0")],
        provenance={"options": {"grid": None}, "emscout": "0", "python": "3", "libraries": {}},
    )
    return path.read_text(encoding="utf-8")


def test_names_are_text_and_never_markup(page):
    assert "<b>'grid'" not in page
    assert page.count("</script>") == 1
    assert "&lt;b&gt;" in page
    assert "bad.tif is &lt;broken&gt;." in page


def test_the_script_knows_the_tiles(page):
    (panel,) = json.loads(re.search(r"var panels = (\[.*?\]), scoreCharacters", page)[1])
    assert panel["name"] == NAME
    assert (panel["rows"], panel["cols"]) == ([0, 20, 40], [0, 20, 40])
    assert panel["cluster"] == [1, 2, 0, 1]
    characters = json.loads(re.search(r'scoreCharacters = ("[^"]*"), command', page)[1])
    scores = [characters.index(one) / (len(characters) - 1) for one in panel["score"]]
    assert scores == pytest.approx([0.9, 0.1, 0, 0.5], abs=0.01)


def test_the_ranking_is_in_physical_units_where_they_are_known(page):
    assert "40 × 40 nm" in page
    assert "110 nm" in page
    assert "12.50, -3.25" in page
