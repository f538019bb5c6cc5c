"""From a micrograph to labelled particles, by any segmenter, with lengths given in any unit."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emscout.errors import ModelError, NothingToFindError, UsageError
from emscout.micrograph import Micrograph, Segmentation
from emscout.models import MODELS, FieldModel, load_particle_model
from emscout.particles.segmenters.bayesian import read_settings, segment_bayesian, select_particles
from emscout.particles.segmenters.every_scale import segment_every_scale
from emscout.particles.segmenters.multiscale import segment_component_tree
from emscout.particles.segmenters.nesting import Level
from emscout.units import parse_length_px

__all__ = [
    "DEFAULT_MODEL",
    "SEGMENTERS",
    "WATERSHED",
    "Polarity",
    "Segmenter",
    "check_settings",
    "count_calibration",
    "default_thresholds",
    "drop_annotations",
    "find_segmenter",
    "is_network",
    "model_checksum",
    "segment_particles",
]

Polarity = Literal["auto", "bright", "dark"]

Segmenter = Callable[..., Segmentation | np.ndarray]
"""``segmenter(micrograph)`` gives a `Segmentation`, or labels: integers of shape (H, W), 0 is background.

It is also given those of the settings ``diameter`` (str), ``samples``, ``seed`` (int), ``level`` (str), ``polarity``
(str) and ``split`` (bool) that it names as keyword parameters.
"""

DEFAULT_MODEL = "particles-v2"
WATERSHED = "watershed"
"""Name of the segmenter that needs no trained network: a component tree, particles that touch cut apart."""

_GROUP = "emscout.segmenters"
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")  # package.module:function

# What each setting is where nothing is asked for.
_SETTINGS: dict[str, Any] = {"diameter": None, "samples": 30, "level": "auto", "polarity": "auto", "split": True}

_MOST_UNDER_PRINT = 0.3  # share of a particle under banner, bar or label, beyond which it is these that were found

# Beyond 8192 × 8192 px a network's maps alone fill the memory of a laptop.
_MOST_PX_FOR_NETWORK = 8192**2


def segment_by_network(
    micrograph: Micrograph,
    *,
    model: str | Path = DEFAULT_MODEL,
    diameter: str | None = None,
    samples: int = 30,
    level: Level = "auto",
    seed: int = 0,
) -> Segmentation:
    """Find particles by a Bayesian network.

    See `emscout.particles.segmenters.every_scale.segment_every_scale`, and for networks that look at one scale
    `emscout.particles.segmenters.bayesian.segment_bayesian`.
    """
    loaded = load_particle_model(model)
    if isinstance(loaded, FieldModel):
        return segment_every_scale(micrograph.image, loaded, samples=samples, level=level, seed=seed)
    if micrograph.image.size > _MOST_PX_FOR_NETWORK:
        raise UsageError(
            f"{_name(micrograph)} is too large for a network: use `model={WATERSHED}`, or cut it into parts."
        )
    diameter_px = _in_px(diameter, micrograph)
    return segment_bayesian(micrograph.image, model=model, samples=samples, diameter_px=diameter_px, seed=seed)


def segment_by_component_tree(
    micrograph: Micrograph, *, polarity: Polarity = "auto", split: bool = True
) -> Segmentation:
    """Find particles without a network; see `emscout.particles.segmenters.multiscale.segment_component_tree`."""
    return Segmentation(segment_component_tree(micrograph.image, polarity=polarity, split=split)[0])


SEGMENTERS: dict[str, Segmenter] = {WATERSHED: segment_by_component_tree}
"""Segmenters by name, beside the networks; packages add theirs through the entry points ``emscout.segmenters``."""


def is_network(model: str) -> bool:
    """Whether a name means a network: one that is shipped, or an ONNX file."""
    return model in MODELS or model.lower().endswith(".onnx")


def find_segmenter(model: str | Path | Segmenter) -> Segmenter:
    """The segmenter that a name means.

    Parameters
    ----------
    model : str, Path or callable
        A name in `SEGMENTERS` or of an entry point, a network by its name in `emscout.models.MODELS` or by the path of
        its ONNX file, ``package.module:function``, or the segmenter itself.

    Raises
    ------
    UsageError
        When there is none of that name.
    """
    if callable(model):
        return model
    name = str(model)
    if name in SEGMENTERS:
        return SEGMENTERS[name]
    if is_network(name):
        return partial(segment_by_network, model=name)
    if _FUNCTION.fullmatch(name):
        return _import_function(name)
    for entry in entry_points(group=_GROUP, name=name):
        return _callable(entry.load(), name)
    known = ", ".join([*(one for one in MODELS if one.startswith("particles")), *SEGMENTERS, *_entry_names()])
    raise UsageError(
        f"There is no model '{name}': give {known}, the path of an .onnx file, or package.module:function."
    )


def _entry_names() -> list[str]:
    return sorted(entry.name for entry in entry_points(group=_GROUP))


def _import_function(name: str) -> Segmenter:
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"'{name}' cannot be imported ({error}): give an installed package.module:function."
        ) from error
    return _callable(found, name)


def _callable(found: Any, name: str) -> Segmenter:
    if not callable(found):
        raise UsageError(f"'{name}' is not a function: give one that takes a micrograph and returns labels.")
    return found


def check_settings(model: str, settings: Mapping[str, Any]) -> None:
    """Make sure that a segmenter heeds what is asked of it.

    Parameters
    ----------
    model : str
    settings : mapping of str to object
        Options by field; ``diameter``, ``samples``, ``level``, ``polarity``, ``split``, ``min_probability`` and
        ``max_uncertainty`` are checked.

    Raises
    ------
    UsageError
        When one of them is set that the segmenter does not use, or when there is no such segmenter.
    """
    taken = _parameters(find_segmenter(model))
    asked = [name for name, default in _SETTINGS.items() if name in settings and settings[name] != default]
    if is_network(model) and {"diameter", "level"} & set(asked):
        # A network that looks at every scale needs no diameter, and one that looks at one scale sees no levels.
        with suppress(ModelError):  # a file for another task is refused where it is used
            taken -= {"diameter" if isinstance(load_particle_model(model), FieldModel) else "level"}
    unused = [name for name in asked if name not in taken]
    if model == WATERSHED:
        unused += [name for name in ("min_probability", "max_uncertainty") if settings.get(name) is not None]
    if unused:
        spelled = " and ".join("`split=False`" if name == "split" else f"`{name}`" for name in unused)
        fits = model != WATERSHED and unused[0] in _parameters(segment_by_component_tree)
        raise UsageError(
            f"{model} does not use {spelled}: leave {'them' if len(unused) > 1 else 'it'} out"
            + (f", or use `model={WATERSHED}`." if fits else ".")
        )


def _parameters(segmenter: Segmenter) -> set[str]:
    """Names of the settings that a segmenter takes."""
    try:
        parameters = inspect.signature(segmenter).parameters.values()
    except ValueError:  # a builtin
        return set()
    return {one.name for one in parameters if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}


def model_checksum(model: str) -> str | None:
    """SHA-256 of a network's file; ``None`` of other segmenters.

    Raises
    ------
    ModelError
        When the network cannot be loaded.
    """
    return load_particle_model(model).sha256 if is_network(model) else None


def default_thresholds(model: str | Path) -> tuple[float | None, float | None]:
    """What validation of a network found best: the largest mean uncertainty, in nats, and the least probability."""
    loaded = load_particle_model(model)
    if isinstance(loaded, FieldModel):
        return None, loaded.description["min_probability"]
    return read_settings(loaded).max_uncertainty, None


def count_calibration(model: str | Path) -> dict[str, Any] | None:
    """What a network's validation says about the particles it misses: for `emscout.particles.recall.estimate_count`."""
    return load_particle_model(model).description["calibration"].get("count")


