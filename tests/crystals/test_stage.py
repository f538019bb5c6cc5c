"""Where the stage stood, as the files of several makers say it."""

import numpy as np
import pytest

from emscout.crystals.navigation.stage import place_on_stage, stage_position_um


@pytest.mark.parametrize(
    ("metadata", "place"),
    [
        ({"Stage": {"Position": {"x": "5.5e-06", "y": "-1e-06", "z": "0"}}}, (5.5, -1)),
        ({"ExperimentalDescription": {"Stage X": "0.147 um", "Stage Y": "0.255 um"}}, (0.147, 0.255)),
        (
            {
                "ImageList": {
                    "TagGroup1": {"ImageTags": {"Microscope Info": {"Stage Position": {"Stage X": -3.5, "Stage Y": 2}}}}
                }
            },
            (-3.5, 2),
        ),
        ({"FEI_HELIOS": {"Stage": {"StageX": 2.5e-05, "StageY": -0.0002}}}, (25, -200)),
        (
            {"CZ_SEM": {"ap_stage_at_x": ["Stage at X", 34.5, "mm"], "ap_stage_at_y": ["Stage at Y", 12, "mm"]}},
            (34500, 12000),
        ),
        ({"TVIPS": {"TemStagePosition": [1e-06, 2e-06, 0.0]}}, (1, 2)),
    ],
    ids=["Velox", "TIA", "DigitalMicrograph", "FEI", "Zeiss", "TVIPS"],
)
def test_stage_of_each_maker_in_um(metadata, place):
    assert stage_position_um(metadata) == pytest.approx(place)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"ExperimentalDescription": {"Stage X": "0.000 um", "Stage Y": "0.000 um"}},
        {"CZ_SEM": {"ap_stage_at_x": ["Stage at X", 1.0, "furlong"]}},
        {"Stage": {"Position": {"x": "unknown"}}},
        {"Stage": "none", "ImageList": {}, "TVIPS": {"TemStagePosition": []}},
    ],
)
def test_what_is_not_known_is_none(metadata):
    assert stage_position_um(metadata) is None


def test_the_middle_of_the_image_is_where_the_stage_stood():
    x, y = place_on_stage(np.array([49.5, 0]), np.array([99.5, 199]), (100, 200), 1000.0, (10.0, 20.0))
    assert x.tolist() == [10, 109.5]
    assert y.tolist() == [20, 69.5]


def test_real_files_have_a_stage(data):
    import emscout as em

    path = next((data / "vendor").rglob("128x128-TEM_search_1.ser"))
    assert stage_position_um(em.read_series(path).metadata) == pytest.approx((0.147, 0.255))
