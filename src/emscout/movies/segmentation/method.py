"""How the particles of a frame are found: with the network, the watershed or an autoencoder, alike in every frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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
from emscout.particles.segment import WATERSHED, Polarity, segment_particles
from emscout.particles.segmenters.bayesian import (
    default_max_uncertainty,
    filter_particles,
    normalise_grey,
    select_particles,
)
from emscout.particles.segmenters.multiscale import segment_component_tree
from emscout.particles.segmenters.outlines import HALF_HEIGHT, refine_outlines, smooth_finely
from emscout.units import parse_length_px

__all__ = ["Method", "area_bounds", "choose_method"]

# A rim pixel of which no doubt is known counts by half: an outline is known to half a pixel at best.
_HALF = 0.5


@dataclass(frozen=True)
class Method:
    """How the particles of every frame are found.

    Parameters
    ----------
    kind : {'network', 'watershed', 'autoencoder'}
    options : MovieOptions
    diameter : str or None
        Typical diameter in all frames, for a network.
    polarity : {'auto', 'bright', 'dark'}
        Of the particles in all frames, for the others.
    """

    kind: Literal["network", "watershed", "autoencoder"]
    options: MovieOptions
    diameter: str | None = None
    polarity: Polarity = "auto"

    @property
    def max_uncertainty_nats(self) -> float | None:
        """Mean uncertainty from which a particle, and at its rim a pixel, is too doubtful; networks only."""
        if self.kind != "network":
            return None
        asked = self.options.max_uncertainty
        return default_max_uncertainty(self.options.model) if asked is None else asked

    def find(self, micrograph: Micrograph) -> Segmentation:
        """The particles of an image; none where it has nothing to show."""
        try:
            found = self._find(micrograph)
        except NothingToFindError:
            return Segmentation(np.zeros(micrograph.image.shape, np.int32))
        kept = filter_particles(
            found, max_uncertainty=self.max_uncertainty_nats, min_probability=self.options.min_probability
        )[0]
        return self._sharpen(kept, micrograph.image) if self.kind == "network" else kept

    def _sharpen(self, found: Segmentation, image: np.ndarray) -> Segmentation:
        """The particles with outlines at half height.

        The network draws as people do, a little outside of the edge, the more so the smaller a particle is. A law of
        growth, and area that is conserved, need the same edge in every frame and at every size.
        """
        grey = normalise_grey(image)
        return replace(found, labels=refine_outlines(found.labels, np.nan_to_num(grey, nan=0.5), HALF_HEIGHT))

    def _find(self, micrograph: Micrograph) -> Segmentation:
        options = self.options
        if self.kind == "autoencoder":
            found = segment_autoencoder(micrograph.image, options.model, polarity=self.polarity)
            low, high = (
                None if length is None else parse_length_px(length, micrograph.nm_per_px, str(micrograph.path))
                for length in (options.min_diameter, options.max_diameter)
            )
            diameter_px = diameters_px(found.labels)
            return select_particles(found, (diameter_px >= (low or 0)) & (diameter_px <= (high or np.inf)))
        return segment_particles(
            micrograph,
            model=options.model,
            min_diameter=options.min_diameter,
            max_diameter=options.max_diameter,
            diameter=self.diameter,
            samples=options.samples,
            seed=options.seed,
            polarity=self.polarity,
        )

    def bounds(self, micrograph: Micrograph, found: Segmentation) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest area of each particle that the segmentation leaves possible: float (n,) each."""
        if self.kind == "autoencoder" and found.labels.any():
            bands = area_bands(micrograph.image, self.options.model, found.labels, polarity=self.polarity)
            return bands["area_low_px2"].to_numpy(), bands["area_high_px2"].to_numpy()
        return area_bounds(found, self.max_uncertainty_nats)

    def settle(self, micrographs: Sequence[Micrograph]) -> Method:
        """The method as it is used for a whole movie, so that nothing flickers from frame to frame.

        Typical diameter and polarity, where they are not given, are those of these frames.
        """
        if self.kind == "network":
            if self.options.diameter is not None:
                return replace(self, diameter=self.options.diameter)
            sizes = np.concatenate([diameters_px(self.find(one).labels) for one in micrographs])
            return replace(self, diameter=f"{float(np.median(sizes)):.1f}px") if len(sizes) else self
        if self.options.polarity != "auto":
            return replace(self, polarity=self.options.polarity)
        votes: Counter[Polarity] = Counter()
        for one in micrographs:
            with suppress(NothingToFindError):
                votes[self._polarity(one.image)] += 1
        return replace(self, polarity=votes.most_common(1)[0][0]) if votes else self

    def _polarity(self, image: np.ndarray) -> Polarity:
        if self.kind == "watershed":
            return segment_component_tree(image, split=False)[1]
        reproduced = reconstruct(image, load_autoencoder_model(self.options.model))
        return find_polarity(smooth_finely(reproduced))


def choose_method(options: MovieOptions) -> tuple[Method, str | None]:
    """How the frames are segmented, and the SHA-256 of the model.

    Raises
    ------
    ModelError
        When the model cannot be loaded.
    UsageError
        When an option does not belong to the model.
    """
    if options.model == WATERSHED:
        return Method("watershed", options), None
    with suppress(ModelError):
        return Method("autoencoder", options), load_autoencoder_model(options.model).sha256
    sha256 = load_model(options.model).sha256
    if options.polarity != "auto":
        raise UsageError("`polarity` does not matter to a network that finds particles of either kind: leave it out.")
    return Method("network", options), sha256


def diameters_px(labels: np.ndarray) -> np.ndarray:
    """Equivalent circular diameters of the particles of a label map: float (n,)."""
    return 2 * np.sqrt(np.bincount(labels.ravel())[1:] / np.pi)


def area_bounds(found: Segmentation, doubtful_nats: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest area of each particle, by its rim.

    Parameters
    ----------
    found : Segmentation
    doubtful_nats : float or None
        Uncertainty from which a pixel is doubtful.

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
