"""What every step passes on: Calibration, Micrograph, Series, Segmentation, Notice, Report.

Coordinates are (row, col) everywhere; a quantity carries its unit as a suffix
(``_px``, ``_px2``, ``_nm``, ``_nm2``, ``_s``, ``_nats``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emscout.errors import CalibrationError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Calibration", "Micrograph", "Notice", "Report", "Segmentation", "Series", "spell_notices"]

CalibrationSource = Literal["metadata", "scale-bar", "user"]


@dataclass(frozen=True)
class Calibration:
    """The size of a (square) pixel. An image without one has ``None``, never 1.

    Parameters
    ----------
    nm_per_px : float
        Edge length of a pixel in nanometres; finite and positive.
    source : {'metadata', 'scale-bar', 'user'}
        Where the number comes from.
    relative_error : float or None
        One standard deviation of ``nm_per_px`` divided by it, where known.

    Raises
    ------
    CalibrationError
        When ``nm_per_px`` is not a finite positive number.
    """

    nm_per_px: float
    source: CalibrationSource
    relative_error: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.nm_per_px) and self.nm_per_px > 0):
            raise CalibrationError(
                f"A pixel size of {self.nm_per_px} nm makes no sense: give a positive length such as 0.5nm."
            )


@dataclass(frozen=True)
class Notice:
    """A warning that travels with a result: into its tables, its report, the terminal, the app and Python.

    Parameters
    ----------
    code : str
        Short and stable, to select by: ``pixel-size``, ``doubtful``, ``empty``, …
    sentence : str
        What the user should know.
    remedy : str
        What can be done about it, a sentence; may be empty. Options are named by field in backticks.
    image : str
        The image it is about, where a result is about several.

    Examples
    --------
    >>> print(Notice("empty", "No particles stand out.", "Try another `diameter`."))
    No particles stand out. Try another `diameter`.
    """

    code: str
    sentence: str
    remedy: str = ""
    image: str = ""

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


def spell_notices(notices: Iterable[Notice]) -> str:
    """Notices as the text of one cell of a table: ``[code] sentence remedy``, one after the other."""
    return " ".join(f"[{notice.code}] {notice}" for notice in notices)


@dataclass(frozen=True)
class Micrograph:
    """One image with what is known about it.

    Parameters
    ----------
    image : ndarray, shape (H, W)
        Grey values in the dtype they were recorded in.
    calibration : Calibration or None
        ``None`` when the pixel size is unknown.
    metadata : dict
        Metadata of the file, as read; JSON-like.
    path : Path or None
        The file it came from.
    scale : ScaleReading, NoScale or None
        What is printed in it; set by `emscout.calibrate`.
    recorded : Calibration or None
        The calibration in the file; set by `emscout.calibrate`, which may have decided otherwise.
    warnings : tuple of Notice
        What the user should know about it.
    """

    image: np.ndarray
    calibration: Calibration | None = None
    metadata: dict[str, Any] = field(default_factory=dict, repr=False)
    path: Path | None = None
    scale: Any = field(default=None, repr=False)
    recorded: Calibration | None = field(default=None, repr=False)
    warnings: tuple[Notice, ...] = ()

    def __post_init__(self) -> None:
        if np.ndim(self.image) != 2:
            raise ValueError(f"A micrograph is a 2-D array of grey values, not {np.ndim(self.image)}-D.")

    @property
    def nm_per_px(self) -> float | None:
        """Pixel size in nm, or ``None`` where the image is uncalibrated."""
        return None if self.calibration is None else self.calibration.nm_per_px


@dataclass(frozen=True)
class Series:
    """Frames that are read on demand; pickled without pixels.

    Parameters
    ----------
    load_frame : callable
        ``load_frame(i) -> ndarray (H, W)``; picklable (a module-level function or
        a ``functools.partial`` of one), because worker processes receive it.
    length : int
        Number of frames.
    shape : tuple of int
        (height_px, width_px) of a frame.
    dtype : numpy dtype
        Of a frame.
    times_s : ndarray, shape (length,), or None
        Start of each frame in seconds from the first, where known.
    calibration, metadata, path, warnings
        As in `Micrograph`; one calibration for all frames.
    """

    load_frame: Callable[[int], np.ndarray]
    length: int
    shape: tuple[int, int]
    dtype: np.dtype
    times_s: np.ndarray | None = None
    calibration: Calibration | None = None
    metadata: dict[str, Any] = field(default_factory=dict, repr=False)
    path: Path | None = None
    warnings: tuple[Notice, ...] = ()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Micrograph:
        if not -self.length <= index < self.length:
            raise IndexError(f"frame {index} of a series of {self.length}")
        return Micrograph(self.load_frame(index % self.length), self.calibration, self.metadata, self.path)

    def __iter__(self) -> Iterator[Micrograph]:
        return (self[i] for i in range(self.length))


@dataclass(frozen=True)
class Segmentation:
    """Which pixel belongs to which particle.

    Parameters
    ----------
    labels : ndarray of int32, shape (H, W)
        0 is background; particles are numbered 1..n without gaps.
    uncertainty : ndarray of float32, shape (H, W), or None
        Per-pixel epistemic uncertainty in nats, where the method gives one.
    score : ndarray of float, shape (n,), or None
        Score of particle ``i + 1``, where the method gives one.
    cores : ndarray of int32, shape (H, W), or None
        Where particles are cores in shells: the number of the particle to whose core a pixel belongs.
    warnings : tuple of Notice
        What the method says about the image.
    """

    labels: np.ndarray
    uncertainty: np.ndarray | None = None
    score: np.ndarray | None = None
    cores: np.ndarray | None = None
    warnings: tuple[Notice, ...] = ()

    def __post_init__(self) -> None:
        if self.labels.ndim != 2 or self.labels.dtype != np.int32:
            raise ValueError("labels must be a 2-D int32 array with 0 as background.")


@dataclass(frozen=True)
class Report:
    """The result of a function for folders.

    Parameters
    ----------
    tables : dict of str to DataFrame
        By name, as they are saved (``particles``, ``images``, …).
    options : dict
        Every option that shaped the result, JSON-like.
    provenance : dict
        Versions, seed, SHA-256 of the inputs.
    folder : Path or None
        Where it was saved.
    warnings : tuple of Notice
        What the user should know first, in the order of the images.
    """

    tables: dict[str, pd.DataFrame]
    options: dict[str, Any]
    provenance: dict[str, Any]
    folder: Path | None = None
    warnings: tuple[Notice, ...] = ()