def segment_particles(
    micrograph: Micrograph,
    *,
    model: str | Path | Segmenter = DEFAULT_MODEL,
    min_diameter: str | None = None,
    max_diameter: str | None = None,
    **settings: Any,
) -> Segmentation:
    """Find the particles of a micrograph.

    Parameters
    ----------
    micrograph : Micrograph
    model : str, Path or callable
        See `find_segmenter`.
    min_diameter, max_diameter : str or None
        Equivalent circular diameter below or above which a particle is dropped, with its unit: ``"5nm"``, ``"12px"``.
    **settings
        ``diameter`` (str or None, the typical diameter with its unit), ``samples`` and ``seed`` (int), ``level``
        (``auto``, ``smallest``, ``largest`` or ``all``), ``polarity``
        (``auto``, ``bright`` or ``dark``), ``split`` (bool); each segmenter is given those it takes.

    Returns
    -------
    Segmentation
        Every particle found. With a network also the uncertainty of each pixel and the probability of each particle.

    Raises
    ------
    UsageError
        When a diameter is physical and the micrograph has no pixel size, the image is too large for a network, or what
        a segmenter returns is not a segmentation of the image.
    NothingToFindError
        When the image is constant or holds no finite pixel.
    ModelError
        When the network cannot be loaded.
    """
    smallest_px, largest_px = (_in_px(length, micrograph) for length in (min_diameter, max_diameter))
    segmenter = find_segmenter(model)
    taken = _parameters(segmenter)
    try:
        found = segmenter(micrograph, **{name: value for name, value in settings.items() if name in taken})
    except NothingToFindError as error:
        raise NothingToFindError(f"{_name(micrograph)}: {error}") from error
    found = _as_segmentation(found, micrograph.image.shape, model)
    if smallest_px is None and largest_px is None:
        return found
    # Dropped at the end, so that a bound changes nothing but what it drops.
    diameters_px = 2 * np.sqrt(_areas_px2(found.labels) / np.pi)
    return select_particles(found, (diameters_px >= (smallest_px or 0)) & (diameters_px <= (largest_px or np.inf)))


