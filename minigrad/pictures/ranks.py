"""How high everything in a step stands: what is carried on rows of its own, what feeds a row below it, what leaves it above."""

from __future__ import annotations

from collections import defaultdict

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
        self.longest_paths()
        self.count = self.number()

    def row(self, element: Element) -> Node:
        return element.line or element

    # -- what stands beside ----------------------------------------------------------------------------------------

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
        self.before: dict[Element, set[int]] = {}
        self.after: dict[Element, set[int]] = {}
        for table, order, near in (
            (self.before, template.order, template.into),
            (self.after, template.order[::-1], template.out),
        ):
            for element in order:
                found: set[int] = set()
                for other in near[element]:
                    found |= {other.line.number} if other.line else table[other]
                table[element] = found
        for e in self.live:
            inside = not e.line and template.core[e] >= 0 and self.before[e] and self.after[e]
            e.down = bool(inside) and max(self.before[e]) > max(self.after[e])
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

    # -- what stands above what ------------------------------------------------------------------------------------

    def constrain(self) -> None:
        """Pairs (low, high), one by one: the order of the rows, what flows, what stands above a core. One that would close a
        cycle is left out; its arrow runs down."""
        template, lines = self.template, self.template.lines
        rows: list[tuple[Node, Node]] = [
            (low, high)
            for i, low in enumerate(lines)
            for high in lines[i + 1 :]
            if low.first <= high.last and high.first <= low.last
        ]
        flow: list[tuple[Node, Node]] = []
        self.wishes: dict[Element, list[Element]] = defaultdict(list)
        for a, b in template.edges:
            low, high = self.row(a), self.row(b)
            if a.satellite_of is not None or low is high:
                continue
            if a in self.hats:
                flow.append((high, low))
            elif b.down:
                if a.down or (a.line and a.line.number > max(self.after[b])):
                    flow.append((high, low))
                else:
                    self.wishes[b].append(a)
            elif a.down and b.line:
                flow.append((high, low))
            else:
                flow.append((low, high))
        flow += [(self.row(line.source), line) for line in lines if line.far and self.row(line.source) is not line]
        wanted: list[tuple[Node, Node]] = []
        for line in lines:
            if template.core[line.source] >= 0 and not line.far:
                inside = template.core[line.source]
                for e in self.live:
                    follows = not e.line and template.core[e] != inside and bool(line.pins) and template.leads(line.pins[0], e)
                    meets = any(line.first <= column <= line.last for column in e.boxes)
                    if follows and meets and e not in self.hats:
                        wanted.append((line, e))
        for e in self.live:  # the parameters of a row below it, but above those of the layers below
            row = template.out[e][0].line if e.role == "alias" and len(template.out[e]) == 1 else None
            if row is not None and e not in self.hats:
                below = [x for x in lines[: row.number] if template.core[x.source] not in (-1, template.core[row.source])]
                wanted += [(x, e) for x in below if not x.far]
        place = {element: i for i, element in enumerate(template.order)}

        def key(pair: tuple[Node, Node]) -> tuple[float, float]:
            first, second = (x.number * 1e-3 - 1 if isinstance(x, Line) else place[x] for x in pair)
            return first, second

        self.above: dict[Node, dict[Node, None]] = defaultdict(dict)
        for pairs in (rows, sorted(dict.fromkeys(flow), key=key), sorted(dict.fromkeys(wanted), key=key)):
            for low, high in pairs:
                if high not in self.above[low] and not (lines and self.reaches(high, low)):
                    self.above[low][high] = None
        self.nodes: list[Node] = list(dict.fromkeys([*map(self.row, self.live), *lines]))
        self.under: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for low in self.nodes:
            for high in self.above[low]:
                self.under[high].append(low)

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

    def upward(self) -> list[Node]:
        """The nodes, each after those that stand below it."""
        waiting = {node: len(self.under[node]) for node in self.nodes}
        queue = [node for node in self.nodes if not waiting[node]]
        for node in queue:
            for other in self.above[node]:
                waiting[other] -= 1
                if not waiting[other]:
                    queue.append(other)
        return queue

    def longest_paths(self) -> None:
        """As low as can be; what nothing leads to as high as its users let it, and so what has more users than operands."""
        order, rank = self.upward(), dict.fromkeys(self.nodes, 0.0)
        self.rank = rank
        for node in order:
            rank[node] = max((rank[low] + 1 for low in self.under[node]), default=0)
        highest: dict[Node, float] = {}
        for node in reversed(order):
            ups = [highest[high] for high in self.above[node]]
            highest[node] = rank[node] if isinstance(node, Line) or not ups else max(rank[node], min(ups) - 1)
        for node in order:
            root = not self.under[node] and not (isinstance(node, Element) and node.down)
            least = rank[node] if isinstance(node, Line) else highest[node] if root else 0
            rank[node] = max([least, *(rank[low] + 1 for low in self.under[node])])
        for node in reversed(order):
            if isinstance(node, Element) and not node.down and len(self.above[node]) > len(self.under[node]):
                rank[node] = max(rank[node], min(rank[high] for high in self.above[node]) - 1)
        downs = [node for node in order if isinstance(node, Element) and node.down]
        for node in sorted(downs, key=lambda node: rank[node]):
            room = self.room_above(node)
            hopes = [rank[self.row(other)] + (other.role == "slice") for other in self.wishes[node]]
            least = max((rank[low] + 1 for low in self.under[node]), default=0)
            rank[node] = max(least, min(max(hopes, default=room - 1), room - 1))

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
