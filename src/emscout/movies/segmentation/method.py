"""How particles are found in a frame: with a network, an autoencoder or another segmenter, alike in every frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from scipy import ndimage

from emscout.errors import ModelError, NothingToFindError, UsageError
from emscout.micrograph import Micrograph, Segmentation
from emscout.models import load_autoencoder_model, load_model
from emscout.movies.options import MovieOptions
from emscout.movies.segmentation.autoencoder import (
    area_bands,
    find_polarity,
    reconstruct,
    segment_autoencoder,
)
from emscout.particles.find import apply_thresholds
from emscout.particles.segment import (
    WATERSHED,
    Polarity,
    Segmenter,
    default_thresholds,
    is_network,
    segment_particles,
)
from emscout.particles.segmenters.bayesian import normalise_grey, select_particles
from emscout.particles.segmenters.multiscale import segment_component_tree
from emscout.particles.segmenters.outlines import HALF_HEIGHT, refine_outlines, smooth_finely
from emscout.units import parse_length_px

__all__ = ["Method", "area_bounds", "choose_method"]

# Weight of a rim pixel whose uncertainty is not known: an outline is known to half a pixel at best.
_HALF = 0.5
_NOT_FOR_AUTOENCODERS = ("diameter", "samples", "min_probability", "max_uncertainty")


@dataclass(frozen=True)
class Method:
    """How the particles of every frame are found.

    Parameters
    ----------
    kind : {'network', 'autoencoder', 'segmenter'}
    options : MovieOptions
    model : str or callable
        As for `emscout.particles.segment.find_segmenter`.
    diameter : str or None
        Typical diameter in all frames.
    polarity : {'auto', 'bright', 'dark'}
        Of the particles in all frames.
    """

    kind: Literal["network", "autoencoder", "segmenter"]
    options: MovieOptions
    model: str | Segmenter
    diameter: str | None = None
    polarity: Polarity = "auto"

    @property
    def max_uncertainty_nats(self) -> float | None:
        """Mean uncertainty above which a particle, and a pixel of its rim, is too doubtful."""
        if self.kind == "network" and self.options.max_uncertainty is None:
            return default_thresholds(self.options.model)[0]
        return self.options.max_uncertainty

    def find(self, micrograph: Micrograph) -> Segmentation:
        """The particles of an image that count; none where it shows nothing."""
        try:
            if self.kind == "autoencoder":
                return self._find_by_autoencoder(micrograph)
            found = segment_particles(
                micrograph,
                model=self.model,
                min_diameter=self.options.min_diameter,
                max_diameter=self.options.max_diameter,
                diameter=self.diameter,
                samples=self.options.samples,
                seed=self.options.seed,
                polarity=self.polarity,
            )
        except NothingToFindError:
            return Segmentation(np.zeros(micrograph.image.shape, np.int32))
        kept = apply_thresholds(found, self.options.for_frames(), self.model)[0]
        return _outline_at_half_height(kept, micrograph.image) if self.kind == "network" else kept

    def _find_by_autoencoder(self, micrograph: Micrograph) -> Segmentation:
        options = self.options
        found = segment_autoencoder(micrograph.image, options.model, polarity=self.polarity)
        low, high = (
            None if length is None else parse_length_px(length, micrograph.nm_per_px, str(micrograph.path))
            for length in (options.min_diameter, options.max_diameter)
        )
        diameter_px = diameters_px(found.labels)
        return select_particles(found, (diameter_px >= (low or 0)) & (diameter_px <= (high or np.inf)))

    def bounds(self, micrograph: Micrograph, found: Segmentation) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest area that the segmentation allows each particle: float (n,) each."""
        if self.kind == "autoencoder" and found.labels.any():
            bands = area_bands(micrograph.image, self.options.model, found.labels, polarity=self.polarity)
            return bands["area_low_px2"].to_numpy(), bands["area_high_px2"].to_numpy()
        return area_bounds(found, self.max_uncertainty_nats)

    def fix_parameters(self, micrographs: Sequence[Micrograph]) -> Method:
        """The same method with one typical diameter and polarity for the whole movie, so that nothing flickers.

        What the options leave open is taken from these frames.
        """
        options = self.options
        fixed = replace(self, diameter=options.diameter, polarity=options.polarity)
        if self.kind == "network" and options.diameter is None:
            sizes = np.concatenate([diameters_px(self.find(one).labels) for one in micrographs])
            return replace(fixed, diameter=f"{float(np.median(sizes)):.1f}px") if len(sizes) else fixed
        if options.polarity != "auto" or (self.kind != "autoencoder" and self.model != WATERSHED):
            return fixed
        votes: Counter[Polarity] = Counter()
        for one in micrographs:
            with suppress(NothingToFindError):
                votes[self._polarity(one.image)] += 1
        return replace(fixed, polarity=votes.most_common(1)[0][0]) if votes else fixed

    def _polarity(self, image: np.ndarray) -> Polarity:
        if self.kind == "segmenter":
            return segment_component_tree(image, split=False)[1]
        reproduced = reconstruct(image, load_autoencoder_model(self.options.model))
        return find_polarity(smooth_finely(reproduced))


