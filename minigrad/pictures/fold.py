"""The folded view: each loop of a graph once, with arrows that lead from the end of an iteration back to its beginning."""

from __future__ import annotations

from typing import Any

from ..graph import Leaf, Node
from ..graph_view import Graph, brief
from ..loop import Loop, alike
from ..loop_search import FEWEST, HALF
from .annotations import Annotations
from .builder import Builder, operand_nodes, stem
from .picture import Arrow, Group, Picture
from .timeline import Timeline

__all__ = ["drawn_as", "fold"]

MOST_KINDS = 8  # of leaves that a loop reads in turns, drawn one by one


def fold(graph: Graph, annotations: Annotations, title: str = "", timeline: Timeline | None = None) -> Picture:
    """The picture of a graph with its loops folded: what `minigrad.loops` finds, those of the same time steps in one frame.

    Raises ValueError if the graph has no loop.
    """
    timeline = timeline or Timeline(graph)
    if not timeline.folded.home and not timeline.turns:
        raise ValueError(
            f"nothing to fold: this graph has no loop (the same ops three times or more, which spare {FEWEST} ops, or {HALF} "
            "that are half of the graph), and no node of this graph has a scope ('t', ...); draw it unrolled"
        )
    return Folding(graph, annotations, title, timeline).picture


def drawn_as(graph: Graph, picture: Picture, timeline: Timeline) -> dict[Node, Node]:
    """For each op of a loop, and each leaf that one iteration reads, the node whose box shows it in the folded picture."""
    ids = {box.id for box in picture.all_boxes()}
    found: dict[Node, Node] = {node: loop.body[i] for node, (loop, _, i) in timeline.folded.home.items()}
    for loop in (*timeline.folded.loops, *timeline.folded.maps):
        for each in loop.per_step.values():
            leaves = [x for x in each.values() if isinstance(x, Leaf)]
            shown = next((x for x in leaves if f"v{graph.index[x]}" in ids), None)
            if shown is not None:
                found |= {x: shown for x in leaves if f"v{graph.index[x]}" not in ids}
    return found


