"""What a run of the locator leaves behind: tables, pictures, the report, the navigator file."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emscout.compute import Progress
from emscout.crystals.choice.cluster import choose_advice
from emscout.crystals.choice.decide import Decision, stands_apart
from emscout.crystals.choice.presets import Preset
from emscout.crystals.choice.user_labels import save_knowledge
from emscout.crystals.navigation.navigator import write_navigator
from emscout.crystals.report import pictures
from emscout.crystals.report.page import describe_panel, write_locator_page
from emscout.crystals.report.tile_plots import plot_advice
from emscout.crystals.survey import Survey
from emscout.io.files import write_atomic
from emscout.io.run_folder import write_json
from emscout.micrograph import Report
from emscout.report.html import as_uri
from emscout.report.overlay import write_png

if TYPE_CHECKING:
    from emscout.crystals.options import LocateOptions

__all__ = ["FILES", "FOLDERS", "describe_clusters", "save_run", "summarize"]

_FIGURES = ("mosaic", "contact_sheet", "advice", "scatter", "dendrogram")
FILES = (
    *(f"{name}.csv" for name in ("tiles", "targets", "images", "clusters", "advice")),
    *(f"{name}.png" for name in _FIGURES),
    "targets.nav",
    "report.html",
)
FOLDERS = ("heat_maps",)

_MOST_TARGET_PICTURES = 60
_TARGET_SIDE_PX = 120
_MOST_STATISTICS = 5


def save_run(
    out: Path,
    survey: Survey,
    decision: Decision,
    targets: pd.DataFrame,
    run: dict[str, Any],
    *,
    recipe: Preset,
    options: LocateOptions,
    paths: Sequence[str],
    progress: Progress | None = None,
) -> Report:
    """Write everything into ``out``.

    Parameters
    ----------
    out : Path
        Claimed.
    survey : Survey
    decision : Decision
        Its table of tiles has ``target_rank`` too.
    targets : DataFrame
    run : dict
        From `emscout.io.run_folder.describe_run`.
    recipe : Preset
    options : LocateOptions
    paths : sequence of str
        As the user gave them, for the command that the report shows.
    progress : callable or None
    """
    report = progress or (lambda done, total, what: None)
    greys = pictures.even_greys(survey)
    clusters = describe_clusters(decision, recipe)
    advice = choose_advice(
        decision.points,
        clusterer=recipe.clusterer,
        linkage=recipe.linkage,
        metric=recipe.metric,
        seed=options.seed,
    )
    tables = {
        "targets": targets,
        "tiles": decision.tiles,
        "images": _describe_images(survey, decision.tiles, targets),
        "clusters": clusters,
        "advice": advice,
    }
    for name, table in tables.items():
        with write_atomic(out / f"{name}.csv") as path:
            table.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")
    for name, heat_map in pictures.draw_heat_maps(survey, decision, targets).items():
        with write_atomic(out / "heat_maps" / f"{name}.png") as path:
            write_png(path, heat_map)
    drawn = {}
    makers: dict[str, Callable[[], np.ndarray | None]] = {
        "mosaic": lambda: pictures.draw_set(greys) if len(greys) > 1 else None,
        "contact_sheet": lambda: pictures.draw_counts(decision, recipe, survey, greys, seed=options.seed),
        "advice": lambda: plot_advice(advice, recipe.n_clusters) if len(advice) else None,
        "scatter": lambda: pictures.plot_tiles(survey, decision, recipe, greys),
        "dendrogram": lambda: pictures.plot_tree(survey, decision, recipe, greys, seed=options.seed),
    }
    for done, (name, make) in enumerate(makers.items()):
        report(done, len(makers) + 1, f"drawing {name.replace('_', ' ')}")
        picture = make()
        if picture is None:
            (out / f"{name}.png").unlink(missing_ok=True)
            continue
        drawn[name] = picture
        with write_atomic(out / f"{name}.png") as path:
            write_png(path, picture)
    report(len(makers), len(makers) + 1, "writing the report")
    with write_atomic(out / "targets.nav") as path:
        path.write_text(write_navigator(targets, tables["images"]), encoding="utf-8", newline="\n")
    if options.save_knowledge is not None and decision.knowledge is not None:
        with write_atomic(Path(options.save_knowledge)) as path:
            save_knowledge(decision.knowledge, path)
    found = summarize(survey, decision, targets, options)
    _write_report(out, survey, decision, targets, clusters, drawn, greys, found, run, options, paths)
    sha256 = {row["image"]: row.get("sha256") for row in survey.images}
    run = run | {"inputs": [source | {"sha256": sha256[source["image"]]} for source in run["inputs"]], "found": found}
    write_json(out / "run.json", run)
    report(len(makers) + 1, len(makers) + 1, "")
    return Report(tables, run["options"], run, out)


def describe_clusters(decision: Decision, recipe: Preset) -> pd.DataFrame:
    """A row a cluster: its tiles, how crystal-like it is, and what the proposal and the statistics say of it."""
    names = list(recipe.statistics)[:_MOST_STATISTICS]
    seen = decision.tiles[decision.tiles["cluster"].notna()]
    means = seen.groupby(seen["cluster"].astype(int))[names].mean()
    scores = decision.proposal.scores.copy()
    if "share" not in scores:
        scores.insert(2, "share", scores["n_tiles"] / len(seen))
    return scores[["cluster", "n_tiles", "share", "score"]].merge(means, left_on="cluster", right_index=True)


def _describe_images(survey: Survey, tiles: pd.DataFrame, targets: pd.DataFrame) -> pd.DataFrame:
    by_image = tiles.groupby("image")
    counts = pd.DataFrame(
        {
            "n_tiles": by_image.size(),
            "n_black": by_image["black"].sum(),
            "n_target_tiles": by_image["target"].sum(),
        }
    )
    counts["n_targets"] = targets["image"].value_counts().reindex(counts.index, fill_value=0)
    images = pd.DataFrame(survey.images)
    images["frame"] = images["frame"].astype("Int64")
    images = images.merge(counts.astype("Int64"), left_on="image", right_index=True, how="left")
    columns = [name for name in images.columns if name not in ("status", "error")]
    return images[[*columns, "status", "error"]]


def summarize(survey: Survey, decision: Decision, targets: pd.DataFrame, options: LocateOptions) -> dict[str, Any]:
    """What was found, in few words and numbers."""
    tiles, proposal = decision.tiles, decision.proposal
    answers = len(options.like or ()) + len(options.unlike or ())
    if options.target is not None:
        how = f"Targets are the tiles of cluster {options.target}, as asked."
    elif answers or options.knowledge:
        learned = [f"{answers} example{'s' * (answers != 1)}"] * bool(answers) + [
            f"what {options.knowledge} knows"
        ] * bool(options.knowledge)
        how = f"Targets are the tiles that are like crystal by {' and '.join(learned)}."
    elif decision.by_depth:
        how = "Targets are the tiles that hold something far darker than the film, as crystals do where bars are seen."
    elif stands_apart(tiles, proposal):
        how = (
            f"Targets are the tiles of cluster {proposal.cluster}, which stands apart: rare, dark and rich in contrast."
        )
    else:
        how = f"Targets are the tiles that look like crystals; most of them are like cluster {proposal.cluster}."
    message = ""
    if targets.empty:
        message = (
            "No tile stands out as crystal: this may be empty film, or crystals may be much smaller than a tile. Look; "
            "try smaller tiles; or click a crystal below and run the command."
        )
    question = ""
    if decision.question is not None:
        question = "{image}:{row},{col}".format(**tiles.iloc[decision.question])
    return {
        "n_targets": len(targets),
        "proposed_cluster": proposal.cluster,
        "confidence": round(proposal.confidence, 4),
        "how": how,
        "message": message,
        "question": question,
    }


def _write_report(
    out: Path,
    survey: Survey,
    decision: Decision,
    targets: pd.DataFrame,
    clusters: pd.DataFrame,
    drawn: dict[str, np.ndarray],
    greys: dict[str, np.ndarray],
    found: dict[str, Any],
    run: dict[str, Any],
    options: LocateOptions,
    paths: Sequence[str],
) -> None:
    tiles = decision.tiles
    as_recorded = pictures.picture_tiles(survey, tiles, {name: one.grey for name, one in survey.pictures.items()})
    score = dict(iter(tiles.groupby("image", sort=False)["score"]))
    shapes = {row["image"]: (row["height_px"], row["width_px"]) for row in survey.images if row["status"] == "ok"}
    panels = [
        describe_panel(
            name,
            picture,
            score[name].to_numpy(float).reshape(picture.cluster.shape),
            shapes[name],
            n_images=len(as_recorded),
            n_tiles=len(tiles),
        )
        for name, picture in as_recorded.items()
    ]
    question_picture = ""
    if decision.question is not None:
        question_picture = as_uri(pictures.tile_pictures(survey, tiles, [decision.question], greys)[0])
    summary = found | {
        "n_images": len(as_recorded),
        "n_tiles": len(tiles),
        "n_black": int(tiles["black"].sum()),
        "proposed": found["proposed_cluster"],
        "failures": [row["error"] for row in survey.images if row["status"] == "failed"],
        "question_picture": question_picture,
        "commonest": pictures.commonest_cluster(tiles),
    }
    with write_atomic(out / "report.html") as path:
        write_locator_page(
            path,
            summary=summary,
            panels=panels,
            targets=targets,
            target_pictures=[
                as_uri(picture, "JPEG")
                for picture in pictures.target_pictures(
                    survey, targets.head(_MOST_TARGET_PICTURES), side_px=_TARGET_SIDE_PX
                )
            ],
            clusters=clusters,
            figures={name: as_uri(picture, _kind(name)) for name, picture in drawn.items()},
            command=_command(paths, out, options),
            answers=[(kind, tile) for kind in ("like", "unlike") for tile in getattr(options, kind) or ()],
            provenance=run,
        )


def _kind(name: str) -> str:
    """Photographs as JPEG, drawings as PNG."""
    return "JPEG" if name in ("mosaic", "contact_sheet") else "PNG"


def _command(paths: Sequence[str], out: Path, options: LocateOptions) -> str:
    """The command that makes this run, but for the examples, which the page keeps."""
    words = ["emscout", "locate", *paths, "-o", str(out), "--overwrite"]
    for option in fields(options):
        value, flag = getattr(options, option.name), "--" + option.name.replace("_", "-")
        if value == option.default or option.name in ("like", "unlike"):
            continue
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)