def choose_method(options: MovieOptions, segmenter: Segmenter | None = None) -> tuple[Method, str | None]:
    """How the frames are segmented, and the SHA-256 of the model.

    Parameters
    ----------
    options : MovieOptions
    segmenter : callable, optional
        In place of ``options.model``.

    Raises
    ------
    ModelError
        When the model cannot be loaded.
    UsageError
        When an option has no effect on the model.
    """
    if segmenter is not None or not is_network(options.model):
        return Method("segmenter", options, segmenter or options.model), None
    try:
        sha256 = load_autoencoder_model(options.model).sha256
    except ModelError:
        sha256 = load_model(options.model).sha256
        if options.polarity != "auto":
            raise UsageError(
                "`polarity` has no effect on a network, which finds particles of either kind: leave it out."
            ) from None
        return Method("network", options, options.model), sha256
    defaults = {field.name: field.default for field in fields(options)}
    for name in _NOT_FOR_AUTOENCODERS:
        if getattr(options, name) != defaults[name]:
            raise UsageError(f"`{name}` has no effect on an autoencoder: leave it out.")
    return Method("autoencoder", options, options.model), sha256


def _outline_at_half_height(found: Segmentation, image: np.ndarray) -> Segmentation:
    """The particles of a network with outlines at half height.

    The network draws as people do, a little outside of the edge, the more so the smaller a particle is. A law of
    growth, and area that is conserved, need the same edge in every frame and at every size.
    """
    grey = normalise_grey(image)
    return replace(found, labels=refine_outlines(found.labels, np.nan_to_num(grey, nan=0.5), HALF_HEIGHT))


def diameters_px(labels: np.ndarray) -> np.ndarray:
    """Equivalent circular diameters of the particles of a label map: float (n,)."""
    return 2 * np.sqrt(np.bincount(labels.ravel())[1:] / np.pi)


def area_bounds(found: Segmentation, doubtful_nats: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest area of each particle, by the pixels of its rim.

    Parameters
    ----------
    found : Segmentation
    doubtful_nats : float or None
        Uncertainty above which a pixel is doubtful.

    Returns
    -------
    low, high : ndarray of float, shape (n,)
        Without the doubtful ones of the particle's own outermost pixels, and with those of the background that touch
        it. The others of these pixels count by half: an outline is known to half a pixel at best.
    """
    labels = found.labels
    n = int(labels.max(initial=0))
    cross = ndimage.generate_binary_structure(2, 1)
    around = ndimage.maximum_filter(labels, footprint=cross)
    if found.uncertainty is None or doubtful_nats is None or not found.uncertainty.any():
        weight = np.full(labels.shape, _HALF)
    else:
        weight = np.where(found.uncertainty > doubtful_nats, 1.0, _HALF)
    inner = (labels > 0) & ((ndimage.minimum_filter(labels, footprint=cross) != labels) | (around != labels))
    outer = (labels == 0) & (around > 0)
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    less = np.bincount(labels[inner], weight[inner], n + 1)[1:]
    more = np.bincount(around[outer], weight[outer], n + 1)[1:]
    return area - less, area + more
