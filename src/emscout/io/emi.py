"""The .emi file of TIA: which .ser files belong to it, and what it says about the microscope.

Read here and not with RosettaSciIO, which reads all .ser files of an .emi for one of them, finds no tenth, and takes
the mode of the first for the mode of each, so that a diffraction pattern would come out with a pixel size in nm.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

__all__ = ["is_diffraction", "microscope_state", "series_of_emi"]


def series_of_emi(path: Path) -> list[Path]:
    """The .ser files that belong to an .emi file: ``name_1.ser``, ``name_2.ser`` and so on."""
    pattern = re.compile(re.escape(path.stem) + r"_(\d+)\.ser", re.IGNORECASE)
    found = [(match, file) for file in path.parent.iterdir() if (match := pattern.fullmatch(file.name))]
    return [file for _, file in sorted(found, key=lambda pair: int(pair[0].group(1)))]


def microscope_state(ser: Path) -> dict[str, Any]:
    """What the .emi beside ``name_2.ser`` says of the second object; empty without one."""
    name, _, number = ser.stem.rpartition("_")
    files = [file for suffix in (".emi", ".EMI") if (file := ser.with_name(name + suffix)).is_file()]
    if not files or not number.isdecimal():
        return {}
    objects = re.findall(rb"<ObjectInfo>.*?</ObjectInfo>", files[0].read_bytes(), re.DOTALL)
    try:
        return _as_dict(ET.fromstring(objects[int(number) - 1]))
    except (IndexError, ET.ParseError):
        return {}


def is_diffraction(state: dict[str, Any]) -> bool:
    """Whether pixels are steps of 1/m; the .ser file itself never says."""
    mode = state.get("ExperimentalDescription", {}).get("Mode", "")
    if "STEM" in mode:  # the projector always diffracts in STEM; only a camera sees that
        return "CameraNamePath" in state.get("AcquireInfo", {})
    return "Diffraction" in mode


def _as_dict(node: ET.Element) -> dict[str, Any]:
    if node.tag == "ExperimentalDescription":
        data = [[item.findtext(part) or "" for part in ("Label", "Value", "Unit")] for item in node.iter("Data")]
        return {label: f"{value} {unit}".strip() for label, value, unit in data}
    return {child.tag: _as_dict(child) if len(child) else child.text for child in node}
