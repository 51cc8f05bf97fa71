"""The layout of an unrolled network: time runs right, computation runs up.

The steps are laid on each other (`template`), what is carried gets a row of its own and everything else its height (`ranks`), a
step its columns (`section`); then the steps stand side by side. So a state runs straight from step to step, everything has the
same place in each, and the time is linear in the number of steps. A graph without time is one step without a frame.
"""

from __future__ import annotations

import math
from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from .layout import Layout, Point, Way, pieces_of
from .picture import LOOPS, Arrow, Box, Picture
from .ranks import give_ranks
from .section import PADDING, Item, Path, Section
from .sizes import ROUND, size, text_width
from .template import Column, Element, Line, Template

__all__ = ["upright"]

GAP, LANE = 12.0, 4.5  # between ranks, and for each further line that runs sideways there
BETWEEN = 8.0  # columns
HEAD = 19.0  # of a frame, for its title
AHEAD = 16.0  # from the beginning of a line to the first frame
LOOP_LANE, LOOP_DROP = 9.0, 16.0  # between lines that lead back around a frame, beside it and below it
MARGIN = 5.0
TWINS = 7.0  # between arrows that would lie on each other
Net = tuple[Item, Item, bool]  # what runs sideways between two ranks as one: the source, where it begins, whether it rises
Run = tuple[float, float, Item, Item]  # from where to where, and between which items
LIKE = {"recurrent": "recurrent", "loop": "recurrent", "gathered": "gathered", "sum loop": "gathered"}


def upright(picture: Picture) -> Layout:
    """The layout of a picture of time steps, or of a graph without time."""
    template = Template(picture)
    best = Arrangement(template, below=False)
    if any(line.pins for line in template.lines):
        under = Arrangement(template, below=True)
        if under.badness() < best.badness():
            best = under
        else:
            give_ranks(template, below=False)  # those of `under` stand in the template
    return Scene(picture, best).layout


