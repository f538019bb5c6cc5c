"""Which particles are on a micrograph, how big, how sure? One image in memory: calibrate, segment, measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from emscout.errors import NothingToFindError, UsageError
from emscout.micrograph import Micrograph, Notice, Segmentation
from emscout.particles.aggregates import measure_aggregates
from emscout.particles.distributions import radial_distribution, size_distribution, summarize_particles
from emscout.particles.measure import measure_particles
from emscout.particles.options import ParticleOptions
from emscout.particles.recall import CountEstimate, estimate_count
from emscout.particles.segment import (
    Segmenter,
    count_calibration,
    default_thresholds,
    drop_annotations,
    is_network,
    segment_particles,
)
from emscout.particles.segmenters.bayesian import filter_particles
from emscout.scale import annotation_masks, calibrate
from emscout.tables import to_physical

__all__ = ["ParticleResult", "apply_thresholds", "detect_particles", "find_particles"]

# Particles expected to be right, over those found: below it there is a warning.
_DOUBTFUL = 0.7


@dataclass(frozen=True, eq=False)
class ParticleResult:
    """What `find_particles` found on a micrograph.

    Parameters
    ----------
    micrograph : Micrograph
        With the calibration that counts.
    segmentation : Segmentation
        The particles that count.
    doubtful : Segmentation
        Particles that were found but are too uncertain to count.
    table : DataFrame
        One row per particle of `segmentation`; the columns of ``particles.csv`` from ``label`` on.
    summary : dict
        Counts, coverage, D10/D50/D90, means and their 95 % bootstrap intervals: the columns of ``images.csv`` from
        ``height_px`` on. What is unknown is None or NaN.
    aggregates : DataFrame
        One row per group of particles that touch: see `emscout.particles.aggregates.measure_aggregates`.
    distributions, radial_distribution : DataFrame
        Histograms and g(r), as they are saved.
    annotations : ndarray of bool, shape (H, W)
        Where banner, scale bar and label are.
    warnings : tuple of Notice
    """

    micrograph: Micrograph
    segmentation: Segmentation
    doubtful: Segmentation
    table: pd.DataFrame
    summary: dict[str, Any]
    aggregates: pd.DataFrame
    distributions: pd.DataFrame
    radial_distribution: pd.DataFrame
    annotations: np.ndarray
    warnings: tuple[Notice, ...] = ()


def find_particles(
    micrograph: Micrograph,
    options: ParticleOptions | None = None,
    *,
    segmenter: Segmenter | None = None,
    hidden: np.ndarray | None = None,
    **settings: Any,
) -> ParticleResult:
    """Find and measure the particles of a micrograph: what `analyze` does with each image.

    Parameters
    ----------
    micrograph : Micrograph
        Its printed scale is read, unless `calibrate` has done so.
    options : ParticleOptions, optional
        Or give its fields by name: ``find_particles(m, min_diameter="5nm")``.
    segmenter : callable, optional
        ``segmenter(micrograph)`` gives a Segmentation, or labels: integers of shape (H, W) with 0 as background. It
        replaces ``options.model``.
    hidden : ndarray of bool, shape (H, W), optional
        Where something covers the specimen, such as an inset: no particle can be seen there, and those that reach it
        are cut by it. An info banner is found without it.
    **settings
        Fields of `ParticleOptions`.

    Returns
    -------
    ParticleResult
        An image in which nothing stands out has no particles and a warning ``empty``.

    Raises
    ------
    UsageError
        When an option is invalid, a length is physical and the micrograph has no pixel size, or a segmenter returns
        something other than a segmentation of the image.
    ModelError
        When the network cannot be loaded.

    Examples
    --------
    >>> import emscout as em
    >>> from emscout.synthetic.particles import make_micrograph
    >>> m, _, _ = make_micrograph((128, 128), n_particles=8, nm_per_px=0.5, seed=1)
    >>> found = em.find_particles(m, model="watershed")
    >>> found.summary["count"] == len(found.table)
    True
    >>> found.warnings
    ()
    """
    if options is not None and settings:
        raise UsageError("Give either `options` or its fields by name, not both.")
    options = options or ParticleOptions(**settings)
    if options.pixel_size_nm is not None or options.trust is not None or micrograph.scale is None:
        micrograph = calibrate(micrograph, trust=options.trust, pixel_size_nm=options.pixel_size_nm)
    return _find(micrograph, options, segmenter or options.model, hidden)


def _find(
    micrograph: Micrograph, options: ParticleOptions, model: str | Segmenter, hidden: np.ndarray | None
) -> ParticleResult:
    """Find the particles of a micrograph whose pixel size is decided."""
    image = micrograph.image
    warnings = list(micrograph.warnings)
    cover, annotations = annotation_masks(image, micrograph.scale)
    unseen = annotations
    if hidden is not None:
        cover, unseen = cover | hidden, annotations | hidden
    empty = None
    try:
        found = detect_particles(micrograph, options, model, unseen)
    except NothingToFindError as error:
        found, empty = Segmentation(np.zeros(image.shape, np.int32)), Notice("empty", str(error))
    warnings += found.warnings
    segmentation, doubtful = apply_thresholds(found, options, model)
    particles = measure_particles(segmentation, micrograph, hidden=cover)
    if particles.empty:
        name = "The image" if micrograph.path is None else micrograph.path.stem
        warnings.append(
            empty
            or Notice(
                "empty",
                f"{name}: no particles stand out.",
                "If you see some, try another `diameter` or `model`.",
            )
        )
    shape, nm_per_px = (image.shape[0], image.shape[1]), micrograph.nm_per_px
    field_px2 = int(image.size - unseen.sum())
    figures = summarize_particles(particles, shape, nm_per_px, field_px2=field_px2, seed=options.seed)
    # dtype object: one row of counts and lengths, which must not turn all into floats.
    summary = to_physical(pd.DataFrame([figures], dtype=object), nm_per_px)
    right = None if segmentation.score is None else float(particles["probability"].sum())
    if right is not None and right < _DOUBTFUL * len(particles):
        warnings.append(
            Notice(
                "doubtful",
                "The only particle found is probably not a particle."
                if len(particles) == 1
                else f"Only about {right:.0f} of the {len(particles)} particles found are expected to be right.",
                "Look at the overlay, or drop the doubtful ones with `min_probability=0.5`.",
            )
        )
    true = _estimate_true_count(segmentation, doubtful, model)
    if true is not None and true.low > len(particles):
        warnings.append(
            Notice(
                "missed",
                f"{len(particles)} particles were found, but about {true.expected:.0f} are probably there (95 %: "
                f"{true.low:.0f} to {true.high:.0f}).",
                "Look at the overlay for particles without an outline.",
            )
        )
    centroids, areas_px2 = particles[["row_px", "col_px"]].to_numpy(), particles["area_px2"].to_numpy()
    calibration = micrograph.calibration
    return ParticleResult(
        micrograph,
        segmentation,
        doubtful,
        particles,
        {
            "height_px": shape[0],
            "width_px": shape[1],
            "nm_per_px": nm_per_px,
            "calibration_source": calibration.source if calibration else None,
            "calibration_note": next((n.sentence for n in micrograph.warnings if n.code == "pixel-size"), ""),
            **{str(name): summary[name].iloc[0] for name in summary},
            "count_dropped": int(doubtful.labels.max(initial=0)),
            "count_expected": None if right is None else round(right if true is None else true.expected, 1),
            "count_expected_low": None if true is None else round(true.low, 1),
            "count_expected_high": None if true is None else round(true.high, 1),
        },
        measure_aggregates(particles, segmentation.labels, nm_per_px),
        size_distribution(particles),
        to_physical(radial_distribution(centroids, shape, areas_px2=areas_px2), nm_per_px),
        annotations,
        tuple(warnings),
    )


def _estimate_true_count(found: Segmentation, doubtful: Segmentation, model: str | Segmenter) -> CountEstimate | None:
    """The true number of particles, where a network's validation says how many it misses."""
    if found.score is None or doubtful.score is None or not isinstance(model, str) or not is_network(model):
        return None
    coefficients = count_calibration(model)
    return None if coefficients is None else estimate_count(found.score, doubtful.score, coefficients)


