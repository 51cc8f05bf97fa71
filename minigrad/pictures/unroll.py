"""The unrolled view: every node of a graph, those of one time step in a group of their own.

A parameter is drawn anew, small and dashed, in each step that uses it: with one box for all, the lines to it hide the time
axis.
"""

from __future__ import annotations

from itertools import pairwise

from ..graph import Leaf, Node
from ..snapshot import Graph
from .board import Board, Marks, operand_nodes, step_of
from .picture import Arrow, Box, Group, Picture

__all__ = ["unroll"]


def unroll(graph: Graph, marks: Marks, title: str = "") -> Picture:
    """The picture of a graph with a group for each time step; without scopes called ``t`` there is none."""
    board = Unrolling(graph, marks, title)
    for node in graph:
        if not isinstance(node, Leaf):
            board.draw(node)
    for track, names in marks.tracks.items():
        board.straighten(track, names)
    board.keep_order()
    if not board.start.boxes:
        board.picture.groups.remove(board.start)
    return board.picture


class Unrolling(Board):
    """The board of the unrolled view."""

    def __init__(self, graph: Graph, marks: Marks, title: str) -> None:
        super().__init__(graph, marks, title)
        times = sorted({t for node in graph if (t := step_of(node)) is not None})
        self.groups = {t: Group(f"t{t}", f"t = {t}") for t in times}
        self.start = Group("start", "", framed=False)  # initial states, in the row before the first step
        self.picture.groups = [self.start, *self.groups.values()]

    def group(self, node: Node) -> Group | None:
        t = step_of(node)
        return None if t is None else self.groups[t]

    def draw(self, node: Node) -> None:
        sources = [(i, operand, self.source(operand, node)) for i, operand in operand_nodes(node)]
        op = self.add_result(node, self.group(node))
        for i, operand, source in sources:
            arrow = Arrow(source, op, operand=self.operand_number(node, i))
            origin = self.place[source]
            if origin is not None and self.place[op] is not None and origin is not self.place[op]:
                arrow.role = "gathered" if node.name in self.marks.sums else "recurrent"
                arrow.heat = self.marks.flow.get((operand, node))
            self.connect(arrow)

    def source(self, operand: Node, user: Node) -> str:
        """The box from which `operand` goes to its user. A leaf gets its box when it is first used."""
        if not isinstance(operand, Leaf):
            return self.exits[operand]
        role = self.marks.role(operand)
        group = self.group(user)
        if role == "parameter" and group is not None:
            alias = f"p{self.graph.index[operand]}_{group.id}"
            if alias not in self.boxes:
                self.add(Box(alias, "alias", [self.lines(operand)[0]], self.tooltip(operand)), group)
            return alias
        if operand not in self.exits:
            place = self.start if role == "initial" else self.group(operand)
            self.exits[operand] = self.add(self.value_box(operand, role), place)
        return self.exits[operand]

    def straighten(self, track: str, names: set[str]) -> None:
        """Put what is handed on from step to step on one line: its boxes, and what lies between them."""
        into: dict[str, list[Arrow]] = {}
        for arrow in (*self.picture.arrows, *(a for group in self.groups.values() for a in group.arrows)):
            into.setdefault(arrow.target, []).append(arrow)
        named = {self.exits[node] for node in self.graph if node in self.exits and node.name in names}
        for box in named:
            for arrow in self.way_back(box, named, into):
                arrow.straight = True
                for end in (arrow.source, arrow.target):
                    self.boxes[end].track = self.boxes[end].track or track

    def way_back(self, start: str, named: set[str], into: dict[str, list[Arrow]]) -> list[Arrow]:
        """The shortest way from a box against the arrows to one of the same name in another step."""
        ways: dict[str, list[Arrow]] = {start: []}
        queue = [start]
        for box in queue:
            for arrow in into.get(box, []):
                way = [*ways[box], arrow]
                if self.place[arrow.source] is not self.place[start]:
                    if arrow.source in named:
                        return way
                elif arrow.source not in ways:
                    ways[arrow.source] = way
                    queue.append(arrow.source)
        return []

    def keep_order(self) -> None:
        """Unseen arrows from every end of a step to every op that the next one begins with keep the steps in a row."""
        groups = self.picture.groups
        for group, following in pairwise(groups):
            left = {arrow.source for arrow in group.arrows}
            ends = [box.id for box in group.boxes if box.id not in left]
            self.picture.arrows += [Arrow(end, op, "order") for end in ends for op in first_ops(following)]


def first_ops(group: Group) -> list[str]:
    """The ops that wait for no other op of the group."""
    made = {arrow.target for arrow in group.arrows}
    waiting = {arrow.target for arrow in group.arrows if arrow.source in made}
    return [box.id for box in group.boxes if box.role == "op" and box.id not in waiting]
