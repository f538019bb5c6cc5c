"""The navigator file says what SerialEM asks for, in its own terms."""

import re

import pandas as pd
import pytest

from emscout.crystals.navigation.navigator import write_navigator

IMAGES = pd.DataFrame(
    {
        "image": ["a", "b"],
        "path": ["C:/scans/a.tif", "C:/scans/b.mrc"],
        "frame": pd.array([None, 3], dtype="Int64"),
        "height_px": [100, 200],
        "width_px": [150, 250],
        "nm_per_px": [20.0, None],
    }
)


def parsed(text):
    """Sections by label, as SerialEM reads them."""
    head, *sections = re.split(r"^\[Item = (.+)\]$", text, flags=re.MULTILINE)
    assert head.strip() == "AdocVersion = 2.00"
    return {
        label: dict(line.split(" = ", 1) for line in body.strip().splitlines())
        for label, body in zip(sections[::2], sections[1::2], strict=True)
    }


@pytest.fixture
def items():
    targets = pd.DataFrame(
        {
            "rank": [1, 2, 3],
            "image": ["b", "a", "b"],
            "row_px": [10.0, 0.0, 199.0],
            "col_px": [20.0, 149.0, 0.0],
            "score": [0.9, 0.8, 0.7],
        }
    )
    return parsed(write_navigator(targets, IMAGES))


def test_every_item_has_what_serialem_requires(items):
    for item in items.values():
        assert {"Color", "NumPts", "Regis", "Type", "PtsX", "PtsY"} <= item.keys()
        assert ("StageXYZ" in item) != ("CoordsInMap" in item)
        assert len(item["PtsX"].split()) == len(item["PtsY"].split()) == int(item["NumPts"])
        if item["Type"] == "2":
            required = {"MapFile", "MapID", "MapMontage", "MapSection", "MapBinning", "MapMagInd", "MapCamera"}
            assert required | {"MapScaleMat", "MapWidthHeight"} <= item.keys()


def test_targets_come_in_order_each_after_the_image_it_lies_on(items):
    assert list(items) == ["image-1", "crystal-1", "image-2", "crystal-2", "crystal-3"]
    drawn = [items[f"crystal-{rank}"]["DrawnID"] for rank in (1, 2, 3)]
    assert drawn == ["1", "2", "1"] == [items["image-1"]["MapID"], items["image-2"]["MapID"], "1"]


def test_pixels_count_from_the_lower_left_corner(items):
    x, y, z = map(float, items["crystal-1"]["CoordsInMap"].split())
    assert (x, y, z) == (20.5, 189.5, 0)
    assert items["crystal-2"]["CoordsInMap"] == "149.5 99.5 0"
    assert items["crystal-3"]["CoordsInMap"] == "0.5 0.5 0"


def test_images_are_maps_to_be_registered_with_their_scale(items):
    calibrated, uncalibrated = items["image-2"], items["image-1"]
    assert calibrated["MapFile"] == "C:/scans/a.tif"
    assert (calibrated["MapScaleMat"], calibrated["MapWidthHeight"]) == ("50 0 0 50", "150 100")
    assert max(map(float, calibrated["PtsX"].split())) == pytest.approx(1.5)
    assert "unknown" in uncalibrated["Note"]
    assert (uncalibrated["MapSection"], uncalibrated["ImageType"], calibrated["ImageType"]) == ("3", "0", "2")
    assert {item["Imported"] for item in items.values()} == {"1"}
    assert {item["Regis"] for item in items.values()} == {"2"}


def test_a_known_stage_position_needs_no_map():
    targets = pd.DataFrame(
        {
            "rank": [1],
            "image": ["a"],
            "row_px": [5.0],
            "col_px": [5.0],
            "score": [1.0],
            "stage_x_um": [-12.3456],
            "stage_y_um": [7.0],
        }
    )
    items = parsed(write_navigator(targets, IMAGES))
    assert list(items) == ["crystal-1"]
    assert items["crystal-1"]["StageXYZ"] == "-12.346 7.000 0"
    assert items["crystal-1"]["PtsX"] == "-12.346"
    assert items["crystal-1"]["Regis"] == "1"
    assert not {"CoordsInMap", "DrawnID", "Imported"} & items["crystal-1"].keys()


def test_what_is_written_of_a_point_serialem_can_place_on_the_map(items):
    """From pixels through the map's matrix, about its middle, to the corners that are written of it."""
    for label, corner in (("crystal-2", "image-2"), ("crystal-1", "image-1")):
        point, image = items[label], items[corner]
        width, height = map(int, image["MapWidthHeight"].split())
        px_per_um = float(image["MapScaleMat"].split()[0])
        x, y = (float(value) for value in point["CoordsInMap"].split()[:2])
        stage = ((x - width / 2) / px_per_um, (y - height / 2) / px_per_um)
        for value, axis in zip(stage, ("PtsX", "PtsY"), strict=True):
            edges = [float(edge) for edge in image[axis].split()]
            assert min(edges) <= value <= max(edges)
        assert (point["PtsX"], point["PtsY"]) == tuple(point["CoordsInMap"].split()[:2])


def test_no_targets_give_an_empty_navigator_file():
    targets = pd.DataFrame({"rank": [], "image": [], "row_px": [], "col_px": [], "score": []})
    assert parsed(write_navigator(targets, IMAGES)) == {}
