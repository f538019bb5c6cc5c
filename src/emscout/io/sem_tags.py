"""The pixel size a microscope, or ImageJ, wrote into a TIFF.

The plain resolution tags are no pixel size: 72, 96 or 300 dpi is what a printer should do.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

from tifffile import TiffFile, TiffPage

from emscout.io.frames import length_nm

__all__ = ["pixel_size_nm"]

_Size = tuple[float | None, float | None]
_NOTHING: _Size = (None, None)
_ANY_NAMESPACE = "{*}"


def pixel_size_nm(tiff: TiffFile, page: TiffPage) -> tuple[float, float] | None:
    """Height and width of a pixel in nm, from the first maker's tag that has both."""
    for read_tag in (_fei, _zeiss, _tescan, _jeol, _tvips, _digital_micrograph, _ome, _imagej):
        try:
            height, width = read_tag(tiff, page)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError, ET.ParseError):
            # A maker's tag cut or mangled by another program says nothing.
            continue
        if height is not None and width is not None:
            return height, width
    return None


def _fei(tiff: TiffFile, page: TiffPage) -> _Size:
    """FEI and Thermo Fisher: metres in the scan section, the field of view of a navigation photo, or the XML tag."""
    tags = tiff.fei_metadata or {}
    scan, beam, size = (tags.get(section, {}) for section in ("Scan", "IRBeam", "Image"))
    if "PixelWidth" in scan:
        return length_nm(scan.get("PixelHeight"), "m"), length_nm(scan["PixelWidth"], "m")
    if "HFW" in beam:
        return (
            length_nm(float(beam["VFW"]) / float(size["ResolutionY"]), "m"),
            length_nm(float(beam["HFW"]) / float(size["ResolutionX"]), "m"),
        )
    root = ET.fromstring(page.tags[34683].value)
    height, width = root.find("BinaryResult/PixelSize/Y"), root.find("BinaryResult/PixelSize/X")
    return length_nm(height.text, height.get("unit")), length_nm(width.text, width.get("unit"))


def _zeiss(tiff: TiffFile, page: TiffPage) -> _Size:
    """Zeiss SmartSEM: text with its unit; older files have the size on a display 1024 pixels wide only."""
    tags = tiff.sem_metadata
    if "ap_image_pixel_size" in tags:
        _, value, unit = tags["ap_image_pixel_size"]
        size = length_nm(value, unit)
    else:
        size = length_nm(float(tags[""][3]) * 1024 / page.imagewidth, "m")
    return size, size


def _tescan(tiff: TiffFile, page: TiffPage) -> _Size:
    """Tescan: metres, in a text after a thumbnail."""
    tag = bytes(page.tags[50431].value)
    height, width = (re.search(rb"PixelSize%b=([0-9.eE+-]+)" % axis, tag) for axis in (b"Y", b"X"))
    return length_nm(height.group(1), "m"), length_nm(width.group(1), "m")


def _jeol(tiff: TiffFile, page: TiffPage) -> _Size:
    """JEOL SightX: the resolution tag is that of the camera, to be divided by the magnification."""
    if not str(page.tags["Make"].value).startswith("JEOL"):
        return _NOTHING
    root = ET.fromstring(page.description.strip(" \r\n\t\x01\0"))
    imaging = root.find(f".//{_ANY_NAMESPACE}ImageFormingSystem")
    if imaging.findtext(f"{_ANY_NAMESPACE}ModeString") != "MAG":
        return _NOTHING
    magnification = float(imaging.findtext(f"{_ANY_NAMESPACE}SelectorValue"))
    unit = "inch" if page.tags["ResolutionUnit"].value == 2 else "cm"
    height, width = _resolution(page)
    return length_nm(1 / height / magnification, unit), length_nm(1 / width / magnification, unit)


def _tvips(tiff: TiffFile, page: TiffPage) -> _Size:
    """TVIPS EM-Menu: nanometres in version 2; before, the resolution tag in pixels per centimetre."""
    tags = page.tags["TVIPS"].value
    if "PixelSizeX" in tags:
        return length_nm(tags["PixelSizeY"], "nm"), length_nm(tags["PixelSizeX"], "nm")
    height, width = _resolution(page)
    return length_nm(1 / height, "cm"), length_nm(1 / width, "cm")


def _digital_micrograph(tiff: TiffFile, page: TiffPage) -> _Size:
    """Gatan DigitalMicrograph, saved as TIFF: scale and unit of x (columns) and y (rows)."""
    width, height = (
        length_nm(page.tags[scale].value, page.tags[unit].value) for scale, unit in ((65009, 65003), (65010, 65004))
    )
    return height, width


def _ome(tiff: TiffFile, page: TiffPage) -> _Size:
    """OME-TIFF: the physical size in the XML; micrometres unless it says otherwise."""
    pixels = ET.fromstring(tiff.ome_metadata).find(f".//{_ANY_NAMESPACE}Pixels")
    height, width = (
        length_nm(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "YX"
    )
    return height, width


def _imagej(tiff: TiffFile, page: TiffPage) -> _Size:
    """ImageJ: pixels per unit; inch and cm are what it makes of a dpi, not of a microscope."""
    unit = _repaired(str(tiff.imagej_metadata["unit"]))
    if unit.lower() in ("inch", "inches", "cm"):
        return _NOTHING
    height, width = _resolution(page)
    return length_nm(1 / height, unit), length_nm(1 / width, unit)


def _repaired(unit: str) -> str:
    """``µm`` where UTF-8 was taken for Latin-1 (``Âµm``)."""
    try:
        return unit.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return unit


def _resolution(page: TiffPage) -> tuple[float, float]:
    """Pixels per unit along rows and columns."""

    def ratio(tag: Any) -> float:
        numerator, denominator = tag.value
        return numerator / denominator

    return ratio(page.tags["YResolution"]), ratio(page.tags["XResolution"])
