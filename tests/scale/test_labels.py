import pytest

from emscout.scale.text.labels import find_labels


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("100 nm", 100),
        ("100nm", 100),
        ("0.5 µm", 500),
        ("0.5 μm", 500),
        ("1.00um", 1000),
        ("0,2 µm", 200),
        ("2 Å", 0.2),
        ("1 mm", 1e6),
        ("Scale bar: 50 nm", 50),
        ("-100 nm-", 100),
        ("|100 nm|", 100),
        ("<- 100 nm ->", 100),
    ],
)
def test_lengths_as_they_are_printed(text, nm):
    (label,) = find_labels(text)
    assert label.length_nm == pytest.approx(nm)
    assert label.alone
    assert label.ocr_substitutions == 0


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("1OO nm", 100),
        ("l00 nm", 100),
        ("O.5 μm", 500),
        ("50 nrn", 50),
        ("2 pm", 2000),
        ("1 lm", 1000),
        ("S0 nm", 50),
        ("20 am", 20),
    ],
)
def test_slips_of_the_reader_are_understood_and_counted(text, nm):
    (label,) = find_labels(text)
    assert label.length_nm == pytest.approx(nm)
    assert label.ocr_substitutions > 0


@pytest.mark.parametrize(
    "text",
    [
        "100 nm²",
        "100 nm2",
        "5 1/nm",
        "10 nm-1",
        "10 nm^-1",
        "122 mrad",
        "WD 3.1mm",
        "WD = 4.0 mm",
        "HFW 5.97 µm",
        "View field: 50 µm",
        "Aperture Size = 30.00 µm",
        "SU8010 5.0kV 9.2mm x220 LM(L)",
        "15.0kV",
        "24 MAR 105",
        "1.2 ± 0.4 nm",
        "3.1 + 1.2 nm",
        "8.2 +/- 3.3nm",
        "d200 ~ 2.08 Å",
        "5-10 nm",
        "10 to 20 nm",
        "50 nm ± 2",
        "11/24/2021 10:50 AM",
        "X25,000",
        "05 µm",
        "0 nm",
        "200 pm",
        "",
    ],
)
def test_what_is_no_length_of_a_bar(text):
    assert find_labels(text) == []


def test_a_length_among_other_text_knows_its_place():
    (label,) = find_labels("SEI 10.0kV X25,000 1μm")
    assert not label.alone
    assert 0.7 < label.start < label.stop <= 1.0


@pytest.mark.parametrize(("text", "usual"), [("50 nm", True), ("2.5 nm", True), ("108 nm", False), ("1100 nm", False)])
def test_numbers_that_bars_are_made_for(text, usual):
    assert find_labels(text)[0].is_usual is usual
