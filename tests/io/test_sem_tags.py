"""Pixel sizes in tags of makers, written here as they write them; real files are in test_real_files."""

import numpy as np
import pytest
import tifffile

from emscout.io import inspect, read

IMAGE = np.zeros((64, 128), np.uint8)


def size_of(path, image=IMAGE, **options):
    tifffile.imwrite(path, image, **options)
    return read(path).nm_per_px


def text_tag(code, text):
    return (code, "s", 0, text, True)


def bytes_tag(code, content):
    return (code, "B", len(content), content, True)


@pytest.mark.parametrize("unit", ["nm", "µm", "um", "\\u00B5m", "micron", "μm", "Å", "angstrom", "n_m"])
def test_imagej_units(tmp_path, unit):
    nm = {"nm": 1, "n_m": 1, "Å": 0.1, "angstrom": 0.1}.get(unit, 1000)
    description = f"ImageJ=1.54f\nunit={unit}\n".encode()
    tag = (270, "s", 0, description, True)
    options = {"metadata": None, "resolution": (4, 4), "resolutionunit": 1, "extratags": [tag], "description": None}
    assert size_of(tmp_path / "a.tif", **options) == pytest.approx(nm / 4)


@pytest.mark.parametrize("unit", ["inch", "cm", "pixel", "", "1/nm"])
def test_imagej_units_that_are_no_pixel_size(tmp_path, unit):
    assert size_of(tmp_path / "a.tif", imagej=True, resolution=(72, 72), metadata={"unit": unit}) is None


@pytest.mark.parametrize("dpi", [72, 96, 300, 25400])
@pytest.mark.parametrize("unit", [2, 3])
def test_dots_per_inch_are_no_pixel_size(tmp_path, dpi, unit):
    assert size_of(tmp_path / "a.tif", resolution=(dpi, dpi), resolutionunit=unit) is None


@pytest.mark.parametrize(("unit", "nm"), [(None, 250), ("nm", 0.25), ("Å", 0.025), ("pixel", None)])
def test_ome(tmp_path, unit, nm):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    assert size_of(tmp_path / "a.ome.tif", ome=True, metadata=metadata) == (nm and pytest.approx(nm))


def test_fei(tmp_path):
    text = "[User]\r\nDate=1\r\n[Scan]\r\nPixelWidth=2e-9\r\nPixelHeight=2e-9\r\n"
    assert size_of(tmp_path / "a.tif", extratags=[text_tag(34682, text)]) == pytest.approx(2)


def test_thermo_xml(tmp_path):
    sizes = '<X unit="um">0.002</X><Y unit="um">0.002</Y>'
    text = f"<?xml version='1.0'?><Metadata><BinaryResult><PixelSize>{sizes}</PixelSize></BinaryResult></Metadata>"
    assert size_of(tmp_path / "a.tif", extratags=[text_tag(34683, text)]) == pytest.approx(2)


@pytest.mark.parametrize(("text", "nm"), [("2.5 nm", 2.5), ("2.5 µm", 2500), ("2.5 pm", 0.0025), ("0.12 mm", 1.2e5)])
def test_zeiss_text(tmp_path, text, nm):
    tag = "0\r\n0\r\n0\r\n7e-09\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = " + text + "\r\n"
    content = tag.encode("cp1252")
    assert size_of(tmp_path / "a.tif", extratags=[(34118, "s", 0, content, True)]) == pytest.approx(nm)


def test_zeiss_without_text_counts_on_1024_columns(tmp_path):
    tag = (34118, "s", 0, b"0\r\n0\r\n0\r\n7e-09\r\nAP_MAG\r\nMag = 10 K X\r\n", True)
    assert size_of(tmp_path / "a.tif", extratags=[tag]) == pytest.approx(7 * 1024 / 128)


def test_tescan(tmp_path):
    content = b"\xff\xd8 thumbnail \0\0[MAIN]\nPixelSizeX=3.5e-9\nPixelSizeY=0.0000000035\nSerial=1\n\0"
    assert size_of(tmp_path / "a.tif", extratags=[bytes_tag(50431, content)]) == pytest.approx(3.5)


@pytest.mark.parametrize(("mode", "nm"), [("MAG", 25.4e6 / 100 / 50_000), ("DIFF", None)])
def test_jeol(tmp_path, mode, nm):
    imaging = f"<ModeString>{mode}</ModeString><SelectorValue>50000</SelectorValue>"
    text = f'<?xml version="1.0"?><TemReporter><ImageFormingSystem>{imaging}</ImageFormingSystem></TemReporter>'
    options = {"metadata": None, "resolution": (100, 100), "resolutionunit": 2, "description": text}
    size = size_of(tmp_path / "a.tif", extratags=[text_tag(271, "JEOL Ltd.")], **options)
    assert size == (nm and pytest.approx(nm))


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", b"[Scan]\nPixelWidth=\nPixelHeight=x", b"[Scan]\nPixelWidth=nan\nPixelHeight=0"]
)
@pytest.mark.parametrize("code", [34118, 34680, 34682, 34683, 37706, 50431, 65009])
def test_a_mangled_tag_says_nothing_and_does_no_harm(tmp_path, code, content):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, extratags=[bytes_tag(code, content or b"\0")])
    assert (inspect(tmp_path / "a.tif")["nm_per_px"], inspect(tmp_path / "a.tif")["error"]) == (None, None)
    assert read(tmp_path / "a.tif").image.shape == IMAGE.shape
