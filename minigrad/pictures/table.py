"""The layout of a picture that is a table: where its boxes stand, and how its arrows run, in points.

Rows and columns are as high and wide as what stands in them. Arrows are straight: level in a row, upright in a column.
"""

from __future__ import annotations

import textwrap
import unicodedata
from typing import NamedTuple

from .picture import Arrow, Box, Picture

__all__ = ["Layout", "placed"]

COLUMN_GAP, ROW_GAP = 24.0, 20.0
INSIDE_GAP = 4.0  # between rows of one frame
PADDING, TITLE = 6.0, 13.0  # of a frame
PIECE, STRIP = 6.0, 16.0  # width of a piece of a strip, and its height
HEAD = 5.0  # length of an arrow's head
FONT_SIZES = {"unit": 11, "sign": 28, "cell": 10, "words": 10, "alias": 8}

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]  # middle, width and height


class Layout(NamedTuple):
    boxes: dict[str, Rectangle]
    pieces: dict[str, list[Rectangle]]  # of strips
    arrows: dict[int, tuple[str, str]]  # by id() of an arrow its way, as Graphviz writes it, and where its label stands
    title: list[str]  # in lines as wide as the picture
    title_at: tuple[float, float]
    bounds: Rectangle  # left, bottom, right, top
    frames: dict[str, Rectangle]  # of groups, left, bottom, right, top


def placed(picture: Picture) -> Layout:
    """Where everything stands."""
    frames = [box for box in picture.boxes if box.role == "cell"]
    plain = [box for box in picture.boxes if box.role != "cell"]
    widths: dict[float, float] = {}
    heights: dict[float, float] = {}
    for box in plain:
        assert box.at is not None
        width, height = size(box)
        if box.at.columns == 1:
            widths[box.at.column] = max(widths.get(box.at.column, 0.0), width)
        if box.at.rows == 1:
            words = 12.0 if box.pieces and box.lines else 0.0
            heights[box.at.row] = max(heights.get(box.at.row, 0.0), height + words)
    for frame in frames:
        assert frame.at is not None
        if frame.at.columns == 1:
            width = text_width(frame.lines[:1], 10) - 4
            widths[frame.at.column] = max(widths.get(frame.at.column, 0.0), width)
    across = along(widths, dict.fromkeys(widths, COLUMN_GAP))
    bottoms = {frame.at.row for frame in frames if frame.at}
    inside = {row for f in frames if f.at for row in heights if f.at.row <= row < f.at.row + f.at.rows - 1}
    tops = {f.at.row + f.at.rows - 1 for f in frames if f.at}
    gaps = {}
    for row, following in zip(sorted(heights), [*sorted(heights)[1:], None], strict=True):
        gaps[row] = (
            INSIDE_GAP if row in inside else ROW_GAP + (PADDING + TITLE) * (row in tops) + PADDING * (following in bottoms)
        )
    upward = along(heights, gaps)
    boxes: dict[str, Rectangle] = {}
    for box in picture.boxes:
        assert box.at is not None
        left, right = reach(across, box.at.column, box.at.columns)
        bottom, top = reach(upward, box.at.row, box.at.rows)
        width, height = size(box)
        if box.role == "cell":
            left, right, bottom, top = left - PADDING, right + PADDING, bottom - PADDING, top + PADDING + TITLE
            width, height = right - left, top - bottom
        boxes[box.id] = ((left + right) / 2, (bottom + top) / 2, width, height)
    pieces = {box.id: pieces_of(box, boxes[box.id]) for box in plain if box.pieces}
    arrows = {id(arrow): route(arrow, boxes[arrow.source], boxes[arrow.target]) for arrow in picture.arrows}
    left = min(x - w / 2 for x, _, w, _ in boxes.values()) - 4
    right = max(x + w / 2 for x, _, w, _ in boxes.values()) + 4
    bottom = min(y - h / 2 for _, y, _, h in boxes.values()) - 14
    top = max(y + h / 2 for _, y, _, h in boxes.values()) + 8
    lines, middle, height = title_of(picture.title, left, right, top)
    return Layout(boxes, pieces, arrows, lines, middle, (left, bottom, right, top + height), {})


