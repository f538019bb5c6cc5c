"""What kind of picture is this? The category of images in memory, and of files into a folder of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Interval
from scipy.special import entr

from emscout.compute import Progress
from emscout.errors import NothingToFindError, UsageError
from emscout.io import find_images, read_series
from emscout.io.colour import colours_of, read_colours
from emscout.io.files import name_pictures, sha256_of
from emscout.io.run_folder import failed_row, list_sources
from emscout.micrograph import Micrograph, Notice, Report, spell_notices
from emscout.models import CategoryModel, load_category_model
from emscout.options import options_class
from emscout.runs import Finished, Run
from emscout.specimens import results
from emscout.specimens.features import BACKBONE
from emscout.specimens.heads import probabilities
from emscout.specimens.occlusion import map_evidence
from emscout.specimens.report.page import MOST_WITH_EVIDENCE
from emscout.specimens.views import crop_banner, view_picture

__all__ = [
    "Classification",
    "ClassificationResult",
    "SpecimenOptions",
    "categorize",
    "classify",
    "classify_picture",
]


@options_class
class SpecimenOptions:
    """Options of `classify` and `categorize`; every field is also an option of the command.

    Raises
    ------
    UsageError
        When a number makes no sense.
    """

    model: str = field(
        default=BACKBONE,
        metadata={
            "help": f"The trained model: {BACKBONE} (imaging techniques), or an .onnx file that emscout train "
            "classifier wrote.",
            "metavar": "NAME|PATH",
        },
    )
    min_probability: Annotated[float, Interval(ge=0, le=1)] = field(
        default=0.0, metadata={"help": "Give no category that is less probable than this, 0 to 1."}
    )
    evidence: bool = field(
        default=True,
        metadata={"help": "Show in the report which parts of a picture speak for its category (up to 60 images)."},
    )


@dataclass(frozen=True)
class Classification:
    """The category of one picture.

    Parameters
    ----------
    category : str
        The most probable one; empty where the picture is unlike all that the model was trained on, or too doubtful.
    probability : float
        Of the most probable category, whether it is given or not; calibrated on pictures of sources not trained on.
    probabilities : dict of str to float
        Of each category.
    entropy_nats : float
        Of these: 0 where there is no doubt.
    known : bool
        False: the picture is "none of these".
    novelty : float
        How unlike the training pictures it is; above 1 it is not ``known``.
    """

    category: str
    probability: float
    probabilities: dict[str, float]
    entropy_nats: float
    known: bool
    novelty: float

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What the user should know about it."""
        if self.known:
            return ()
        sentence = (
            f"The picture is unlike those the model was trained on (novelty {self.novelty:.2f}; up to 1 is usual)."
        )
        return (Notice("unlike", sentence, "Train a model on pictures of this kind, or sort it by hand."),)


@dataclass(frozen=True, eq=False)
class ClassificationResult:
    """What `classify` found.

    Parameters
    ----------
    table : DataFrame
        One row per image: ``image`` (its name), ``category`` (empty for "none of these"), ``probability``, one column
        ``p_…`` a category, ``entropy_nats``, ``known``, ``novelty`` and ``warnings``.
    warnings : tuple of Notice
    """

    table: pd.DataFrame
    warnings: tuple[Notice, ...] = ()


def classify_picture(
    pixels: np.ndarray, model: str | Path | CategoryModel = BACKBONE, *, min_probability: float = 0.0
) -> Classification:
    """Find the category of one picture.

    Parameters
    ----------
    pixels : ndarray, shape (H, W) or (H, W, 3)
        Grey values of any real dtype, or red, green, blue as uint8.
    model : str, Path or CategoryModel
        As for `emscout.models.load_category_model`.
    min_probability : float
        Give no category that is less probable.

    Raises
    ------
    NothingToFindError
        When the picture has a single grey value.
    UsageError
        When there is no such model.
    ModelError
        When it is not a model of categories.
    """
    loaded = model if isinstance(model, CategoryModel) else load_category_model(model)
    return _classify_view(_view(pixels, loaded), loaded, min_probability)


def _view(pixels: np.ndarray, model: CategoryModel) -> np.ndarray:
    return view_picture(pixels, model.description["side_px"], mask_banner=model.description["mask_banner"])


def _classify_view(view: np.ndarray, model: CategoryModel, min_probability: float) -> Classification:
    logits, _, novelty = model.run(view[None])
    probability = probabilities(logits.astype(float), model.description["temperature"])[0]
    best, known = int(probability.argmax()), bool(novelty[0] <= 1)
    categories = model.description["categories"]
    return Classification(
        category=categories[best] if known and probability[best] >= min_probability else "",
        probability=float(probability[best]),
        probabilities=dict(zip(categories, probability.tolist(), strict=True)),
        entropy_nats=float(entr(probability).sum()),
        known=known,
        novelty=float(novelty[0]),
    )


