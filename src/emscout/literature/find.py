"""From a figure to its panels in memory: letter, kind, pixels, scale, and the pictures inset into each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emscout.io.colour import colours_of
from emscout.literature.kinds import Kind, kind_of_panel
from emscout.literature.panels.boxes import Box
from emscout.literature.panels.insets import find_insets
from emscout.literature.panels.letters import letters_among, read_letters, read_text
from emscout.literature.panels.split import split_at_letters, split_figure
from emscout.literature.panels.surfaces import luminance
from emscout.literature.scales import scale_of_panel
from emscout.literature.sources.captions import scale_bar_nm, technique_of, text_of_panel
from emscout.literature.sources.pictures import read_figure, to_colours
from emscout.micrograph import Micrograph, Notice, spell_notices

__all__ = ["Panel", "PanelResult", "find_panels", "iterate_panels"]

# Techniques whose pictures are grey and filled as micrographs are, but show no particles to be measured.
_NOT_MEASURED = ("diffraction", "elemental map", "AFM", "fluorescence", "optical")
_BESIDE_PX = 12


@dataclass(frozen=True, eq=False)
class Panel:
    """One panel of a figure.

    Parameters
    ----------
    name : str
        Unique in its figure: the letter, or else its number; with ``-inset`` for an inset.
    letter : str
        In lower case; empty where there is none. That of an inset is ``b-inset``, or ``inset``.
    kind : {'micrograph', 'plot', 'drawing', 'photograph'}
    box : Box
        ``top``, ``left``, ``bottom``, ``right`` in pixels of the figure, the ends not included.
    pixels : ndarray of uint8, shape (H, W, 3)
        As printed; insets are painted over.
    micrograph : Micrograph
        The same in grey values, with the pixel size where a scale was read.
    hidden : ndarray of bool, shape (H, W)
        Where insets cover the specimen: ``find_particles(panel.micrograph, hidden=panel.hidden)``.
    caption, technique : str
        What the caption says of the panel; empty without a caption.
    scale, scale_note : str
        Length of the scale bar as printed; where the scale comes from, or why there is none.
    insets : tuple of Panel
        Pictures inside it that show something else.
    """

    name: str
    letter: str
    kind: Kind
    box: Box
    pixels: np.ndarray
    micrograph: Micrograph
    hidden: np.ndarray
    caption: str = ""
    technique: str = ""
    scale: str = ""
    scale_note: str = ""
    insets: tuple[Panel, ...] = ()

    @property
    def is_measurable(self) -> bool:
        """Whether it is a micrograph, recorded by a technique that shows particles."""
        return self.kind == "micrograph" and self.technique not in _NOT_MEASURED

    @property
    def warnings(self) -> tuple[Notice, ...]:
        """What the user should know about it."""
        return tuple(replace(notice, image=self.name) for notice in self.micrograph.warnings)


@dataclass(frozen=True, eq=False)
class PanelResult:
    """What `find_panels` found in a figure.

    Parameters
    ----------
    panels : tuple of Panel
        In reading order: row by row, from the left.
    table : DataFrame
        One row per panel or inset: ``panel`` (its letter), ``kind``, ``technique``, ``top_px``, ``left_px``,
        ``height_px``, ``width_px``, ``scale``, ``nm_per_px``, ``scale_note`` and ``warnings``.
    warnings : tuple of Notice
    """

    panels: tuple[Panel, ...]
    table: pd.DataFrame
    warnings: tuple[Notice, ...] = ()


def find_panels(picture: str | Path | np.ndarray | Micrograph, *, caption: str = "") -> PanelResult:
    """Split a figure of a paper into its panels, and read their scales.

    Parameters
    ----------
    picture : str, Path, ndarray or Micrograph
        A figure: PNG, JPEG, TIFF or BMP; grey values (H, W) or red, green, blue (H, W, 3).
    caption : str
        Of the figure: it names the technique of each panel and the length of a scale bar without a label.

    Returns
    -------
    PanelResult

    Raises
    ------
    ReadError
        When the file cannot be read, or has more than 80 million pixels.

    Examples
    --------
    >>> import emscout as em
    >>> from emscout.synthetic.figure import make_figure
    >>> figure = make_figure((2,), kinds=("micrograph", "plot"), seed=2)
    >>> found = em.find_panels(figure.image)
    >>> [(panel.letter, panel.kind) for panel in found.panels]
    [('a', 'micrograph'), ('b', 'plot')]
    >>> em.find_particles(found.panels[0].micrograph, model="watershed").micrograph.nm_per_px is not None
    True
    """
    image = read_figure(Path(picture)) if isinstance(picture, str | Path) else to_colours(colours_of(picture))
    panels = tuple(iterate_panels(image, caption))
    everything = [one for panel in panels for one in (panel, *panel.insets)]
    rows = [_row(panel) for panel in everything]
    columns = ["panel", "kind", "technique", "top_px", "left_px", "height_px", "width_px"]
    table = pd.DataFrame(rows, columns=[*columns, "scale", "nm_per_px", "scale_note", "warnings"])
    return PanelResult(panels, table, tuple(notice for panel in everything for notice in panel.warnings))


def _row(panel: Panel) -> dict[str, Any]:
    return {
        "panel": panel.letter,
        "kind": panel.kind,
        "technique": panel.technique,
        "top_px": panel.box.top,
        "left_px": panel.box.left,
        "height_px": panel.box.height,
        "width_px": panel.box.width,
        "scale": panel.scale,
        "nm_per_px": panel.micrograph.nm_per_px,
        "scale_note": panel.scale_note,
        "warnings": spell_notices(panel.warnings),
    }


def iterate_panels(image: np.ndarray, caption: str = "") -> Iterator[Panel]:
    """The panels of a figure, one after the other, so that the pixels of only one need to be in memory.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    caption : str
    """
    lines = read_text(image)
    boxes = split_at_letters(image, split_figure(image), letters_among(lines))
    for number, (box, letter) in enumerate(zip(boxes, read_letters(image, boxes, lines), strict=True), 1):
        yield _panel(image, box, letter, letter or str(number), caption)


def _panel(image: np.ndarray, box: Box, letter: str, name: str, caption: str) -> Panel:
    """A panel with the pictures that are inset into it."""
    pixels = np.array(image[box.slices])
    kind = kind_of_panel(pixels)
    found = find_insets(pixels) if kind == "micrograph" else []
    pictures = [np.ascontiguousarray(pixels[inset.picture.slices]) for inset in found]
    hidden = np.zeros(pixels.shape[:2], bool)
    for inset in found:
        pixels[inset.framed.slices] = _colour_around(pixels, inset.framed)
        hidden[inset.framed.slices] = True
    about = text_of_panel(caption, letter), technique_of(caption, letter)
    panel = Panel(name, letter, kind, box, pixels, _grey(pixels), hidden, *about)
    insets = []
    for number, (inset, picture) in enumerate(zip(found, pictures, strict=True), 1):
        suffix = f"-inset{number if len(found) > 1 else ''}"
        place = inset.picture.shifted(box.top, box.left)
        names = name + suffix, (letter + suffix).removeprefix("-")
        bare = np.zeros(picture.shape[:2], bool)
        inset_panel = Panel(*names, kind_of_panel(picture), place, picture, _grey(picture), bare, *about)
        insets.append(_with_scale(inset_panel, None))  # the caption is about the bar of the panel
    return replace(_with_scale(panel, scale_bar_nm(caption, letter)), insets=tuple(insets))


def _with_scale(panel: Panel, caption_nm: float | None) -> Panel:
    """Read the scale of a panel that can be measured."""
    if not panel.is_measurable:
        return panel
    scale = scale_of_panel(panel.pixels, caption_nm)
    micrograph = replace(
        panel.micrograph,
        calibration=scale.calibration,
        scale=scale.reading,
        recorded=scale.calibration,
        warnings=(Notice("pixel-size", scale.note),) if scale.is_contradictory else (),
    )
    return replace(panel, micrograph=micrograph, scale=scale.length, scale_note=scale.note)


def _grey(pixels: np.ndarray) -> Micrograph:
    return Micrograph(np.rint(luminance(pixels)).astype(np.uint8))


def _colour_around(pixels: np.ndarray, box: Box) -> np.ndarray:
    """The usual colour beside a place."""
    beside = Box(box.top - _BESIDE_PX, box.left - _BESIDE_PX, box.bottom + _BESIDE_PX, box.right + _BESIDE_PX)
    beside = beside.within(Box(0, 0, *pixels.shape[:2]))
    ring = np.ones(pixels.shape[:2], bool)[beside.slices]
    ring[box.shifted(-beside.top, -beside.left).slices] = False
    return np.median(pixels[beside.slices][ring], axis=0)