class Arrangement:
    """Every kind of step laid out, and the heights that they share."""

    def __init__(self, template: Template, below: bool) -> None:
        self.template = template
        ranks = give_ranks(template, below)
        kinds: dict[str, list[Column]] = defaultdict(list)
        for column in template.columns:
            kinds[column.kind].append(column)
        self.sections = {kind: Section(template, columns, ranks) for kind, columns in kinds.items()}
        self.widths = {kind: self.width(kind) for kind in kinds}
        self.lanes: dict[tuple[str, Item, Item, Item], int] = {}  # of a way that goes sideways between two ranks
        self.room = [0] * ranks  # lanes above each rank
        self.begins: dict[tuple[Item, bool], list[Path]] = defaultdict(list)  # ways, by their source and whether they go down
        self.entered: set[tuple[Item, bool]] = set()  # items at which ways end from below, or from above
        self.tips: dict[Path, float] = {}  # where ways end that do not end in the middle
        for kind, section in self.sections.items():
            self.give_lanes(kind, section)
        heights = self.heights(ranks)
        self.ys: list[tuple[float, float, float]] = []  # bottom, middle and top of each rank
        here = 0.0
        for rank in range(ranks):
            high = heights[rank]
            self.ys.append((here, here + high / 2, here + high))
            here += high + GAP + max(self.room[rank] - 1, 0) * LANE
        self.height = self.ys[-1][2] if self.ys else 0.0

    def heights(self, ranks: int) -> list[float]:
        """The height of the highest box of each rank."""
        found = [0.0] * ranks
        for element in self.template.elements.values():
            found[int(element.rank)] = max(found[int(element.rank)], element.height)
        for column in self.template.columns:
            for box in column.boxes:
                if box.id in self.template.strips:
                    rank = int(self.template.strip_rank(box))
                    found[rank] = max(found[rank], size(box)[1] + (12.0 if box.lines else 0.0))
        return found

    def width(self, kind: str) -> float:
        """The width that its boxes, its strips and its title need."""
        section = self.sections[kind]
        titles = [text_width(column.group.title, 11.5) + 20 for column in section.columns if column.group.framed]
        strips = [size(box)[0] + 2 * PADDING for column in section.columns for box in column.boxes if box.role == "strip"]
        return max([section.width, *titles, *strips])

    def badness(self) -> float:
        """The size of the layout, to compare it with others; width counts twice."""
        return 2 * sum(self.widths[column.kind] for column in self.template.columns) / len(self.template.columns) + self.height

    # -- between two ranks -----------------------------------------------------------------------------------------

    def give_lanes(self, kind: str, section: Section) -> None:
        """Give a lane to each way that goes sideways between two ranks, the shortest lowest."""
        self.touching(section)
        gaps: dict[int, dict[Net, list[Run]]] = defaultdict(dict)
        for path in paths(section):
            a, b = path.source, path.target
            if a.rank == b.rank and self.is_over(section, a, b):
                low, high = min(a.x, b.x), max(a.x, b.x)
                gaps[a.rank].setdefault((a, a, True), []).append((low, high, a, b))
            for one, other in pairwise(path.items):
                x, u = self.touch(path, one), self.touch(path, other)
                if one.rank != other.rank and abs(x - u) > 0.5:
                    rises = one.rank < other.rank
                    net = path.source, one, rises
                    runs = gaps[min(one.rank, other.rank)].setdefault(net, [])
                    runs.append((min(x, u), max(x, u), one, other))
        for rank, nets in gaps.items():
            lanes = lanes_of(nets)
            for net, k in lanes.items():
                self.lanes |= {(kind, net[0], one, other): k for _, _, one, other in nets[net]}
            self.room[rank] = max(self.room[rank], 1 + max(lanes.values()))

    def touching(self, section: Section) -> None:
        """Find the points at which ways touch the items that they end at: in the middle; spread where several come in, and
        next to what goes the other way."""
        own: dict[tuple[Item, bool], list[Path]] = defaultdict(list)  # by item and whether from below
        for path in paths(section):
            if path.items[0].rank != path.items[1].rank:
                self.begins[path.source, path.items[1].rank < path.source.rank].append(path)
            if path.items[-2].rank != path.target.rank:
                own[path.target, path.items[-2].rank < path.target.rank].append(path)
        for (item, side), inward in own.items():
            self.entered.add((item, side))
            outward = self.begins[item, side]
            taken = any(abs(other.items[1].x - item.x) < 0.5 for other in outward)  # the middle
            if len(inward) == 1:
                x = inward[0].items[-2].x
                if outward and (taken or abs(x - item.x) >= 0.5):
                    self.tips[inward[0]] = item.x + (1 if x > item.x else -1) * item.width * 0.36
                continue
            inward.sort(key=lambda p: (p.items[-2].x, p.source.number))
            straight = [i for i, p in enumerate(inward) if abs(p.items[-2].x - item.x) < 0.5]
            middle = straight[0] if straight and not taken else (len(inward) - 1) / 2
            middle += 0.5 * (taken and middle % 1 == 0)
            apart = min(14.0, item.width * 0.62 / (2 * max(middle, len(inward) - 1 - middle)))
            self.tips |= {path: item.x + (k - middle) * apart for k, path in enumerate(inward)}

    def touch(self, path: Path, item: Item) -> float:
        """The x at which a way touches an item; its source in the middle, or next to what ends there."""
        if item is path.target and item.kind == "box":
            return self.tips.get(path, item.x)
        if item is path.source and item.kind == "box":
            following = path.items[1]
            beside = following.rank != item.rank and (item, following.rank < item.rank) in self.entered
            if beside and abs(following.x - item.x) >= 0.5:
                return item.x + (1 if following.x >= item.x else -1) * item.width * 0.2
        return item.x

    def corners(self, kind: str, path: Path) -> list[Point]:
        """The way of an arrow through a step."""
        section = self.sections[kind]
        a, b = path.source, path.target
        if len(path.items) == 2 and a.rank == b.rank:
            return self.level(kind, section, a, b)
        x = self.touch(path, a)
        points = [(x, self.border(a, 1 if path.items[1].rank > a.rank else -1, x))]
        for one, other in pairwise(path.items):
            x, u = self.touch(path, one), self.touch(path, other)
            low = min(one.rank, other.rank)
            if abs(x - u) > 0.5:
                y = self.lane(low, self.lanes[kind, a, one, other])
                points += [(x, y), (u, y)]
            elif other.kind == "pass":
                u = x
            points.append((u, self.border(other, -1 if other.rank > one.rank else 1, u)))
        return points

    def is_over(self, section: Section, a: Item, b: Item) -> bool:
        """True if a box stands between two items of one rank."""
        low, high = min(a.x, b.x), max(a.x, b.x)
        return any(low < item.x < high and item.kind == "box" for item in section.rows[a.rank])

    def lane(self, rank: int, k: int) -> float:
        """The height of a lane above a rank."""
        top = self.ys[rank][2]
        above = self.ys[rank + 1][0] if rank + 1 < len(self.ys) else top + GAP + max(self.room[rank] - 1, 0) * LANE
        return top + (above - top - max(self.room[rank] - 1, 0) * LANE) / 2 + k * LANE

    def level(self, kind: str, section: Section, a: Item, b: Item) -> list[Point]:
        """From one item to another of the same rank, over what stands between."""
        sign = 1 if b.x > a.x else -1
        middle = self.ys[a.rank][1]
        end = b.x - sign * (b.left if sign > 0 else b.right)
        if not self.is_over(section, a, b):
            return [(a.x + sign * (a.right if sign > 0 else a.left), middle), (end, middle)]
        y = self.lane(a.rank, self.lanes[kind, a, a, b])
        return [(a.x, self.border(a, 1, a.x)), (a.x, y), (b.x, y), (b.x, self.border(b, 1, b.x))]

    def border(self, item: Item, side: int, x: float) -> float:
        """The height at which a way meets an item from above (1) or below (-1)."""
        middle = self.ys[item.rank][1]
        if item.kind != "box" or item.element is None:
            return middle
        half = item.element.height / 2
        if item.element.role in ROUND and item.width:
            half *= math.sqrt(max(0.0, 1 - ((x - item.x) / (item.width / 2)) ** 2))
        return middle + side * half