class Folding(Builder):
    """The builder of the folded view."""

    def __init__(self, graph: Graph, annotations: Annotations, title: str, timeline: Timeline) -> None:
        super().__init__(graph, annotations, title)
        self.timeline, self.home = timeline, timeline.folded.home
        self.groups: dict[tuple[int, int], Group] = {}  # by the first and the last step
        self.uses: dict[Node, int] = {}
        self.begun: dict[tuple[str, ...], str] = {}  # first states, by what they are
        self.called: dict[Node, str] = {}  # what differs from iteration to iteration, by t
        self.sums = {loop: loop.adds() for loop in self.loops()}
        for node in graph:
            for operand in dict.fromkeys(x for _, x in operand_nodes(node)):
                self.uses[operand] = self.uses.get(operand, 0) + 1
        for node in graph:
            if not isinstance(node, Leaf) and self.stand_in(node) is node:
                self.add_result(node, self.group_of(node))
        self.drawn: set[tuple[str, str]] = set()
        for node in graph:
            if isinstance(node, Leaf) or self.stand_in(node) is not node or self.unchanged(node) is not None:
                continue
            if node in self.home:
                self.lead(node)
            elif node in self.timeline.turns:
                self.lead_growing(node)
            else:
                for i, operand in operand_nodes(node):
                    self.join(Arrow(self.source(operand), self.box_of(node), operand=self.operand_number(node, i), place=i))
        for node in graph:  # such as the total, which the last iteration has
            like = self.stand_in(node)
            if like is not node and self.annotations.role(node) != "op" and self.annotations.role(like) == "op":
                box = self.add(self.value_box(node, self.annotations.role(node)), None)
                self.connect(Arrow(self.exits[like], box, "first"))
        self.add_leaves(self.group_of)

    def loops(self) -> list[Loop]:
        return [*self.timeline.folded.loops, *self.timeline.folded.maps]

    def slot(self, node: Node) -> str:
        return str(self.graph.index[node]) if node in self.home else ""

    def stand_in(self, node: Node) -> Node:
        """The node that is drawn in its place: of an op in a loop that of one iteration, of one that grows that of the last."""
        if node not in self.home:
            return self.timeline.in_all_iterations(node)[-1]
        loop, _, i = self.home[node]
        return loop.body[i]

    def group_of(self, node: Node) -> Group | None:
        """The frame of the loops of the same steps."""
        if node in self.home:
            steps = [self.timeline.steps[next(iter(step.values()))] for step in self.home[node][0].iterations]
        elif node in self.timeline.turns:
            steps = [self.timeline.steps[x] for x in self.timeline.in_all_iterations(node)]
        else:
            return None
        first, last = min(steps), max(steps)
        if (first, last) not in self.groups:
            times = last - first + 1
            title = f"one step, repeated {times} times  (t = {first} ... {last})"
            title = title if times > 1 else f"the only step, t = {first}"
            if node in self.timeline.turns:
                growing, _ = self.timeline.turns[node]
                by = ", ".join(self.stem(growing.iterations[-1][i]) or growing.iterations[-1][i].op.name for i in growing.by)
                title += f", as it is at t = {last}: it grows by {by}"
            id = f"loop{len(self.groups)}"
            group = self.groups[first, last] = Group(id, title, repeated=times > 1, kind=id)
            self.picture.groups.append(group)
        return self.groups[first, last]

    def source(self, operand: Node) -> str:
        """The box of an operand; leaves get theirs when they are first used."""
        operand = self.stand_in(operand)
        if operand not in self.exits:
            box, track = self.value_box(operand, self.annotations.role(operand)), self.timeline.track(operand)
            alike = (track, *box.lines)
            if track and isinstance(operand, Leaf) and alike in self.begun:
                self.exits[operand] = self.begun[alike]
                self.boxes[self.begun[alike]].also.append(self.graph.index[operand])
            else:
                self.exits[operand] = self.begun[alike] = self.add(box, self.place_of(operand))
        return self.exits[operand]

    def place_of(self, operand: Node) -> Group | None:
        """The frame of the loop that alone reads a leaf."""
        if not isinstance(operand, Leaf) or self.annotations.role(operand) == "initial":
            return None
        groups = {id(group := self.group_of(user)): group for user in self.users.get(operand, ())}
        return next(iter(groups.values())) if len(groups) == 1 else None

    def join(self, arrow: Arrow) -> None:
        """An arrow; where many would be the same, one."""
        if (arrow.source, arrow.target) not in self.drawn:
            self.drawn.add((arrow.source, arrow.target))
            self.connect(arrow)

    def lead(self, node: Node) -> None:
        """The arrows to an op of a loop, from whatever its tables say that it reads."""
        loop, _, i = self.home[node]
        op = self.box_of(node)
        for k, operand in operand_nodes(node):
            place, number = (i, k), self.operand_number(node, k)
            for j in loop.inside.get(place, ()):
                self.connect(Arrow(self.exits[loop.body[j]], op, operand=number, place=k))
            if place in loop.invariant:
                self.connect(Arrow(self.source(operand), op, operand=number, place=k))
            if place in loop.per_step:
                self.enter(loop, loop.per_step[place], node, number, k)
            if place in loop.carried:
                self.lead_back(loop, place, op)
            for x in loop.first.get(place, {}).values():
                if isinstance(x, Node):
                    self.join(Arrow(self.source(x), op, "first", place=k))

    def enter(self, loop: Loop, each: dict[int, Any], node: Node, number: str, k: int) -> None:
        """Draw what comes from outside, another node in each iteration: the ops of other loops; one box for all leaves that are
        read once, such as x[t]; boxes of their own for a few that are read again and again, such as weights in turns."""
        each = {n: x for n, x in each.items() if isinstance(x, Node)}
        kinds = list(dict.fromkeys(each.values()))
        several = len(kinds) < min(len(each), MOST_KINDS + 1)
        together = [x for x in kinds if isinstance(x, Leaf) and x not in self.exits and not several]
        for x in together[:1]:
            box = self.value_box(self.name_by_t(loop, each, x), self.annotations.role(x))
            self.exits |= dict.fromkeys(together, self.add(box, self.group_of(node)))
        for source in dict.fromkeys(map(self.source, kinds)):
            self.join(Arrow(source, self.box_of(node), operand=number, place=k))

    def name_by_t(self, loop: Loop, each: dict[int, Any], leaf: Node) -> Node:
        """Note the name of the leaf that is drawn for those of all iterations: x[t], or [t] if they differ and have no name."""
        if self.timeline.equal(each.values()):
            return leaf
        elements = {n: self.timeline.elements[x][1] for n, x in each.items() if x in self.timeline.elements}
        t = self.timeline.formula(loop, elements) if elements else "t"
        self.called[leaf] = f"{self.stem(leaf)}[{t}]"
        return leaf

    def lead_growing(self, node: Node) -> None:
        """The arrows to an op of what grows: what earlier iterations made comes back, all of it or the last."""
        op, steps = self.box_of(node), self.timeline.steps
        for k, operand in operand_nodes(node):
            if operand in self.timeline.turns and steps[operand] < steps[node]:
                every = sum(x in self.timeline.turns for x in node.operands) > 1 and node.op.variadic
                stem = self.stem(self.stand_in(operand)) or operand.op.name
                label = f"all {stem}[s], s < t" if every else f"{stem}[t-{steps[node] - steps[operand]}]"
                self.join(Arrow(self.source(operand), op, "loop", label, place=k))
            else:
                self.join(Arrow(self.source(operand), op, operand=self.operand_number(node, k), place=k))

    def lead_back(self, loop: Loop, place: tuple[int, int], op: str) -> None:
        """Draw what is carried: from the end of the iteration before."""
        entry = loop.carried[place]
        for j in entry.ops:
            source = op if j == place[0] else self.exits[loop.body[j]]  # what an op made itself leads around it
            if place[0] in self.sums[loop]:
                if j == max(entry.ops):
                    self.connect(Arrow(source, op, "sum loop", "sum so far", place=place[1]))
            else:
                stem, sign = self.stem(loop.body[j]), "+" if self.timeline.ways[loop][0] < 0 else "-"
                back = f"t{sign}{entry.lag}" if entry.lag else "t"
                words = f"{stem}[{back}]" if stem else back if entry.lag > 1 else ""
                self.connect(Arrow(source, op, "loop", words, place=place[1]))

    def index_text(self, node: Node) -> str:
        loop, _, i = self.home.get(node, (None, 0, 0))
        if loop is None or (i, "index") not in loop.options:
            return super().index_text(node)
        indices = loop.options[i, "index"]
        parts = [list(part) for part in zip(*indices.values(), strict=False)]
        like = node.options["index"]
        if any(len(index) != len(like) for index in indices.values()):
            return "[i[t]]"
        same = [all(x is part[0] or alike(x, part[0]) for x in part) for part in parts]
        words = [
            brief(x) if fixed else self.timeline.formula(loop, dict(zip(indices, part, strict=True)))
            for x, fixed, part in zip(like, same, parts, strict=True)
        ]
        return f"[{', '.join(words)}]"

    def literal(self, node: Node, i: int) -> str:
        loop, _, j = self.home.get(node, (None, 0, 0))
        return super().literal(node, i) if loop is None or (j, i) not in loop.per_step else "c[t]"

    def name(self, node: Node) -> str:
        if node in self.called:
            return self.called[node]
        inside = node in self.home or (isinstance(node, Leaf) and node in self.timeline.steps and self.read_in_loop(node))
        if not inside or self.annotations.role(node) == "op" or not self.stem(node):
            return super().name(node)
        return f"{self.stem(node)}[t]" if self.stand_in(node) is node else super().name(node)

    def read_in_loop(self, node: Node) -> bool:
        return any(user in self.home for user in self.users.get(node, ()))

    def stem(self, node: Node) -> str:
        """Its name without the step."""
        return stem(self.annotations.names.get(node) or node.name or "")

    def lines(self, node: Node) -> list[str]:
        lines = super().lines(node)
        if self.annotations.role(node) == "parameter" and self.uses.get(node, 0) > 1:
            lines.append(f"used x{self.uses[node]}")
        return lines

    def op_lines(self, node: Node, role: str) -> list[str]:
        """The op; where only some iterations have it, how many."""
        lines = super().op_lines(node, role)
        if node in self.home:
            loop, _, i = self.home[node]
            times = sum(i in step for step in loop.iterations)
            if times < len(loop.iterations) and i not in self.sums[loop]:
                lines.append(f"in {times} of {len(loop.iterations)}")
        return lines
