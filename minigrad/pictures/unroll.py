"""The unrolled view: every node of a graph, those of one time step in a group of their own.

What many steps share (a parameter, or anything made outside of them) is drawn anew, small and dashed, in each step that uses
it: with one box for all, the lines to it hide the time axis. So is what gathers the steps, such as a stack of all outputs: it
gets an element in each step, and a line along them.
"""

from __future__ import annotations

from itertools import pairwise

from ..graph import Leaf, Node
from ..snapshot import Graph
from .board import Board, Marks, operand_nodes, runs
from .picture import Arrow, Box, Group, Picture
from .strips import strip

__all__ = ["unroll"]


def unroll(graph: Graph, marks: Marks, title: str = "") -> Picture:
    """The picture of a graph with a group for each time step; without scopes called ``t`` there is none."""
    board = Unrolling(graph, marks, title)
    for node in graph:
        if not isinstance(node, Leaf):
            board.draw(node)
    board.add_leaves(board.group)
    for node, t in board.steps.items():
        board.groups[t].backward |= node in marks.backward
    board.straighten()
    board.picture.groups = [group for group in board.picture.groups if group.boxes]
    board.picture.in_row = bool(board.picture.groups)
    return board.picture


class Unrolling(Board):
    """The board of the unrolled view."""

    def __init__(self, graph: Graph, marks: Marks, title: str) -> None:
        super().__init__(graph, marks, title)
        self.steps = {node: t for node in graph if (t := marks.step(node)) is not None}
        times = set(self.steps.values())
        shown = times if marks.shown is None else times & marks.shown
        titles = {(t, t): marks.step_name(t) for t in shown}
        forward = {t for node, t in self.steps.items() if node not in marks.backward}
        for first, last in (*runs((times - shown) & forward), *runs(times - shown - forward)):
            begin, end = marks.step_name(first), marks.step_name(last)
            prefix = begin[: begin.find("t = ") + 4]
            inside = begin if first == last else f"{begin.partition(',')[0]} ... {end.removeprefix(prefix)}"
            titles[first, last] = f"{inside}  ({last - first + 1} step{'s' * (first != last)} folded)"
        self.groups: dict[int, Group] = {}
        self.folded: dict[str, tuple[int, int]] = {}  # by the group that stands for them
        self.start = Group("start", "", framed=False)  # initial states, in the row before the first step
        self.end = Group("end", "", framed=False)  # those of what runs from the last step to the first
        self.picture.groups = [self.start]
        for (first, last), words in sorted(titles.items()):
            group = Group(f"t{first}" if first in shown else f"folded{first}", words)
            self.picture.groups.append(group)
            self.groups |= dict.fromkeys(range(first, last + 1), group)
            if first not in shown:
                group.repeated = True
                self.folded[group.id] = (first, last)
        self.picture.groups.insert(1 + sum(last in forward for _, last in titles), self.end)
        self.users: dict[Node, list[Node]] = {}
        for node in graph:
            for _, operand in operand_nodes(node):
                self.users.setdefault(operand, []).append(node)
        self.drawn: set[tuple[str, str]] = set()

    def group(self, node: Node) -> Group | None:
        t = self.steps.get(node)
        return None if t is None else self.groups[t]

    def hidden(self, node: Node) -> bool:
        group = self.group(node)
        return group is not None and group.id in self.folded

    def draw(self, node: Node) -> None:
        if self.hidden(node):
            here = self.group(node)
            for _, operand in operand_nodes(node):
                origin = self.marks.cuts.get(operand, operand)
                there = self.group(origin)
                if there is not None and there is not here and not self.apart(operand, node):
                    source = self.source(operand, node)
                    self.lead(source, self.strip_of(origin, self.strip_track(origin), here), operand, node)
            return
        places = {group.id: group for _, operand in operand_nodes(node) if (group := self.group(operand)) is not None}
        here = self.group(node)
        gathers = node.op.variadic and len([id for id in places if here is None or id != here.id]) > 2
        sources = [] if gathers else [(i, operand, self.source(operand, node)) for i, operand in operand_nodes(node)]
        op = self.add_result(node, here)
        if gathers:
            self.gather(node, op)
        for i, operand, source in sources:
            if source != op:  # within a block
                self.lead(source, op, operand, node, self.operand_number(node, i))

    def lead(self, source: str, target: str, operand: Node, user: Node, number: str = "") -> None:
        """An arrow; between two boxes that stand for several nodes only one."""
        merged = user in self.marks.blocks or self.place[target] is not self.group(user) or self.hidden(user)
        if merged and (source, target) in self.drawn:
            return
        self.drawn.add((source, target))
        arrow = Arrow(source, target, self.arrow_role(user), operand=number, emphasis=self.emphasis(operand, user))
        origin, here = self.place[source], self.place[target]
        arrow.back = self.marks.back(user)
        if operand in self.marks.cuts:
            arrow.role = "cut"
        elif origin is not None and here is not None and origin is not here and arrow.role == "flow":
            arrow.role = "gathered" if user in self.marks.sums else "recurrent"
            arrow.heat = self.marks.flow.get((operand, user))
        self.connect(arrow)

    def source(self, operand: Node, user: Node) -> str:
        """The box from which `operand` goes to its user. A leaf gets its box when it is first used."""
        operand = self.marks.cuts.get(operand, operand)
        group = self.group(user)
        if self.hidden(operand):
            return self.strip_of(operand, self.strip_track(operand), self.group(operand))
        role = self.marks.role(operand)
        if group is not None and role != "initial" and self.apart(operand, user):
            alias = f"p{self.graph.index[operand]}_{group.id}"
            if alias not in self.boxes:
                note, heat = self.marks.uses.get((operand, self.steps[user]), ("", None))
                lines = [self.lines(operand)[0], *([note] if note else [])]
                self.add(
                    Box(alias, "alias", lines, self.tooltip(operand), heat=heat, emphasis=self.emphasis(operand, user)), group
                )
            return alias
        if operand not in self.exits:
            beginning = self.end if self.marks.back(user) else self.start
            place = beginning if role == "initial" else self.group(operand)
            self.exits[operand] = self.add(self.value_box(operand, role), place)
        return self.exits[operand]

    def apart(self, operand: Node, user: Node) -> bool:
        """Whether a step draws `operand` anew: parameters, and what is made outside of the steps and used in several."""
        if self.marks.apart(operand, user) or (self.marks.role(operand) == "parameter" and isinstance(operand, Leaf)):
            return True
        if self.group(operand) is not None:
            return False
        return len({self.steps.get(other) for other in self.users.get(operand, ())} - {None}) > 2

    # -- folded steps ----------------------------------------------------------------------------------------

    def strip_track(self, operand: Node) -> str:
        return self.marks.track(operand) or f"op {operand.op.name if operand.op is not None else 'leaf'}"

    def strip_of(self, operand: Node, track: str, group: Group | None) -> str:
        """The box that stands for one thing in a range of folded steps."""
        assert group is not None
        id = f"s_{group.id}_{''.join(c if c.isalnum() else '_' for c in track)}"
        if id not in self.boxes:
            first, last = self.folded[group.id]
            name = "" if self.marks.track(operand) in ("", "sum") else self.name(operand).rpartition("[")[0]
            box = strip(id, name, first, last, self.marks.pieces.get(track, {}), self.marks.cut_steps(track))
            box.track = track
            self.add(box, group)
        return id

    # -- what gathers the steps ------------------------------------------------------------------------------

    def gather(self, node: Node, op: str) -> None:
        """Lead the operands of an op that takes one from each step along a line through the steps."""
        track = f"gather{self.graph.index[node]}"
        elements: dict[str, str] = {}
        role = "backward" if node in self.marks.backward else "gathered"
        for _, operand in operand_nodes(node):
            group = self.group(operand)
            if group is None or group is self.place[op]:
                self.lead(self.source(operand, node), op, operand, node)
                continue
            element = f"{track}_{group.id}"
            if element not in self.boxes:
                look = "strip" if group.id in self.folded else "collect"
                self.add(Box(element, look, ["..."] if look == "strip" else [], f"an element of {node.op.name}"), group)
                self.boxes[element].track = track
                elements[group.id] = element
            if group.id not in self.folded:
                self.connect(Arrow(self.source(operand, node), element, emphasis=self.emphasis(operand, node)))
        chain = [elements[group.id] for group in self.picture.groups if group.id in elements]
        for one, other in pairwise([*chain, op]):
            self.connect(Arrow(one, other, role, straight=other != op, emphasis=self.emphasis(node)))

    # -- the layout ------------------------------------------------------------------------------------------

    def straighten(self) -> None:
        """Put what is handed on from step to step on one line: its boxes, and what lies between them."""
        leaving = {arrow.source for arrow in self.picture.arrows}
        into: dict[str, list[Arrow]] = {}
        for arrow in self.picture.all_arrows():
            into.setdefault(arrow.target, []).append(arrow)
        lines: dict[str, set[str]] = {}
        for node in self.graph:
            track = self.marks.track(node)
            if track and node in self.exits:
                lines.setdefault(track, set()).add(self.exits[node])
        for box in self.boxes.values():
            if box.role == "strip" and box.track in lines:
                lines[box.track].add(box.id)
        for track, named in lines.items():
            for box_id in sorted(named):
                if box_id in leaving:
                    self.boxes[box_id].track = self.boxes[box_id].track or track
                for arrow in self.way_back(box_id, named, into):
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