def _as_segmentation(found: Any, shape: tuple[int, ...], model: Any) -> Segmentation:
    """What a segmenter returned, its labels numbered without gaps."""
    if isinstance(found, Segmentation) and found.labels.shape == shape:
        return found
    labels = found.labels if isinstance(found, Segmentation) else np.asarray(found)
    name = model if isinstance(model, str) else getattr(model, "__name__", "the segmenter")
    if labels.shape != shape or labels.dtype.kind not in "iub" or (labels.size and labels.min() < 0):
        raise UsageError(
            f"{name} returned {labels.dtype} of shape {labels.shape} for an image of shape {shape}: a segmenter "
            "returns a Segmentation, or integers of the image's shape with 0 as background."
        )
    numbers, place = np.unique(labels, return_inverse=True)
    return Segmentation((place.reshape(shape) + int(numbers[0] != 0)).astype(np.int32))


def drop_annotations(found: Segmentation, annotations: np.ndarray) -> Segmentation:
    """Leave out what was found in banner, scale bar and label.

    Parameters
    ----------
    found : Segmentation
    annotations : ndarray of bool, shape (H, W)
        See `emscout.scale.annotation_mask`.
    """
    if not annotations.any():
        return found
    areas = _areas_px2(found.labels)
    under = np.bincount(found.labels[annotations], minlength=len(areas) + 1)[1:]
    return select_particles(found, under <= _MOST_UNDER_PRINT * areas)


def _areas_px2(labels: np.ndarray) -> np.ndarray:
    areas = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int64)
    # In parts: bincount turns its input into 64-bit integers, twice the memory of a large label image.
    for start in range(0, len(labels), 256):
        areas += np.bincount(labels[start : start + 256].ravel(), minlength=len(areas))
    return areas[1:]


def _in_px(length: str | None, micrograph: Micrograph) -> float | None:
    return None if length is None else parse_length_px(length, micrograph.nm_per_px, _name(micrograph))


def _name(micrograph: Micrograph) -> str:
    return "The image" if micrograph.path is None else str(micrograph.path)
