import math
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from emscout.report.plots import bin_values, plot_histogram, plot_radial_distribution

BINS = pd.DataFrame({"bin_low": [1.0, 2.0, 3.0], "bin_high": [2.0, 3.0, 4.0], "count": [4, 10, 1]})
ONE_BIN_WITHOUT_WIDTH = pd.DataFrame({"bin_low": [5.0], "bin_high": [5.0], "count": [12]})


def plots():
    r = np.linspace(0.5, 20, 40)
    return {
        "histogram": plot_histogram(BINS, "diameter (nm)"),
        "with interval": plot_histogram(BINS, "diameter (nm)", median=(2.5, 2.2, 2.9)),
        "without interval": plot_histogram(BINS, "diameter (nm)", median=(2.5, math.nan, math.nan)),
        "log": plot_histogram(BINS, "diameter (nm)", log=True),
        "one size": plot_histogram(ONE_BIN_WITHOUT_WIDTH, "diameter (px)", median=(5.0, 5.0, 5.0)),
        "radial": plot_radial_distribution(r, 1 + np.sin(r) / r, np.where(r > 3, 0.1, math.nan), "nm", 200),
    }


@pytest.mark.parametrize("name", plots())
def test_a_plot_is_well_formed_svg_without_a_date_and_the_same_each_time(name):
    svg = plots()[name]
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert "date" not in svg.lower()
    assert svg == plots()[name]


def test_plots_leave_the_settings_of_matplotlib_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots()
    assert dict(matplotlib.rcParams) == before


def test_text_in_a_plot_can_be_found_in_the_svg_and_needs_no_font():
    svg = plot_histogram(BINS, "diameter (nm)", median=(2.5, 2.2, 2.9))
    assert "<text" not in svg
    for text in ("diameter (nm)", "number of particles", "n = 15", "median, 95 % interval"):
        assert f"<!-- {text} -->" in svg


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("n", [1, 2, 30, 5000])
def test_every_value_is_in_a_bin(n, log):
    values = np.random.default_rng(n).lognormal(2, 1, n)
    bins = bin_values(values, log=log)
    assert bins["count"].sum() == n
    assert bins["bin_low"].iloc[0] <= values.min() * (1 + 1e-9)
    assert bins["bin_high"].iloc[-1] >= values.max() * (1 - 1e-9)
    assert np.allclose(bins["bin_low"].iloc[1:], bins["bin_high"].iloc[:-1])


@pytest.mark.parametrize("log", [False, True])
def test_values_that_differ_in_their_last_digits_only_are_one_bin(log):
    values = 25.0 * (1 + 1e-15 * np.arange(40))
    bins = bin_values(values, log=log)
    assert bins["count"].tolist() == [40]
    assert bins["bin_low"].item() <= values.min()
    assert bins["bin_high"].item() >= values.max()
    assert "<!-- n = 40 -->" in plot_histogram(bins, "diameter (px)", log=log)
