"""Options of following particles through a movie."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Annotated, Any

from annotated_types import Ge, Interval

from emscout.options import options_class
from emscout.particles.options import ParticleOptions
from emscout.particles.segment import DEFAULT_MODEL, WATERSHED, Polarity, check_settings
from emscout.scale.calibrate import Trust
from emscout.units import parse_duration

__all__ = ["MovieOptions"]

# An option that means the same for a movie as for an image has the same help.
_SAME: dict[str, Any] = {option.name: option.metadata for option in fields(ParticleOptions)}


@options_class
class MovieOptions:
    """Options of `follow_particles` and `follow`; every field is also an option of the command.

    Raises
    ------
    UsageError
        When a length, a time or a name is not understood, or an option has no effect on the model.
    """

    model: str = field(
        default=DEFAULT_MODEL,
        metadata={
            "help": f"How particles are found: {DEFAULT_MODEL} (the network that comes with emscout), {WATERSHED} (no "
            "network), the path of your own .onnx file, such as the autoencoder that emscout train autoencoder made "
            "from this movie, or package.module:function (your own segmenter).",
            "metavar": "NAME|PATH",
        },
    )
    min_diameter: str | None = field(default=None, metadata=_SAME["min_diameter"])
    max_diameter: str | None = field(default=None, metadata=_SAME["max_diameter"])
    diameter: str | None = field(
        default=None,
        metadata={
            "help": "Typical diameter, e.g. 20nm or 40px; by default the network estimates it once, from the first "
            "good frames, for the whole movie.",
            "metavar": "LENGTH",
        },
    )
    samples: Annotated[int, Ge(1)] = field(default=30, metadata=_SAME["samples"])
    max_uncertainty: Annotated[float, Ge(0)] | None = field(default=None, metadata=_SAME["max_uncertainty"])
    min_probability: Annotated[float, Interval(ge=0, le=1)] | None = field(
        default=None, metadata=_SAME["min_probability"]
    )
    polarity: Polarity = field(
        default="auto",
        metadata={
            "help": "Watershed and autoencoders only: whether particles are brighter or darker than their "
            "surroundings; by default decided from the first good frames."
        },
    )
    pixel_size: str | None = field(default=None, metadata=_SAME["pixel_size"])
    trust: Trust | None = field(default=None, metadata=_SAME["trust"])
    resample: bool = field(default=False, metadata=_SAME["resample"])
    frame_time: str | None = field(
        default=None,
        metadata={
            "help": "Time from one frame to the next, e.g. 0.5s or 200ms, instead of the one in the file; where it is "
            "not known, time is counted in frames.",
            "metavar": "TIME",
        },
    )
    keep_borders: bool = field(
        default=False,
        metadata={"help": "Measure the whole of every frame instead of the field that all frames have in common."},
    )
    save_aligned: bool = field(
        default=False, metadata={"help": "Also write the movie without its drift, as OUT/aligned.ome.tif."}
    )
    seed: Annotated[int, Ge(0)] = field(default=0, metadata=_SAME["seed"])
    parquet: bool = field(default=False, metadata=_SAME["parquet"])

    def __post_init__(self) -> None:
        self.for_frames()
        # An .onnx file may hold an autoencoder, to which polarity matters: only its content tells.
        if not self.model.lower().endswith(".onnx"):
            check_settings(self.model, {"polarity": self.polarity})
        if self.frame_time is not None:
            parse_duration(self.frame_time)

    @property
    def pixel_size_nm(self) -> float | None:
        return self.for_frames().pixel_size_nm

    @property
    def frame_time_s(self) -> float | None:
        return None if self.frame_time is None else parse_duration(self.frame_time)

    def for_frames(self) -> ParticleOptions:
        """The options that mean the same for each frame as for an image."""
        return ParticleOptions(**{name: getattr(self, name) for name in _FOR_FRAMES})


_FOR_FRAMES = (
    "model",
    "min_diameter",
    "max_diameter",
    "diameter",
    "samples",
    "max_uncertainty",
    "min_probability",
    "pixel_size",
    "trust",
    "resample",
    "seed",
)
