"""On real figures, where they are at hand: the half of the papers that nothing was chosen on."""

import pytest

from emscout.io import read
from emscout.scale import ScaleReading, calibrate, read_scale_bar
from emscout.scale.accuracy import evaluate_scales


@pytest.mark.slow
def test_figures_of_the_second_half(data):
    truth = data / "scale_bars" / "emps_train.csv"
    if not truth.exists():
        pytest.skip("no labelled scale bars here")
    scores = evaluate_scales(data / "emps", truth=truth, half="second")["scores"].iloc[0]
    assert scores["n_false"] == 0
    assert scores["n_wrong"] == 0
    assert scores["value_right"] > 0.85
    assert scores["length_2"] > 0.92


@pytest.mark.parametrize("name", ["Zeiss_1.tif", "Tescan_1.TIF"])
def test_tag_and_bar_of_one_file_agree(data, name):
    path = data / "vendor" / name
    if not path.exists():
        pytest.skip(f"no {name} here")
    micrograph = read(path)
    reading = read_scale_bar(micrograph.image)
    assert isinstance(reading, ScaleReading)
    assert reading.nm_per_px == pytest.approx(micrograph.nm_per_px, rel=0.02)
    assert calibrate(micrograph, reading=reading) == (micrograph.calibration, "")
