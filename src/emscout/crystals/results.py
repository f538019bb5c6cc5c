"""The folder of results: tables, pictures, the report, the navigator file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emscout.compute import Progress
from emscout.crystals.choice.cluster import assess_cluster_counts
from emscout.crystals.choice.user_labels import save_user_labels
from emscout.crystals.find import CrystalResult
from emscout.crystals.navigation.navigator import write_navigator
from emscout.crystals.report import pictures
from emscout.crystals.report.page import write_report
from emscout.crystals.report.tile_plots import plot_advice
from emscout.io.files import write_atomic
from emscout.io.run_folder import write_json
from emscout.micrograph import Report
from emscout.report.overlay import write_png
from emscout.runs import Outputs, write_table

__all__ = ["OUTPUTS", "save_run", "summarise"]

_TABLES = ("tiles", "targets", "images", "clusters", "advice")
_FIGURES = ("mosaic", "contact_sheet", "advice", "scatter", "dendrogram")
OUTPUTS = Outputs(
    (*(f"{name}.csv" for name in _TABLES), *(f"{name}.png" for name in _FIGURES), "targets.nav", "report.html"),
    ("heat_maps",),
)


def save_run(
    out: Path,
    found: CrystalResult,
    run: dict[str, Any],
    *,
    paths: Sequence[str],
    progress: Progress | None = None,
) -> Report:
    """Write everything to ``out``.

    Parameters
    ----------
    out : Path
        Claimed.
    found : CrystalResult
    run : dict
        From `emscout.runs.Run.claim`.
    paths : sequence of str
        As the user gave them, for the command that the report shows.
    progress : callable or None
        Called as ``progress(done, total, what)``.
    """
    report = progress or (lambda done, total, what: None)
    recipe, seed = found.options.recipe, found.options.seed
    greys = pictures.to_common_greys(found.survey)
    advice = assess_cluster_counts(
        found.decision.points,
        clusterer=recipe.clusterer,
        linkage=recipe.linkage,
        metric=recipe.metric,
        seed=seed,
    )
    tables = {
        "targets": found.targets,
        "tiles": found.tiles,
        "images": found.images,
        "clusters": found.clusters,
        "advice": advice,
    }
    for name, table in tables.items():
        write_table(out, name, table)
    for name, heat_map in pictures.draw_heat_maps(found).items():
        with write_atomic(out / "heat_maps" / f"{name}.png") as path:
            write_png(path, heat_map)
    drawn = {}
    makers: dict[str, Callable[[], np.ndarray | None]] = {
        "mosaic": lambda: pictures.draw_overview(greys) if len(greys) > 1 else None,
        "contact_sheet": lambda: pictures.draw_cluster_counts(found, greys),
        "advice": lambda: plot_advice(advice, recipe.n_clusters) if len(advice) else None,
        "scatter": lambda: pictures.plot_tile_scatter(found, greys),
        "dendrogram": lambda: pictures.plot_tile_dendrogram(found, greys),
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
        path.write_text(write_navigator(found.targets, found.images), encoding="utf-8", newline="\n")
    if found.options.save_knowledge is not None and found.decision.labels is not None:
        save_user_labels(found.decision.labels, Path(found.options.save_knowledge))
    write_report(out / "report.html", found, greys, drawn, paths=paths, out=out, provenance=run)
    sha256 = {row["image"]: row.get("sha256") for row in found.survey.images}
    inputs = [source | {"sha256": sha256[source["image"]]} for source in run["inputs"]]
    run = run | {"inputs": inputs, "found": summarise(found)}
    write_json(out / "run.json", run)
    report(len(makers) + 1, len(makers) + 1, "")
    return Report(tables, run["options"], run, out, found.warnings)


def summarise(found: CrystalResult) -> dict[str, Any]:
    """The result in a few words and numbers, JSON-like."""
    proposal = found.decision.proposal
    return {
        "n_targets": len(found.targets),
        "proposed_cluster": proposal.cluster,
        "confidence": round(proposal.confidence, 4),
        "how": found.how,
        "message": " ".join(str(notice) for notice in found.warnings if notice.code == "empty"),
        "question": found.question,
    }
