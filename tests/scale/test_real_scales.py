"""On real figures and vendor files, where they are at hand."""

import pytest

from emscout.io import read
from emscout.scale import ScaleReading, annotation_mask, choose_calibration, read_scale_bar
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


@pytest.fixture
def vendor(data, request):
    path = data / "vendor" / request.param
    if not path.exists():
        pytest.skip(f"no {request.param} here")
    return read(path)


@pytest.mark.parametrize(
    ("vendor", "within"),
    [
        ("Zeiss_1.tif", 0.02),
        ("Tescan_1.TIF", 0.02),
        ("FEI-Helios-Ebeam-8bits.tif", 0.02),
        ("TVIPS_bin4.tif", 0.04),  # its maker counts to the outer edges of the caps
    ],
    indirect=["vendor"],
)
def test_tag_and_bar_of_one_file_agree(vendor, within):
    reading = read_scale_bar(vendor.image)
    assert isinstance(reading, ScaleReading)
    assert reading.nm_per_px == pytest.approx(vendor.nm_per_px, rel=within)
    assert choose_calibration(vendor, reading=reading) == (vendor.calibration, "")


@pytest.mark.parametrize("vendor", ["FEI-Helios-Ebeam-8bits.tif", "FEI-Helios-Ebeam-16bits.tif"], indirect=True)
def test_the_banner_below_a_black_image_is_masked(vendor):
    mask = annotation_mask(vendor.image, None)
    assert mask[-29:].all()
    assert not mask[:-29].any()
