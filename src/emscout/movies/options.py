"""What a user may ask of a movie; the flags of the command are made from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from emscout.errors import UsageError
from emscout.models import MODELS
from emscout.particles.options import AnalyzeOptions
from emscout.particles.segment import DEFAULT_MODEL, WATERSHED, Polarity
from emscout.scale.calibrate import Trust
from emscout.units import parse_duration

__all__ = ["MovieOptions"]

# What means the same for a movie as for an image is told in the same words.
_TOLD: dict[str, Any] = {option.name: option.metadata for option in fields(AnalyzeOptions)}


@dataclass(frozen=True)
class MovieOptions:
    """What shapes the result of `follow`; every field is a flag of the command too.

    Raises
    ------
    UsageError
        When a length, a time or a name is not understood.
    """

    model: str = field(
        default=DEFAULT_MODEL,
        metadata={
            "help": f"How particles are found: the network {DEFAULT_MODEL}, {WATERSHED}, which needs no network, or an "
            ".onnx file of your own, such as the autoencoder that emscout train autoencoder made of this movie.",
            "metavar": "NAME|PATH",
        },
    )
    min_diameter: str | None = field(default=None, metadata=_TOLD["min_diameter"])
    max_diameter: str | None = field(default=None, metadata=_TOLD["max_diameter"])
    diameter: str | None = field(
        default=None,
        metadata={
            "help": "Typical diameter, e.g. 20nm or 40px; by default the network estimates it once, on the first "
            "good frames, for the whole movie.",
            "metavar": "LENGTH",
        },
    )
    samples: int = field(default=30, metadata=_TOLD["samples"])
    max_uncertainty: float | None = field(default=None, metadata=_TOLD["max_uncertainty"])
    min_probability: float | None = field(default=None, metadata=_TOLD["min_probability"])
    polarity: Polarity = field(
        default="auto",
        metadata={
            "help": "Are particles brighter or darker than what is around them? Decided from the frames, if not given."
        },
    )
    pixel_size: str | None = field(default=None, metadata=_TOLD["pixel_size"])
    trust: Trust | None = field(default=None, metadata=_TOLD["trust"])
    resample: bool = field(default=False, metadata=_TOLD["resample"])
    frame_time: str | None = field(
        default=None,
        metadata={
            "help": "Time from one frame to the next, e.g. 0.5s or 200ms, instead of what the file says; where neither "
            "tells, time is counted in frames.",
            "metavar": "TIME",
        },
    )
    keep_borders: bool = field(
        default=False,
        metadata={"help": "Look at the whole of every frame instead of the field that all frames have in common."},
    )
    save_aligned: bool = field(
        default=False, metadata={"help": "Also write the movie without its drift, as OUT/aligned.ome.tif."}
    )
    seed: int = field(default=0, metadata={"help": "Of whatever is random: the same seed gives the same results."})
    parquet: bool = field(default=False, metadata=_TOLD["parquet"])

    def __post_init__(self) -> None:
        if self.polarity not in ("auto", "bright", "dark"):
            raise UsageError(f"`polarity` is auto, bright or dark, not '{self.polarity}'.")
        if self.polarity != "auto" and self.model in MODELS:
            raise UsageError(f"`polarity` does not matter to {self.model}, which finds both: leave it out.")
        self.of_frames(self.diameter)
        if self.frame_time is not None:
            parse_duration(self.frame_time)

    @property
    def pixel_size_nm(self) -> float | None:
        return self.of_frames(None).pixel_size_nm

    @property
    def frame_time_s(self) -> float | None:
        return None if self.frame_time is None else parse_duration(self.frame_time)

    def of_frames(self, diameter: str | None) -> AnalyzeOptions:
        """The options for a single frame, with a typical diameter."""
        same = {name: getattr(self, name) for name in _FRAME_OPTIONS}
        return AnalyzeOptions(**same, diameter=diameter)


_FRAME_OPTIONS = (
    "model",
    "min_diameter",
    "max_diameter",
    "samples",
    "max_uncertainty",
    "min_probability",
    "pixel_size",
    "trust",
    "resample",
    "seed",
)
