"""The ranks of a step, its heights: rows for what is carried, below a row what feeds it, above it what leaves it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from .ordering import topological
from .template import Element, Line, Template

__all__ = ["give_ranks"]

Node = Element | Line  # what has a rank: an element, or a row for all that is pinned to it
BESIDE = ("alias", "target", "constant", "parameter")


def give_ranks(template: Template, below: bool) -> int:
    """Give every element and every line its rank, from 0 at the bottom; returns how many there are.

    The parameters of what stands on a row are drawn above it, or if `below` below it.
    """
    for element in template.elements.values():
        element.satellite_of, element.satellites, element.on_right, element.down = None, [], False, False
    return Ranking(template, below).count


class Ranking:
    """Ranks being given."""

    def __init__(self, template: Template, below: bool) -> None:
        self.template, self.below = template, below
        self.put_beside()
        self.live = [element for element in template.elements.values() if element.satellite_of is None]
        self.rows_around()
        self.hats = {element for element in self.live if self.is_hat(element)}
        self.constrain()
        self.rank = dict.fromkeys(self.above, 0.0)
        self.longest_paths()
        self.lower()
        self.count = self.number()

    def row(self, element: Element) -> Node:
        return element.line or element

    # -- satellites ----------------------------------------------------------------------------------------

    def put_beside(self) -> None:
        """Parameters, targets and constants that one op alone reads stand at its left."""
        template = self.template
        sources = {source for line in template.lines for source, _, _ in line.ways}
        for element in reversed(template.elements.values()):
            if element.role not in BESIDE or template.into[element] or len(template.out[element]) != 1 or element in sources:
                continue
            op = template.out[element][0]
            rows = sum(template.core[line.source] == template.core[op] >= 0 for line in template.lines)
            alone = element.role == "alias" and len(template.into[op]) == 1 and rows < 2 and template.core[op] >= 0
            crowded = element.role == "constant" and any(other.role == "alias" for other in template.into[op])
            if op.line is None and not op.satellites and not crowded and not (alone and template.lines):
                element.satellite_of = op
                op.satellites.append(element)

    # -- rows before and after -------------------------------------------------------------------------------------

    def rows_around(self) -> None:
        """The nearest rows before and after each element; those that go down to a lower row."""
        template = self.template
        before = nearest_rows(template.order, template.into)
        self.after = nearest_rows(template.order[::-1], template.out)
        for e in self.live:
            inside = not e.line and template.core[e] >= 0 and before[e] and self.after[e]
            e.down = bool(inside) and max(before[e]) > max(self.after[e])
        if self.below:
            pinned = [x for line in template.lines for x in line.pins]
            for e in self.live:
                plain = e.satellites and not e.line and template.core[e] < 0 and not any(template.leads(x, e) for x in pinned)
                if plain and any(x.line for x in template.out[e]):
                    e.on_right = all(x.role == "alias" for x in e.satellites)

    def is_hat(self, element: Element) -> bool:
        """A parameter of what stands on a row, drawn above it."""
        out = self.template.out[element]
        lone = element.role == "alias" and not self.template.into[element] and len(out) == 1
        return lone and out[0].line is not None and not self.below

    # -- constraints ------------------------------------------------------------------------------------

    def constrain(self) -> None:
        """Collect pairs (low, high): the order of the rows, the edges, what stands above a core. Leave out a pair that would
        close a cycle; its arrow runs down."""
        lines, place = self.template.lines, {element: i for i, element in enumerate(self.template.order)}

        def key(pair: tuple[Node, Node]) -> tuple[float, float]:
            first, second = (x.number * 1e-3 - 1 if isinstance(x, Line) else place[x] for x in pair)
            return first, second

        pairs: list[tuple[Node, Node]] = [
            (low, high)
            for i, low in enumerate(lines)
            for high in lines[i + 1 :]
            if low.first <= high.last and high.first <= low.last
        ]
        pairs += sorted(dict.fromkeys(self.flow()), key=key)
        pairs += sorted(dict.fromkeys([*self.above_cores(), *self.above_lower_layers()]), key=key)
        nodes: list[Node] = list(dict.fromkeys([*map(self.row, self.live), *lines]))
        self.above: dict[Node, dict[Node, None]] = {node: {} for node in nodes}
        for low, high in pairs:
            if high not in self.above[low] and not (lines and self.reaches(high, low)):
                self.above[low][high] = None
        self.under: dict[Node, list[Node]] = {node: [] for node in nodes}
        for low in nodes:
            for high in self.above[low]:
                self.under[high].append(low)

    def flow(self) -> Iterator[tuple[Node, Node]]:
        """Pairs (low, high) from the edges. An edge to an element that goes down may be a wish only."""
        self.wishes: dict[Element, list[Element]] = defaultdict(list)
        for a, b in self.template.edges:
            low, high = self.row(a), self.row(b)
            if a.satellite_of is not None or low is high:
                continue
            if a not in self.hats and b.down and not a.down and not (a.line and a.line.number > max(self.after[b])):
                self.wishes[b].append(a)
            elif a in self.hats or b.down or (a.down and b.line):
                yield high, low
            else:
                yield low, high
        for line in self.template.lines:
            if line.far and self.row(line.source) is not line:
                yield self.row(line.source), line

    def above_cores(self) -> Iterator[tuple[Line, Element]]:
        """An element that a core leads to, above the rows of that core."""
        template = self.template
        for line in template.lines:
            if template.core[line.source] >= 0 and not line.far and line.pins:
                for e in self.live:
                    outside = not e.line and e not in self.hats and template.core[e] != template.core[line.source]
                    meets = any(line.first <= column <= line.last for column in e.boxes)
                    if outside and meets and template.leads(line.pins[0], e):
                        yield line, e

    def above_lower_layers(self) -> Iterator[tuple[Line, Element]]:
        """A parameter of a row stands below it, but above the rows of the layers below."""
        core = self.template.core
        for e in self.live:
            out = self.template.out[e]
            row = out[0].line if e.role == "alias" and len(out) == 1 and e not in self.hats else None
            for line in self.template.lines[: row.number] if row else ():
                if core[line.source] not in (-1, core[row.source]) and not line.far:  # type: ignore[union-attr]
                    yield line, e

    def reaches(self, start: Node, goal: Node) -> bool:
        queue, seen = [start], set()
        while queue:
            here = queue.pop()
            if here is goal:
                return True
            if here not in seen:
                seen.add(here)
                queue += self.above[here]
        return False

    # -- ranks -----------------------------------------------------------------------------------------------------

    def longest_paths(self) -> None:
        """Give each node the lowest rank; to what nothing leads to, or has more users than operands, the highest."""
        order, rank = topological(self.above), self.rank
        for node in order:
            rank[node] = self.lowest(node)
        highest: dict[Node, float] = {}
        for node in reversed(order):
            ups = [highest[high] for high in self.above[node]]
            highest[node] = rank[node] if isinstance(node, Line) or not ups else max(rank[node], min(ups) - 1)
        for node in order:
            raised = not isinstance(node, Line) and not node.down and not self.under[node]
            least = rank[node] if isinstance(node, Line) else highest[node] if raised else 0
            rank[node] = max(least, self.lowest(node))
        for node in reversed(order):
            if isinstance(node, Element) and not node.down and len(self.above[node]) > len(self.under[node]):
                rank[node] = max(rank[node], min(rank[high] for high in self.above[node]) - 1)

    def lower(self) -> None:
        """Put what goes down to a lower row as high as its wishes, and the room for what follows it, allow."""
        rank = self.rank
        for node in sorted((e for e in topological(self.above) if isinstance(e, Element) and e.down), key=lambda e: rank[e]):
            room = self.room_above(node)
            hopes = [rank[self.row(other)] + (other.role == "slice") for other in self.wishes[node]]
            rank[node] = max(self.lowest(node), min(max(hopes, default=room - 1), room - 1))

    def lowest(self, node: Node) -> float:
        """The rank above all that stands below a node."""
        return max((self.rank[low] + 1 for low in self.under[node]), default=0)

    def room_above(self, node: Node) -> float:
        """The rank below which it has to stay, for all that goes down to it to have room."""
        room, count, here = 99.0, 0, node
        while True:
            room = min([room, *(self.rank[high] - count for high in self.above[here] if isinstance(high, Line))])
            others = [high for high in self.above[here] if isinstance(high, Element)]
            if not others:
                return room
            count, here = count + 1, others[0]

    def number(self) -> int:
        """Whole numbers, with the rows for what is carried alone."""
        rows = {self.rank[line] for line in self.template.lines}
        for element in self.live:
            element.rank = self.rank[self.row(element)]
            if not element.line and element.rank in rows:
                element.rank -= 0.5
        values = sorted({element.rank for element in self.live} | rows)
        numbers = {value: k for k, value in enumerate(values)}
        for element in self.live:
            element.rank = numbers[element.rank]
        for line in self.template.lines:
            line.rank = numbers[self.rank[line]]
        for element in self.template.elements.values():
            if element.satellite_of is not None:
                element.rank = element.satellite_of.rank
        return len(values)


def nearest_rows(order: Iterable[Element], near: Mapping[Element, list[Element]]) -> dict[Element, set[int]]:
    """The numbers of the nearest rows on one side of each element, where `near` has the neighbours on that side."""
    found: dict[Element, set[int]] = {}
    for element in order:
        rows = [{other.line.number} if other.line else found[other] for other in near[element]]
        found[element] = set().union(*rows)
    return found
