"""What captions say of panels, techniques and scale bars."""

import pytest

from emscout.literature.sources.captions import figure_number, is_caption, scale_bar_nm, technique_of, text_of_panel

CAPTION = (
    "Figure 3. TEM images of (a) Au spheres, (b, c) Au rods and (d) the corresponding SAED pattern. "
    "Scale bars: 50 nm (a, b) and 0.2 μm (c)."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Figure 3. TEM of", True),
        ("Fig. 2 | SEM", True),
        ("FIG. 2: a", True),
        ("Figure S4 (a) x", True),
        ("Scheme 1. Route", True),
        ("Figure 5", True),
        ("Figure 1 shows the particles", False),
        ("Figure 2a and b show", False),
        ("as seen in Figure 4.", False),
        ("Table 1. Sizes", False),
    ],
)
def test_captions_are_distinguished_from_mentions(text, expected):
    assert is_caption(text) is expected


def test_numbers():
    assert [figure_number(text) for text in (CAPTION, "Fig. S2 | x", "nothing")] == ["3", "S2", ""]


@pytest.mark.parametrize(
    ("letter", "text", "technique", "nm"),
    [
        ("a", "Au spheres", "TEM", 50),
        ("b", "Au rods", "TEM", 50),
        ("c", "Au rods", "TEM", 200),
        ("d", "SAED", "diffraction", None),
    ],
)
def test_each_panel_has_its_part(letter, text, technique, nm):
    assert text in text_of_panel(CAPTION, letter)
    assert technique_of(CAPTION, letter) == technique
    assert scale_bar_nm(CAPTION, letter) == nm


def test_letters_may_stand_behind_what_they_mean():
    caption = "Figure 1. SEM (a), TEM (b) and size histogram (c)."
    assert text_of_panel(caption, "b") == "TEM"
    assert technique_of(caption, "a") == "SEM"


@pytest.mark.parametrize(
    ("caption", "letter", "nm"),
    [
        ("Fig. 2 | SEM of silica. Scale bar, 200 nm.", "", 200),
        ("Fig. 2 SEM images. Scale bars are 5 µm in a and 2 µm in b.", "b", 2000),
        ("Figure 1. (a) SEM (scale bar: 1 µm) and (b) TEM (scale bar: 20 nm) of X.", "b", 20),
        ("Figure 1. (A–C) SEM of X. (D) plot. Scale bar = 100 nm.", "b", 100),
        ("Figure 1. Scale bar: (a) 50 nm, (b) 20 nm.", "b", 20),
        ("Figure 5: SEM. The scale bar represents 0,5 µm.", "a", 500),
        ("Fig. S1. All scale bars are 10 nm.", "c", 10),
        ("Figure 6. (a) TEM of a 12 nm particle, scale bar 5 nm; (b) SEM, scale bar 1 um.", "a", 5),
        ("Figure 4. Images. Scale bars: 50 nm and 20 nm.", "a", None),
        ("Figure 1. Particles of 20 nm seen by TEM.", "a", None),
        ("Figure 1. Scale bar: 50 nm (a).", "b", None),
        ("", "a", None),
    ],
)
def test_lengths_of_scale_bars(caption, letter, nm):
    assert scale_bar_nm(caption, letter) == nm
