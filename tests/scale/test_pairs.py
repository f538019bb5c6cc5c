import pytest

from emscout.scale.pairs import PrintedLabel, bars_beside
from emscout.scale.text.labels import find_labels
from emscout.scale.text.ocr import TextLine
from emscout.synthetic.scale import print_scale


@pytest.mark.parametrize("below_px", [8, 14])
def test_a_bar_inside_the_box_of_its_text_is_no_letter(below_px):
    image, printed = print_scale("200 nm", "line", length_px=60, ground="plate", ink=0, seed=1)
    middle = (printed.x0_px + printed.x1_px) / 2
    line = TextLine("200 nm", 0.9, printed.row_px - 34, printed.row_px + below_px, middle - 52, middle + 52)
    (score, bar), *_ = bars_beside(image, PrintedLabel(find_labels(line.text)[0], line))
    assert score > 0.5
    assert (bar.x0, bar.x1) == pytest.approx((printed.x0_px, printed.x1_px), abs=0.5)


def test_the_strokes_of_letters_are_no_bars():
    image, printed = print_scale("H-TE 200 nm", "line", length_px=0, ground="plate", ink=0, font_px=40, seed=2)
    top, bottom, left, right = printed.box
    line = TextLine("H-TE 200 nm", 0.9, top + 5, bottom - 5, left + 6, right - 6)
    assert [score for score, _ in bars_beside(image, PrintedLabel(find_labels("200 nm")[0], line)) if score > 0.3] == []
