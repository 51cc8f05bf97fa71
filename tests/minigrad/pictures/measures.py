"""What can be seen of an SVG: boxes, frames and lines, and where they are in one another's way."""

import re
from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"
NEAR = 0.3  # points; places are written with one digit after the point


class Line(NamedTuple):
    source: str
    target: str
    role: str
    points: list[tuple[float, float]]  # from its beginning to the tip of its head


class Scene(NamedTuple):
    """Places are (x, y, width, height) of the middle; y grows downwards."""

    width: float
    height: float
    boxes: dict[str, tuple[float, float, float, float]]
    texts: dict[str, list[tuple[float, float, float, str]]]  # of a box: x, y, size, words
    frames: dict[str, tuple[float, float, float, float]]
    lines: list[Line]
    words: list[str]
    root: ElementTree.Element


def scene(svg):
    """What an SVG shows."""
    root = ElementTree.fromstring(svg)
    boxes, texts, frames, lines = {}, {}, {}, []
    for group in root.iter(f"{SVG}g"):
        kind = group.get("class")
        if kind == "node":
            texts[group.get("data-box")] = [written(text) for text in group.iter(f"{SVG}text")]
            shape = next((shape for tag in ("rect", "ellipse") if (shape := group.find(f".//{SVG}{tag}")) is not None), None)
            if shape is not None:
                boxes[group.get("data-box")] = place(shape)
        elif kind == "cluster":
            frames[group.get("data-group")] = place(group.find(f"{SVG}rect"))
        elif kind == "edge":
            path = group.find(f"{SVG}path")
            role = path.get("class").split()[0].partition("l-")[2]
            head = group.find(f"{SVG}polygon").get("points")
            tip = tuple(map(float, head.split()[0].split(",")))
            points = [*corners(path.get("d"))[:-1], tip]
            lines.append(Line(group.get("data-from"), group.get("data-to"), role, points))
    words = [text.text for text in root.iter(f"{SVG}text")]
    return Scene(float(root.get("width")), float(root.get("height")), boxes, texts, frames, lines, words, root)


def numbers(element, *names):
    return [float(element.get(name)) for name in names]


def place(shape):
    if shape.tag == f"{SVG}ellipse":
        x, y, a, b = numbers(shape, "cx", "cy", "rx", "ry")
        return x, y, 2 * a, 2 * b
    x, y, width, height = numbers(shape, "x", "y", "width", "height")
    return x + width / 2, y + height / 2, width, height


def written(text):
    return *numbers(text, "x", "y", "font-size"), text.text


def corners(path):
    """Of a way with rounded corners the corners: Q begins with the corner itself, and what follows lies on the next piece."""
    points = []
    for _, rest in re.findall(r"([MLQ])([^MLQ]*)", path):
        first, *others = (tuple(map(float, point.split(","))) for point in rest.split())
        points.append(first)
        end = others[-1] if others else first
    return points if points[-1] == end else [*points, end]


def touch(one, other):
    """Whether two rectangles overlap."""
    (x, y, w, h), (u, v, a, b) = one, other
    return abs(x - u) < (w + a) / 2 - NEAR and abs(y - v) < (h + b) / 2 - NEAR


def overlapping(seen):
    """Pairs of boxes that overlap."""
    places = sorted(seen.boxes.items(), key=lambda item: item[1][0] - item[1][2] / 2)
    found = []
    for i, (id, one) in enumerate(places):
        for other_id, other in places[i + 1 :]:
            if other[0] - other[2] / 2 > one[0] + one[2] / 2:
                break
            if touch(one, other):
                found.append((id, other_id))
    return found


def through(seen):
    """Lines that run through a box, at which they neither begin nor end."""
    found = []
    for line in seen.lines:
        for (x, y), (u, v) in pairwise(line.points):
            piece = ((x + u) / 2, (y + v) / 2, abs(u - x), abs(v - y))
            found += [
                (line.source, line.target, id)
                for id, box in seen.boxes.items()
                if id not in (line.source, line.target) and touch(piece, box)
            ]
    return found


def on_each_other(seen):
    """Pairs of lines from different boxes that lie on each other."""
    level = defaultdict(list)
    for line in seen.lines:
        for (x, y), (u, v) in pairwise(line.points):
            if abs(y - v) < 0.06 and abs(x - u) > 1:
                level["level", round(y, 1)].append((min(x, u), max(x, u), line))
            elif abs(x - u) < 0.06 and abs(y - v) > 1:
                level["upright", round(x, 1)].append((min(y, v), max(y, v), line))
    found = []
    for pieces in level.values():
        pieces.sort(key=lambda piece: piece[:2])
        for i, (_, end, line) in enumerate(pieces):
            for begin, other_end, other in pieces[i + 1 :]:
                if begin > end:
                    break
                if line.source != other.source and min(end, other_end) - begin > 1.5:
                    found.append((line.source, line.target, other.source, other.target))
    return found


def diagonal(seen):
    """Lines with a piece that is neither level nor upright."""
    return [
        (line.source, line.target)
        for line in seen.lines
        if any(abs(x - u) > 0.5 and abs(y - v) > 0.5 for (x, y), (u, v) in pairwise(line.points))
    ]


def away(point, place):
    """The distance of a point from a rectangle; 0 within it."""
    (x, y), (u, v, width, height) = point, place
    return max(abs(x - u) - width / 2, abs(y - v) - height / 2, 0)


def passes(line, point):
    """True if a line runs through a point."""
    pieces = [((x + u) / 2, (y + v) / 2, abs(u - x), abs(v - y)) for (x, y), (u, v) in pairwise(line.points)]
    return any(away(point, piece) < NEAR for piece in pieces)


def loose(seen):
    """Lines that do not begin and end at their boxes, nor on another line that does and has the same box there."""
    found = []
    for box, end in (("source", 0), ("target", -1)):
        joined = defaultdict(list)  # by box the lines that reach it
        left = [line for line in seen.lines if getattr(line, box) in seen.boxes]
        count = None
        while len(left) != count:
            count, others = len(left), []
            for line in left:
                id, point = getattr(line, box), line.points[end]
                reached = away(point, seen.boxes[id]) <= 1 or any(passes(other, point) for other in joined[id])
                (joined[id] if reached else others).append(line)
            left = others
        found += [(line.source, line.target, box) for line in left]
    return found


def defects(seen):
    """All that is in the way of something else, by what it is, and lines that do not reach their boxes."""
    found = {check.__name__: check(seen) for check in (overlapping, through, on_each_other, diagonal, loose)}
    return {name: pairs for name, pairs in found.items() if pairs}
