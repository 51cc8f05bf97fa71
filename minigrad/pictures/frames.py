"""The layout of a picture of time steps: frames in a row, in each the same ops at the same places, in points.

Graphviz lays out such a picture as a whole, slowly, and every step a little differently. Here a frame is laid out on its own:
columns by how many ops lie before a box; lines of one height through all frames for what is handed on (the tracks of the
boxes); and the other boxes between these lines, near to what they are connected with. Long arrows keep a place in every column
that they pass. So equal steps look equal, the states stand on straight lines, and time is linear in the number of steps.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from .levels import Item, settle
from .picture import Arrow, Group, Picture
from .table import HEAD, Layout, Point, Rectangle, pieces_of, size, spline, title_of

__all__ = ["framed"]

GAP = 24.0  # between columns
PADDING, TITLE, BETWEEN = 8.0, 15.0, 12.0  # of a frame, and between frames
THIN = 4.0  # the height of a passing arrow
FAR = 40  # an arrow over more frames keeps no place in those between: T such arrows would take T * T places
MOST_CORNERS = 200  # of an arrow: Graphviz reads no text of more than 16384 characters


@dataclass
class Frame:
    group: Group
    items: dict[str, Item] = field(default_factory=dict)
    columns: list[list[Item]] = field(default_factory=list)
    ways: dict[int, list[Item]] = field(default_factory=dict)  # by the number of an arrow: the columns that it passes here
    left: float = 0.0
    xs: list[tuple[float, float]] = field(default_factory=list)  # where each column begins and ends
    width: float = 0.0


def framed(picture: Picture) -> Layout:
    """Where everything stands."""
    arrows = picture.all_arrows()
    groups = with_outsiders(picture, arrows)
    home = {box.id: i for i, group in enumerate(groups) for box in group.boxes}
    frames = [Frame(group) for group in groups]
    lanes: dict[str, int] = {}
    for frame in frames:
        for box in frame.group.boxes:
            frame.items[box.id] = Item(box.id, *size(box), track=box.track)
            if box.track and box.role not in ("initial", "strip"):
                lanes.setdefault(box.track, len(lanes))
    for frame in frames:
        for item in frame.items.values():
            if item.track not in lanes:
                item.track = ""
    inner: list[list[tuple[int, Arrow]]] = [[] for _ in frames]
    outer: list[tuple[int, Arrow]] = []
    for n, arrow in enumerate(arrows):
        here = home[arrow.source]
        (inner[here] if here == home[arrow.target] else outer).append((n, arrow))
    for frame, own in zip(frames, inner, strict=True):
        arrange(frame, own)
    for n, arrow in outer:
        pass_through(n, arrow, frames, home, lanes)
    settle([column for frame in frames for column in frame.columns], lanes)
    boxes = place(frames)
    rectangles: dict[str, Rectangle] = {}
    bottom = min(y - h / 2 for _, y, _, h in boxes.values()) - PADDING - 8
    top = max(y + h / 2 for _, y, _, h in boxes.values()) + PADDING
    for frame in frames:
        if frame.group.framed:
            rectangles[frame.group.id] = (frame.left, bottom, frame.left + frame.width, top + TITLE)
    routes = [route(n, arrow, boxes, frames, home) for n, arrow in enumerate(arrows)]
    numbers = {id(arrow): way for arrow, way in zip(arrows, routes, strict=True)}
    right = frames[-1].left + frames[-1].width
    lines, middle, height = title_of(picture.title, 0.0, right, top + TITLE + 6)
    pieces = {box.id: pieces_of(box, boxes[box.id]) for box in picture.all_boxes() if box.pieces}
    return Layout(boxes, pieces, numbers, lines, middle, (0.0, bottom - 4, right, top + TITLE + 6 + height), rectangles)


def with_outsiders(picture: Picture, arrows: list[Arrow]) -> list[Group]:
    """The groups, and between them what stands in none: after the last that leads to it, or before the first it leads to."""
    slots = {box.id: i for i, group in enumerate(picture.groups) for box in group.boxes}
    into: dict[str, list[str]] = {}
    out: dict[str, list[str]] = {}
    for arrow in arrows:
        into.setdefault(arrow.target, []).append(arrow.source)
        out.setdefault(arrow.source, []).append(arrow.target)
    inside = set(slots)
    forward = max((i for i, group in enumerate(picture.groups) if not group.backward), default=-1)
    for box in picture.boxes:  # a box stands in the list after those that lead to it
        least = forward if box.role in ("backward", "gradient") else -1  # a backward pass begins after the forward pass
        slots[box.id] = max((slots.get(id, -1) for id in into.get(box.id, ())), default=-1)
        slots[box.id] = max(slots[box.id], least)
    for box in reversed(picture.boxes):
        if slots[box.id] == -1:
            slots[box.id] = max(min((slots[id] - (id in inside) for id in out.get(box.id, ())), default=-1), -1)
    between: list[Group] = [Group(f"outside{i}", "", framed=False) for i in range(len(picture.groups) + 1)]
    for box in picture.boxes:
        between[slots[box.id] + 1].boxes.append(box)
    found = [between[0]]
    for group, outside in zip(picture.groups, between[1:], strict=True):
        found += [group, outside]
    return [group for group in found if group.boxes]


def arrange(frame: Frame, inner: list[tuple[int, Arrow]]) -> None:
    """Columns: a box stands after all that lead to it, a leaf just before what it leads to."""
    after: dict[str, list[str]] = {id: [] for id in frame.items}
    waiting = dict.fromkeys(frame.items, 0)
    for _, arrow in inner:
        one, other = (arrow.target, arrow.source) if arrow.back else (arrow.source, arrow.target)
        after[one].append(other)
        waiting[other] += 1
    leaves = [id for id, count in waiting.items() if not count]
    queue = list(leaves)
    for id in queue:
        for other in after[id]:
            frame.items[other].column = max(frame.items[other].column, frame.items[id].column + 1)
            waiting[other] -= 1
            if not waiting[other]:
                queue.append(other)
    for id in leaves:
        if after[id]:
            frame.items[id].column = min(frame.items[other].column for other in after[id]) - 1
    count = max(item.column for item in frame.items.values()) + 1
    frame.columns = [[] for _ in range(count)]
    for item in frame.items.values():
        frame.columns[item.column].append(item)
    for n, arrow in inner:
        start, end = frame.items[arrow.source], frame.items[arrow.target]
        passed = between(start.column, end.column)
        thread(frame, n, start, passed, end)


def between(one: int, other: int) -> range:
    return range(one + 1, other) if one < other else range(one - 1, other, -1)


def thread(frame: Frame, n: int, start: Item | None, passed: range, end: Item | None, track: str = "") -> None:
    """Keep a place for an arrow in the columns that it passes."""
    straight = start.track if start and end and start.track == end.track else track
    way = [Item("", 0.0, THIN, straight, column) for column in passed]
    for item in way:
        frame.columns[item.column].append(item)
    chain = [item for item in (start, *way, end) if item is not None]
    for one, other in itertools.pairwise(chain):
        one.near.append(other)
        other.near.append(one)
    frame.ways.setdefault(n, []).extend(way)


def pass_through(n: int, arrow: Arrow, frames: list[Frame], home: dict[str, int], lanes: dict[str, int]) -> None:
    """An arrow from one frame to another: out of the one, through those between, into the other."""
    i, j = home[arrow.source], home[arrow.target]
    start, end = frames[i].items[arrow.source], frames[j].items[arrow.target]
    track = start.track or end.track
    forward = i < j
    last = len(frames[i].columns)
    thread(frames[i], n, start, range(start.column + 1, last) if forward else range(start.column - 1, -1, -1), None, track)
    for k in passed_frames(i, j):
        whole = range(len(frames[k].columns)) if forward else range(len(frames[k].columns) - 1, -1, -1)
        thread(frames[k], n, None, whole, None, track)
    last = len(frames[j].columns)
    passed = range(end.column) if forward else range(last - 1, end.column, -1)
    thread(frames[j], n, None, passed, end, track if not end.track or end.track == track else "")


def passed_frames(i: int, j: int) -> range:
    """The frames between two, in which an arrow keeps its place."""
    return range(0) if abs(j - i) > FAR else between(i, j)


def place(frames: list[Frame]) -> dict[str, Rectangle]:
    """The boxes in points, frame by frame from left to right."""
    boxes: dict[str, Rectangle] = {}
    here = 0.0
    for frame in frames:
        frame.left = here
        x = here + PADDING
        for column in frame.columns:
            width = max((item.width for item in column), default=0.0)
            frame.xs.append((x, x + width))
            for item in column:
                if item.id:
                    boxes[item.id] = (x + width / 2, item.y, item.width, item.height)
            x += width + GAP
        words = 11 * 0.55 * len(frame.group.title) + 2 * PADDING
        frame.width = max(x - GAP + PADDING - here, words)
        if frame.width == words:  # a title wider than its frame
            shift = (words - (x - GAP + PADDING - here)) / 2
            frame.xs = [(begin + shift, end + shift) for begin, end in frame.xs]
            for item in frame.items.values():
                x, *rest = boxes[item.id]
                boxes[item.id] = (x + shift, rest[0], rest[1], rest[2])
        here += frame.width + BETWEEN
    return boxes


def route(n: int, arrow: Arrow, boxes: dict[str, Rectangle], frames: list[Frame], home: dict[str, int]) -> tuple[str, str]:
    """A curve from box to box, level within columns, with its bends between them."""
    i, j = home[arrow.source], home[arrow.target]
    order = dict.fromkeys((i, *passed_frames(i, j), j))
    x, y, w, _ = boxes[arrow.source]
    u, v, a, _ = boxes[arrow.target]
    sign = 1 if u > x else -1
    out, into = frames[i].xs[frames[i].items[arrow.source].column], frames[j].xs[frames[j].items[arrow.target].column]
    tip = (u - sign * a / 2, v)
    points: list[Point] = [(x + sign * w / 2, y), (out[sign > 0], y)]
    for k in order:
        for item in frames[k].ways.get(n, ()):
            begin, end = frames[k].xs[item.column][::sign]
            points += [(begin, item.y), (end, item.y)]
    points += [(into[sign < 0], v), (tip[0] - sign * HEAD, v)]
    corners = [points[0]]
    for k, point in enumerate(points[1:-1], 1):  # on one level the line goes on; a bend is between two columns
        if point != corners[-1] and not point[1] == corners[-1][1] == points[k + 1][1]:
            corners.append(point)
    corners = [*corners[:: 1 + len(corners) // MOST_CORNERS], points[-1]]
    curve = [corners[0]]
    for (a_x, a_y), (b_x, b_y) in itertools.pairwise(corners):
        half = (b_x - a_x) / 2
        curve += [(a_x + half, a_y), (a_x + half, b_y), (b_x, b_y)]
    middle = curve[len(curve) // 2]
    ends = (curve[0][0] + curve[-1][0]) / 2 if len(corners) == 2 else middle[0]
    return spline(curve, tip), f"{ends:g},{middle[1] + 7:g}"
