"""The layout of a picture on a grid: the places of its boxes and the ways of its arrows, in points.

Rows and columns are as high and wide as their boxes. Arrows are straight: level in a row, upright in a column.
"""

from __future__ import annotations

from collections import defaultdict

from .layout import Layout, Rectangle, Way, pieces_of
from .picture import LOOPS, Arrow, Box, Picture, Place
from .sizes import size, text_width

__all__ = ["grid_layout"]

COLUMN_GAP, ROW_GAP = 24.0, 20.0
INSIDE_GAP = 4.0  # between rows of one frame
DENSE_GAP = 2.0  # of a table
PADDING, TITLE = 6.0, 13.0  # of a frame; the title is at its foot, where no arrow runs


def grid_layout(picture: Picture) -> Layout:
    """The layout of a picture whose boxes have a column and a row."""
    every = [(box, box.at) for box in picture.boxes if box.at]
    widths, heights = sizes(every)
    frames = [at for box, at in every if box.role == "cell"]
    across = along(widths, dict.fromkeys(widths, DENSE_GAP if picture.dense else COLUMN_GAP))
    upward = along(heights, dict.fromkeys(heights, DENSE_GAP) if picture.dense else gaps(sorted(heights), frames))
    boxes = {box.id: rectangle(box, reach(across, at.column, at.columns), reach(upward, at.row, at.rows)) for box, at in every}
    pieces = {box.id: pieces_of(box, boxes[box.id]) for box, _ in every if box.pieces}
    arrows = {id(arrow): route(arrow, boxes[arrow.source], boxes[arrow.target]) for arrow in picture.arrows}
    left = min(x - w / 2 for x, _, w, _ in boxes.values()) - 4
    right = max(x + w / 2 for x, _, w, _ in boxes.values()) + 4
    bottom = min(y - h / 2 for _, y, _, h in boxes.values()) - 14
    top = max(y + h / 2 for _, y, _, h in boxes.values()) + 8
    layout = Layout(boxes, pieces, arrows)
    layout.add_title(picture, left, bottom, right, top)
    return layout


def sizes(every: list[tuple[Box, Place]]) -> tuple[dict[float, float], dict[float, float]]:
    """The width of each column, and the height of each row."""
    widths: dict[float, float] = defaultdict(float)
    heights: dict[float, float] = defaultdict(float)
    for box, at in every:
        frame = box.role == "cell"
        width, height = (text_width(box.lines[0], 10) + 16, 0.0) if frame else size(box)
        if at.columns == 1:
            widths[at.column] = max(widths[at.column], width)
        if at.rows == 1 and not frame:
            heights[at.row] = max(heights[at.row], height + (12.0 if box.pieces and box.lines else 0.0))
    return widths, heights


def gaps(rows: list[float], frames: list[Place]) -> dict[float, float]:
    """The gap above each row: small within a frame, larger at its borders."""
    bottoms, tops = {at.row for at in frames}, {at.row + at.rows - 1 for at in frames}
    found = {}
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        outside = ROW_GAP + PADDING * (row in tops) + (PADDING + TITLE) * (following in bottoms)
        found[row] = INSIDE_GAP if any(at.row <= row < at.row + at.rows - 1 for at in frames) else outside
    return found


def rectangle(box: Box, across: tuple[float, float], upward: tuple[float, float]) -> Rectangle:
    """A box in the middle of its columns and rows; a frame around them."""
    (left, right), (bottom, top) = across, upward
    width, height = size(box)
    if box.role == "cell":
        left, right, bottom, top = left - PADDING, right + PADDING, bottom - PADDING - TITLE, top + PADDING
        width, height = right - left, top - bottom
    return (left + right) / 2, (bottom + top) / 2, width, height


def along(sizes: dict[float, float], gaps: dict[float, float]) -> dict[float, tuple[float, float]]:
    """Beginning and end of each column or row, one after the other."""
    found, here = {}, 0.0
    for number in sorted(sizes):
        found[number] = (here, here + sizes[number])
        here += sizes[number] + gaps[number]
    return found


def reach(places: dict[float, tuple[float, float]], first: float, count: int) -> tuple[float, float]:
    """Beginning and end of several columns or rows together."""
    inside = [place for number, place in places.items() if first <= number < first + count]
    return min(a for a, _ in inside), max(b for _, b in inside)


def route(arrow: Arrow, source: Rectangle, target: Rectangle) -> Way:
    """The straight way of an arrow, or around its box if it leads back to it."""
    x, y, w, h = source
    u, v, a, b = target
    if arrow.role in LOOPS:
        right = x + w / 2
        around = [(right, y + h / 4), (right + 18, y + h / 4), (right + 18, y - h / 4), (right, y - h / 4)]
        return Way(around, (right + 24 + text_width(arrow.label, 9.5) / 2, y - 3))
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
    shift = (0.0, 6.0) if abs(end[0] - begin[0]) > abs(end[1] - begin[1]) else (text_width(arrow.label, 9.5) / 2 + 4, -3.0)
    return Way([begin, end], ((begin[0] + end[0]) / 2 + shift[0], (begin[1] + end[1]) / 2 + shift[1]))


def border(place: Rectangle, towards: tuple[float, float]) -> tuple[float, float]:
    """The point at which the line from the middle of a rectangle to another point leaves it."""
    x, y, w, h = place
    dx, dy = towards[0] - x, towards[1] - y
    share = min(w / 2 / abs(dx) if dx else 1e9, h / 2 / abs(dy) if dy else 1e9, 1.0)
    return x + dx * share, y + dy * share