def lanes_of(nets: dict[Net, list[Run]]) -> dict[Net, int]:
    """A lane for each net between two ranks, above those that have to run below it, where no other overlaps it."""
    spans = {net: (min(run[0] for run in runs), max(run[1] for run in runs)) for net, runs in nets.items()}
    below = nets_below(nets)
    used: dict[int, list[tuple[float, float]]] = defaultdict(list)
    found: dict[Net, int] = {}
    for net in in_order(sorted(nets, key=lambda net: spans[net][1] - spans[net][0]), below):
        low, high = spans[net]
        k = max((found[other] + 1 for other in below[net] if other in found), default=0)
        while any(low < b + 4 and a < high + 4 for a, b in used[k]):
            k += 1
        used[k].append((low, high))
        found[net] = k
    return found


def nets_below(nets: dict[Net, list[Run]]) -> dict[Net, list[Net]]:
    """For each net those that have to run below it: where one comes up from below, and another goes on at the same place."""
    ups: dict[int, list[Net]] = defaultdict(list)  # by place
    for net, runs in nets.items():
        for run in runs:
            ups[round(ends_of(run)[0])].append(net)
    below: dict[Net, list[Net]] = {net: [] for net in nets}
    for net, runs in nets.items():
        for run in runs:
            top = round(ends_of(run)[1])
            near = [x for place in (top - 1, top, top + 1) for x in ups[place] if x[0] is not net[0]]
            below[net] += [x for x in dict.fromkeys(near) if net not in below[x]]
    return below


