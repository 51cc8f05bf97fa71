"""The places of boxes and the ways of arrows in a picture, in points: y grows upwards."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field

from .picture import Arrow, Box, Group, Picture
from .sizes import text_width

__all__ = ["BAR", "BESIDE_BAR", "LEADING", "Layout", "Point", "Rectangle", "Way", "cubics", "pieces_of", "rounded", "title_of"]

TITLE = 13.5
LEADING = 1.35 * TITLE  # between its lines
CORNER = 5.0  # radius
BAR, BESIDE_BAR = 110.0, 44.0  # the width of the colour bar, and of the number at each of its ends

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]  # the middle, width and height


@dataclass(slots=True)
class Way:
    """The corners of an arrow from its source to the tip, and the place of its label."""

    points: list[Point]
    label_at: Point = (0.0, 0.0)
    role: str = ""  # of an arrow that is part of a line along time: that of the line


@dataclass(slots=True)
class Layout:
    """The places of everything in a picture."""

    boxes: dict[str, Rectangle] = field(default_factory=dict)
    pieces: dict[str, list[Rectangle]] = field(default_factory=dict)  # of strips
    arrows: dict[int, Way] = field(default_factory=dict)  # by id() of an arrow
    frames: dict[str, Rectangle] = field(default_factory=dict)  # of groups
    title: list[str] = field(default_factory=list)  # in lines as wide as the picture
    title_at: Point = (0.0, 0.0)  # the left end of the first base line
    bounds: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # left, bottom, right, top

    def moved(self, by: float, groups: Iterable[Group], boxes: Iterable[Box], arrows: Iterable[Arrow]) -> Layout:
        """The places of some of it, moved to the right."""

        def right(rectangle: Rectangle) -> Rectangle:
            return (rectangle[0] + by, *rectangle[1:])

        def way(old: Way) -> Way:
            return Way([(x + by, y) for x, y in old.points], (old.label_at[0] + by, old.label_at[1]), old.role)

        return Layout(
            {box.id: right(self.boxes[box.id]) for box in boxes},
            {box.id: [*map(right, self.pieces[box.id])] for box in boxes if box.id in self.pieces},
            {id(arrow): way(self.arrows[id(arrow)]) for arrow in arrows if id(arrow) in self.arrows},
            {group.id: right(self.frames[group.id]) for group in groups if group.id in self.frames},
        )

    def add_title(self, picture: Picture, left: float, bottom: float, right: float, top: float) -> None:
        """Put the title above the picture, next to the colour bar, and set the bounds of the whole."""
        legend = text_width(picture.legend.words, 10) + BAR + 2 * BESIDE_BAR + 12 if picture.legend else 0.0
        if picture.title or legend:
            right = max(right, left + legend + min(text_width(picture.title, TITLE) + 16, 420.0))
        self.title = title_of(picture.title, right - left - legend)
        high = LEADING * len(self.title) + 6 if self.title else 0.0
        self.title_at = (left + 8, top + high - TITLE - 1)
        self.bounds = (left, bottom, right, top + high)


def title_of(title: str, width: float) -> list[str]:
    """A title in lines no wider than this."""
    found = []
    for line in title.split("\n"):
        whole = text_width(line, TITLE)
        letters = len(line) if whole <= width else max(int(len(line) * width / whole * 0.95), 40)
        found += textwrap.wrap(line, letters or 1)
    return found


def pieces_of(box: Box, place: Rectangle) -> list[Rectangle]:
    x, y, width, height = place
    each = width / len(box.pieces)
    return [(x - width / 2 + (i + 0.5) * each, y, each, height) for i in range(len(box.pieces))]


def rounded(points: list[Point], radius: float = CORNER) -> list[tuple[Point, ...]]:
    """The way along these corners, after its first point: straight to (end,), or around a corner to (corner, end)."""
    points = [p for i, p in enumerate(points) if i == 0 or math.dist(p, points[i - 1]) > 0.05]
    found: list[tuple[Point, ...]] = []
    for a, b, c in zip(points, points[1:], points[2:], strict=False):
        before, after = math.dist(a, b), math.dist(b, c)
        if abs((b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])) < 1e-6 * before * after:
            continue  # no corner
        r = min(radius, before / 2, after / 2)
        found.append(((b[0] + (a[0] - b[0]) / before * r, b[1] + (a[1] - b[1]) / before * r),))
        found.append((b, (b[0] + (c[0] - b[0]) / after * r, b[1] + (c[1] - b[1]) / after * r)))
    return [*found, (points[-1],)]


def cubics(points: list[Point]) -> list[Point]:
    """The same as cubic curves: a first point, then three for each curve."""
    found = [points[0]]
    for *corner, end in rounded(points):
        (x, y), (u, v) = found[-1], end
        a, b = corner[0] if corner else ((x + u) / 2, (y + v) / 2)
        found += [(x + 2 * (a - x) / 3, y + 2 * (b - y) / 3), (u + 2 * (a - u) / 3, v + 2 * (b - v) / 3), end]
    return found
