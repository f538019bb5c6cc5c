"""Draws the frames of the clip of a movie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageColor, ImageDraw, ImageFont
from skimage.segmentation import find_boundaries

from emscout.movies.report.curves import EVENT_COLOURS
from emscout.movies.report.footage import Footage, aligned_labels, aligned_view, grey_limits
from emscout.movies.report.time_axis import TimeAxis
from emscout.report.overlay import add_scale_bar, load_font

__all__ = ["FATES", "Painter"]

# What becomes of a particle, and the colour of its outline: after Okabe & Ito, but brighter, to stand out from grey.
FATES = {
    "grows": "#ff8c1a",
    "shrinks": "#3fa9ff",
    "merges": "#ff4fc0",
    "does not change": "#c9d3da",
    "unclear": "#a48be0",
}
_MARKED = ("coalescence", "split", "vanished", "appeared")
_GREATEST_ENLARGEMENT = 4
_TAIL_FRAMES = 12
# A shorter path is an error of the centroid, not a movement.
_SHORTEST_TAIL_PX = 1.5


class _Seen(NamedTuple):
    """The particles of a frame: label, number, and where they are in the picture (row, column)."""

    label: np.ndarray
    particle: np.ndarray
    points: np.ndarray


class Painter:
    """Draws single frames; the same frame always gives the same picture.

    Parameters
    ----------
    footage : Footage
    particles : DataFrame
        ``particle``, ``mechanism``, ``by_exchange_px2``, ``end``.
    time_axis : TimeAxis
    side_px : int
        Longer side of the picture.
    mark_frames : int
        For how many frames an event stays marked.
    """

    def __init__(
        self, footage: Footage, particles: pd.DataFrame, time_axis: TimeAxis, side_px: int, mark_frames: int
    ) -> None:
        self._footage, self._time_axis, self._mark_frames = footage, time_axis, mark_frames
        height, width = footage.size
        self._scale = min(side_px / max(height, width), _GREATEST_ENLARGEMENT)
        self._size = (max(round(height * self._scale), 1), max(round(width * self._scale), 1))
        self._font_px = max(11, round(max(self._size) / 45))
        self._limits = grey_limits(footage)
        frame, label, particle = footage.tracks[["frame", "label", "particle"]].to_numpy(dtype=int).T
        points = (footage.in_view() + 0.5) * self._scale
        order = np.argsort(frame, kind="stable")
        present, starts = np.unique(frame[order], return_index=True)
        rows = np.split(order, starts[1:])
        self._by_frame = {
            int(number): _Seen(label[some], particle[some], points[some])
            for number, some in zip(present, rows, strict=False)
        }
        fate = dict(zip(particles["particle"], map(_fate, particles.to_dict("records")), strict=True))
        self._colour = {particle: ImageColor.getrgb(FATES[name]) for particle, name in fate.items()}
        self._shown = [name for name in FATES if name in set(fate.values())]
        events = footage.events
        self._since = events["frame"].to_numpy(dtype=int)
        self._kinds = events["kind"].to_numpy(dtype=str)
        self._areas_px2 = events[["area_before_px2", "area_after_px2"]].max(axis=1).fillna(0).to_numpy(dtype=float)
        self._places = (footage.events_in_view() + 0.5) * self._scale

    def paint(self, number: int) -> Image.Image:
        """A frame with outlines, paths and marks, below a strip with its time; both sides are even."""
        low, high = self._limits
        view = np.nan_to_num((aligned_view(self._footage, number, self._size) - low) / (high - low), nan=0.0)
        rgb = np.repeat((255 * view.clip(0, 1)).astype(np.uint8)[:, :, None], 3, axis=2)
        measured = number in self._footage.origins
        if measured:
            self._outline(rgb, number)
        picture = Image.fromarray(rgb)
        draw = ImageDraw.Draw(picture)
        if measured:
            self._draw_tails(draw, number)
        self._draw_marks(draw, number)
        head = self._head(number)
        # Video needs even sides.
        width, height = picture.width + picture.width % 2, head.height + picture.height
        whole = Image.new("RGB", (width, height + height % 2), "white")
        whole.paste(head, (0, 0))
        whole.paste(picture, (0, head.height))
        return whole

    def _outline(self, rgb: np.ndarray, number: int) -> None:
        labels = aligned_labels(self._footage, number, self._size)
        here = self._by_frame.get(number)
        colours = np.full((int(labels.max(initial=0)) + 1, 3), ImageColor.getrgb(FATES["unclear"]), dtype=np.uint8)
        if here is not None:
            for label, particle in zip(here.label.tolist(), here.particle.tolist(), strict=True):
                if label < len(colours) and particle in self._colour:
                    colours[label] = self._colour[particle]
        for _ in range(2 if self._scale >= 1.8 else 1):
            edge = find_boundaries(labels, connectivity=1, mode="inner", background=0)
            rgb[edge] = colours[labels[edge]]
            labels = np.where(edge, 0, labels)

    def _draw_tails(self, draw: ImageDraw.ImageDraw, number: int) -> None:
        past = [self._by_frame[i] for i in range(max(number - _TAIL_FRAMES, 0), number + 1) if i in self._by_frame]
        if number not in self._by_frame or len(past) < 2:
            return
        particle, points = np.concatenate([some.particle for some in past]), np.vstack([some.points for some in past])
        order = np.argsort(particle, kind="stable")
        names, starts = np.unique(particle[order], return_index=True)
        here = set(self._by_frame[number].particle.tolist())
        for name, path in zip(names.tolist(), np.split(points[order], starts[1:]), strict=True):
            if name in here and math.hypot(*(path[-1] - path[0])) >= _SHORTEST_TAIL_PX * self._scale:
                draw.line([(col, row) for row, col in path.tolist()], self._colour.get(name, "white"), 2)

    def _draw_marks(self, draw: ImageDraw.ImageDraw, number: int) -> None:
        font = load_font(self._font_px)
        age = number - self._since
        for i in np.flatnonzero((age >= 0) & (age < self._mark_frames) & np.isin(self._kinds, _MARKED)):
            row, col = self._places[i]
            kind = self._kinds[i]
            reach = 1.4 * self._scale * math.sqrt(self._areas_px2[i] / math.pi) + 4
            draw.ellipse((col - reach, row - reach, col + reach, row + reach), outline=EVENT_COLOURS[kind], width=3)
            # Left of the mark where there is no room on the right.
            left = col + reach + draw.textlength(kind, font) + 4 > self._size[1]
            draw.text(
                (col - reach - 3 if left else col + reach + 3, row),
                kind,
                fill=EVENT_COLOURS[kind],
                font=font,
                anchor="rm" if left else "lm",
                stroke_width=2,
                stroke_fill="white",
            )

    def _head(self, number: int) -> Image.Image:
        """Scale bar, time, faults and colour key: at the top, where the buttons of a player do not hide them."""
        font, small = load_font(self._font_px), load_font(max(10, round(0.8 * self._font_px)))
        nothing = Image.new("RGB", (self._size[1], 0))
        bar = add_scale_bar(nothing, self._scale, self._footage.nm_per_px, font_px=self._font_px)
        rows = self._key(bar.width, small)
        line = round(1.5 * self._font_px)
        head = Image.new("RGB", (bar.width, bar.height + line * len(rows) + self._font_px // 3), "white")
        head.paste(bar, (0, 0))
        draw = ImageDraw.Draw(head)
        status = str(self._footage.drift["status"].iloc[number])
        when = self._time_axis.spell(number) + ("" if self._time_axis.unit == "frame" else f"  ·  frame {number}")
        measured = number in self._footage.origins
        if not measured:
            when += f"  ·  {status}, not measured" if status != "ok" else "  ·  not measured"
        right = bar.width - self._font_px // 2
        draw.text((right, bar.height // 2), when, fill="black" if measured else "#b3261e", font=font, anchor="rm")
        for i, row in enumerate(rows):
            left = float(self._font_px // 2)
            middle = bar.height + line * (i + 0.5)
            for name in row:
                draw.ellipse((left, middle - 5, left + 10, middle + 5), outline=FATES[name], width=3, fill="#4a4f54")
                draw.text((left + 15, middle), name, fill="black", font=small, anchor="lm")
                left += 15 + draw.textlength(name, small) + 1.2 * self._font_px
        return head

    def _key(self, width: int, font: ImageFont.FreeTypeFont) -> list[list[str]]:
        """The names in the key, as many in a line as there is room for."""
        rows: list[list[str]] = []
        left = math.inf
        for name in self._shown:
            needed = 15 + 1.2 * self._font_px + font.getlength(name)
            if left + needed > width:
                rows.append([])
                left = self._font_px / 2
            rows[-1].append(name)
            left += needed
        return rows


def _fate(particle: Mapping[Any, Any]) -> str:
    mechanism = particle["mechanism"]
    if particle["end"] == "coalescence" or mechanism == "coalescence":
        return "merges"
    if mechanism in ("ripening", "both"):
        return "grows" if particle["by_exchange_px2"] > 0 else "shrinks"
    return "does not change" if mechanism == "none" else "unclear"