def in_order(nets: list[Net], below: dict[Net, list[Net]]) -> Iterable[Net]:
    """These nets in their order, but each after those that have to run below it, as far as they form no cycle."""
    done: dict[Net, None] = {}
    for net in nets:
        stack = [net]
        while stack:
            waiting = [x for x in below[stack[-1]] if x not in done and x not in stack]
            if waiting:
                stack.append(waiting[0])
            else:
                done[stack.pop()] = None
    return done


def ends_of(run: Run) -> tuple[float, float]:
    """The x at which a run meets the item below it, and the one above it."""
    low, high, one, other = run
    bottom = one if one.rank <= other.rank else other
    return (low, high) if abs(bottom.x - low) < abs(bottom.x - high) else (high, low)


def is_free(lane: list[tuple[float, float, str]], low: float, high: float, source: str) -> bool:
    """True if nothing of another source runs there, on a lane whose runs are sorted."""
    i = bisect(lane, (low, high, source))
    return all(b <= low or high <= a or s == source for a, b, s in lane[max(i - 2, 0) : i + 2])


def paths(section: Section) -> Iterator[Path]:
    yield from section.edges.values()
    yield from section.read.values()
    yield from section.leave.values()


class Scene:
    """The columns side by side."""

    def __init__(self, picture: Picture, made: Arrangement) -> None:
        self.picture, self.made, self.template = picture, made, made.template
        self.layout = Layout()
        self.left: list[float] = []
        lanes = sum(any(arrow.role in LOOPS for _, _, arrow in line.ways) for line in self.template.lines)
        self.ahead = AHEAD + lanes * LOOP_LANE
        before, behind = self.room_for_beginnings()
        looped = {self.template.home[arrow.source] for arrow in self.template.arrows if arrow.role in LOOPS}
        here = 0.0
        for column in self.template.columns:
            around = lanes * LOOP_LANE if column.number in looped else 0.0
            here += before.get(column.number, around)
            self.left.append(here)
            here += made.widths[column.kind] + BETWEEN + behind.get(column.number, 0.0) + around
        for column in self.template.columns:
            self.place(column)
        for line in self.template.lines:
            self.place_begins(line)
        self.loops: dict[Line, int] = {}  # the lanes on which lines lead back
        self.spans: dict[Line, list[list[tuple[float, float, str]]]] = defaultdict(list)
        for arrows in self.template.edges.values():
            for arrow in arrows:
                self.layout.arrows[id(arrow)] = Way(self.inside(arrow), role=self.on_row(arrow))
        for line in self.template.lines:
            for a, b, arrow in line.ways:
                way = self.layout.arrows[id(arrow)] = self.along(line, a, b, arrow)
                if arrow.role == "flow" and arrow.source in self.template.begins:
                    way.role = self.look(line)
        self.join()
        self.part()
        for arrow in self.template.arrows:
            if arrow.label and arrow.role not in LOOPS and id(arrow) in self.layout.arrows:
                self.label(arrow)
        self.frames()

    def part(self) -> None:
        """Move arrows that go straight the same way apart: those of an op that uses one value more than once."""
        same: dict[tuple[object, ...], list[Way]] = defaultdict(list)
        for arrow in self.template.arrows:
            if (way := self.layout.arrows.get(id(arrow))) and len(way.points) == 2:
                same[arrow.source, arrow.target, *way.points].append(way)
        for ways in same.values():
            (_, y), (_, v) = ways[0].points
            for i, way in enumerate(ways):
                shift = TWINS * (i - (len(ways) - 1) / 2)
                way.points = [(a, b + shift) if y == v else (a + shift, b) for a, b in way.points]

    # -- boxes -----------------------------------------------------------------------------------------------------

    def shift(self, column: Column) -> float:
        """From the coordinates of a section to those of the picture, in the middle of a column that is wider."""
        section = self.made.sections[column.kind]
        return self.left[column.number] + (self.made.widths[column.kind] - section.width) / 2

    def put(self, box: Box, x: float, rank: float) -> None:
        width, height = size(box)
        y = self.made.ys[int(rank)][1]
        if box.role == "strip" and box.lines:
            y += 5.0
        self.layout.boxes[box.id] = (x, y, width, height)
        if box.pieces:
            self.layout.pieces[box.id] = pieces_of(box, self.layout.boxes[box.id])

    def place(self, column: Column) -> None:
        section, shift = self.made.sections[column.kind], self.shift(column)
        wide: dict[str, float] = {}
        for element, item in section.items.items():
            if column.number in element.boxes:
                self.put(element.boxes[column.number], shift + item.x, element.rank)
                wide[element.boxes[column.number].id] = item.width
            for other, x in section.satellites(element):
                if column.number in other.boxes:
                    self.put(other.boxes[column.number], shift + x, element.rank)
                    wide[other.boxes[column.number].id] = section.beside[other]
        middle = self.left[column.number] + self.made.widths[column.kind] / 2
        for box in column.boxes:
            if box.id in self.template.strips:
                self.put(box, middle, self.template.strip_rank(box))
            else:  # as wide and high in every step
                x, y, _, _ = self.layout.boxes[box.id]
                self.layout.boxes[box.id] = (x, y, wide[box.id], self.template.of_box[box.id].height)

    def begins_at(self, line: Line, box: Box) -> int:
        """The column of the step that reads it first."""
        ends = [self.template.home[arrow.target] for _, _, arrow in line.ways if arrow.source == box.id]
        return min(ends) if line.direction > 0 else max(ends)

    def room_for_beginnings(self) -> tuple[dict[int, float], dict[int, float]]:
        """By column the room before it, and behind it, for what the first steps read in the place of what is carried."""
        rooms: tuple[dict[int, float], dict[int, float]] = ({}, {})
        for line in self.template.lines:
            for box in line.begins:
                room, number = rooms[line.direction < 0], self.begins_at(line, box)
                room[number] = max(room.get(number, 0.0), size(box)[0] + self.ahead)
        for number in list(rooms[1]):  # where nothing that follows stands or runs at their heights
            lines = {line for line in self.template.lines for box in line.begins if self.begins_at(line, box) == number}
            following = self.template.columns[number + 1 : number + 2]
            if not any(self.made.sections[column.kind].rows[int(line.rank)] for column in following for line in lines):
                del rooms[1][number]
        return rooms

    def place_begins(self, line: Line) -> None:
        """Place what the first step reads instead of what is carried: before its frame, or behind it; of several the first on
        the row, the others below it. What begins several lines is on the row of the first."""
        down = 0.0
        for box in line.begins:
            if box.id in self.layout.boxes:
                continue
            width, height = size(box)
            number = self.begins_at(line, box)
            if line.direction > 0:
                x = self.left[number] - self.ahead + 8 - width / 2
            else:
                x = self.left[number] + self.made.widths[self.template.columns[number].kind] + AHEAD - 8 + width / 2
            self.put(box, x, line.rank)
            x, y, _, _ = self.layout.boxes[box.id]
            down += height / 2 if down else 0.0
            self.layout.boxes[box.id] = (x, y - down, width, height)
            down += height / 2 + 4

    def first_of(self, line: Line) -> str:
        """Find the box on the row of a line among those that begin it, or else the first of them."""
        ids = [box.id for box in line.begins]
        return next((id for id in ids if self.layout.boxes[id][1] == self.row(line)), ids[0])

    # -- arrows ----------------------------------------------------------------------------------------------------

    def row(self, line: Line) -> float:
        """The height at which a line runs."""
        return self.made.ys[int(line.rank)][1]

    def column(self, box: str) -> Column:
        return self.template.columns[self.template.home[box]]

    def moved(self, points: list[Point], column: Column) -> list[Point]:
        shift = self.shift(column)
        return [(x + shift, y) for x, y in points]

    def inside(self, arrow: Arrow) -> list[Point]:
        """The way of an arrow within a step."""
        template = self.template
        a, b = template.of_box[arrow.source], template.of_box[arrow.target]
        if a.satellite_of is b:
            (x, y, w, _), (u, _, z, _) = self.layout.boxes[arrow.source], self.layout.boxes[arrow.target]
            sign = 1 if u > x else -1
            return [(x + sign * w / 2, y), (u - sign * z / 2, y)]
        column = self.column(arrow.source)
        return self.moved(self.made.corners(column.kind, self.made.sections[column.kind].edges[a, b]), column)

    def on_row(self, arrow: Arrow) -> str:
        """The look of a line, for an arrow between two things on its row, or that leads on what it carries."""
        a, b = self.template.of_box[arrow.source], self.template.of_box[arrow.target]
        if arrow.role != "flow" or a.line is None or a.line is not b.line:
            return ""
        return self.look(a.line)

    def look(self, line: Line) -> str:
        return next((LIKE[way.role] for _, _, way in line.ways if way.role in LIKE), "")

    def along(self, line: Line, a: Element, b: Element, arrow: Arrow) -> Way:
        """The way of an arrow from one step to another: to its row, along it, and from it to the reader."""
        points, target = self.to_row(line, a, arrow), self.column(arrow.target)
        section, y = self.made.sections[target.kind], self.row(line)
        begins, loops = arrow.source in self.template.begins, [x for _, _, x in line.ways if x.role in LOOPS]
        if a is line.source and arrow not in loops and any(x.source == arrow.source for x in loops):
            points = [(self.sides(line, self.column(arrow.source))[1], y)]  # from where the loop turns back
        if arrow.target in self.template.strips:
            u, _, w, _ = self.layout.boxes[arrow.target]
            return Way(self.straight(line, points, [(u - line.direction * w / 2, y)], arrow))
        joins = a is not line.source and (line, a) in section.leave and line.source in section.items
        if (begins and arrow.source != self.first_of(line)) or (arrow.role in LOOPS and joins):
            return Way(points)  # as far as the row
        if (begins or arrow.role == "first") and any(self.column(x.target) is target for x in loops):
            return Way([*points, (self.sides(line, target)[0], y)])  # as far as where what comes back enters
        edge = self.left[target.number] + (0.0 if line.direction > 0 else self.made.widths[target.kind])
        rest = [(edge, y), *self.moved(self.made.corners(target.kind, section.read[line, b]), target)]
        if arrow.role in LOOPS:
            return self.around(line, target, points, rest)
        return Way(self.straight(line, points, rest, arrow))

    def to_row(self, line: Line, a: Element, arrow: Arrow) -> list[Point]:
        """The way of an arrow from its source to the row of its line."""
        y = self.row(line)
        x, v, width, _ = self.layout.boxes[arrow.source]
        x += line.direction * width / 2
        if arrow.source in self.template.begins and v != y:
            apart = [x for x in self.template.lines if any(self.layout.boxes[box.id][1] != self.row(x) for box in x.begins)]
            u = x + line.direction * (2 + 2.5 * (apart.index(line) % 3))
            return [(x, v), (u, v), (u, y)]
        if arrow.source in self.template.of_box:
            column = self.column(arrow.source)
            section = self.made.sections[column.kind]
            if (line, a) in section.meets:
                points = self.moved(self.made.corners(column.kind, section.edges[a, section.meets[line, a]]), column)
                return [*points[:-1], (points[-1][0], y)]
            if (line, a) in section.leave:
                return self.moved(self.made.corners(column.kind, section.leave[line, a]), column)
        return [(x, y)]

    def join(self) -> None:
        """Let the nearer of several ways along one row to one reader end where they meet the farthest."""
        for line in self.template.lines:
            y, ends = self.row(line), defaultdict(list)
            for _, b, arrow in line.ways:
                if arrow.role not in LOOPS and arrow.target in self.template.of_box:
                    ends[b, self.template.home[arrow.target]].append(arrow)
            for arrows in ends.values():
                if len({arrow.source for arrow in arrows}) > 1:
                    points = {id(arrow): self.layout.arrows[id(arrow)].points for arrow in arrows}
                    on_row = {key: next((i for i, p in enumerate(way) if p[1] == y), 0) for key, way in points.items()}
                    farthest = min(points, key=lambda key: line.direction * points[key][on_row[key]][0])
                    for key, i in on_row.items():
                        if key != farthest and i:
                            self.layout.arrows[key].points = points[key][: i + 1]

    def straight(self, line: Line, points: list[Point], rest: list[Point], arrow: Arrow) -> list[Point]:
        """Along the row; of a line over several columns, on a lane beside what others carry there at the same time."""
        if line.far:
            (x, y), u = points[-1], rest[0][0]
            low, high = min(x, u), max(x, u)
            lanes = self.spans[line]
            k = next((k for k, lane in enumerate(lanes) if is_free(lane, low, high, arrow.source)), len(lanes))
            if k == len(lanes):
                lanes.append([])
            insort(lanes[k], (low, high, arrow.source))
            if k:
                level = y + (k + 1) // 2 * 4.0 * (1 if k % 2 else -1)
                points = [*points[:-1], (x, level)]
                rest = [(u, level), *rest]
        return [*points, *rest]

    def label(self, arrow: Arrow) -> None:
        """The words at an arrow, above the longest part of it that is level."""
        way = self.layout.arrows[id(arrow)]
        level = [(abs(u - x), (x + u) / 2, y) for (x, y), (u, v) in pairwise(way.points) if y == v]
        if level:
            _, x, y = max(level)
            way.label_at = (x, y + 4)

    def lane(self, line: Line) -> int:
        return self.loops.setdefault(line, len(self.loops) + 1)

    def sides(self, line: Line, column: Column) -> tuple[float, float]:
        """The x at which a line leads up before a frame, and down behind it."""
        out = LOOP_LANE * self.lane(line)
        return self.left[column.number] - out, self.left[column.number] + self.made.widths[column.kind] + out

    def around(self, line: Line, column: Column, points: list[Point], rest: list[Point]) -> Way:
        """Back from the end of a step to its beginning, around its frame."""
        left, right = self.sides(line, column)
        bottom = -PADDING - LOOP_DROP * self.lane(line)
        (_, y), (_, v) = points[-1], rest[0]
        middle = (left + right) / 2
        corners = [*points, (right, y), (right, bottom), (left, bottom), (left, v), *rest]
        return Way(corners, (middle, bottom + 4))

    # -- the whole -------------------------------------------------------------------------------------------------

    def frames(self) -> None:
        layout, height = self.layout, self.made.height
        bottom, top = -PADDING, height + PADDING
        for column in self.template.columns:
            if column.group.framed:
                width, left = self.made.widths[column.kind], self.left[column.number]
                high = top - bottom + HEAD
                layout.frames[column.group.id] = (left + width / 2, bottom + high / 2, width, high)
        xs = [x for way in layout.arrows.values() for x, _ in way.points]
        ys = [y for way in layout.arrows.values() for _, y in way.points] + [
            way.label_at[1] - 6 for way in layout.arrows.values()
        ]
        for x, y, w, h in (*layout.boxes.values(), *layout.frames.values()):
            xs += [x - w / 2, x + w / 2]
            ys += [y - h / 2, y + h / 2]
        if not xs:
            xs, ys = [0.0], [0.0]
        left, right, low, high = min(xs) - MARGIN, max(xs) + MARGIN, min(ys) - MARGIN, max(ys) + MARGIN
        layout.add_title(self.picture, left, low, right, high)