def detect_particles(
    micrograph: Micrograph, options: ParticleOptions, model: str | Segmenter, annotations: np.ndarray
) -> Segmentation:
    """Every particle of a micrograph, doubtful ones too, but none that is print.

    Parameters
    ----------
    micrograph : Micrograph
    options : ParticleOptions
    model : str or callable
        As for `emscout.particles.segment.find_segmenter`.
    annotations : ndarray of bool, shape (H, W)

    Raises
    ------
    NothingToFindError
        When the image is constant or holds no finite pixel.
    UsageError, ModelError
        As `emscout.particles.segment.segment_particles`.
    """
    found = segment_particles(
        micrograph,
        model=model,
        min_diameter=options.min_diameter,
        max_diameter=options.max_diameter,
        diameter=options.diameter,
        samples=options.samples,
        seed=options.seed,
        level=options.level,
        polarity=options.polarity,
        split=options.split,
    )
    return drop_annotations(found, annotations)


def apply_thresholds(
    found: Segmentation, options: ParticleOptions, model: str | Segmenter
) -> tuple[Segmentation, Segmentation]:
    """What counts and what is too doubtful, by the thresholds asked for or the network's own.

    Raises
    ------
    UsageError
        When a threshold is asked for of which the segmenter says nothing.
    """
    for name, known in (("min_probability", found.score), ("max_uncertainty", found.uncertainty)):
        if getattr(options, name) is not None and known is None and found.labels.any():
            raise UsageError(f"`{name}` has no effect, because the segmenter gives no such value: leave it out.")
    max_uncertainty, min_probability = options.max_uncertainty, options.min_probability
    if isinstance(model, str) and is_network(model):
        defaults = default_thresholds(model)
        max_uncertainty = defaults[0] if max_uncertainty is None else max_uncertainty
        min_probability = defaults[1] if min_probability is None else min_probability
    return filter_particles(found, max_uncertainty=max_uncertainty, min_probability=min_probability)
