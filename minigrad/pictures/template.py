"""All time steps of a picture laid on each other: the elements of each, the edges between them, and the values carried on.

A box says by its `slot` that it is the same thing as boxes of other steps. One slot is an *element*; arrows within a step are
edges between elements; arrows from one column to another that share a source, or an operand that they become, are one *line*,
which runs on a row of its own through all columns. The layout of one step is worked out once, on the template.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate, takewhile

from ..components import on_cycles, strongly_connected
from .ordering import classes, topological
from .picture import LOOPS, Arrow, Box, Group, Picture
from .sizes import size

__all__ = ["Column", "Element", "Line", "Template"]


@dataclass(eq=False)
class Element:
    """One thing in every step that has it."""

    slot: str
    number: int
    role: str = ""
    boxes: dict[int, Box] = field(default_factory=dict)  # by column
    line: Line | None = None  # the row that it is pinned to
    satellite_of: Element | None = None  # next to which it stands
    satellites: list[Element] = field(default_factory=list)
    on_right: bool = False  # where they stand
    down: bool = False  # computed from a row to a lower one
    rank: float = 0  # its height, counted from below
    height: float = 0.0

    def __hash__(self) -> int:
        return self.number  # sets keep one order in every run

    def __repr__(self) -> str:
        return f"Element({self.slot!r}, {self.role!r})"


@dataclass(eq=False)
class Line:
    """A value that is carried from column to column."""

    number: int  # from the lowest row up
    direction: int  # 1 to the right, -1 to the left
    far: bool  # over more than one column
    source: Element
    ways: list[tuple[Element, Element, Arrow]]  # source, reader, and the arrow, for each arrow
    pins: list[Element] = field(default_factory=list)  # what stands on its row, from a reader to the source
    rank: float = 0
    first: int = 0  # the columns between which it runs
    last: int = 0
    begins: list[Box] = field(default_factory=list)  # what the first step reads in its place

    def __hash__(self) -> int:
        return self.number


@dataclass(eq=False)
class Column:
    """A frame of a picture, or the boxes between two."""

    number: int
    group: Group
    boxes: list[Box]

    @property
    def kind(self) -> str:
        """Columns of one kind are laid out alike."""
        return self.group.kind if self.group.framed else f"outside {self.number}"


class Template:
    """The steps of a picture laid on each other."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.arrows = [arrow for arrow in picture.all_arrows() if arrow.role != "order"]
        self.columns = columns_of(picture, self.arrows)
        self.home = {box.id: column.number for column in self.columns for box in column.boxes}
        self.frames_before = [0, *accumulate(int(column.group.framed) for column in self.columns)]  # by column
        self.slots = slots_of(self.columns)
        self.keep_acyclic()
        self.begins = self.beginnings()
        self.elements: dict[str, Element] = {}
        self.strips: dict[str, Element] = {}  # by box the element that it shows
        self.of_box: dict[str, Element] = {}
        for column in self.columns:
            column.boxes = [box for box in column.boxes if box.id not in self.begins]
            for box in column.boxes:
                self.add(box, column)
        ways = [arrow for arrow in self.arrows if arrow.source not in self.begins]
        self.find_edges([arrow for arrow in ways if not self.offset(arrow)])
        carried = [(self.at(x.source), self.at(x.target), offset, x) for x in ways if (offset := self.offset(x))]
        self.find_cores(carried)
        self.find_lines(carried, [arrow for arrow in self.arrows if arrow.source in self.begins])

    def add(self, box: Box, column: Column) -> None:
        """Add a box to the element of its slot; a strip shows an element of folded steps."""
        element = self.elements.setdefault(self.slots[box.id], Element(self.slots[box.id], len(self.elements)))
        if box.role == "strip" and box.slot:
            self.strips[box.id] = element
            return
        element.boxes[column.number] = box
        element.role = box.role if not element.role or box.role in ("state", "loss", "output") else element.role
        element.height = max(element.height, size(box)[1])
        self.of_box[box.id] = element

    def find_edges(self, arrows: list[Arrow]) -> None:
        """The edges within a step, with the arrows of all steps; the order of the elements, and their depth in it."""
        self.edges: dict[tuple[Element, Element], list[Arrow]] = {}
        for arrow in arrows:
            self.edges.setdefault((self.at(arrow.source), self.at(arrow.target)), []).append(arrow)
        self.into: dict[Element, list[Element]] = {element: [] for element in self.elements.values()}
        self.out: dict[Element, list[Element]] = {element: [] for element in self.elements.values()}
        for a, b in self.edges:
            self.into[b].append(a)
            self.out[a].append(b)
        self.order = topological(self.out)
        self.depth: dict[Element, int] = {}
        for element in self.order:
            self.depth[element] = max((self.depth[other] + 1 for other in self.into[element]), default=0)

    def keep_acyclic(self) -> None:
        """Give the boxes of a step slots of their own if another step has the same slots in a contrary order."""
        inside: dict[int, list[Arrow]] = defaultdict(list)
        for arrow in self.arrows:
            if arrow.source in self.home and not self.offset(arrow):
                inside[self.home[arrow.source]].append(arrow)
        after: dict[str, dict[str, None]] = defaultdict(dict)

        def add(number: int) -> None:
            for arrow in inside[number]:
                after[self.slots[arrow.source]][self.slots[arrow.target]] = None
                after[self.slots[arrow.target]]

        for number in list(inside):
            add(number)
        if not on_cycles(after):
            return
        after.clear()
        for column in sorted(self.columns, key=lambda column: -len(column.boxes)):
            own = {box.id: self.slots[box.id] for box in column.boxes}
            before = {slot: dict(others) for slot, others in after.items()}
            k = 0
            add(column.number)
            while cycle := on_cycles(after):
                k += 1
                self.slots |= {id: f"{slot} / {k}" for id, slot in own.items() if k > 1 or slot in cycle}
                after.clear()
                after.update({slot: dict(others) for slot, others in before.items()})
                add(column.number)

    def beginnings(self) -> dict[str, Box]:
        """The boxes that the first steps read in the place of what is carried: nothing leads to them, and in later steps the
        same operand comes from another step."""
        found = {box.id: box for group in self.picture.groups if group.begins for box in group.boxes}
        boxes = {box.id: box for column in self.columns for box in column.boxes}
        slot = self.slots
        reached = {arrow.target for arrow in self.arrows}
        out: dict[str, list[Arrow]] = defaultdict(list)
        ways: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)  # by operand: offset and source
        ends: dict[str, set[int]] = defaultdict(set)  # the columns in which a slot reads
        for arrow in self.arrows:
            out[arrow.source].append(arrow)
            ends[slot[arrow.target]].add(self.home[arrow.target])
            if arrow.source not in found and arrow.source in reached and (offset := self.offset(arrow)):
                ways[slot[arrow.target], arrow.place].append((offset, slot[arrow.source]))

        frames = [column.number for column in self.columns if column.group.framed]

        def at_the_beginning(arrow: Arrow) -> bool:
            before = [offset for offset, source in ways[slot[arrow.target], arrow.place] if source != slot[arrow.source]]
            first = min if sum(before) > 0 else max
            here = self.home[arrow.target]
            return bool(before) and here == first(ends[slot[arrow.target]]) == first(frames or [here])

        for id, box in boxes.items():
            alone = id not in reached and out[id] and box.role not in ("alias", "strip", "input", "target")
            if alone and all(map(at_the_beginning, out[id])):
                found[id] = box
        return found

    def offset(self, arrow: Arrow) -> int:
        """The number of frames from the source of an arrow to its target. A box between two frames is next to both."""
        if arrow.role in LOOPS:
            return 1
        here, there = self.home[arrow.source], self.home[arrow.target]
        if here == there:
            return 0
        first, last = min(here, there), max(here, there)
        between = self.frames_before[last] - self.frames_before[first + 1]
        return (between + 1) * (1 if there > here else -1)

    def at(self, box: str) -> Element:
        return self.of_box.get(box) or self.strips[box]

    def strip_rank(self, box: Box) -> float:
        """The rank of the row that a strip stands on."""
        row = self.rows.get(box.id)
        return self.strips[box.id].rank if row is None else row.rank

    # -- what recurs ---------------------------------------------------------------------------------------------

    def find_cores(self, carried: list[tuple[Element, Element, int, Arrow]]) -> None:
        """The strongly connected components of the template with what is carried: each is the core of a layer, or of a sum."""
        after: dict[Element, dict[Element, None]] = {element: {} for element in self.elements.values()}
        for a, b in self.edges:
            after[a][b] = None
        for a, b, _, _ in carried:
            after[a][b] = None
        components = strongly_connected(after)
        self.core: dict[Element, int] = {}  # the number of its component; of what does not recur -1
        reached: list[int] = []  # by component a mask of the elements that it leads to
        number = {element: k for k, component in enumerate(components) for element in component}
        self.reached = {}
        for k, component in enumerate(components):  # the last ones first
            mask = 0
            for element in component:
                for other in after[element]:
                    if number[other] != k:
                        mask |= reached[number[other]] | 1 << other.number
            recurs = len(component) > 1 or component[0] in after[component[0]]
            if recurs:
                mask |= sum(1 << element.number for element in component)
            reached.append(mask)
            for element in component:
                self.core[element] = k if recurs else -1
                self.reached[element] = mask

    def leads(self, one: Element, other: Element) -> bool:
        """True if a way leads from one to the other, also through later steps."""
        return bool(self.reached[one] >> other.number & 1)

    # -- what is carried -----------------------------------------------------------------------------------------

    def find_lines(self, carried: list[tuple[Element, Element, int, Arrow]], begun: list[Arrow]) -> None:
        """Arrows that share a source, or what they become, are one line."""

        def ends(a: Element, b: Element, offset: int, arrow: Arrow) -> tuple[tuple, tuple]:
            lane = (offset > 0, 0) if abs(offset) == 1 else (offset > 0, offset)
            target = ("to", b.number, arrow.place, lane) if arrow.target in self.of_box else ("from", b.number, lane)
            return ("from", a.number, lane), target

        first_end = classes(ends(*way) for way in carried)
        groups: dict[tuple, list[tuple[Element, Element, int, Arrow]]] = {}
        for way in carried:
            groups.setdefault(first_end[ends(*way)[0]], []).append(way)
        lines: list[Line] = []
        for ways in groups.values():
            sources: list[Element] = list(dict.fromkeys(way[0] for way in ways))
            source = next((a for a in sources if self.core[a] >= 0), sources[0])
            far = abs(ways[0][2]) > 1
            line = Line(len(lines), 1 if ways[0][2] > 0 else -1, far, source, [(a, b, arrow) for a, b, _, arrow in ways])
            ends_at = [self.home[box] for _, _, arrow in line.ways for box in (arrow.source, arrow.target)]
            line.first, line.last = min(ends_at), max(ends_at)
            lines.append(line)
            if not far:
                self.pin(line)
        first = {self.core[line.source]: line.source.number for line in reversed(lines)}
        self.lines = sorted(
            lines, key=lambda x: (self.level(x, lines), first[self.core[x.source]], self.depth_of(x), x.source.number)
        )
        for k, line in enumerate(self.lines):
            line.number = k
        near_last = sorted(self.lines, key=lambda line: not line.far)
        self.rows = {id: line for line in near_last for _, _, way in line.ways for id in (way.source, way.target)}
        self.begin(begun)

    def pin(self, line: Line) -> None:
        """Choose what stands on the row of a line, as far as it stands on no other."""
        pins = [line.source] if line.source.role != "strip" else []
        if self.core[line.source] >= 0:
            pins = self.way_to_source(line)
        for _, b, _ in line.ways:
            if b not in pins and self.ends_row(b, line, pins):
                pins.append(b)
        for element in pins:
            element.line = element.line or line
        line.pins = [element for element in pins if element.line is line]

    def way_to_source(self, line: Line) -> list[Element]:
        """The way from a reader to the source: all of it if it is a carousel, where no parameter acts; otherwise the beginning
        that every way takes, and the source."""
        source, core = line.source, self.core[line.source]
        own = [(a, b) for a, b, arrow in line.ways if arrow.target in self.of_box]
        readers = list(dict.fromkeys([b for a, b in own if a is source] or [b for _, b in own]))
        path = self.way_back(source, set(readers), core)
        if any(x.role == "alias" for element in path for x in self.into[element]):
            shared = takewhile(lambda e: e is not source and self.on_every_way(e, readers, source, core), path)
            path = [*shared, source]
        return path

    def ends_row(self, element: Element, line: Line, pins: list[Element]) -> bool:
        """True for an element behind the last step that only this line leads to, such as the total."""
        if self.into[element] or self.out[element] or any(self.columns[k].group.framed for k in element.boxes):
            return False
        behind = bool(element.boxes) and all(self.home[arrow.target] <= min(element.boxes) for _, _, arrow in line.ways)
        return behind and all(reader is not element or a in pins for a, reader, _ in line.ways)

    def way_back(self, source: Element, readers: set[Element], core: int) -> list[Element]:
        """The shortest way from one of the readers to the source."""
        way: dict[Element, Element | None] = {source: None}
        queue = [source]
        for element in queue:
            if element in readers:
                path = []
                here: Element | None = element
                while here is not None:
                    path.append(here)
                    here = way[here]
                return path
            for other in sorted(self.into[element], key=lambda e: e.number):
                if self.core[other] == core and other not in way:
                    way[other] = element
                    queue.append(other)
        return [source]

    def on_every_way(self, element: Element, readers: list[Element], source: Element, core: int) -> bool:
        seen, queue = {element}, [reader for reader in readers if reader is not element]
        while queue:
            here = queue.pop()
            if here is source:
                return False
            if here not in seen:
                seen.add(here)
                queue += [other for other in self.out[here] if self.core[other] == core]
        return True

    def level(self, line: Line, lines: list[Line]) -> int:
        """The number of other cores that lead to that of the line."""
        mine = self.core[line.source]
        others = {self.core[other.source]: other.source for other in lines}
        return sum(self.leads(source, line.source) for core, source in others.items() if core >= 0 and core != mine)

    def depth_of(self, line: Line) -> int:
        return self.depth.get(line.pins[0], 99) if line.pins else 99

    def begin(self, begun: list[Arrow]) -> None:
        """Give each line the box that its first step reads in the place of what is carried."""
        by_operand = {(b, arrow.place): line for line in self.lines for _, b, arrow in line.ways if arrow.target in self.of_box}
        by_source = {a: line for line in self.lines for a, _, _ in line.ways}
        for arrow in begun:
            target = self.at(arrow.target)
            line = by_source.get(target) if arrow.target in self.strips else by_operand.get((target, arrow.place))
            if line is None:  # a sequence of one step: one line for all that reads it
                line = next((line for line in self.lines if self.begins[arrow.source] in line.begins), None)
            if line is None:
                last = self.picture.groups[-1]
                backwards = last.begins and self.begins[arrow.source] in last.boxes and last is not self.picture.groups[0]
                line = Line(len(self.lines), -1 if backwards else 1, False, target, [], [target] if target.line is None else [])
                line.first = line.last = self.home[arrow.target]
                if target.line is None:
                    target.line = line
                self.lines.append(line)
                by_operand[target, arrow.place] = line
            line.ways.append((target, target, arrow))
            if self.begins[arrow.source] not in line.begins:
                line.begins.append(self.begins[arrow.source])


