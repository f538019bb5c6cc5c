"""A searched set of images on the table: every answer judges it anew, and no file is read again."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emscout.compute import Progress
from emscout.crystals.choice.decide import Decision
from emscout.crystals.locate import ImageSet, LocateOptions, gather_set, judge_set, save_set, survey_set
from emscout.crystals.navigation.targets import cells_of
from emscout.crystals.report.heat_map import colour_of, tint_of
from emscout.crystals.report.mosaic import read_layout
from emscout.crystals.report.pictures import commonest_cluster
from emscout.crystals.results import describe_clusters, summarize
from emscout.crystals.survey import Survey
from emscout.errors import UsageError

__all__ = ["JudgedSet", "search"]

_FULL_SCORE = 250
_MOST_TARGETS = 500


class JudgedSet:
    """What is known of a set, what the user has said of it, and what follows.

    Parameters
    ----------
    images : ImageSet
    survey : Survey
    options : LocateOptions
    """

    def __init__(self, images: ImageSet, survey: Survey, options: LocateOptions) -> None:
        self.images, self.survey = images, survey
        self.names = [row["image"] for row in survey.images if row["status"] == "ok"]
        self._judge(options)

    def answer(self, image: int, row: int, col: int, crystal: bool | None) -> None:
        """Heed what the user says of a tile; ``None`` takes an earlier answer back."""
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
        """Take all answers back."""
        self._judge(replace(self.options, like=None, unlike=None))

    def choose(self, clusters: int | None, target: int | None) -> None:
        """Group tiles into so many clusters, and call one of them crystal, or none."""
        self._judge(replace(self.options, clusters=clusters or self.options.clusters, target=target))

    def save(self, out: Path, knowledge: str | None, *, overwrite: bool, progress: Progress) -> None:
        """Write what the command would write with the same options."""
        options = replace(self.options, save_knowledge=knowledge)
        save_set(
            out,
            self.images,
            self.survey,
            self.decision,
            self.targets,
            options,
            overwrite=overwrite,
            progress=progress,
        )

    def describe_images(self) -> list[dict[str, Any]]:
        """What does not change: each image, its place in the mosaic and where its tiles are."""
        layout = read_layout(self.names)
        rows = {row["image"]: row for row in self.survey.images}
        described = []
        for name in self.names:
            cells = cells_of(self.survey.lattices[name])
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
        """What an answer may change; tiles as bytes in base64, row by row: cluster (0: black), score of 250, target."""
        tiles, recipe = self.decision.tiles, self.options.recipe
        commonest = commonest_cluster(tiles)
        clusters = [
            {
                "cluster": int(row["cluster"]),
                "n_tiles": int(row["n_tiles"]),
                "share": float(row["share"]),
                "score": float(row["score"]),
                "colour": colour_of(int(row["cluster"])),
                "tint": tint_of(int(row["cluster"]), commonest),
            }
            for row in describe_clusters(self.decision, recipe).to_dict("records")
        ]
        parts = dict(iter(tiles.groupby("image", sort=False)))
        return {
            "found": summarize(self.survey, self.decision, self.targets, self.options),
            "n_clusters": recipe.n_clusters,
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
            "question": None if self.decision.question is None else self._place_of_row(self.decision.question),
            "n_targets": len(self.targets),
            "targets": [self._describe_target(row) for row in self.targets.head(_MOST_TARGETS).to_dict("records")],
        }

    def _judge(self, options: LocateOptions) -> None:
        self.decision: Decision
        self.targets: pd.DataFrame
        self.decision, self.targets = judge_set(self.images, self.survey, options)
        # Last: what cannot be judged leaves everything as it was.
        self.options = options

    def _place(self, tile: str) -> dict[str, int]:
        name, _, place = tile.rpartition(":")
        row, col = place.split(",")
        return {"image": self.names.index(name), "row": int(row), "col": int(col)}

    def _place_of_row(self, row: int) -> dict[str, int]:
        tile = self.survey.tiles.iloc[row]
        return {"image": self.names.index(tile["image"]), "row": int(tile["row"]), "col": int(tile["col"])}

    def _describe_target(self, target: Mapping[Any, Any]) -> dict[str, Any]:
        kept = ("rank", "row_px", "col_px", "height_px", "width_px", "n_tiles", "score", "bar_distance_px")
        described = {name: _or_none(target[name]) for name in (*kept, "next_crystal_px")}
        stage = {name: _or_none(target.get(name, math.nan)) for name in ("stage_x_um", "stage_y_um")}
        return described | stage | {"image": self.names.index(target["image"])}


def search(path: Path, options: LocateOptions, progress: Progress) -> JudgedSet:
    """Survey the images of a path and judge them once; raises what `emscout.crystals.locate.locate` raises."""
    images = gather_set([str(path)], options)
    survey = survey_set(images, options, progress=progress)
    return JudgedSet(images, survey, options)


def _pack(values: np.ndarray) -> str:
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode("ascii")


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
