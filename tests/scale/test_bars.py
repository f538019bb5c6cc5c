import numpy as np
import pytest

from emscout.scale.bars.find import find_bars
from emscout.scale.bars.ticks import find_ticks
from emscout.synthetic.scale import print_scale


def nearest(bars, printed):
    return min(bars, key=lambda bar: abs(bar.x0 - printed.x0_px) + abs(bar.x1 - printed.x1_px))


@pytest.mark.parametrize("ink", [255, 0])
@pytest.mark.parametrize(("style", "within_px"), [("line", 0.5), ("box", 0.5), ("caps", 0.7), ("outline", 0.8)])
@pytest.mark.parametrize("seed", [1, 2])
def test_ends_are_found_to_a_pixel(style, within_px, ink, seed):
    image, printed = print_scale("", style, length_px=133.4, ground="plate", ink=ink, seed=seed)
    bar = nearest(find_bars(image.astype(np.float32), 20, (12,)), printed)
    assert bar.x0 == pytest.approx(printed.x0_px, abs=within_px)
    assert bar.x1 == pytest.approx(printed.x1_px, abs=within_px)
    assert bar.row_px == pytest.approx(printed.row_px, abs=1.0 if style != "outline" else 6.0)
    assert bar.bright is (ink == 255)


def test_ticks_count_from_the_first_to_the_last():
    image, printed = print_scale("500 nm", "ticks", length_px=240, ground="banner", side="below", seed=3)
    bar = nearest(find_ticks(image.astype(np.float32)[-80:], 40), printed)
    assert (bar.x0, bar.x1) == pytest.approx((printed.x0_px, printed.x1_px), abs=0.5)


def test_ticks_of_which_some_are_missing_are_no_scale():
    image, printed = print_scale("500 nm", "ticks", length_px=240, ground="banner", side="below", seed=3)
    hidden = image.astype(np.float32)[-80:]
    hidden[:, round(printed.x1_px) - 4 :] = 0
    assert not find_ticks(hidden, 40)


def test_a_micrograph_without_a_bar_has_none():
    image, _ = print_scale("", length_px=0, seed=4)
    assert [bar for bar in find_bars(image.astype(np.float32), 20, (12,)) if bar.quality > 0.7] == []
