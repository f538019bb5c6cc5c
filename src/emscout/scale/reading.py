"""The scale that is printed in an image: a bar, the length written beside it, and the pixel size."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from emscout.micrograph import Calibration
from emscout.scale.bars.find import Bar
from emscout.scale.grey import colourfulness, to_uint8
from emscout.scale.letters import read_enlarged
from emscout.scale.pairs import PrintedLabel, bars_beside, find_printed_labels
from emscout.scale.text.labels import Label
from emscout.scale.text.ocr import TextLine, read_lines
from emscout.scale.views import find_likely_bars, read_around_bars, read_downscaled, read_lower_part, read_single_lines

__all__ = ["AGREEING", "NoScale", "ScaleReading", "read_in_colour", "read_scale_bar"]

AGREEING = 0.02
"""Share by which two pixel sizes, or two lengths of a bar, may differ and still agree, beside their errors."""

MIN_CONFIDENCE = 0.5
_MIN_FIT = 0.35
_RIVAL = 0.8  # of the best fit
_SAME_LABEL = 0.6  # share of the readings of a label that must agree
_SMALLEST_PX = 8.25  # height of a label with letters of five pixels, in which a 2 looks like an 8
_SURE = 0.8  # of a text in which a letter was taken for another
_CLEARLY_WORSE = 0.75  # in confidence
_UNUSUAL = 0.2  # weight of a number that is unusual for a bar, such as 108
_NM_PER_PX = (5e-4, 5e4)  # finer than any lens resolves, coarser than any microscope records
_MAX_LENGTH_NM = 1.0e7
_MIN_SHARE = 0.05  # of the image's width, for a bar without a label: shorter ones are edges of the specimen
_SPELLED = {"nm": "nm", "um": "µm", "mm": "mm", "A": "Å"}


@dataclass(frozen=True)
class NoScale:
    """Why no scale is claimed.

    Parameters
    ----------
    reason : str
        A sentence.
    bar : Bar or None
        The bar that was found, if any.
    line : TextLine or None
        The text that was found, if any.
    """

    reason: str
    bar: Bar | None = None
    line: TextLine | None = None


@dataclass(frozen=True)
class ScaleReading:
    """A printed scale.

    Parameters
    ----------
    value : float
    unit : {'nm', 'um', 'mm', 'A'}
        Unit of the label.
    bar : Bar
        Its ends are in pixels of the image.
    line : TextLine
        What was read, and the box around it.
    relative_error : float
        Standard deviation of the pixel size divided by it, from how sharp the ends are.
    confidence : float
        0..1.
    """

    value: float
    unit: str
    bar: Bar
    line: TextLine
    relative_error: float
    confidence: float

    @property
    def length_nm(self) -> float:
        return Label(self.value, self.unit).length_nm

    @property
    def nm_per_px(self) -> float:
        return self.length_nm / self.bar.length_px

    @property
    def spelled(self) -> str:
        """The length as printed, with the unit spelled correctly."""
        return f"{self.value:g} {_SPELLED[self.unit]}"

    def calibration(self) -> Calibration:
        return Calibration(self.nm_per_px, "scale-bar", self.relative_error)


def read_scale_bar(image: np.ndarray) -> ScaleReading | NoScale:
    """Read the scale bar that is printed in an image.

    A scale is claimed only where repeated readings of the length beside a bar agree; two bars must give the same pixel
    size.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, 3)
        Of any dtype. Colours are converted to grey; where that shows no scale, coloured print is searched for.

    Returns
    -------
    ScaleReading or NoScale
        A wrong scale is worse than none: whatever is in doubt is a `NoScale` that says why.
    """
    answer = _read(to_uint8(image))
    return read_in_colour(image, answer) if image.ndim == 3 else answer


def read_in_colour(colours: np.ndarray, answer: ScaleReading | NoScale) -> ScaleReading | NoScale:
    """Search for coloured print where the grey values showed no scale.

    Parameters
    ----------
    colours : ndarray, shape (H, W, 3)
    answer : ScaleReading or NoScale
        What the grey values showed; it is returned where there is a bar with a label, or no scale in colour either.
    """
    if isinstance(answer, ScaleReading) or (answer.bar is not None and answer.line is not None):
        return answer
    coloured = _read(colourfulness(colours))
    return coloured if isinstance(coloured, ScaleReading) else answer


def _read(grey: np.ndarray | None) -> ScaleReading | NoScale:
    if grey is None:
        return NoScale("The image is too small or constant, so there is nothing to read.")
    lines: list[TextLine] = []
    for read in (read_lines, read_downscaled, read_lower_part):
        lines += (found := read(grey))
        if (answer := _answer(grey, found)) is not None:
            return answer
    likely = find_likely_bars(grey)
    lines += (found := read_around_bars(grey, likely))
    if (answer := _answer(grey, found)) is not None:
        return answer
    lines += (found := read_single_lines(grey, likely, lines))
    if (answer := _answer(grey, found)) is not None:
        return answer
    return _why_none(likely, find_printed_labels(lines), grey.shape[1])


def _answer(grey: np.ndarray, lines: list[TextLine]) -> ScaleReading | NoScale | None:
    """The one scale of all labels among these lines."""
    return _agree([_read_label(grey, one) for one in find_printed_labels(lines)])


def _read_label(grey: np.ndarray, printed: PrintedLabel) -> ScaleReading | NoScale:
    """One label with its bar."""
    line = printed.line
    bars = _without_specks(bars_beside(grey, printed), line)
    if not bars or bars[0][0] < _MIN_FIT:
        return NoScale(f"'{line.text}' is printed, but there is no bar beside it.", line=line)
    fits, bar = next((one for one in bars if not one[1].cut and one[0] >= max(_MIN_FIT, 0.6 * bars[0][0])), bars[0])
    if line.height_px < _SMALLEST_PX:
        return NoScale(
            f"The letters beside the bar are too small to be distinguished (they look like '{line.text}').", bar, line
        )
    # Every reading may show the same wrong digit where none of them is certain.
    if printed.label.ocr_substitutions and line.score < _SURE:
        return NoScale(f"'{line.text}' beside the bar cannot be read with certainty.", bar, line)
    label, share = _read_again(grey, printed, bar)
    if label is None and printed.label.length_nm > _MAX_LENGTH_NM:
        label = printed.label  # refused below
    if label is None:
        return NoScale(f"Repeated readings of the text beside the bar differ ('{line.text}' in the first).", bar, line)
    if bar.cut:
        return NoScale(f"The bar of '{line.text}' is cut by the border of the image.", bar, line)
    rivals = (other for score, other in bars if score > _RIVAL * fits and not other.cut)
    if any(abs(other.length_px / bar.length_px - 1) > 0.04 for other in rivals):
        return NoScale(f"There are two bars of different lengths beside '{line.text}'.", bar, line)
    error = 2**0.5 * bar.end_error_px / bar.length_px
    confidence = float(np.clip(fits**0.5 * share * max(printed.score, 0.5) ** 0.5, 0, 1))
    reading = ScaleReading(label.value, label.unit, bar, line, error, confidence)
    if not _NM_PER_PX[0] <= reading.nm_per_px <= _NM_PER_PX[1] or reading.length_nm > _MAX_LENGTH_NM:
        return NoScale(
            f"'{line.text}' on a bar of {bar.length_px:.0f} px gives {reading.nm_per_px:.3g} nm per pixel, which no "
            "electron microscope has.",
            bar,
            line,
        )
    if confidence < MIN_CONFIDENCE:
        return NoScale(f"'{line.text}' and the bar beside it are too uncertain.", bar, line)
    return reading


def _without_specks(bars: list[tuple[float, Bar]], line: TextLine) -> list[tuple[float, Bar]]:
    """Drop bars shorter than the letters are high where a far longer one fits, too."""
    return [
        (score, bar)
        for score, bar in bars
        if bar.length_px >= line.height_px
        or not any(better > _RIVAL * score and other.length_px > 3 * bar.length_px for better, other in bars)
    ]


def _read_again(grey: np.ndarray, printed: PrintedLabel, bar: Bar) -> tuple[Label | None, float]:
    """The label that most readings agree on, and their share; None where they disagree."""
    line = printed.line
    margin = 0.5 * line.height_px
    top, bottom = max(0, int(line.top - margin)), int(line.bottom + margin) + 2
    left, right = max(0, int(line.left - margin)), int(line.right + margin) + 2
    # The bar must not be read as a letter: the part that is read ends where the bar begins.
    if bar.x0 > (left + right) / 2 and bar.x0 > line.left + 0.7 * line.width_px:
        right = min(right, int(bar.x0) - 1)
    elif bar.x1 < line.left + 0.3 * line.width_px:
        left = max(left, int(bar.x1) + 2)
    elif bar.style != "split" and bar.row_px > (line.top + line.bottom) / 2:
        bottom = min(bottom, int(bar.top))
    elif bar.style != "split":
        top = max(top, int(bar.bottom) + 2)
    part = grey[top:bottom, left:right]
    readings = [printed]
    if min(part.shape) >= 8:
        low, high = np.percentile(part, (2, 98))
        stretched = np.clip((part - low) / max(1.0, high - low) * 255, 0, 255).astype(np.uint8)
        for view, pixels in ((np.ascontiguousarray(part), 20_000), (255 - stretched, 50_000)):
            readings += find_printed_labels(read_lines(view, pixels))[:1]
    if sum(_vote(one) for one in readings) < 1:  # hardly read at all so far
        readings += find_printed_labels(read_enlarged(grey, line, bar))
    votes: defaultdict[tuple[float, str], float] = defaultdict(float)
    for one in readings:
        if one is printed or one.label.length_nm <= _MAX_LENGTH_NM:
            votes[one.label.value, one.label.unit] += _vote(one)
    value, unit = max(votes, key=lambda key: votes[key])
    share = votes[value, unit] / sum(votes.values())
    # Decimal points are lost, not invented: "20" is in doubt where another reading is "2.0".
    lost_point = any(unit == other_unit and round(value / other, 6) in (10, 100) for other, other_unit in votes)
    if share < _SAME_LABEL or votes[value, unit] < 0.5 or lost_point:
        return None, share
    return Label(value, unit), share


def _vote(printed: PrintedLabel) -> float:
    return printed.score * (1.0 if printed.label.is_usual else _UNUSUAL)


def _agree(readings: list[ScaleReading | NoScale]) -> ScaleReading | NoScale | None:
    """The one scale of all labels; None where none of them has a bar."""
    scales = [one for one in readings if isinstance(one, ScaleReading)]
    doubtful = [one for one in readings if isinstance(one, NoScale) and one.bar is not None]
    if not scales:
        return doubtful[0] if doubtful else None
    best = max(scales, key=lambda one: one.confidence)
    for other in scales:
        # A length that is printed twice, in the banner and larger above it, has a bar beside only one of them.
        if other.length_nm == best.length_nm and other.confidence < _CLEARLY_WORSE * best.confidence:
            continue
        allowed = AGREEING + 2 * (best.relative_error + other.relative_error)
        if abs(other.nm_per_px / best.nm_per_px - 1) > allowed:
            return NoScale(
                f"Two printed scales disagree: '{best.line.text}' gives {best.nm_per_px:.4g} nm per pixel, "
                f"'{other.line.text}' gives {other.nm_per_px:.4g} nm.",
                best.bar,
                best.line,
            )
    return best


def _why_none(likely: list[Bar], seen: list[PrintedLabel], width: int) -> NoScale:
    if seen:
        return NoScale(f"'{seen[0].line.text}' is printed, but there is no bar beside it.", line=seen[0].line)
    bars = [bar for bar in likely if bar.quality > 0.8 and bar.contrast > 30 and bar.length_px > _MIN_SHARE * width]
    if not bars:
        return NoScale("No scale bar is printed in the image.")
    first = bars[0]
    if any(abs(bar.length_px / first.length_px - 1) > 0.05 or abs(bar.row_px - first.row_px) < 3 for bar in bars[1:]):
        return NoScale("There may be scale bars, but no length beside any of them can be read.")
    return NoScale("There may be a scale bar, but no length beside it can be read.", first)
