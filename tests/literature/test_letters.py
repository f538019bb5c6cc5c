"""Letters of panels, read from figures."""

import pytest

from emscout.literature.panels.boxes import Box
from emscout.literature.panels.letters import letters_among, read_letters, read_text
from emscout.literature.panels.split import split_at_letters, split_figure
from emscout.synthetic.figure import make_figure


def boxes(figure):
    return [Box(*sides) for sides in figure.boxes]


@pytest.mark.parametrize(
    ("where", "form", "margin"), [("inside", "({})", 0), ("inside", "{}", 0), ("above", "{})", 22)]
)
def test_letters_are_read(where, form, margin):
    figure = make_figure(
        (2, 2), kinds=("micrograph", "plot"), letters=where, letter_form=form, gutter_px=24, margin_px=margin, seed=11
    )
    assert read_letters(figure.image, boxes(figure), read_text(figure.image)) == list("abcd")


def test_without_letters_none_is_claimed():
    figure = make_figure((2, 1), letters="none", seed=12)
    assert read_letters(figure.image, boxes(figure), read_text(figure.image)) == ["", "", ""]


def test_a_letter_that_cannot_be_read_follows_from_the_others():
    figure = make_figure((3, 2), seed=13)
    where = boxes(figure)
    hidden = where[3]
    figure.image[hidden.top : hidden.top + 24, hidden.left : hidden.left + 40] = figure.image[
        hidden.top + 60 : hidden.top + 84, hidden.left : hidden.left + 40
    ]
    assert read_letters(figure.image, where, read_text(figure.image)) == list("abcde")


def test_letters_part_panels_that_touch_and_look_alike():
    figure = make_figure((2, 2), gutter_px=0, seed=2014)
    panels = split_figure(figure.image)
    assert len(panels) < 4
    assert split_at_letters(figure.image, panels, []) == panels
    panels = split_at_letters(figure.image, panels, letters_among(read_text(figure.image)))
    for found, truth in zip(panels, boxes(figure), strict=True):
        assert found.overlap(truth) > 0.9 * max(found.area, truth.area)


def test_letters_alone_part_nothing():
    panel = make_figure((1,), letters="none", scale_bar=False, seed=15).image
    letters = [Box(5, 5, 22, 22), Box(5, 320, 22, 337)]
    assert split_at_letters(panel, split_figure(panel), letters) == split_figure(panel)


def test_letters_in_a_plot_do_not_part_it():
    figure = make_figure((1,), kinds=("plot",), letters="none", seed=16)
    plot = Box(0, 0, *figure.image.shape[:2])
    col = int(figure.image[:, :, 0].mean(axis=0).argmin())  # the axis, a straight line from top to bottom
    letters = [Box(20, 5, 37, 22), Box(20, col + 30, 37, col + 47)]
    assert split_at_letters(figure.image, [plot], letters) == [plot]
