"""From files to their categories: the function behind ``emscout classify``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Interval
from scipy.special import entr

from emscout.compute import Progress
from emscout.io import find_images, read_series
from emscout.io.colour import read_colours
from emscout.io.files import sha256_of
from emscout.io.run_folder import failed_row, list_sources
from emscout.micrograph import Report
from emscout.models import CategoryModel, load_category_model
from emscout.options import options_class
from emscout.runs import Finished, Run
from emscout.specimens import results
from emscout.specimens.features import BACKBONE
from emscout.specimens.heads import probabilities
from emscout.specimens.occlusion import map_evidence
from emscout.specimens.report.page import MOST_WITH_EVIDENCE
from emscout.specimens.views import view_picture, without_banner

__all__ = ["ClassifyOptions", "Verdict", "classify", "name_category"]


@options_class
class ClassifyOptions:
    """What shapes the result of `classify`; every field is a flag of the command too.

    Raises
    ------
    UsageError
        When a number makes no sense.
    """

    model: str = field(
        default=BACKBONE,
        metadata={
            "help": f"What tells the categories: {BACKBONE} (imaging techniques), or an .onnx file that emscout train "
            "classifier wrote.",
            "metavar": "NAME|PATH",
        },
    )
    min_probability: Annotated[float, Interval(ge=0, le=1)] = field(
        default=0.0, metadata={"help": "Name no category that is less probable than this, 0 to 1."}
    )
    evidence: bool = field(
        default=True,
        metadata={"help": "Show in the report which parts of a picture spoke for its category (up to 60 images)."},
    )


@dataclass(frozen=True)
class Verdict:
    """What is said of one picture.

    Parameters
    ----------
    category : str
        The most probable one; empty where the picture is unlike all that the model was trained on, or too doubtful.
    probability : float
        Of the most probable category, named or not; calibrated on pictures of sources not trained on.
    probabilities : dict of str to float
        Of each category.
    entropy_nats : float
        Of these: 0 where there is no doubt.
    known : bool
        False: the picture is "none of these".
    novelty : float
        How unlike the training pictures it is; 1 is where ``known`` ends.
    """

    category: str
    probability: float
    probabilities: dict[str, float]
    entropy_nats: float
    known: bool
    novelty: float


def name_category(
    pixels: np.ndarray, model: str | Path | CategoryModel = BACKBONE, *, min_probability: float = 0.0
) -> Verdict:
    """Say of which category a picture is.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (H, W, 3)
        Grey values of any real dtype, or red, green, blue as uint8.
    model : str, Path or CategoryModel
        As `emscout.models.load_category_model` takes it.
    min_probability : float
        Name no category that is less probable.

    Raises
    ------
    NothingToFindError
        When the picture is of a single grey value.
    UsageError
        When there is no such model.
    ModelError
        When it does not name categories.
    """
    loaded = model if isinstance(model, CategoryModel) else load_category_model(model)
    view = view_picture(pixels, loaded.description["side_px"], mask_banner=loaded.description["mask_banner"])
    return _judge(view, loaded, min_probability)


def _judge(view: np.ndarray, model: CategoryModel, min_probability: float) -> Verdict:
    logits, _, novelty = model.run(view[None])
    probability = probabilities(logits.astype(float), model.description["temperature"])[0]
    best, known = int(probability.argmax()), bool(novelty[0] <= 1)
    categories = model.description["categories"]
    return Verdict(
        category=categories[best] if known and probability[best] >= min_probability else "",
        probability=float(probability[best]),
        probabilities=dict(zip(categories, probability.tolist(), strict=True)),
        entropy_nats=float(entr(probability).sum()),
        known=known,
        novelty=float(novelty[0]),
    )


def classify(
    paths: Sequence[str | Path],
    out: str | Path,
    options: ClassifyOptions | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Name the category of every image and save a table and a report.

    Parameters
    ----------
    paths : sequence of str or Path
        Files, folders and glob patterns; each frame of a stack is an image.
    out : str or Path
        Folder for the results.
    options : ClassifyOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from other images.
    workers : int or None
        Number of processes; ``None`` takes one per core when there are many images.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Report
        Table ``classes``, one row an image. An image that failed has its sentence in ``error``; it never ends the run.

    Raises
    ------
    UsageError
        When there is no image to work on.
    ModelError
        When the model cannot be loaded, or does not name categories.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.
    """
    options = options or ClassifyOptions()
    out = Path(out)
    sources = list_sources(find_images(paths), read_series)
    model = load_category_model(options.model)
    run = Run("classify", out, sources, options, results.OUTPUTS, {"model_sha256": model.sha256})
    described = run.claim(overwrite=overwrite)
    # What a report does not show is not worth sixty looks at each of a thousand images.
    evidence = options.evidence and len(sources) <= MOST_WITH_EVIDENCE
    work = partial(_classify_source, out=out, options=options, evidence=evidence)
    rows = run.map(work, failed=_failed, workers=workers, progress=progress)
    return results.save_run(out, rows, described, model.description)


def _failed(source: dict[str, Any], sentence: str) -> dict[str, Any]:
    return failed_row(source, sentence if source["path"] in sentence else f"'{source['path']}': {sentence}")


def _classify_source(source: dict[str, Any], *, out: Path, options: ClassifyOptions, evidence: bool) -> dict[str, Any]:
    """Do one image, unless it is finished; its row of ``classes``."""
    source = source | {"sha256": sha256_of(Path(source["path"]))}
    finished = Finished(out)
    if (row := finished.load(source["image"], source)) is None:
        row = _classify_image(source, out, options, evidence)
        finished.save(source["image"], source, row)
    return row


def _classify_image(row: dict[str, Any], out: Path, options: ClassifyOptions, evidence: bool) -> dict[str, Any]:
    model = load_category_model(options.model)
    pixels = read_colours(row["path"], frame=row["frame"])
    masked = model.description["mask_banner"]
    view = view_picture(pixels, model.description["side_px"], mask_banner=masked)
    verdict = _judge(view, model, options.min_probability)
    categories = model.description["categories"]
    best = categories.index(max(verdict.probabilities, key=verdict.probabilities.__getitem__))
    row = row | {
        "category": verdict.category,
        "probability": verdict.probability,
        **{f"p_{name}": value for name, value in verdict.probabilities.items()},
        "entropy_nats": verdict.entropy_nats,
        "known": verdict.known,
        "novelty": verdict.novelty,
        "status": "ok",
        "error": "",
    }
    shown = without_banner(pixels) if masked else pixels
    results.save_image(out, row, shown, map_evidence(view, model, best) if evidence else None)
    return row