def slots_of(columns: list[Column]) -> dict[str, str]:
    """The slot of each box. Of two in one column that have the same, the second stands alone."""
    found: dict[str, str] = {}
    for column in columns:
        taken: set[str] = set()
        for box in column.boxes:
            found[box.id] = box.id if box.slot in taken else box.slot or box.id
            taken.add(box.slot)
    return found


def columns_of(picture: Picture, arrows: list[Arrow]) -> list[Column]:
    """The frames, and between them what stands in none: after the last that leads to it, or before the first it leads to."""
    groups = [group for group in picture.groups if not group.begins]
    slots = {box.id: i for i, group in enumerate(groups) for box in group.boxes}
    inside = set(slots)
    into: dict[str, list[str]] = defaultdict(list)
    out: dict[str, list[str]] = defaultdict(list)
    for arrow in arrows:
        into[arrow.target].append(arrow.source)
        out[arrow.source].append(arrow.target)
    forward = max((i for i, group in enumerate(groups) if not group.backward), default=-1)
    for box in picture.boxes:  # a box stands in the list after those that lead to it
        least = forward if box.role in ("backward", "gradient") else -1  # a backward pass begins after the forward pass
        slots[box.id] = max((slots.get(id, -1) for id in into[box.id]), default=-1)
        slots[box.id] = max(slots[box.id], least)
    for box in reversed(picture.boxes):
        if slots[box.id] == -1:
            slots[box.id] = max(min((slots[id] - (id in inside) for id in out[box.id]), default=-1), -1)
    outside: dict[int, list[Box]] = defaultdict(list)
    for box in picture.boxes:
        outside[slots[box.id]].append(box)
    columns: list[Column] = []
    for i in range(-1, len(groups)):
        if i >= 0 and groups[i].boxes:
            columns.append(Column(len(columns), groups[i], groups[i].boxes))
        if outside[i]:
            columns.append(Column(len(columns), Group(f"outside{i}", "", framed=False), outside[i]))
    return columns
