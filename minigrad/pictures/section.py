"""The layout of one step: the order within each rank, and straight columns."""

from __future__ import annotations

import random
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .ordering import topological
from .sizes import size
from .template import Column, Element, Line, Template

__all__ = ["Item", "Path", "Section"]

BESIDE = 9.0  # between an op and what stands beside it
APART, ON_ROW, AT_DUMMY, AT_PORT = 10.0, 11.0, 9.0, 10.0  # between neighbours
PADDING = 8.0  # of a frame
SWEEPS, ROUNDS = 24, 60
TRIES = ((150, 24), (400, 6), (1000, 2))  # up to so many items so many orders to begin with


@dataclass(eq=False)
class Item:
    """An element on a rank, a line that passes through it, or the place where a line enters or leaves the frame."""

    number: int
    rank: int
    kind: str  # box, pass, in, out
    element: Element | None = None
    line: Line | None = None  # whose row it is on
    width: float = 0.0
    left: float = 0.0  # from its middle, with what stands beside it
    right: float = 0.0
    x: float = 0.0
    at: int = 0  # its place in the order
    chain: int = 0  # that it is part of


@dataclass(eq=False)
class Path:
    """The way of an arrow through a step, from its source up or down to its target."""

    items: list[Item]
    weight: float

    @property
    def source(self) -> Item:
        return self.items[0]

    @property
    def target(self) -> Item:
        return self.items[-1]