def title_of(title: str, left: float, right: float, bottom: float) -> tuple[list[str], Point, float]:
    """A title in lines as wide as the picture, where its middle stands, and its height."""
    lines = [part for line in title.split("\n") for part in textwrap.wrap(line, max(int((right - left) / 5.8), 60))]
    width, height = max(map(len, lines), default=0) * 11 * 0.44, 14.0 * len(lines)
    return lines, (left + width / 2, bottom + height / 2), height


def along(sizes: dict[float, float], gaps: dict[float, float]) -> dict[float, tuple[float, float]]:
    """Beginning and end of each column or row, one after the other."""
    found, here = {}, 0.0
    for number in sorted(sizes):
        found[number] = (here, here + sizes[number])
        here += sizes[number] + gaps[number]
    return found


def reach(places: dict[float, tuple[float, float]], first: float, count: int) -> tuple[float, float]:
    inside = [place for number, place in places.items() if first <= number < first + count]
    return min(a for a, _ in inside), max(b for _, b in inside)


def size(box: Box) -> tuple[float, float]:
    if box.pieces:
        return max(len(box.pieces) * PIECE, text_width([" ".join(box.lines)], 8)), STRIP
    points = FONT_SIZES.get(box.role, 9)
    width, height = text_width(box.lines, points), 1.25 * points * max(len(box.lines), 1) + 6
    if box.role == "unit":
        return (max(width, 30.0),) * 2
    if box.role == "sign":
        return 64.0, height
    if box.role == "loss":
        return width + 8, height + 6
    return max(width, 16.0), height


def text_width(lines: list[str], points: float) -> float:
    """About how wide a text is drawn, with a margin."""
    ems = (sum(1.1 if unicodedata.east_asian_width(c) in "WF" else 0.57 for c in line) for line in lines)
    return max(ems, default=0.0) * points + 10


def pieces_of(box: Box, place: Rectangle) -> list[Rectangle]:
    x, y, width, height = place
    each = width / len(box.pieces)
    return [(x - width / 2 + (i + 0.5) * each, y, each, height) for i in range(len(box.pieces))]


def route(arrow: Arrow, source: Rectangle, target: Rectangle) -> tuple[str, str]:
    x, y, w, h = source
    u, v, a, b = target
    if arrow.role in ("loop", "sum loop"):
        right = x + w / 2
        points = [(right - 2, y + h / 4), (right + 26, y + h), (right + 26, y - h), (right + 2, y - h / 4 - 1)]
        tip = (right - 2, y - h / 4)
        return spline(points, tip), f"{right + 22 + text_width([arrow.label], 8) / 2:g},{y:g}"
    if abs(v - y) <= max(h, b) / 2 and abs(u - x) > (w + a) / 4:  # side by side: level
        sign = 1 if u > x else -1
        level = y if b >= h else v
        begin, end = (x + sign * w / 2, level), (u - sign * a / 2, level)
    elif abs(u - x) <= max(w, a) / 2:  # one above the other: upright
        sign = 1 if v > y else -1
        middle = x if w <= a else u
        begin, end = (middle, y + sign * h / 2), (middle, v - sign * b / 2)
    else:
        begin, end = border(source, (u, v)), border(target, (x, y))
    dx, dy = end[0] - begin[0], end[1] - begin[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-6)
    stop = (end[0] - dx / length * HEAD, end[1] - dy / length * HEAD)
    third = ((stop[0] - begin[0]) / 3, (stop[1] - begin[1]) / 3)
    points = [begin, *((begin[0] + k * third[0], begin[1] + k * third[1]) for k in (1, 2)), stop]
    beside = text_width([arrow.label], 8) / 2
    shift = (0.0, 6.0) if abs(dx) > abs(dy) else (beside - 2, 0.0)
    return spline(points, end), f"{(begin[0] + end[0]) / 2 + shift[0]:g},{(begin[1] + end[1]) / 2 + shift[1]:g}"


def border(place: Rectangle, towards: tuple[float, float]) -> tuple[float, float]:
    """Where the line from the middle of a rectangle to a point leaves it."""
    x, y, w, h = place
    dx, dy = towards[0] - x, towards[1] - y
    share = min(w / 2 / abs(dx) if dx else 1e9, h / 2 / abs(dy) if dy else 1e9, 1.0)
    return x + dx * share, y + dy * share


def spline(points: list[tuple[float, float]], tip: tuple[float, float]) -> str:
    way = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f"e,{tip[0]:g},{tip[1]:g} {way}"
