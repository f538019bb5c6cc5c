"""Rectangles of pixels in a figure, and cuts between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Box", "Cut"]


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a figure, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def area(self) -> int:
        return max(0, self.height) * max(0, self.width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """To take it out of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def shifted(self, rows: int, cols: int) -> Box:
        return Box(self.top + rows, self.left + cols, self.bottom + rows, self.right + cols)

    def scaled(self, factor: float) -> Box:
        """In an image ``factor`` times as large."""
        top, left, bottom, right = (round(edge * factor) for edge in self)
        return Box(top, left, bottom, right)

    def within(self, other: Box) -> Box:
        """The part of it that lies in the other."""
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def joined(self, other: Box) -> Box:
        """The smallest that holds both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def overlap(self, other: Box) -> int:
        """Number of pixels in both."""
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        width = min(self.right, other.right) - max(self.left, other.left)
        return max(0, height) * max(0, width)

    def gap(self, other: Box) -> int:
        """Pixels between the two along the axis where they are further apart; 0 where they touch or overlap."""
        rows = max(self.top, other.top) - min(self.bottom, other.bottom)
        cols = max(self.left, other.left) - min(self.right, other.right)
        return max(0, rows, cols)


class Cut(NamedTuple):
    """Lines ``start`` to ``stop`` along ``axis`` (not included; equal at a seam) separate two panels."""

    axis: int
    start: int
    stop: int
    strength: float
    colour: np.ndarray | None