class Section:
    """The columns of one kind, laid out as one."""

    def __init__(self, template: Template, columns: list[Column], ranks: int) -> None:
        self.template, self.columns = template, columns
        self.numbers = {column.number for column in columns}
        self.rows: list[list[Item]] = [[] for _ in range(ranks)]
        self.made = 0
        self.items: dict[Element, Item] = {}
        self.beside: dict[Element, float] = {}  # how wide satellites are
        self.segments: dict[tuple[Item, Item], float] = {}  # (lower, upper) to weight
        self.level: list[tuple[Item, Item]] = []  # on one rank
        self.passing: dict[tuple[Item, int], Item] = {}
        self.edges: dict[tuple[Element, Element], Path] = {}
        self.enter: dict[Line, Item] = {}
        self.leave: dict[tuple[Line, Element], Path] = {}
        self.read: dict[tuple[Line, Element], Path] = {}
        self.meets: dict[tuple[Line, Element], Element] = {}
        self.add_items()
        self.add_paths()
        self.choose_order()

    # -- what stands here ------------------------------------------------------------------------------------------

    def item(self, rank: float, kind: str, element: Element | None = None, line: Line | None = None, width: float = 0) -> Item:
        self.made += 1
        made = Item(self.made, int(rank), kind, element, line, width, width / 2, width / 2)
        self.rows[made.rank].append(made)
        return made

    def width_of(self, element: Element) -> float:
        return max((size(box)[0] for number, box in element.boxes.items() if number in self.numbers), default=0.0)

    def add_items(self) -> None:
        for element in self.template.elements.values():
            if self.numbers.isdisjoint(element.boxes):
                continue
            width = self.width_of(element)
            if element.satellite_of is not None:
                self.beside[element] = width
            else:
                self.items[element] = self.item(element.rank, "box", element, element.line, width)
        for element, width in self.beside.items():
            op = self.items.get(element.satellite_of) if element.satellite_of else None
            if op is not None and op.element is not None:
                if op.element.on_right:
                    op.right += width + BESIDE
                else:
                    op.left += width + BESIDE

    def add_paths(self) -> None:
        """The ways of edges, from the beginnings of lines to their readers, and from their sources to their rows."""
        for (a, b), arrows in self.template.edges.items():
            if a in self.items and b in self.items and any(self.is_here(arrow.source) for arrow in arrows):
                self.edges[a, b] = self.path(self.items[a], self.items[b], self.weight(a, b))
        for line in self.template.lines:
            for a, b, arrow in line.ways:
                if b in self.items and self.is_here(arrow.target):
                    self.add_reader(line, b)
                if a.line is not line and self.is_here(arrow.source):
                    self.add_source(line, a)

    def is_here(self, box: str) -> bool:
        """True for a box of these columns that is no strip."""
        return box in self.template.of_box and self.template.home[box] in self.numbers

    def weight(self, a: Element, b: Element) -> float:
        """The importance of a straight way from a to b."""
        template = self.template
        plain = [x for x in template.into[b] if x.satellite_of is None and x.role != "alias"]
        only = len(template.out[a]) == 1 and len(plain) == 1
        return (1.0 if a.role == "alias" else 3.0) + 2 * only + 3 * (template.core[a] == template.core[b] >= 0)

    def add_reader(self, line: Line, reader: Element) -> None:
        if line not in self.enter:
            self.enter[line] = self.item(line.rank, "in", line=line)
        if (line, reader) not in self.read:
            self.read[line, reader] = self.path(self.enter[line], self.items[reader], 1.0)

    def add_source(self, line: Line, source: Element) -> None:
        """A way to the row of a line: through an element on it that reads the source, or on its own."""
        if (line, source) in self.leave:
            return
        template = self.template
        pin = next((pin for pin in line.pins if (source, pin) in self.edges), None)
        at = {template.home[x.source] for a, _, x in line.ways if a is source and x.source in template.of_box}
        if pin is not None and at.isdisjoint(pin.boxes):
            self.meets[line, source] = pin
        else:
            self.leave[line, source] = self.path(self.items[source], self.item(line.rank, "out", line=line), 1.0)

    def path(self, source: Item, target: Item, weight: float) -> Path:
        """A way from rank to rank; all ways from one source share the places where they pass."""
        items, step = [source], 1 if target.rank > source.rank else -1
        for rank in range(source.rank + step, target.rank, step):
            if (source, rank) not in self.passing:
                self.passing[source, rank] = self.item(rank, "pass")
            items.append(self.passing[source, rank])
        items.append(target)
        if source.rank == target.rank:
            self.level.append((source, target))
            return Path(items, weight)
        for one, other in pairwise(items):
            pair = (one, other) if one.rank < other.rank else (other, one)
            more = 4.0 if one.kind == other.kind == "pass" else 1.0 if pair[0].kind == "pass" else 0.0
            self.segments[pair] = max(self.segments.get(pair, 0.0), weight + more)
        return Path(items, weight)

    # -- the order in each rank ------------------------------------------------------------------------------------

    def choose_order(self) -> None:
        """Begin with several orders, and keep the one of which least is crossed, narrow and straight."""
        self.neighbours()
        self.depths()
        begin = [list(row) for row in self.rows]
        chance = random.Random(1)
        best: tuple[float, list[list[Item]]] | None = None
        tried = set()
        for k in range(next((tries for most, tries in TRIES if self.made <= most), 1)):
            self.rows = [list(row) for row in begin]
            if k:
                for row in self.rows:
                    chance.shuffle(row)
            self.sort(first=not k)
            if self.order() in tried:
                continue
            tried.add(self.order())
            self.straighten()
            cost = self.cost()
            if best is None or cost < best[0] - 1e-6:
                best = (cost, [list(row) for row in self.rows])
        assert best is not None
        self.rows = best[1]
        self.count_places()
        self.straighten()

    def neighbours(self) -> None:
        """Note for each item those that it is joined to above and below."""
        self.ups: dict[Item, list[Item]] = defaultdict(list)
        self.downs: dict[Item, list[Item]] = defaultdict(list)
        gaps: list[list[tuple[Item, Item]]] = [[] for _ in self.rows]  # the segments above each rank
        for low, high in self.segments:
            self.ups[low].append(high)
            self.downs[high].append(low)
            gaps[low.rank].append((low, high))
        self.gaps = [gap for gap in gaps if len(gap) > 1]
        self.alone = [(a, b) for a, b in self.level if a.line is None and b.line is None]
        self.shared = [row for row in self.rows if any(item.line for item in row)]

    def depths(self) -> None:
        self.depth = {item: float(self.template.depth[element]) for element, item in self.items.items()}
        for item in (item for row in self.rows for item in row if item.kind in ("in", "out")):
            self.depth[item] = 0.0 if item.kind == "in" else 50.0
        for (source, rank), item in self.passing.items():
            far = abs(rank - source.rank)
            self.depth[item] = self.depth[source] + 0.01 * far if source.kind != "in" else 0.0

    def cost(self) -> float:
        through_rows = sum(item.kind == "pass" for row in self.shared for item in row)
        through_rows += 4 * sum(abs(abs(a.at - b.at) - 1) for a, b in self.alone)
        sideways = sum(
            abs(a.x - b.x) * (weight if "pass" in (a.kind, b.kind) else 3) for (a, b), weight in self.segments.items()
        )
        turned = 0
        for row in self.rows:
            gates = [item.number for item in row if item.element and item.element.role in ("tensor", "block")]
            turned += sum(a > b for i, a in enumerate(gates) for b in gates[i + 1 :])
        return (self.crossings() + 0.5 * through_rows) * 40 + self.width * 1.5 + 0.12 * sideways + 3 * turned

    def crossings(self) -> int:
        return sum(crossed([(low.at, high.at) for low, high in gap]) for gap in self.gaps)

    def order(self) -> tuple[int, ...]:
        return tuple(item.number for row in self.rows for item in row)

    def key_on_row(self, item: Item) -> int:
        """The order on a row: where the line enters, its pins, where it leaves."""
        line = item.line
        assert line is not None
        k = -1 if item.kind == "in" else 999 if item.kind == "out" else line.pins.index(item.element)  # type: ignore[arg-type]
        return k * line.direction

    def fix(self, row: list[Item]) -> None:
        """Put the items of a line in its order, its beginning at the edge, and level neighbours side by side."""
        pinned = [item for item in row if item.line is not None]
        if pinned:
            wanted = iter(sorted(pinned, key=self.key_on_row))
            row[:] = [next(wanted) if item.line is not None else item for item in row]
            first = next(item for item in row if item.line is not None)
            row.remove(first)
            row.insert(0, first)
        for a, b in self.alone:
            if self.rows[a.rank] is row:
                row.remove(a)
                row.insert(row.index(b), a)
        for i, item in enumerate(row):
            item.at = i

    def count_places(self) -> None:
        for row in self.rows:
            for i, item in enumerate(row):
                item.at = i

    def sort(self, first: bool) -> None:
        """Each item to the middle of its neighbours, up and down through the ranks; then neighbours change places."""
        for row in self.rows:
            if first:
                row.sort(key=lambda item: (self.depth[item] * (-1 if self.runs_left(item) else 1), item.number))
            self.fix(row)
        best = (self.crossings(), [list(row) for row in self.rows])
        seen = set()
        for k in range(SWEEPS):
            state = (k % 2, self.order())
            if not best[0] or state in seen:  # from here on it would go in circles
                break
            seen.add(state)
            if k % 2 == 0:
                for below, row in pairwise(self.rows):
                    self.to_middles(row, self.downs, below)
            else:
                for row, above in reversed(list(pairwise(self.rows))):
                    self.to_middles(row, self.ups, above)
            count = self.crossings()
            if count < best[0]:
                best = (count, [list(row) for row in self.rows])
        self.rows = best[1]
        self.count_places()
        for _ in range(SWEEPS):
            if not sum(self.swap(row) for row in self.rows):
                break

    def runs_left(self, item: Item) -> bool:
        return item.line is not None and item.line.direction < 0

    def to_middles(self, row: list[Item], near: dict[Item, list[Item]], beside: list[Item]) -> None:
        """Sort a row by the middles of the neighbours of its items, which are on the rank next to it."""
        if len(row) < 2:
            return
        places, own = ([(i + 0.5) / len(items) for i in range(len(items))] for items in (beside, row))
        middles = [
            sum([places[x.at] for x in others]) / len(others) if (others := near[item]) else own[item.at] for item in row
        ]
        row[:] = [row[i] for i in sorted(range(len(row)), key=middles.__getitem__)]
        self.fix(row)

    def swap(self, row: list[Item]) -> bool:
        """Let neighbours of a row change places where fewer lines then cross."""
        changed = False
        for i in range(len(row) - 1):
            a, b = row[i], row[i + 1]
            fixed = (a.line and b.line) or a.kind in ("in", "out") or b.kind in ("in", "out")
            if not fixed and not any({a, b} == {p, q} for p, q in self.alone) and self.cross(b, a) < self.cross(a, b):
                row[i], row[i + 1] = b, a
                a.at, b.at = i + 1, i
                changed = True
        return changed

    def cross(self, left: Item, right: Item) -> int:
        count = 0
        for near in (self.ups, self.downs):
            others = near[right]
            for x in near[left]:
                for y in others:
                    count += x.at > y.at
        return count

    # -- columns ---------------------------------------------------------------------------------------------------

    def straighten(self) -> None:
        """Straight chains get one x each, as near to what they are connected with as their neighbours let them."""
        count = len(self.chains())
        before: list[list[tuple[int, float]]] = [[] for _ in range(count)]
        behind: list[list[tuple[int, float]]] = [[] for _ in range(count)]
        for row in self.rows:
            for a, b in pairwise(row):
                gap = a.right + b.left + between(a, b)
                before[b.chain].append((a.chain, gap))
                behind[a.chain].append((b.chain, gap))
        near: list[list[tuple[int, float]]] = [[] for _ in range(count)]
        for a, b, weight in self.pulls():
            if a.chain != b.chain:
                near[a.chain].append((b.chain, weight))
                near[b.chain].append((a.chain, weight))
        xs = settled(before, behind, near)
        items = [item for row in self.rows for item in row]
        for item in items:
            item.x = xs[item.chain]
        left = min((item.x - item.left for item in items), default=0.0)
        self.width = max((item.x + item.right for item in items), default=0.0) - left + 2 * PADDING
        for item in items:
            item.x += PADDING - left
        self.turn_off()

    def pulls(self) -> Iterator[tuple[Item, Item, float]]:
        """Items that should have the same x, and how much so: those of a segment, of a row, and of one rank."""
        for (a, b), weight in self.segments.items():
            yield a, b, weight
        for line in self.template.lines:
            pins = [item for item in (self.enter.get(line), *map(self.items.get, line.pins)) if item is not None]
            for a, b in pairwise(pins):
                yield a, b, 0.6
        for a, b in self.level:
            yield a, b, 2.0

    def turn_off(self) -> None:
        """Put the beginnings of the lines at the edge; of those that turn off their rows at once, each next to the others."""
        turning = {line for (line, _), path in self.read.items() if path.source.rank != path.target.rank}
        places = {line: k for k, line in enumerate(sorted(turning, key=lambda line: line.number))}
        for line, item in self.enter.items():
            inside = min(2.5 * places.get(line, 0), PADDING - 1)
            item.x = inside if line.direction > 0 else self.width - inside

    def chains(self) -> list[list[Item]]:
        """Ways from rank to rank that are made straight: the heavier first, none across another."""
        above: dict[Item, Item] = {}
        below: dict[Item, Item] = {}
        accepted: dict[int, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        segments = sorted(self.segments.items(), key=lambda s: (-s[1], abs(s[0][0].at - s[0][1].at), s[0][0].number))
        for (low, high), _ in segments:
            if low in above or high in below:
                continue
            lows, highs = accepted[low.rank]
            i = bisect_right(lows, low.at)
            if i == bisect_right(highs, high.at):
                lows.insert(i, low.at)
                highs.insert(i, high.at)
                above[low], below[high] = high, low
        chains: list[list[Item]] = []
        for row in self.rows:
            for item in row:
                if item not in below:
                    chain = [item]
                    while chain[-1] in above:
                        chain.append(above[chain[-1]])
                    for each in chain:
                        each.chain = len(chains)
                    chains.append(chain)
        return chains

    def satellites(self, element: Element) -> list[tuple[Element, float]]:
        """The satellites of an element in these columns, and the x of each."""
        item = self.items[element]
        side = 1 if element.on_right else -1
        x, found = item.x + side * item.width / 2, []
        for other in element.satellites:
            if other in self.beside:
                width = self.beside[other]
                found.append((other, x + side * (BESIDE + width / 2)))
                x += side * (width + BESIDE)
        return found


def settled(
    before: list[list[tuple[int, float]]], behind: list[list[tuple[int, float]]], near: list[list[tuple[int, float]]]
) -> list[float]:
    """The x of each chain: again and again to the weighted median of those near it, within the gaps to its neighbours."""
    order = topological({i: [j for j, _ in others] for i, others in enumerate(behind)})
    xs = [0.0] * len(near)
    for i in order:
        xs[i] = max((xs[j] + gap for j, gap in before[i]), default=0.0)
    for k in range(ROUNDS):
        moved = False
        for i in order if k % 2 else reversed(order):
            if near[i]:
                low = max((xs[j] + gap for j, gap in before[i]), default=-1e9)
                high = min((xs[j] - gap for j, gap in behind[i]), default=1e9)
                x = min(max(weighted_median([(xs[j], w) for j, w in near[i]]), low), high)
                moved |= x != xs[i]
                xs[i] = x
        if not moved:
            break
    return xs


def between(a: Item, b: Item) -> float:
    """The gap between two neighbours."""
    kinds = (a.kind, b.kind)
    if "pass" in kinds:
        return AT_DUMMY
    if "in" in kinds or "out" in kinds:
        return AT_PORT
    return ON_ROW if a.line is not None and a.line is b.line else APART


def crossed(ends: list[tuple[int, int]]) -> int:
    """The number of pairs of lines between two ranks that cross.

    >>> crossed([(0, 1), (1, 0), (1, 2)])
    1
    """
    highs: list[int] = []
    count = 0
    for _, high in sorted(ends):
        count += len(highs) - bisect_right(highs, high)
        insort(highs, high)
    return count


def weighted_median(points: list[tuple[float, float]]) -> float:
    """The first point at which half of the weight is reached."""
    points.sort()
    half, weight = sum(w for _, w in points) / 2, 0.0
    for x, w in points:
        weight += w
        if weight >= half:
            return x
    return points[-1][0]