def classify(
    micrographs: Micrograph | np.ndarray | Sequence[Micrograph | np.ndarray],
    options: SpecimenOptions | None = None,
    **settings: Any,
) -> ClassificationResult:
    """Find the category of micrographs: what `categorize` does with each image of a folder.

    Parameters
    ----------
    micrographs : Micrograph, ndarray or sequence of these
        Arrays are grey values (H, W) of any real dtype, or red, green, blue (H, W, 3) as uint8. Of a micrograph that
        was read from a file the colours of the file count.
    options : SpecimenOptions, optional
        Or give its fields by name: ``classify(m, model="kinds-v1/model.onnx")``.
    **settings
        Fields of `SpecimenOptions`.

    Returns
    -------
    ClassificationResult
        A picture with a single grey value has no category and a warning ``empty``.

    Raises
    ------
    UsageError
        When an option is invalid or there is no such model.
    ModelError
        When it is not a model of categories.

    Examples
    --------
    >>> import emscout as em
    >>> from emscout.synthetic.particles import make_micrograph
    >>> m, _, _ = make_micrograph((128, 128), n_particles=8)
    >>> found = em.classify(m)
    >>> list(found.table["image"]), bool(found.table["probability"].between(0, 1).all())
    (['image_1'], True)
    """
    if options is not None and settings:
        raise UsageError("Give either `options` or its fields by name, not both.")
    options = options or SpecimenOptions(**settings)
    model = load_category_model(options.model)
    pictures = [micrographs] if isinstance(micrographs, Micrograph | np.ndarray) else list(micrographs)
    rows: list[dict[str, Any]] = []
    warnings: list[Notice] = []
    for name, picture in zip(name_pictures(pictures), pictures, strict=True):
        row: dict[str, Any] = {"image": name}
        try:
            found = classify_picture(colours_of(picture), model, min_probability=options.min_probability)
            row |= _columns(found)
            notices = found.warnings
        except NothingToFindError as error:
            notices = (Notice("empty", str(error)),)
        rows.append(row | {"warnings": spell_notices(notices)})
        warnings += [Notice(one.code, one.sentence, one.remedy, name) for one in notices]
    table = results.make_table(rows, model.description["categories"])
    return ClassificationResult(table, tuple(warnings))


def categorize(
    paths: Sequence[str | Path],
    out: str | Path,
    options: SpecimenOptions | None = None,
    *,
    overwrite: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Find the category of every image and save a table and a report.

    Parameters
    ----------
    paths : sequence of str or Path
        Files, folders and glob patterns; each frame of a stack is an image.
    out : str or Path
        Folder for the results. Images that it already holds results for, with the same options and from unchanged
        files, are skipped.
    options : SpecimenOptions, optional
    overwrite : bool
        Replace results in ``out`` that were made with other options or from other images.
    workers : int or None
        Number of processes; ``None`` takes one per core when there are many images.
    progress : callable or None
        Called as ``progress(done, total, name)``.

    Returns
    -------
    Report
        Table ``classes``, one row per image. An image that failed has its sentence in ``error``; it does not stop the
        run.

    Raises
    ------
    UsageError
        When there is no image to work on.
    ModelError
        When the model cannot be loaded, or is not a model of categories.
    OutputError
        When ``out`` cannot be written, or holds other results and ``overwrite`` is not set.

    Examples
    --------
    >>> import emscout as em
    >>> report = em.categorize(["micrographs"], "sorted")            # doctest: +SKIP
    >>> report.tables["classes"]["category"].value_counts()          # doctest: +SKIP
    """
    options = options or SpecimenOptions()
    out = Path(out)
    sources = list_sources(find_images(paths), read_series)
    model = load_category_model(options.model)
    run = Run("classify", out, sources, options, results.OUTPUTS, {"model_sha256": model.sha256})
    described = run.claim(overwrite=overwrite)
    # Evidence takes sixty times as long as the category: it is not worth that where the report does not show it.
    evidence = options.evidence and len(sources) <= MOST_WITH_EVIDENCE
    work = partial(_classify_source, out=out, options=options, evidence=evidence)
    rows = run.map(work, failed=_failed, workers=workers, progress=progress)
    return results.save_run(out, rows, described, model.description)


def _failed(source: dict[str, Any], sentence: str) -> dict[str, Any]:
    return failed_row(source, sentence if source["path"] in sentence else f"'{source['path']}': {sentence}")


def _classify_source(source: dict[str, Any], *, out: Path, options: SpecimenOptions, evidence: bool) -> dict[str, Any]:
    """Do one image, unless it is finished; its row of ``classes``."""
    source = source | {"sha256": sha256_of(Path(source["path"]))}
    finished = Finished(out)
    if (row := finished.load(source["image"], source)) is None:
        row = _classify_file(source, out, options, evidence)
        finished.save(source["image"], source, row)
    return row


def _classify_file(source: dict[str, Any], out: Path, options: SpecimenOptions, evidence: bool) -> dict[str, Any]:
    model = load_category_model(options.model)
    pixels = read_colours(source["path"], frame=source["frame"])
    view = _view(pixels, model)
    found = _classify_view(view, model, options.min_probability)
    best = max(range(len(found.probabilities)), key=list(found.probabilities.values()).__getitem__)
    shown = crop_banner(pixels) if model.description["mask_banner"] else pixels
    results.save_image(out, source["image"], shown, map_evidence(view, model, best) if evidence else None)
    warnings = [asdict(Notice(one.code, one.sentence, one.remedy, source["image"])) for one in found.warnings]
    return source | _columns(found) | {"warnings": warnings, "status": "ok", "error": ""}


def _columns(found: Classification) -> dict[str, Any]:
    """What a table holds of a picture."""
    return {
        "category": found.category,
        "probability": found.probability,
        **{f"p_{name}": value for name, value in found.probabilities.items()},
        "entropy_nats": found.entropy_nats,
        "known": found.known,
        "novelty": found.novelty,
    }
