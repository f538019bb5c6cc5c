"""One pixel size from what the file says and what is printed: they must agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from emscout.errors import CalibrationError
from emscout.micrograph import Calibration, Micrograph, Notice
from emscout.scale.colour import read_scale
from emscout.scale.reading import NoScale, ScaleReading

__all__ = ["AGREEING", "Trust", "calibrate", "choose_calibration"]

Trust = Literal["metadata", "bar"]

AGREEING = 0.02
"""Share by which metadata and printed bar may differ, beside the bar's own error."""


def calibrate(micrograph: Micrograph, *, trust: Trust | None = None, pixel_size_nm: float | None = None) -> Micrograph:
    """Hold the pixel size that the file says against the scale that is printed in the picture.

    Parameters
    ----------
    micrograph : Micrograph
        As it was read; one that went through here before is judged again by the same evidence.
    trust : {'metadata', 'bar'} or None
        Which to take where the two disagree.
    pixel_size_nm : float or None
        Edge of a pixel in nm, which overrules both.

    Returns
    -------
    Micrograph
        With the calibration that counts, ``scale`` (what is printed) and, where there is something to know, a warning
        ``pixel-size``. Where the two disagree and ``trust`` is None it has no calibration.

    Raises
    ------
    CalibrationError
        When ``pixel_size_nm`` is not a positive length.

    Examples
    --------
    >>> import emscout as em
    >>> from emscout.synthetic.particles import make_micrograph
    >>> m, _, _ = make_micrograph(nm_per_px=0.5)
    >>> em.calibrate(m).nm_per_px
    0.5
    >>> em.calibrate(m, pixel_size_nm=0.4).calibration.source
    'user'
    """
    reading = read_scale(micrograph) if micrograph.scale is None else micrograph.scale
    recorded = micrograph.calibration if micrograph.scale is None else micrograph.recorded
    calibration, message = choose_calibration(
        replace(micrograph, calibration=recorded), trust=trust, pixel_size_nm=pixel_size_nm, reading=reading
    )
    warnings = [notice for notice in micrograph.warnings if notice.code != "pixel-size"]
    if message:
        warnings.append(Notice("pixel-size", message))
    return replace(micrograph, calibration=calibration, scale=reading, recorded=recorded, warnings=tuple(warnings))


def choose_calibration(
    micrograph: Micrograph,
    *,
    trust: Trust | None = None,
    pixel_size_nm: float | None = None,
    reading: ScaleReading | NoScale | None = None,
) -> tuple[Calibration | None, str]:
    """Decide the pixel size of a micrograph.

    Parameters
    ----------
    micrograph : Micrograph
        With the calibration of its metadata, if any; one that the user gave stands.
    trust : {'metadata', 'bar'} or None
        Which to take where both are there and disagree; that one alone is then used.
    pixel_size_nm : float or None
        What the user knows better.
    reading : ScaleReading, NoScale or None
        What `read_scale_bar` said, where that was asked already.

    Returns
    -------
    calibration : Calibration or None
        Metadata and bar agreeing within 2 % and three standard errors of the bar: that of the metadata, which is not
        measured in pixels. A bar with caps also agrees when counted to their outer edges. Disagreeing, without
        ``trust``: None.
    message : str
        What the user should know; empty where all is well.
    """
    if pixel_size_nm is not None:
        return Calibration(pixel_size_nm, "user"), ""
    metadata = micrograph.calibration
    if metadata is not None and metadata.source == "user":
        return metadata, ""
    if trust == "metadata":
        return metadata, "" if metadata else "The file does not say the pixel size, and the printed bar is not trusted."
    if reading is None:
        reading = read_scale(micrograph)
    if isinstance(reading, NoScale):
        if trust == "bar":
            return None, f"No pixel size: {reading.reason}"
        return metadata, ""
    try:
        printed = reading.calibration()
    except CalibrationError as error:
        return metadata, str(error)
    if metadata is None or trust == "bar":
        return printed, ""
    apart = printed.nm_per_px / metadata.nm_per_px - 1
    allowed = AGREEING + 3 * reading.relative_error
    # Between the middles of its caps a bar is measured here; some makers count to their outer edges.
    if -allowed <= apart <= allowed + reading.bar.cap_width_px / reading.bar.length_px:
        return metadata, ""
    return None, (
        f"The file says {metadata.nm_per_px:.4g} nm a pixel, the printed bar of {reading.spelled} "
        f"{printed.nm_per_px:.4g} nm ({apart:+.0%}): lengths are in pixels until you say which is right, with "
        "`trust=metadata`, `trust=bar` or `pixel_size`."
    )
