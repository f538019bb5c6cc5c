"""One pixel size from the metadata and the printed scale: they must agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from emscout.errors import CalibrationError
from emscout.micrograph import Calibration, Micrograph, Notice
from emscout.scale.colour import read_scale
from emscout.scale.reading import AGREEING, NoScale, ScaleReading

__all__ = ["Trust", "calibrate", "choose_calibration"]

Trust = Literal["metadata", "bar"]


def calibrate(micrograph: Micrograph, *, trust: Trust | None = None, pixel_size_nm: float | None = None) -> Micrograph:
    """Compare the pixel size in the metadata with the scale that is printed in the image, and decide which counts.

    Parameters
    ----------
    micrograph : Micrograph
        As it was read. If it was calibrated before, the decision is made again from the same reading.
    trust : {'metadata', 'bar'} or None
        Which to use where the two disagree.
    pixel_size_nm : float or None
        Pixel size in nm, which overrides both.

    Returns
    -------
    Micrograph
        With the calibration that counts, ``scale`` (what is printed), and a warning ``pixel-size`` where the user
        should know about it. Where the two disagree and ``trust`` is None it has no calibration.

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
        Which to take where both are known and disagree; that one alone is then used.
    pixel_size_nm : float or None
        Edge length of a pixel in nm that the user gives.
    reading : ScaleReading, NoScale or None
        Result of `read_scale`, where it is known already.

    Returns
    -------
    calibration : Calibration or None
        Where metadata and bar agree within 2 % and three standard errors of the bar, that of the metadata, which is not
        measured in pixels. A bar with caps also agrees when measured to their outer edges. Where they disagree and
        ``trust`` is None: None.
    message : str
        What the user should know; empty where both agree.
    """
    if pixel_size_nm is not None:
        return Calibration(pixel_size_nm, "user"), ""
    metadata = micrograph.calibration
    if metadata is not None and metadata.source == "user":
        return metadata, ""
    if trust == "metadata":
        return (
            metadata,
            "" if metadata else "The file does not give the pixel size, and the printed bar is not trusted.",
        )
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
    # Bars are measured here between the middles of their caps; some makers measure to the outer edges.
    if -allowed <= apart <= allowed + reading.bar.cap_width_px / reading.bar.length_px:
        return metadata, ""
    return None, (
        f"The file says {metadata.nm_per_px:.4g} nm per pixel, the printed bar of {reading.spelled} "
        f"{printed.nm_per_px:.4g} nm ({apart:+.0%}): lengths are in pixels until you say which is right, with "
        "`trust=metadata`, `trust=bar` or `pixel_size`."
    )
