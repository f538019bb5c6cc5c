import math

import pytest

from emscout.errors import CalibrationError, UsageError
from emscout.micrograph import Calibration
from emscout.units import nm_per_unit, parse_duration, parse_length, spell_length


@pytest.mark.parametrize(
    ("unit", "nm"),
    [
        ("nm", 1),
        ("NM", 1),
        ("n_m", 1),
        ("[nm]", 1),
        ("µm", 1000),
        ("μm", 1000),
        ("um", 1000),
        ("\\u00B5m", 1000),
        ("micron", 1000),
        ("Å", 0.1),
        ("Å", 0.1),
        ("A", 0.1),
        ("angstrom", 0.1),
        ("pm", 0.001),
        ("mm", 1e6),
        ("m", 1e9),
        (" nm ", 1),
        ("inch", 25.4e6),
    ],
)
def test_spellings_of_lengths(unit, nm):
    assert nm_per_unit(unit) == pytest.approx(nm)


@pytest.mark.parametrize("unit", ["", None, "1/nm", "px", "pixel", "s", "eV", "nm2", "nm²"])
def test_what_is_not_a_length(unit):
    assert nm_per_unit(unit) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5nm", (5, "nm")),
        ("5 nm", (5, "nm")),
        ("0.2µm", (200, "nm")),
        ("0.2 um", (200, "nm")),
        ("12 Å", (1.2, "nm")),
        ("1e-3mm", (1000, "nm")),
        ("40px", (40, "px")),
        ("40 pixels", (40, "px")),
        (".5nm", (0.5, "nm")),
    ],
)
def test_parse_length(text, expected):
    value, unit = parse_length(text)
    assert (value, unit) == (pytest.approx(expected[0]), expected[1])


@pytest.mark.parametrize(
    "text", ["", "5", "nm", "-5nm", "0nm", "nannm", "infnm", "5 parsecs", "5nm2", "1,5nm", "5 5nm"]
)
def test_what_is_not_understood_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="nm"):
        parse_length(text)


def test_pixels_are_refused_where_a_physical_length_is_needed():
    with pytest.raises(UsageError, match="physical length"):
        parse_length("5px", px_allowed=False)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_calibration_is_a_positive_length(value):
    with pytest.raises(CalibrationError):
        Calibration(value, "user")


@pytest.mark.parametrize(
    ("length_nm", "text"),
    [
        (0.0123, "12.3 pm"),
        (0.5, "0.5 nm"),
        (5, "5 nm"),
        (999.9, "1000 nm"),
        (3372, "3.37 µm"),
        (2.64e5, "264 µm"),
        (5e6, "5 mm"),
    ],
)
def test_a_length_is_spelt_in_the_unit_that_fits(length_nm, text):
    assert spell_length(length_nm) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0.5s", 0.5), ("200 ms", 0.2), ("2min", 120), ("1 h", 3600), ("5µs", 5e-6), (".5 sec", 0.5), ("1e-3 s", 1e-3)],
)
def test_times_are_read_as_people_write_them(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "0s", "-1s", "5nm", "inf s", "1 2s", "nans"])
def test_a_time_needs_a_unit_and_is_above_0(text):
    with pytest.raises(UsageError, match="not a time"):
        parse_duration(text)
