"""A set of images that was searched: with every answer it is judged again, and no file is read again."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emscout.app.words import for_page
from emscout.compute import Progress
from emscout.crystals.find import CrystalResult, group_notices, judge
from emscout.crystals.locate import CrystalOptions, ImageFiles, list_files, save_result, survey_files
from emscout.crystals.navigation.targets import cells_of
from emscout.crystals.report.heat_map import cluster_colour, cluster_opacity
from emscout.crystals.report.mosaic import read_layout
from emscout.crystals.report.pictures import commonest_cluster
from emscout.crystals.results import summarise
from emscout.errors import UsageError

__all__ = ["JudgedSet", "search"]

_FULL_SCORE = 250
_MOST_CLUSTERS = 255
_MOST_TARGETS = 500


class JudgedSet:
    """A set of images and what was found on it, which changes with the answers of the user.

    Parameters
    ----------
    files : ImageFiles
    found : CrystalResult
    """

    def __init__(self, files: ImageFiles, found: CrystalResult) -> None:
        self.files, self.found = files, found
        self.names = [row["image"] for row in found.survey.images if row["status"] == "ok"]

    @property
    def options(self) -> CrystalOptions:
        """With the answers."""
        return self.found.options

    def answer(self, image: int, row: int, col: int, crystal: bool | None) -> None:
        """Take an answer of the user about a tile into account; ``None`` removes an earlier answer."""
        if not 0 <= image < len(self.names):
            raise UsageError("There is no such image in this set: reload the page.")
        tile = f"{self.names[image]}:{row},{col}"
        like = [other for other in self.options.like or () if other != tile]
        unlike = [other for other in self.options.unlike or () if other != tile]
        if crystal is not None:
            (like if crystal else unlike).append(tile)
        # An answer is meant to count, which it does not where a whole cluster has been chosen.
        self._judge(replace(self.options, like=like or None, unlike=unlike or None, target=None))

    def forget(self) -> None:
        """Remove all answers."""
        self._judge(replace(self.options, like=None, unlike=None))

    def choose(self, clusters: int | None, target: int | None) -> None:
        """Choose the number of clusters, and the cluster that is crystal, or none."""
        self._judge(replace(self.options, clusters=clusters or self.options.clusters, target=target))

    def save(self, out: Path, knowledge: str | None, *, overwrite: bool, progress: Progress) -> None:
        """Write what the command would write with the same options."""
        found = replace(self.found, options=replace(self.options, save_knowledge=knowledge))
        save_result(out, self.files, found, overwrite=overwrite, progress=progress)

    def describe_images(self) -> list[dict[str, Any]]:
        """What does not change: each image, its place in the mosaic and the positions of its tiles."""
        layout = read_layout(self.names)
        rows = {row["image"]: row for row in self.found.survey.images}
        described = []
        for name in self.names:
            cells = cells_of(self.found.survey.lattices[name])
            described.append(
                {
                    "name": name,
                    "height": rows[name]["height_px"],
                    "width": rows[name]["width_px"],
                    "nm_per_px": rows[name]["nm_per_px"],
                    "place": None if layout is None else layout[name],
                    "rows": [int(edge) for edge in (*cells.rows[:, 0], cells.rows[-1, 1])],
                    "cols": [int(edge) for edge in (*cells.cols[:, 0], cells.cols[-1, 1])],
                }
            )
        return described

    def describe(self) -> dict[str, Any]:
        """What an answer may change; tiles row by row as bytes in base64: cluster (0: black), 250 x score, target."""
        tiles, targets, question = self.found.tiles, self.found.targets, self.found.decision.question
        commonest = commonest_cluster(tiles)
        clusters = [
            {
                "cluster": int(row["cluster"]),
                "n_tiles": int(row["n_tiles"]),
                "share": float(row["share"]),
                "score": float(row["score"]),
                "colour": cluster_colour(int(row["cluster"])),
                "tint": cluster_opacity(int(row["cluster"]), commonest),
            }
            for row in self.found.clusters.to_dict("records")
        ]
        parts = dict(iter(tiles.groupby("image", sort=False)))
        return {
            "found": summarise(self.found) | {"message": self._spell_warnings()},
            "n_clusters": self.options.recipe.n_clusters,
            "target": self.options.target,
            "clusters": clusters,
            "tiles": [
                {
                    "cluster": _pack(parts[name]["cluster"].fillna(0).to_numpy(int)),
                    "score": _pack(np.rint(_FULL_SCORE * np.nan_to_num(parts[name]["score"].to_numpy(float)))),
                    "target": _pack(parts[name]["target"].to_numpy(bool)),
                }
                for name in self.names
            ],
            "answers": [
                self._place(tile) | {"crystal": kind == "like"}
                for kind in ("like", "unlike")
                for tile in getattr(self.options, kind) or ()
            ],
            "question": None if question is None else self._place_of_row(question),
            "n_targets": len(targets),
            "targets": [self._describe_target(row) for row in targets.head(_MOST_TARGETS).to_dict("records")],
        }

    def _judge(self, options: CrystalOptions) -> None:
        _check_clusters(options)
        # When this fails, the result stays as it was.
        self.found = judge(self.found.survey, options, self.found.earlier)

    def _spell_warnings(self) -> str:
        """All warnings as text."""
        notices = group_notices(self.found.warnings)
        return " ".join(for_page(f"{images}: {notice}" if images else notice) for images, notice in notices)

    def _place(self, tile: str) -> dict[str, int]:
        name, _, place = tile.rpartition(":")
        row, col = place.split(",")
        return {"image": self.names.index(name), "row": int(row), "col": int(col)}

    def _place_of_row(self, row: int) -> dict[str, int]:
        tile = self.found.tiles.iloc[row]
        return {"image": self.names.index(tile["image"]), "row": int(tile["row"]), "col": int(tile["col"])}

    def _describe_target(self, target: Mapping[Any, Any]) -> dict[str, Any]:
        kept = ("rank", "row_px", "col_px", "height_px", "width_px", "n_tiles", "score", "bar_distance_px")
        described = {name: _or_none(target[name]) for name in (*kept, "next_crystal_px")}
        stage = {name: _or_none(target.get(name, math.nan)) for name in ("stage_x_um", "stage_y_um")}
        return described | stage | {"image": self.names.index(target["image"])}


def search(path: Path, options: CrystalOptions, progress: Progress) -> JudgedSet:
    """Search the images of a path; raises what `emscout.crystals.locate.locate` raises."""
    _check_clusters(options)
    files = list_files([str(path)], options)
    survey = survey_files(files, options, progress=progress)
    return JudgedSet(files, judge(survey, options, files.earlier))


def _check_clusters(options: CrystalOptions) -> None:
    if options.recipe.n_clusters > _MOST_CLUSTERS:
        raise UsageError(f"This page shows at most {_MOST_CLUSTERS} clusters: ask for fewer.")


def _pack(values: np.ndarray) -> str:
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode("ascii")


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
