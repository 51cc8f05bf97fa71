"""The layout of a picture that is a table: where its boxes stand, and how its arrows run, in points.

Rows and columns are as high and wide as what stands in them. Arrows are straight: level in a row, upright in a column.
"""

from __future__ import annotations

from .layout import Layout, Rectangle, Way, pieces_of
from .picture import LOOPS, Arrow, Picture
from .sizes import size, text_width

__all__ = ["placed"]

COLUMN_GAP, ROW_GAP = 24.0, 20.0
INSIDE_GAP = 4.0  # between rows of one frame
PADDING, TITLE = 6.0, 13.0  # of a frame


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
            width = text_width(frame.lines[0], 10) + 16
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
    layout = Layout(boxes, pieces, arrows)
    layout.add_title(picture, left, bottom, right, top)
    return layout


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


def route(arrow: Arrow, source: Rectangle, target: Rectangle) -> Way:
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
    """Where the line from the middle of a rectangle to a point leaves it."""
    x, y, w, h = place
    dx, dy = towards[0] - x, towards[1] - y
    share = min(w / 2 / abs(dx) if dx else 1e9, h / 2 / abs(dy) if dy else 1e9, 1.0)
    return x + dx * share, y + dy * share
