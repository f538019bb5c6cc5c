import pandas as pd
import pytest

from emscout.tables import to_physical


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "label": [1, 2],
            "area_px2": [10.0, 20.0],
            "d50_px": [3.0, 4.0],
            "d50_px_low": [2.0, 3.0],
            "number_density_per_px2": [0.01, 0.02],
            "height_px": [100, 100],
            "solidity": [0.9, 1.0],
        }
    )


def test_lengths_areas_and_densities_take_the_right_power(table):
    physical = to_physical(table, 0.5)
    assert physical["area_nm2"].tolist() == [2.5, 5.0]
    assert physical["d50_nm"].tolist() == [1.5, 2.0]
    assert physical["d50_nm_low"].tolist() == [1.0, 1.5]
    assert physical["number_density_per_nm2"].tolist() == pytest.approx([0.04, 0.08])


def test_pixel_columns_stay_and_each_nm_column_follows_its_own(table):
    assert list(to_physical(table, 0.5).columns)[:5] == ["label", "area_px2", "area_nm2", "d50_px", "d50_nm"]


def test_the_size_of_the_image_is_not_a_measurement(table):
    assert "height_nm" not in to_physical(table, 0.5)


def test_without_a_calibration_there_is_no_nm(table):
    assert list(to_physical(table, None).columns) == list(table.columns)
