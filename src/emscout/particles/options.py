"""Options of finding and measuring particles."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from annotated_types import Ge, Interval

from emscout.errors import UsageError
from emscout.options import options_class
from emscout.particles.segment import DEFAULT_MODEL, WATERSHED, Polarity, check_settings
from emscout.particles.segmenters.nesting import Level
from emscout.scale.calibrate import Trust
from emscout.units import parse_length

__all__ = ["ParticleOptions"]


@options_class
class ParticleOptions:
    """Options of `analyze`; every field is also an option of the command.

    Raises
    ------
    UsageError
        When a length or a name is not understood.
    """

    model: str = field(
        default=DEFAULT_MODEL,
        metadata={
            "help": f"How particles are found: {DEFAULT_MODEL} (the network that comes with emscout), {WATERSHED} (no "
            "network), the path of your own .onnx file, or package.module:function (your own segmenter).",
            "metavar": "NAME|PATH",
        },
    )
    min_diameter: str | None = field(
        default=None,
        metadata={
            "help": "Drop particles with a smaller equivalent circular diameter, e.g. 5nm or 12px.",
            "metavar": "LENGTH",
        },
    )
    max_diameter: str | None = field(
        default=None,
        metadata={
            "help": "Drop particles with a larger equivalent circular diameter, e.g. 200nm or 400px.",
            "metavar": "LENGTH",
        },
    )
    diameter: str | None = field(
        default=None,
        metadata={
            "help": "Typical diameter, e.g. 20nm or 40px, where the network's own estimate fails.",
            "metavar": "LENGTH",
        },
    )
    level: Level = field(
        default="auto",
        metadata={
            "help": "Networks that look at every scale only: which particles count where some lie in or on larger "
            "ones, as on a support or in a shell: smallest, largest, or all; auto decides from the image, and says so."
        },
    )
    samples: Annotated[int, Ge(1)] = field(
        default=30,
        metadata={"help": "Number of Monte-Carlo samples of the network: more samples give a smoother uncertainty."},
    )
    max_uncertainty: Annotated[float, Ge(0)] | None = field(
        default=None,
        metadata={
            "help": "Drop particles with a larger uncertainty (nats); by default the threshold stored with the network."
        },
    )
    min_probability: Annotated[float, Interval(ge=0, le=1)] | None = field(
        default=None, metadata={"help": "Drop particles with a lower probability of being right, 0 to 1."}
    )
    polarity: Polarity = field(
        default="auto",
        metadata={"help": "Watershed only: whether particles are brighter or darker than their surroundings."},
    )
    split: bool = field(default=True, metadata={"help": "Watershed only: separate particles that touch."})
    pixel_size: str | None = field(
        default=None,
        metadata={
            "help": "Pixel size, e.g. 0.5nm: used instead of the one in the files.",
            "metavar": "LENGTH",
        },
    )
    trust: Trust | None = field(
        default=None,
        metadata={"help": "Pixel size to use where the file and the printed scale bar disagree: metadata or bar."},
    )
    resample: bool = field(
        default=False, metadata={"help": "Resample images whose pixels are not square instead of refusing them."}
    )
    seed: Annotated[int, Ge(0)] = field(
        default=0, metadata={"help": "Random seed of the Monte-Carlo samples and the bootstrap intervals."}
    )
    roi: bool = field(default=False, metadata={"help": "Also write outlines as ImageJ ROI zips, in OUT/rois."})
    coco: bool = field(default=False, metadata={"help": "Also write all outlines as OUT/coco.json."})
    parquet: bool = field(default=False, metadata={"help": "Also write the tables as Parquet."})

    def __post_init__(self) -> None:
        check_settings(self.model, vars(self))
        lengths = [length and parse_length(length) for length in (self.min_diameter, self.max_diameter, self.diameter)]
        if lengths[0] and lengths[1] and lengths[0][1] == lengths[1][1] and lengths[0][0] > lengths[1][0]:
            raise UsageError(
                f"`min_diameter` ({self.min_diameter}) must not be larger than `max_diameter` ({self.max_diameter})."
            )
        if self.pixel_size is not None:
            parse_length(self.pixel_size, px_allowed=False)

    @property
    def pixel_size_nm(self) -> float | None:
        return None if self.pixel_size is None else parse_length(self.pixel_size, px_allowed=False)[0]
