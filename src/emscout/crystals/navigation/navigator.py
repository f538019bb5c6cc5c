"""Write targets as a SerialEM navigator file.

The format is described at https://bio3d.colorado.edu/SerialEM/hlp/html/about_formats.htm: ``key = value`` lines in
sections ``[Item = label]``. A target with a known stage position is a point at that position. Any other target is a
point in pixels of its image (``CoordsInMap``), and the image is an imported map: once it is registered, SerialEM
computes the stage positions. Lengths are in µm; the z of the stage is not known and is written as 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["write_navigator"]

_POINT, _MAP = 0, 2
_POINT_COLOUR, _MAP_COLOUR = 0, 2
# Stage positions belong to registration 1; imported maps that still have to be registered must not be mixed with them.
_ON_STAGE, _IMPORTED = 1, 2
# SerialEM's numbers for file types; it takes any other file for MRC.
_IMAGE_TYPES = {".tif": 2, ".tiff": 2, ".jpg": 4, ".jpeg": 4, ".hdf": 5, ".h5": 5}


def write_navigator(targets: pd.DataFrame, images: pd.DataFrame) -> str:
    """Write the targets as the text of a SerialEM navigator file.

    Parameters
    ----------
    targets : DataFrame
        ``rank``, ``image``, ``row_px``, ``col_px``, ``score``, and ``stage_x_um`` and ``stage_y_um`` where known.
    images : DataFrame
        ``image``, ``path``, ``frame``, ``height_px``, ``width_px`` and ``nm_per_px`` (empty where unknown).

    Returns
    -------
    str
        Items in the order of the targets; each image comes before its first target.
    """
    items = ["AdocVersion = 2.00\n"]
    rows = images.set_index("image").to_dict("index")
    map_ids: dict[str, int] = {}
    for target in targets.to_dict("records"):
        name, note = str(target["image"]), f"{target['image']}, score {target['score']:.2f}"
        label = f"crystal-{target['rank']}"
        if pd.notna(target.get("stage_x_um")):
            place = {"StageXYZ": f"{target['stage_x_um']:.3f} {target['stage_y_um']:.3f} 0"}
            x, y = f"{target['stage_x_um']:.3f}", f"{target['stage_y_um']:.3f}"
            items.append(_point(label, place, x, y, _ON_STAGE, note))
            continue
        if name not in map_ids:
            map_ids[name] = len(map_ids) + 1
            items.append(_map(map_ids[name], name, rows[name]))
        # SerialEM counts pixels from the lower left corner of the image.
        x = f"{target['col_px'] + 0.5:.1f}"
        y = f"{rows[name]['height_px'] - target['row_px'] - 0.5:.1f}"
        place = {"CoordsInMap": f"{x} {y} 0", "DrawnID": str(map_ids[name]), "Imported": "1"}
        items.append(_point(label, place, x, y, _IMPORTED, note))
    return "\n".join(items)


def _point(label: str, place: dict[str, str], x: str, y: str, registration: int, note: str) -> str:
    return _item(
        label,
        {
            "Color": _POINT_COLOUR,
            **place,
            "NumPts": 1,
            "Regis": registration,
            "Type": _POINT,
            "Note": note,
            "PtsX": x,
            "PtsY": y,
        },
    )


def _map(number: int, name: str, image: dict[Any, Any]) -> str:
    height, width = int(image["height_px"]), int(image["width_px"])
    calibrated = pd.notna(image["nm_per_px"])
    px_per_um = 1000 / image["nm_per_px"] if calibrated else 1.0
    half_x, half_y = width / px_per_um / 2, height / px_per_um / 2
    xs, ys = (-1, 1, 1, -1, -1), (-1, -1, 1, 1, -1)
    return _item(
        f"image-{number}",
        {
            "Color": _MAP_COLOUR,
            "StageXYZ": "0 0 0",
            "NumPts": len(xs),
            "Regis": _IMPORTED,
            "Type": _MAP,
            "Note": f"{name}: register before use" + ("" if calibrated else "; 1 px drawn as 1 um, pixel size unknown"),
            "Imported": 1,
            "MapFile": Path(image["path"]),
            "MapID": number,
            "MapMontage": 0,
            "MapSection": 0 if pd.isna(image.get("frame")) else int(image["frame"]),
            "MapBinning": 1,
            "MapMagInd": 0,
            "MapCamera": 0,
            "MapScaleMat": f"{px_per_um:.6g} 0 0 {px_per_um:.6g}",
            "MapWidthHeight": f"{width} {height}",
            "ImageType": _IMAGE_TYPES.get(Path(image["path"]).suffix.lower(), 0),
            "PtsX": " ".join(f"{sign * half_x:.3f}" for sign in xs),
            "PtsY": " ".join(f"{sign * half_y:.3f}" for sign in ys),
        },
    )


def _item(label: str, entries: dict[str, Any]) -> str:
    return "\n".join([f"[Item = {label}]", *(f"{key} = {value}" for key, value in entries.items()), ""])
