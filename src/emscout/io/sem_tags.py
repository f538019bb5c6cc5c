"""The pixel size a microscope, or ImageJ, wrote into a TIFF.

The plain resolution tags are not a pixel size: 72, 96 or 300 dpi is what a printer should do.
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
_PER_CM = 3


def pixel_size_nm(tiff: TiffFile, page: TiffPage) -> tuple[float, float] | None:
    """Height and width of a pixel in nm, from the first maker's tag that has both."""
    for read_tag in (_fei, _thermo_xml, _zeiss, _tescan, _jeol, _tvips, _digital_micrograph, _ome, _imagej):
        try:
            height, width = read_tag(tiff, page)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, ZeroDivisionError, ET.ParseError):
            # A maker's tag cut or mangled by another program says nothing.
            continue
        if height is not None and width is not None:
            return height, width
    return None


def _fei(tiff: Any, page: Any) -> _Size:
    """FEI and Thermo Fisher: metres in the scan section, or the field of view of a navigation photo."""
    tags = tiff.fei_metadata
    scan, beam, size = (tags.get(section, {}) for section in ("Scan", "IRBeam", "Image"))
    if "PixelWidth" in scan:
        return length_nm(scan.get("PixelHeight"), "m"), length_nm(scan["PixelWidth"], "m")
    return (
        length_nm(float(beam["VFW"]) / float(size["ResolutionY"]), "m"),
        length_nm(float(beam["HFW"]) / float(size["ResolutionX"]), "m"),
    )


def _thermo_xml(tiff: Any, page: Any) -> _Size:
    """Thermo Fisher's newer XML tag, with a unit of its own."""
    root = _xml(page.tags[34683].value)
    height, width = root.find("BinaryResult/PixelSize/Y"), root.find("BinaryResult/PixelSize/X")
    return length_nm(height.text, height.get("unit")), length_nm(width.text, width.get("unit"))


def _zeiss(tiff: Any, page: Any) -> _Size:
    """Zeiss SmartSEM: text with its unit; older files have the size on a display 1024 pixels wide only."""
    tags = tiff.sem_metadata
    _, value, unit = tags.get("ap_image_pixel_size", ("", None, None))
    size = length_nm(value, unit) or length_nm(float(tags[""][3]) * 1024 / page.imagewidth, "m")
    return size, size


def _tescan(tiff: Any, page: Any) -> _Size:
    """Tescan: metres, in a text after a thumbnail."""
    sizes = dict(re.findall(rb"PixelSize([XY])=([0-9.eE+-]+)", bytes(page.tags[50431].value)))
    return length_nm(sizes[b"Y"], "m"), length_nm(sizes[b"X"], "m")


def _jeol(tiff: Any, page: Any) -> _Size:
    """JEOL SightX: the resolution tag is that of the camera, to be divided by the magnification."""
    if not str(page.tags["Make"].value).startswith("JEOL"):
        return _NOTHING
    root = _xml(page.description.strip(" \r\n\t\x01\0"))
    imaging = root.find(f".//{_ANY_NAMESPACE}ImageFormingSystem")
    if imaging.findtext(f"{_ANY_NAMESPACE}ModeString") != "MAG":
        return _NOTHING
    magnification = float(imaging.findtext(f"{_ANY_NAMESPACE}SelectorValue"))
    unit = "cm" if page.tags["ResolutionUnit"].value == _PER_CM else "inch"
    height, width = _resolution(page)
    return length_nm(1 / height / magnification, unit), length_nm(1 / width / magnification, unit)


def _tvips(tiff: Any, page: Any) -> _Size:
    """TVIPS EM-Menu: nanometres in version 2; before, the resolution tag in pixels per centimetre."""
    tags = page.tags["TVIPS"].value
    if "PixelSizeX" in tags:
        return length_nm(tags["PixelSizeY"], "nm"), length_nm(tags["PixelSizeX"], "nm")
    if page.tags["ResolutionUnit"].value != _PER_CM:
        return _NOTHING
    height, width = _resolution(page)
    return length_nm(1 / height, "cm"), length_nm(1 / width, "cm")


def _digital_micrograph(tiff: Any, page: Any) -> _Size:
    """Gatan DigitalMicrograph, saved as TIFF: scale and unit of x (columns) and y (rows)."""
    tags = {code: page.tags[code].value for code in (65003, 65004, 65009, 65010)}
    return length_nm(tags[65010], tags[65004]), length_nm(tags[65009], tags[65003])


def _ome(tiff: Any, page: Any) -> _Size:
    """OME-TIFF: the physical size in the XML; micrometres unless it says otherwise."""
    pixels = _xml(tiff.ome_metadata).find(f".//{_ANY_NAMESPACE}Pixels")
    height, width = (
        length_nm(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "YX"
    )
    return height, width


def _imagej(tiff: Any, page: Any) -> _Size:
    """ImageJ: pixels per unit; inch and cm are what it makes of a dpi, not of a microscope."""
    unit = str(tiff.imagej_metadata["unit"])
    if unit.lower() in ("inch", "inches", "cm"):
        return _NOTHING
    height, width = _resolution(page)
    return length_nm(1 / height, unit), length_nm(1 / width, unit)


def _xml(text: str) -> Any:
    """Parse, typed so that a missing element is an AttributeError of the caller, like any other mangled tag."""
    return ET.fromstring(text)


def _resolution(page: Any) -> tuple[float, float]:
    """Pixels per unit along rows and columns."""
    (rows, per_rows), (columns, per_columns) = page.tags["YResolution"].value, page.tags["XResolution"].value
    return rows / per_rows, columns / per_columns
